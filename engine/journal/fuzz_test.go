package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/journal"
)

// A file is refused with the line that is wrong, or it is a plan, and then
// Export writes the same bytes again. Lines without a seal get one that fits,
// or else none that was altered would ever be looked at.
func FuzzImport(f *testing.F) {
	for _, text := range savedPlans(f) {
		f.Add(text)
	}
	j, err := journal.Scratch(f.Context(), f.TempDir())
	must(f, err)
	f.Cleanup(func() { _ = j.Close() })
	f.Fuzz(func(t *testing.T, text string) { checkImport(t, j, sealed(text)) })
}

// FuzzSaved is FuzzImport without the journal, in a hundredth of the time.
func FuzzSaved(f *testing.F) {
	for _, text := range savedPlans(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := sealed(text)
		again, err := journal.Rewrite([]byte(file))
		if err != nil {
			checkSaved(t, file, err)
			return
		}
		equal(t, "file", file, string(again))
	})
}

// savedPlans are files and what somebody may have made of them.
func savedPlans(f *testing.F) []string {
	f.Helper()
	_, file := savedPlan(f)
	lines := file[:strings.LastIndex(file, `{"seal":`)]
	head, changes, _ := strings.Cut(lines, "\n")
	first, _, _ := strings.Cut(changes, "\n")
	return []string{
		file, lines, strings.Replace(lines, "null", `{"$map":{}}`, 1), strings.Replace(lines, `"before":null`, `"before":1.50`, 1),
		strings.Replace(lines, `"kind"`, `"Kind"`, 1), head + "\n", head + "\n" + first + "\n" + first + "\n",
		head + "\n" + `{"seq":1,"step":"a","index":0,"kind":"none"}` + "\n" + `{"seq":2,"step":"a","index":0,"kind":"move","id":1}` + "\n",
		"{\"format\":1,\"plan\":\"20261123-100000-123-k7m2qwxa\"}\n", `{"format":1e0,"plan":null}` + "\n",
	}
}

func sealed(text string) string {
	if strings.Contains(text, `{"seal":`) {
		return text
	}
	return string(journal.Sealed([]byte(text)))
}

func checkSaved(t *testing.T, file string, err error) {
	t.Helper()
	var fault *journal.SavedError
	if !errors.As(err, &fault) || fault.Line < 1 || fault.Line > strings.Count(file, "\n")+1 || fault.Fault == "" {
		t.Fatalf("%q is refused with %v", file, err)
	}
}

func checkImport(t *testing.T, j *journal.Journal, file string) {
	t.Helper()
	p, err := j.Import(t.Context(), strings.NewReader(file))
	if err != nil {
		checkSaved(t, file, err)
		if _, err := j.Plan(t.Context(), ""); err == nil {
			t.Fatalf("%q is refused and kept", file)
		}
		return
	}
	var again bytes.Buffer
	must(t, j.Export(t.Context(), p, &again))
	equal(t, "file", file, again.String())
	_, err = j.Import(t.Context(), &again)
	must(t, err)
	must(t, j.Empty(t.Context()))
}

// What is read as the fields of a change is written so that it is read again as
// the same, type by type.
func FuzzDecodeFields(f *testing.F) {
	text, err := journal.EncodeFields(create(1).Fields)
	must(f, err)
	for _, seed := range []string{
		text, "", "{}", "null", "{}}", `{"a":{"before":1,"after":1.0}}`, `{"a":{"before":-0.0,"after":1e21,"add":[{"value":"x"}],"remove":[{"id":7,"value":""}]}}`,
		`{"a":{"after":{"$map":{"$ref":"x","b":{"$text":["a",{"$ref":"b"}]}}}}}`, `{"a":{"after":{"$multi":[null,{"id":1.0,"value":"x"}]}}}`,
		`{"a":{"after":9223372036854775808}}`, `{"a":{"after":1e400}}`, `{"\ud800":{"after":"\ud800"}}`, `{"a":{"before":[[[{"$map":{}}]]]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := journal.DecodeFields(text)
		if err != nil {
			return
		}
		if text != "" && !json.Valid([]byte(text)) {
			t.Fatalf("%q is taken for %v", text, fields)
		}
		written, err := journal.EncodeFields(fields)
		must(t, err)
		again, err := journal.DecodeFields(written)
		must(t, err)
		equalFields(t, fields, again)
		twice, err := journal.EncodeFields(again)
		must(t, err)
		equal(t, "fields written twice", written, twice)
	})
}

// A change is read from its row as it went in, but for bytes that are no text;
// and its sums tell it from one that differs anywhere.
func FuzzRow(f *testing.F) {
	f.Add("client", "contact", "a.csv:2", "x", "y", int64(1), 2.5, uint8(3))
	f.Add("", "{", "\"\\\u2028<", "\x00", "\ufffd", int64(-1<<63), 1e300, uint8(255))
	f.Add("a\xff", "b", "c", "d\xfe", "", int64(7), math.Copysign(0, -1), uint8(9))
	f.Fuzz(func(t *testing.T, step, entity, source, key, text string, n int64, number float64, pick uint8) {
		c := &engine.Change{
			Seq: n, Step: step, Index: int(pick), Kind: engine.KindUpdate, Entity: entity, TypeID: int(pick) * 7, ID: n, Ref: step + "@" + source,
			Source: source, Key: key, ExternalKey: text, KeyField: key, Match: []string{step, text}, Import: pick%2 == 0, Needs: []string{source},
			Reason: text, Line: int(pick), Row: []string{key, text, ""}, State: engine.StateSent, Attempt: int(pick), SentAt: n, Error: text, Warnings: key,
			Fields: map[string]engine.FieldChange{
				step:   {Before: text, After: []any{n, number, key, nil, pick%2 == 0}},
				entity: {After: map[string]any{key: text, "$ref": expression.Ref{Step: source}}, Add: []engine.MultiValue{{ID: n, Type: key, Value: text}}},
				"":     {Before: expression.Text{Parts: []any{text, expression.Ref{Step: key}}}, After: []engine.MultiValue{}},
			},
		}
		again, _, _, err := journal.Row(c)
		if err != nil {
			if valid(step, entity, source, key, text) && number == number && number-number == 0 {
				t.Fatal(err)
			}
			return
		}
		if valid(step, entity, source, key, text) {
			equalFields(t, c.Fields, again.Fields)
			c.Fields, again.Fields = nil, nil
			equal(t, "change", c, again)
		}
		_, planSum, stateSum, err := journal.Row(c)
		must(t, err)
		for name, alter := range map[string]func(){
			"a shifted border": func() { c.Source, c.Key = source+key, "" }, "the number": func() { c.Seq++ }, "the kind": func() { c.Kind = engine.KindMove },
			"the key": func() { c.Key += "\x00" }, "an error": func() { c.Error += " " }, "the attempt": func() { c.Attempt++ },
		} {
			before := *c
			alter()
			_, plan, state, err := journal.Row(c)
			must(t, err)
			if differs := !reflect.DeepEqual(before, *c); differs && plan == planSum && state == stateSum {
				t.Errorf("%s does not change the sums", name)
			}
			*c = before
		}
	})
}

// A result is read as it was written, whatever the portal and the files put
// into it.
func FuzzResult(f *testing.F) {
	report, err := os.ReadFile("../report/testdata/run.json")
	must(f, err)
	for _, seed := range []string{string(report), "{}", `{"error":"\ufffd<\u2028","seconds":1e-7,"steps":[null,{"id":"a"}],"started":"2026-11-23T10:00:00.123456789+05:45"}`} {
		f.Add([]byte(seed))
	}
	j, err := journal.Scratch(f.Context(), f.TempDir())
	must(f, err)
	f.Cleanup(func() { _ = j.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		var res engine.Result
		if json.Unmarshal(text, &res) != nil {
			return
		}
		written, again, err := j.Result(&res)
		if err != nil {
			if y := res.Started.Year(); y < 0 || y > 9999 {
				return
			}
			t.Fatal(err)
		}
		if diff := cmp.Diff(res, again, cmpopts.EquateEmpty(), sameMoment()); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		twice, _, err := j.Result(&again)
		must(t, err)
		equal(t, "result written twice", written, twice)
	})
}

// sameMoment compares times by what they show.
func sameMoment() cmp.Option {
	return cmp.Comparer(func(a, b time.Time) bool { return a.Format(time.RFC3339Nano) == b.Format(time.RFC3339Nano) })
}

func valid(texts ...string) bool {
	for _, t := range texts {
		if !utf8.ValidString(t) {
			return false
		}
	}
	return true
}

// equalFields compares fields by type and value; none are as good as an empty list.
func equalFields(tb testing.TB, want, got map[string]engine.FieldChange) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Errorf("fields (-want +got):\n%s", diff)
	}
}
