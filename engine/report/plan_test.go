package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file under testdata, or rewrites it with -update.
func golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestPlan_goldens(t *testing.T) {
	t.Parallel()

	tests := map[string]func(report.Plan, *bytes.Buffer) error{
		"plan.txt": func(p report.Plan, b *bytes.Buffer) error { return p.Text(t.Context(), b, report.Terminal{}) },
		"plan-80.txt": func(p report.Plan, b *bytes.Buffer) error {
			return p.Text(t.Context(), b, report.Terminal{Width: 80, Color: true})
		},
		"plan-200.txt": func(p report.Plan, b *bytes.Buffer) error {
			return p.Text(t.Context(), b, report.Terminal{Width: 200})
		},
		"plan-all.txt": func(p report.Plan, b *bytes.Buffer) error {
			p.Rows, p.All = 0, true
			return p.Text(t.Context(), b, report.Terminal{Width: 80})
		},
		"plan-broken.txt": func(p report.Plan, b *bytes.Buffer) error {
			p.Rows, p.Broken = 1, []string{`"plan.delete == 0" does not hold (plan.delete is 1)`}
			return p.Text(t.Context(), b, report.Terminal{Width: 80})
		},
		"plan.json": func(p report.Plan, b *bytes.Buffer) error { return p.JSON(t.Context(), b) },
		"plan.html": func(p report.Plan, b *bytes.Buffer) error { return p.HTML(t.Context(), b) },
		"plan.csv":  func(p report.Plan, b *bytes.Buffer) error { return p.CSV(t.Context(), b) },
	}
	for name, write := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var b bytes.Buffer
			if err := write(testPlan(t), &b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}
