package expression_test

import (
	"errors"
	"math"
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
	} {
		f.Add(seed)
	}
	scope, env := sampleScope(), sampleEnv()
	f.Fuzz(func(t *testing.T, text string) {
		tp, err := expression.ParseTemplate(text, scope)
		if err != nil {
			var faults expression.Errors
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%v is not Errors", err)
			}
			for _, e := range faults {
				checkPlace(t, text, e)
			}
			return
		}
		value, err := tp.Eval(env)
		if err == nil {
			checkValue(t, value)
			return
		}
		var fault *expression.Error
		if !errors.As(err, &fault) {
			t.Fatalf("%v is not an Error", err)
		}
		checkPlace(t, text, fault)
	})
}

// A condition is true, false, or refused.
func FuzzCompileCondition(f *testing.F) {
	for _, seed := range []string{"row.nome == \"\"", "${{ true }}", "!row.n", "client.flag", "card.option", "x ${{ true }}", "plan.create == 0", "true &&", "not card.active"} {
		f.Add(seed)
	}
	scope, env := sampleScope(), sampleEnv()
	f.Fuzz(func(t *testing.T, source string) {
		p, err := expression.CompileCondition(source, scope)
		if err != nil {
			return
		}
		value, err := p.Eval(env)
		if _, ok := value.(bool); err == nil && !ok {
			t.Fatalf("%q gives %v", source, value)
		}
	})
}

func checkPlace(t *testing.T, text string, e *expression.Error) {
	t.Helper()
	if e.Line < 1 || e.Column < 1 || e.Column > utf8.RuneCountInString(text)+1 || e.Msg == "" {
		t.Fatalf("%q: the fault %q is at %d:%d", text, e.Msg, e.Line, e.Column)
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
	switch value.(type) {
	case nil, bool, int64, string, time.Time, expression.Omitted, expression.Ref, expression.Text:
	default:
		t.Fatalf("value is a %T", value)
	}
}
