package portal_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/portal"
)

// Cutting an object into its members gives what the standard library gives, and
// stays within the text whatever that is.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":"x\"y","c":{"d":[1,2,{"e":"}"}]},"f":null}`, " { \"a\" : [ ] , \"\\u0062\" : \"\\\\\" } ", `{}`, `[1,"2",[3]]`, `[]`,
		`{"a":"\\","b":"\\\""}`, `{"a`, `{"a":`, `[,`, `"a"`, `{]`, `{"a" "b"}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := portal.Members(raw)
		if !json.Valid(raw) {
			return
		}
		want := map[string]json.RawMessage{}
		if json.Unmarshal(raw, &want) != nil || want == nil {
			return
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("text", func(m json.RawMessage) string { return string(m) })); diff != "" {
			t.Errorf("members of %q (-want +got):\n%s", raw, diff)
		}
	})
}
