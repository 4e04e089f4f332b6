package jobs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

// schema compiles the schema of all kinds.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := jobs.Schema(steps.All())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// judge validates a job file as an editor would.
func judge(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var value any
	if err := yaml.Load(text, &value); err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

func TestSchema_isTheFileAtTheTop(t *testing.T) {
	t.Parallel()
	want, err := jobs.Schema(steps.All())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../bxflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run: go run ./cmd/bxflow schema >bxflow.schema.json (-want +got):\n%s", diff)
	}
}

// Every job of the examples and of the tests is read without a problem, and fits the schema.
func TestSchema_fitsGoodJobs(t *testing.T) {
	t.Parallel()
	paths := []string{"testdata/onboarding.yaml", "testdata/close-stale.yaml", "testdata/everything.yaml"}
	examples, err := filepath.Glob("../examples/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := schema(t)
	for _, path := range append(paths, examples...) {
		if filepath.Base(path) == "bxflow.yaml" {
			continue // describes portals
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()

			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := judge(t, s, text); err != nil {
				t.Error(err)
			}
			o := options()
			o.CheckOnly = true
			if _, err := jobs.Load(path, o); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchema_refusesBadJobs(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"another version":   "version: 2\nname: a\nsteps: [{select: deal}]",
		"no name":           "version: 1\nsteps: [{select: deal}]",
		"a notice of none":  "notify: [{on: [], person: a}]\n" + withSteps("  - select: deal\n"),
		"a notice by two":   "notify: [{on: plan, person: a, webhook: b}]\n" + withSteps("  - select: deal\n"),
		"an unknown key":    "x: 1\n" + withSteps("  - select: deal\n"),
		"an unknown verb":   withSteps("  - crate: deal\n"),
		"two verbs":         withSteps("  - select: deal\n    read: a\n"),
		"an unknown choice": withSteps("  - import: deal\n    match: a\n    fields: {a: 1}\n    on_match: no\n"),
		"a missing key":     withSteps("  - move: deal\n"),
		"a mapping value":   withSteps("  - update: deal\n    set: {a: {b: 1}}\n"),
	}
	s := schema(t)
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if err := judge(t, s, []byte(text)); err == nil {
				t.Error("no error")
			}
		})
	}
}
