package expression_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine/expression"
)

// Whatever is written, the answer is a value of a known form or a fault with a place in the text.
func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "${{ row.nome }}", "a ${{ client.id }} b", "${{", "}}", "${{ {\"a\": {}} }}", "${{ \"}}\" }}", "${{ '\\", "${{ /* }}",
		"${{ lower(row.nome) + upper(row[\"e mail\"]) }}", "${{ row.n | int() }}", "${{ now - daysAgo(3) }}", "${{ 1..3 }}", "${{ null }}",
		"${{ let a = 1; a + a }}", "${{ count([1], # > 0) }}", "${{ number(\"1.234,5\") / 0 }}", "${{ date(row.nome, \"dd\") }}", "${{ if true { 1 } else { 2 } }}",
		"${{ card?.title ?? omit() }}", "${{ [omit()] }}", "${{ client.id + 1 }}", "${{ -9223372036854775807 - 2 }}", "${{ row.n matches \"(\" }}", "\xff${{ \xff }}",
		"${{ cnpj(\"12ABC34501DE35\") }}", "${{ phone(\"+5511987654321\") }}", "${{ round(1e308 * 10, 15) }}", "${{ title(\"ǆ\") }}",
		"${{ pick(row.nome, maps.stages, 1) }}", "${{ pick(card.tags, maps.stages) }}", "${{ maps.stages }}", "${{ pick(maps, maps?.stages) }}", "${{ pick(1, maps[row.n]) }}",
	} {
		f.Add(seed)
	}
	scope, env := sampleScope(), sampleEnv()
	f.Fuzz(func(t *testing.T, text string) {
		defer inTime(t, time.Now())
		tp, err := expression.ParseTemplate(text, scope)
		if err != nil {
			checkFaults(t, text, err)
			return
		}
		if tp.Source() != text {
			t.Fatalf("%q became %q", text, tp.Source())
		}
		value, err := tp.Eval(env)
		if literal, ok := tp.Literal(); ok && (err != nil || value != literal || literal != text) {
			t.Fatalf("%q has no expression and gives %v, %v", text, value, err)
		}
		if err == nil {
			checkValue(t, value)
		} else {
			checkFault(t, text, err)
		}
		checkSame(t, tp.Eval, env, value, err)
	})
}

// A condition is true, false, or refused.
func FuzzCompileCondition(f *testing.F) {
	for _, seed := range []string{"row.nome == \"\"", "${{ true }}", "!row.n", "client.flag", "card.option", "x ${{ true }}", "plan.create == 0", "true &&", "not card.active"} {
		f.Add(seed)
	}
	scope, env := sampleScope(), sampleEnv()
	f.Fuzz(func(t *testing.T, source string) {
		defer inTime(t, time.Now())
		p, err := expression.CompileCondition(source, scope)
		if err != nil {
			checkFaults(t, source, err)
			return
		}
		value, err := p.Eval(env)
		if _, ok := value.(bool); err == nil && !ok {
			t.Fatalf("%q gives %v", source, value)
		}
		if err != nil {
			checkFault(t, source, err)
		}
		if holds, wrong := p.Holds(env); (wrong == nil) != (err == nil) || err == nil && value != holds {
			t.Fatalf("%q holds: %t, %v; its value is %v, %v", source, holds, wrong, value, err)
		}
	})
}

// Whatever cells, fields and parameters hold, an expression over them gives a value of a known form or a fault with a
// place, and leaves what it was given as it was.
func FuzzEval(f *testing.F) {
	expressions := []string{
		"${{ pick(row.nome, maps.stages, card.tags) }}", "${{ pick(card.option, maps.stages) }}",
		"${{ row.nome + row.cpf }}", "${{ number(row.nome) + 1 }}", "${{ number(row.nome, \",\") / int(row.n) }}", "${{ int(row.n) * int(row.n) }}",
		"${{ date(row.nome) }}", "${{ date(row.nome, \"02.01.2006 15:04\") }}", "${{ format(date(row.nome), row.cpf) }}", "${{ daysAgo(int(row.n)) }}",
		"${{ phone(row.nome, row.cpf) }}", "${{ email(row.nome) }}", "${{ cpf(row.nome) ?? cnpj(row.nome) }}", "${{ cnpj(row.nome) }}",
		"${{ round(number(row.n), int(row.cpf)) }}", "${{ split(row.nome, row.cpf) }}", "${{ join(split(row.nome, row.cpf), row.n) }}",
		"${{ replace(row.nome, row.cpf, row.n) }}", "${{ title(lower(upper(row.nome))) }}", "${{ hash(row.nome, card.stock, card.option) }}",
		"${{ row.nome matches row.cpf }}", "${{ card.stock ** int(row.n) % params.limit }}", "${{ -card.stock - params.limit }}",
		"${{ sort(card.tags) }}", "${{ sum(card.tags) }}", "${{ uniq(card.tags) }}", "${{ max(card.tags) }}", "${{ first(card.tags) ?? last(card.tags) }}",
		"${{ card.option + card.stock }}", "${{ card.option == card.tags }}", "${{ card.tags[params.limit] }}", "${{ card.option?.a }}",
		"${{ card.createdTime - duration(row.nome) }}", "${{ now - card.createdTime > duration(\"1h\") }}", "${{ string(card.opportunity) + row.n }}",
		"${{ row.nome }} ${{ card.opportunity }} ${{ card.createdTime }} ${{ card.tags }} ${{ client.id }}", "${{ map(split(row.nome, \"\"), # + row.cpf) }}",
		"${{ {\"a\": row.nome, \"b\": [card.option, client.phone]} }}", "${{ default(row.nome, omit()) }}", "${{ digits(row.nome) + trim(row.cpf) }}",
	}
	for i, e := range expressions {
		cells := [][3]string{
			{"1.234,5", ",", "3"}, {"2026-02-30", "YYYY", "-9223372036854775808"}, {"+55 11 98765-4321", "BR", "1e400"}, {"\xff\x00", "(a+)+$", "NaN"},
		}
		c := cells[i%len(cells)]
		f.Add(e, c[0], c[1], c[2], int64(i-2), 1.5, int64(1_700_000_000))
	}
	f.Add("${{ card.stock * card.stock }}", "", "", "", int64(math.MinInt64), math.Inf(1), int64(math.MaxInt64))
	f.Add("${{ card.createdTime }}", "", "", "", int64(math.MaxInt64), math.NaN(), int64(math.MinInt64))
	scope, stages := sampleScope(), sampleEnv()["maps"]
	f.Fuzz(func(t *testing.T, text, nome, cpf, n string, whole int64, number float64, unix int64) {
		defer inTime(t, time.Now())
		tp, err := expression.ParseTemplate(text, scope)
		if err != nil {
			checkFaults(t, text, err)
			return
		}
		hostile := func() expression.Env {
			env := sampleEnv()
			env["row"] = map[string]string{"nome": nome, "cpf": cpf, "n": n, "blank": "", "e mail": nome}
			env["card"] = map[string]any{
				"id": whole, "created": true, "title": nome, "opportunity": number, "stock": whole, "tags": []any{whole, number, nome, nil},
				"createdTime": time.Unix(unix, whole).UTC(), "active": false, "option": map[string]any{"a": number},
			}
			env["maps"] = stages // the same, to be compared
			env["params"] = map[string]any{"file": cpf, "limit": int(whole)}
			return env
		}
		env := hostile()
		value, err := tp.Eval(env)
		if err == nil {
			checkValue(t, value)
		} else {
			checkFault(t, text, err)
		}
		if got, want := fmt.Sprintf("%#v", env), fmt.Sprintf("%#v", hostile()); got != want {
			t.Fatalf("%q made %s of %s", text, got, want)
		}
		checkSame(t, tp.Eval, hostile(), value, err)
	})
}

// longest is how long one input may take: far more than any needs, on however busy a machine.
const longest = 10 * time.Second

func inTime(t *testing.T, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > longest {
		t.Errorf("took %v", took)
	}
}

// checkSame evaluates once more: what is resumed and what is compared must not depend on chance.
func checkSame(t *testing.T, eval func(expression.Env) (any, error), env expression.Env, value any, err error) {
	t.Helper()
	again, wrong := eval(env)
	if fmt.Sprintf("%#v %v", value, err) != fmt.Sprintf("%#v %v", again, wrong) {
		t.Fatalf("gives %#v, %v, and then %#v, %v", value, err, again, wrong)
	}
}

func checkFaults(t *testing.T, text string, err error) {
	t.Helper()
	var faults expression.Errors
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("%v is not Errors", err)
	}
	for _, e := range faults {
		checkPlace(t, text, e)
	}
}

func checkFault(t *testing.T, text string, err error) {
	t.Helper()
	var fault *expression.Error
	if !errors.As(err, &fault) {
		t.Fatalf("%v is not an Error", err)
	}
	checkPlace(t, text, fault)
}

func checkPlace(t *testing.T, text string, e *expression.Error) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 || e.Msg == "" {
		t.Fatalf("%q: the fault %q is at %d:%d", text, e.Msg, e.Line, e.Column)
	}
	for _, internal := range []string{"runtime error", "interface {}", "reflect:", "goroutine ", "interface conversion"} {
		if strings.Contains(e.Msg, internal) && !strings.Contains(text, internal) {
			t.Fatalf("%q: the fault is told in words of the program: %s", text, e.Msg)
		}
	}
}

func checkValue(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Fatalf("value is %v", v)
		}
	case []any:
		for _, e := range v {
			checkValue(t, e)
		}
	case map[string]any:
		for _, e := range v {
			checkValue(t, e)
		}
	default:
		checkScalar(t, value)
	}
}

func checkScalar(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case string:
		if len(v) > 2*expression.MaxText {
			t.Fatalf("value has %d bytes", len(v))
		}
	case expression.Text:
		for _, part := range v.Parts {
			if s, ok := part.(string); ok && s != "" {
				continue
			}
			if _, ok := part.(expression.Ref); !ok {
				t.Fatalf("%#v is part of a text", part)
			}
		}
	case nil, bool, int64, time.Time, expression.Omitted, expression.Ref:
	default:
		t.Fatalf("value is a %T", value)
	}
}
