package sandbox_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// result calls a method and returns what it answers under "result".
func result(t *testing.T, portal *sandbox.Portal, method, params string) any {
	t.Helper()

	status, answer := ask(t, portal, method, json.RawMessage(params))
	if status != http.StatusOK || answer["error"] != nil {
		t.Fatalf("%s %s: status %d: %v %v", method, params, status, answer["error"], answer["error_description"])
	}
	return answer["result"]
}

// refusal calls a method and returns its error code and text.
func refusal(t *testing.T, portal *sandbox.Portal, method, params string) string {
	t.Helper()

	status, answer := ask(t, portal, method, json.RawMessage(params))
	code, isText := answer["error"].(string)
	text, ok := answer["error_description"].(string)
	if status != http.StatusBadRequest || !isText || !ok {
		t.Fatalf("%s %s: status %d: %v, want a refusal", method, params, status, answer)
	}
	return code + ": " + text
}

// same compares a decoded value with a JSON text.
func same(t *testing.T, what string, got any, want string) {
	t.Helper()

	var decoded any
	if err := json.Unmarshal([]byte(want), &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// member walks into objects (by name) and lists (by position).
func member(t *testing.T, value any, path ...any) any {
	t.Helper()

	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := value.(map[string]any)
			if !ok {
				t.Fatalf("%v: %s is no member of %v", path, step, value)
			}
			value = object[step]
		case int:
			list, ok := value.([]any)
			if !ok || step >= len(list) {
				t.Fatalf("%v: no element %d in %v", path, step, value)
			}
			value = list[step]
		}
	}
	return value
}

// values collects one member of every row of a list.
func values(t *testing.T, rows any, name string) []any {
	t.Helper()

	list, ok := rows.([]any)
	if !ok {
		t.Fatalf("%v is no list", rows)
	}
	found := make([]any, len(list))
	for i, row := range list {
		found[i] = member(t, row, name)
	}
	return found
}
