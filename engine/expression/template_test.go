package expression_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/expression"
)

func TestTemplate_values(t *testing.T) {
	t.Parallel()
	ref := expression.Ref{Step: "client"}
	tests := map[string]struct {
		text string
		want any
	}{
		"literal":                    {"012345", "012345"},
		"empty":                      {"", ""},
		"whole keeps its type":       {"${{ int(row.n) }}", int64(3)},
		"white space around":         {"\n ${{ int(row.n) }}\n", int64(3)},
		"text around":                {"#${{ int(row.n) }}", "#3"},
		"two":                        {"${{ row.nome }}${{ row.n }}", "Ana3"},
		"braces":                     {`${{ {"a": {"b": 1}} }}`, map[string]any{"a": map[string]any{"b": int64(1)}}},
		"closing mark in quotes":     {`${{ "}}" + '}}' + ` + "`}}`" + ` }}`, "}}}}}}"},
		"escaped quote":              {`${{ "a\"}}" }}`, `a"}}`},
		"comment":                    {`${{ 1 /* don't }} */ }}`, int64(1)},
		"opening mark":               {`${{ "${{" }}`, "${{"},
		"robots' braces":             {"{{ x }} {=Document:NAME} }}", "{{ x }} {=Document:NAME} }}"},
		"null in text":               {"a${{ null }}b", "ab"},
		"null alone":                 {"${{ null }}", nil},
		"omit alone":                 {"${{ omit() }}", expression.Omitted{}},
		"values in text":             {"${{ true }} ${{ 1.50 }} ${{ card.createdTime }} ${{ card.tags }}", "true 1.5 2026-01-02 a, b"},
		"id that is not known":       {"${{ client.id }}", ref},
		"id in text":                 {"x ${{ row.n }}/${{ client.id }}.", expression.Text{Parts: []any{"x 3/", ref, "."}}},
		"ids only":                   {"${{ client.id }}${{ client.id }}", expression.Text{Parts: []any{ref, ref}}},
		"known id in text":           {"card ${{ card.id }}", "card 7"},
		"characters beyond one byte": {"ção ${{ row.nome }} ção", "ção Ana ção"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tp, err := expression.ParseTemplate(tt.text, sampleScope())
			if err != nil {
				t.Fatal(err)
			}
			got, err := tp.Eval(sampleEnv())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplate_faultsArePlaced(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"unclosed":                  {"a ${{ row.n", "1:3: ${{ is never closed; close it with }}"},
		"unclosed quote":            {`a ${{ "x }}`, "1:3: ${{ is never closed: a quote or a brace is open before the }}; close the quote or brace"},
		"second line":               {"ção ${{ row.n }}\nção ${{ row.x }}", `2:13: unknown column "x"`},
		"second line of expression": {"x ${{ row.n +\n row.x }}", `2:6: unknown column "x"`},
		"type":                      {"x ${{ row.n + 1 }}", "1:13: "},
		"when evaluated":            {"x ${{ int(row.nome) }}", `1:7: "Ana" is not a whole number`},
		"omit in text":              {"x ${{ omit() }}", "omit() cannot be written as text"},
		"empty":                     {"x ${{ }}", "1:6: the expression is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			tp, err := expression.ParseTemplate(tt.text, sampleScope())
			if err == nil {
				_, err = tp.Eval(sampleEnv())
			}
			wantFault(t, err, tt.want)
		})
	}
}

func TestTemplate_tellsWhatItIs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		literal, whole bool
		uses           int
	}{
		"plain":                        {literal: true},
		"${{ row.n }}":                 {whole: true, uses: 1},
		"a ${{ row.n }}${{ card.id }}": {uses: 2},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			tp, err := expression.ParseTemplate(text, sampleScope())
			if err != nil {
				t.Fatal(err)
			}
			_, literal := tp.Literal()
			_, whole := tp.Whole()
			if literal != tt.literal || whole != tt.whole || len(tp.Uses()) != tt.uses || tp.Source() != text {
				t.Errorf("literal %v, whole %v, uses %v", literal, whole, tp.Uses())
			}
		})
	}
}
