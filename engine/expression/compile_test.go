package expression_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/expression"
)

func TestCompile_refuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"a misspelt column":           {`row.nme`, `1:5: unknown column "nme"; did you mean "nome"?`},
		"a column in another case":    {`row.Nome`, `did you mean "nome"?`},
		"a misspelt field":            {`card.titel`, `1:6: unknown field "titel" of card; did you mean "title"?`},
		"a column with a space":       {`row.e mail`, `1:7: unexpected "mail"; a name with spaces in it is written row["two words"]`},
		"the start of a column":       {`row.e`, `1:5: unknown column "e"; did you mean row["e mail"]?`},
		"a longer name":               {`row.nomecompleto`, `did you mean "nome"?`},
		"a function of spreadsheets":  {`IF(row.n == "", 1, 2)`, `1:1: unknown function "IF"; write condition ? value : other`},
		"a part of now":               {`now.year`, `1:5: now has no parts; write format(now, "2006") for the year`},
		"text for a number":           {`round(row.n, 2)`, `1:11: round does not take text here; number(…)`},
		"or between texts":            {`row.n || "x"`, `"||" cannot be put between text and text; for a value in place of a blank one write default(value, fallback)`},
		"an unknown name":             {`cleint.created`, `1:1: unknown name "cleint"; did you mean "client"?`},
		"an unknown function":         {`lowr(row.nome)`, `unknown function "lowr"; did you mean "lower"?`},
		"an unknown parameter":        {`params.fil`, `unknown parameter "fil"; did you mean "file"?`},
		"an unlisted variable":        {`env.PATH`, `environment variable "PATH" is not listed; list it under env:`},
		"a whole record":              {`len(row)`, `"row" is a whole record`},
		"a whole record in a let":     {`let r = row; 1`, `"row" is a whole record`},
		"a computed column":           {`row[params.file]`, `the member of "row" must be written out`},
		"the environment":             {`$env`, `unknown name "$env"`},
		"the plan outside of guards":  {`plan.create == 0`, "there is no plan here"},
		"a method":                    {`row.nome.trim()`, "values have no functions of their own"},
		"a method of a date":          {`now.Local()`, "values have no functions of their own"},
		"a function as a value":       {`lower`, `"lower" is a function; call it: lower(text)`},
		"too few arguments":           {`replace("a")`, "replace takes 3 arguments, got 1; write replace(text, old, new)"},
		"too many arguments":          {`omit(1)`, "omit takes 0 arguments, got 1"},
		"an argument of another type": {`lower(5)`, "1:7: lower does not take whole number here; string(…) makes text of it"},
		"text and number added":       {`row.n + 1`, "one side is text: make a number of it"},
		"text and sum added":          {`row.n + (1 + 2)`, "one side is text"},
		"text and number compared":    {`row.n > 5`, "one side is text"},
		"an assignment":               {`row.n = 1`, "compare with =="},
		"an open bracket":             {`lower(row.n`, "the expression ends too early"},
		"nothing":                     {" \n ", "the expression is empty"},
		"a long range":                {`len(1..100000)`, "the range has more than 1000 elements"},
		"a computed range":            {`len(1..params.limit)`, "the ends of a range"},
		"deep searching":              {`count(1..9, count(1..9, count(1..9, # > 1) > 1) > 1)`, "searched inside each other"},
		"a long source":               {strings.Repeat("1+", 3000) + "1", "longer than 4096 bytes"},
		"many nodes":                  {strings.Repeat("1+", 1000) + "1", "maximum allowed nodes"},
		"deep nesting":                {strings.Repeat("(", 4000), "the expression ends too early"},
		"redeclaring the row":         {`let row = 1; row`, "cannot redeclare row"},
		"an id not known yet":         {`client.id + 1`, "let ${{ client.id }} stand alone"},
		"an id in a function":         {`string(client.id)`, "client.id is not known yet"},
		"an id in a choice":           {`row.n == "" ? omit() : client.id`, "client.id is not known yet"},
		"an optional id":              {`client?.id ?? 0`, "client.id is not known yet"},
		"a bad regular expression":    {`row.n matches "("`, "missing closing )"},
	}
	for _, name := range []string{"reduce", "repeat", "fromJSON", "toJSON", "get", "timezone", "groupBy", "keys", "flatten", "sortBy"} {
		tests["the builtin "+name] = struct{ source, want string }{name + `([1], # > 1)`, "unknown function"}
		if name != "reduce" && name != "groupBy" && name != "sortBy" {
			tests["the builtin "+name] = struct{ source, want string }{name + `("a")`, "unknown function"}
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := expression.Compile(tt.source, sampleScope())
			wantFault(t, err, tt.want)
			if _, ok := errors.AsType[expression.Errors](err); !ok {
				t.Errorf("%T is not Errors", err)
			}
		})
	}
}

func TestCompile_reportsAllNames(t *testing.T) {
	t.Parallel()
	_, err := expression.Compile("row.a +\n  row.b + foo(x)", sampleScope())
	var all expression.Errors
	if !errors.As(err, &all) {
		t.Fatalf("%v is not Errors", err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Error())
	}
	want := []string{
		`1:5: unknown column "a"; there is blank, cpf, e mail, n, nome`,
		`2:7: unknown column "b"; there is blank, cpf, e mail, n, nome`,
	}
	if diff := cmp.Diff(want, got[:min(2, len(got))]); diff != "" || len(got) != 4 {
		t.Errorf("%d problems (-want +got):\n%s", len(got), diff)
	}
}

func TestCompileCondition(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source string
		want   bool
		fault  string // at load
	}{
		"a comparison":         {source: `row.nome == "Ana"`, want: true},
		"wrapped":              {source: `${{ row.nome == "Bia" }}`},
		"a boolean field":      {source: `card.active`, want: true},
		"negated":              {source: `!card.active`},
		"created":              {source: `client.created`, want: true},
		"a field of any type":  {source: `card.option == null`, want: true},
		"converted":            {source: `int(row.n) >= 3 and number(row.n) < 4`, want: true},
		"membership":           {source: `row.nome in ["Ana", "Bia"]`, want: true},
		"text":                 {source: `row.nome`, fault: `1:1: a condition must be true or false, this is text`},
		"any":                  {source: `default(row.n, 1)`, fault: "this is any"},
		"text around":          {source: `x ${{ row.nome }}`, fault: "not text with ${{ }} in it"},
		"two expressions":      {source: `${{ true }}${{ true }}`, fault: "not text with ${{ }} in it"},
		"unclosed":             {source: `${{ true`, fault: "never closed"},
		"an id not known yet":  {source: `client.id > 5`, fault: "client.id is not known yet"},
		"a fault when wrapped": {source: `${{ row.nme == "" }}`, fault: `1:9: unknown column "nme"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p, err := expression.CompileCondition(tt.source, sampleScope())
			if tt.fault != "" {
				wantFault(t, err, tt.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Holds(sampleEnv())
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A field of an item whose fields are not known yet is judged by its value.
func TestCompileCondition_openField(t *testing.T) {
	t.Parallel()
	p, err := expression.CompileCondition(`client.paid`, sampleScope())
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := p.Holds(expression.Env{"client": map[string]any{"paid": true}}); err != nil || !holds {
		t.Errorf("got %v, %v", holds, err)
	}
	_, err = p.Holds(expression.Env{"client": map[string]any{"paid": "Y"}})
	wantFault(t, err, `a condition must be true or false, this is text "Y"`)
}

func TestEval_refuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"division by zero":         {`1 / 0`, "the result is not a number"},
		"zero by zero":             {`0 / 0`, "the result is not a number"},
		"infinity in a list":       {`[1 / 0]`, "the result is not a number"},
		"a sum too large":          {`9223372036854775807 + 1`, "too large for a whole number"},
		"a difference too large":   {`-9223372036854775807 - 2`, "too large for a whole number"},
		"a product too large":      {`9223372036854775807 * 2`, "too large for a whole number"},
		"a length of time":         {`now - daysAgo(1)`, "a length of time is no value for a field"},
		"omit in a list":           {`[omit()]`, "omit() must be the whole value"},
		"an unknown field":         {`client.phon`, `unknown field "phon" of client; did you mean "phone"?`},
		"a blank number compared":  {`number(row.blank) > 1`, "invalid operation"},
		"an index past the end":    {`split("a", ";")[3]`, "index out of range"},
		"a text doubled too often": {doubling(), "the text grows past"},
		"a long replace":           {`replace(replace(replace("` + strings.Repeat("a", 200) + `", "a", "` + strings.Repeat("a", 200) + `"), "a", "` + strings.Repeat("a", 200) + `"), "a", "b")`, "the text grows past"},
		"nested lists":             {`map(1..1000, map(1..1000, #))`, "memory budget exceeded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := evaluate(t, tt.source)
			wantFault(t, err, tt.want)
		})
	}
}

// doubling builds a text of 2^40 bytes, if it may.
func doubling() string {
	var b strings.Builder
	b.WriteString(`let v0 = row.nome; `)
	names := "abcdefghijklmnopqrstuvwxyz"
	before := "v0"
	for i := range 40 {
		name := "v" + string(names[i%26]) + string(names[i/26])
		b.WriteString("let " + name + " = " + before + " + " + before + "; ")
		before = name
	}
	return b.String() + before
}

func TestEval_items(t *testing.T) {
	t.Parallel()
	scope := sampleScope()
	scope.Planned = nil
	p, err := expression.Compile(`client.id + 1`, scope)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Eval(sampleEnv()); !errors.Is(err, expression.ErrNotYet) {
		t.Errorf("an id that is not known yet: %v", err)
	}
	if _, err = p.Eval(expression.Env{}); !errors.Is(err, expression.ErrNoItem) {
		t.Errorf("a step that holds no item: %v", err)
	}
	got, err := p.Eval(expression.Env{"client": map[string]any{"id": int64(6)}})
	if err != nil || got != int64(7) {
		t.Errorf("got %v, %v", got, err)
	}
	if p, err = expression.Compile(`client?.id ?? 0`, scope); err != nil {
		t.Fatal(err)
	}
	if got, err = p.Eval(expression.Env{}); err != nil || got != int64(0) {
		t.Errorf("an optional item: %v, %v", got, err)
	}
}

func TestProgram_tellsWhatItReads(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want []expression.Use
		ref  string
		typ  expression.Type
	}{
		`client.id`:     {want: []expression.Use{{Name: "client", Member: "id", Line: 1, Column: 1}}, ref: "client", typ: expression.Int},
		`row["e mail"]`: {want: []expression.Use{{Name: "row", Member: "e mail", Line: 1, Column: 1}}, typ: expression.String},
		`card.opportunity * 2 > 1 ? card.title : card?.title`: {want: []expression.Use{
			{Name: "card", Member: "opportunity", Line: 1, Column: 1},
			{Name: "card", Member: "title", Line: 1, Column: 28},
			{Name: "card", Member: "title", Optional: true, Line: 1, Column: 41},
		}, typ: expression.String},
		`daysAgo(1)`:        {typ: expression.Time},
		`1 + 2`:             {typ: expression.Int},
		`1 / 2`:             {typ: expression.Float},
		`split("a", "b")`:   {typ: expression.List},
		`lower("a") == "a"`: {typ: expression.Bool},
		`omit()`:            {typ: expression.Any},
	}
	for source, tt := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()

			p, err := expression.Compile(source, sampleScope())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Uses()); diff != "" {
				t.Errorf("uses (-want +got):\n%s", diff)
			}
			if ref, _ := p.Ref(); ref != tt.ref {
				t.Errorf("ref is %q, want %q", ref, tt.ref)
			}
			if p.Type() != tt.typ {
				t.Errorf("type is %s, want %s", p.Type(), tt.typ)
			}
		})
	}
}

// One program serves many goroutines.
func TestEval_concurrently(t *testing.T) {
	t.Parallel()
	p, err := expression.Compile(`let x = trim(row.nome); len(filter(1..100, # > 50)) + len(x)`, sampleScope())
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if got, err := p.Eval(sampleEnv()); err != nil || got != int64(53) {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"client": true, "client2": true, "_x": true, "": false, "2x": false, "a-b": false, "row": false, "let": false, "lower": false, "ção": true, "a b": false,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if err := expression.CheckName(name); (err == nil) != want {
				t.Errorf("got %v, want ok %v", err, want)
			}
		})
	}
}
