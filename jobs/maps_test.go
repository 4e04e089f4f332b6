package jobs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/jobs"
)

// mapped reads a job whose map is the file of that name.
func mapped(t *testing.T, file, text string) (*engine.Job, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return withMap(dir, file)
}

// withMap reads a job in a folder with a map.
func withMap(dir, file string) (*engine.Job, error) {
	job := "version: 1\nname: a\nmaps: {m: " + file + "}\nsteps:\n  - select: deal\n  - update: deal\n    set: {title: '${{ pick(deal.title, maps.m) }}'}\n"
	return jobs.Parse(filepath.Join(dir, "a.yaml"), []byte(job), options())
}

// picked is what a job's map has for a value.
func picked(job *engine.Job, value string) (any, error) {
	p, err := expression.Compile(`pick(params.value, maps.m)`, expression.Scope{
		Params: map[string]expression.Type{"value": expression.String}, Maps: []string{"m"},
	})
	if err != nil {
		return nil, err
	}
	return p.Eval(expression.Env{"params": map[string]any{"value": value}, "maps": job.Maps})
}

func TestMaps_areReadHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, text string }{
		"commas":        {"m.csv", "from,to\nReunião,Visita\n"},
		"semicolons":    {"m.csv", "\uFEFFnote;to;from\r\nx;Visita;Reunião\r\n;;\r\n"},
		"windows-1252":  {"m.csv", "from;to\r\nReuni\xe3o;Visita\r\nPre\xe7o;Price\r\n"},
		"UTF-16":        {"m.csv", "\xff\xfef\x00r\x00o\x00m\x00,\x00t\x00o\x00\n\x00R\x00e\x00u\x00n\x00i\x00\xe3\x00o\x00,\x00V\x00i\x00s\x00i\x00t\x00a\x00"},
		"tabs":          {"m.tsv", "from\tto\nReunião\tVisita\n"},
		"sep":           {"m.csv", "sep=|\nfrom|to\nReunião|Visita\n"},
		"YAML":          {"m.yaml", "\uFEFFReunião: Visita\r\n"},
		"YAML in quote": {"m.yml", "'Reunião': \"Visita\"\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, err := mapped(t, test.file, test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := picked(job, "reunião"); got != "Visita" {
				t.Errorf("got %v, %v", got, err)
			}
			if len(job.Includes) != 1 || filepath.Base(job.Includes[0].Path) != test.file {
				t.Errorf("the job includes %v", job.Includes)
			}
		})
	}
}

func TestMaps_keepTextAsItIs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, text string }{
		"CSV":  {"m.csv", "from,to\n012,007\n12,1.50\nnull,yes\n1e3,'=1+1\n"},
		"YAML": {"m.yaml", "012: 007\n12: 1.50\nnull: yes\n1e3: =1+1\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, err := mapped(t, test.file, test.text)
			if err != nil {
				t.Fatal(err)
			}
			for from, want := range map[string]string{"012": "007", "12": "1.50", "null": "yes", "1E3": "=1+1"} {
				if got, err := picked(job, from); got != want {
					t.Errorf("%s gives %v, %v; want %s", from, got, err, want)
				}
			}
		})
	}
}

func TestMaps_refuseWhatCanBeNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret.csv")
	for path, text := range map[string]string{
		outside:                        "from,to\n",
		filepath.Join(dir, "big.csv"):  "from,to\n" + strings.Repeat("a,b\n", 2<<20),
		filepath.Join(dir, "many.csv"): "from,to\n" + strings.Repeat("a,b\n", 5000),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link.csv")), os.Mkdir(filepath.Join(dir, "folder.csv"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"link.csv":   `map m: "link.csv" is not in the job's folder`,
		"folder.csv": `map m "folder.csv": it is not a regular file`,
		"big.csv":    "it has 8388616 bytes; a file of this kind may have 4194304",
		"many.csv":   `many.csv:3:1: map m has "a" twice, first in line 2`,
		outside:      "is not in the job's folder",
		"[a]":        "map m takes a single value, not a list",
		"'${{ x }}'": "map m cannot be an expression",
	} {
		_, err := withMap(dir, file)
		ps, ok := errors.AsType[engine.Problems](err)
		if !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", file, err, want)
		}
		if len(ps) > 100 {
			t.Errorf("%s gives %d problems", file, len(ps))
		}
	}
}

// Whatever the file of a map holds, it is a map or it has problems in lines that there are.
func FuzzMap(f *testing.F) {
	for _, seed := range []string{
		"", "from,to\n", "from;to;note\nNew;Novo;\n;;x\nWon;;\n", "\xff\xfef\x00", "from,to\n\"a", "from,to\na,b\nA ,c\n", "sep=\t\nfrom\tto\n", "to,from,to\n",
		"a: b\nA: c\n", "a: [b]", "? [a]\n: b", "a: &x b\nb: *x", "- a", "a: !t b", "a: |\n  b\n  c\n", "null: null\n~: x\n\"\": y", "a: ${{ b }}",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, isTable bool) {
		file := "m.yaml"
		if isTable {
			file = "m.csv"
		}
		job, err := mapped(t, file, text)
		if err == nil {
			if got, err := picked(job, text); err == nil && got == nil {
				t.Fatal("nothing is picked without an error")
			}
			return
		}
		ps, ok := errors.AsType[engine.Problems](err)
		if !ok || len(ps) == 0 {
			t.Fatalf("%v is not problems", err)
		}
		for _, p := range ps {
			if p.Msg == "" || p.Pos.File != "" && p.Pos.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+strings.Count(text, "\x00")+1 {
				t.Fatalf("%+v has no place in %q", p, text)
			}
		}
		var b strings.Builder
		if err := jobs.Explain(&b, ps); err != nil || b.Len() > 200<<10 {
			t.Fatalf("%d bytes of explanation, %v", b.Len(), err)
		}
	})
}
