package expression_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/expression"
)

// sampleScope is a stream with rows, an item that may be new and one that exists.
func sampleScope() expression.Scope {
	return expression.Scope{
		Row: &expression.Record{Fields: map[string]expression.Type{
			"nome": expression.String, "cpf": expression.String, "n": expression.String, "blank": expression.String,
			"e mail": expression.String,
		}},
		Items: map[string]*expression.Record{
			"client": {Open: true},
			"card": {Fields: map[string]expression.Type{
				"title": expression.String, "opportunity": expression.Float, "stock": expression.Int, "tags": expression.List,
				"createdTime": expression.Time, "active": expression.Bool, "option": expression.Any,
			}},
		},
		Planned: map[string]bool{"client": true},
		Params:  map[string]expression.Type{"file": expression.String, "limit": expression.Int},
		Env:     []string{"HOME"},
		Maps:    []string{"stages"},
	}
}

// sampleMap is a map of a job's file.
func sampleMap() *expression.Map {
	stages := expression.NewMap("stages", "maps/stages.csv")
	for i, pair := range [][2]string{{"New ", " Novo"}, {"In  progress", "Em andamento"}, {"012", "17"}, {"7", "Seven"}, {"Undecided", " "}} {
		stages.Add(pair[0], pair[1], i+2)
	}
	return stages
}

// sampleEnv has a value for each name of the scope.
func sampleEnv() expression.Env {
	return expression.Env{
		"now":    time.Date(2026, time.November, 23, 13, 0, 0, 0, time.UTC),
		"row":    map[string]string{"nome": "Ana", "cpf": "529.982.247-25", "n": "3", "blank": " ", "e mail": "a@b.co"},
		"client": map[string]any{"id": expression.Ref{Step: "client"}, "created": true, "phone": "+55"},
		"card": map[string]any{
			"id": int64(7), "created": false, "title": "Card", "opportunity": 1.5, "stock": int64(2), "tags": []any{"a", "b"},
			"createdTime": time.Date(2026, time.January, 2, 0, 0, 0, 0, time.UTC), "active": true, "option": nil,
		},
		"params": map[string]any{"file": "x.csv", "limit": 5},
		"env":    map[string]string{"HOME": "/root"},
		"maps":   map[string]*expression.Map{"stages": sampleMap()},
	}
}

// evaluate compiles and evaluates; an error of either is returned.
func evaluate(t *testing.T, source string) (any, error) {
	t.Helper()
	p, err := expression.Compile(source, sampleScope())
	if err != nil {
		return nil, err
	}
	return p.Eval(sampleEnv())
}

// wantFault checks that an error has the text in it and is placed.
func wantFault(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	var fault *expression.Error
	if !errors.As(err, &fault) || fault.Line < 1 || fault.Column < 1 {
		t.Errorf("%v has no place", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error is %q, want %q in it", err, want)
	}
}
