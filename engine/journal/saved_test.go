package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

// savedPlan is the file of a plan of five changes of each kind.
func savedPlan(tb testing.TB) (*engine.Header, string) {
	tb.Helper()
	j, err := journal.Scratch(tb.Context(), tb.TempDir())
	must(tb, err)
	defer j.Close()
	p := planOf(tb, j, creates(1, 3), others())
	var file bytes.Buffer
	must(tb, j.Export(tb.Context(), p, &file))
	return p.Header(), file.String()
}

func TestImport_takesWhatExportWrote(t *testing.T) {
	t.Parallel()
	h, file := savedPlan(t)
	dir := t.TempDir()
	j := openIn(t, dir)
	p, err := j.Import(t.Context(), iotest.OneByteReader(strings.NewReader(file)))
	must(t, err)
	equal(t, "header", h, p.Header())
	want := planOf(t, openIn(t, t.TempDir()), creates(1, 3), others())
	equal(t, "changes", all(t, want, engine.Filter{}), all(t, p, engine.Filter{}))

	var again bytes.Buffer
	must(t, j.Export(t.Context(), p, &again))
	equal(t, "file of the imported plan", file, again.String())

	same, err := j.Import(t.Context(), strings.NewReader(file))
	must(t, err)
	if err := same.Unused(); err != nil {
		t.Errorf("a plan that was only imported twice: %v", err)
	}
	r, err := j.Begin(t.Context(), same.ID(), at())
	must(t, err)
	same, err = openIn(t, dir).Import(t.Context(), strings.NewReader(file))
	must(t, err)
	told := fmt.Sprintf("plan %q: was applied by run %s, which began at %s (running); make a new plan, or resume that run",
		same.ID(), r.ID(), at().Local().Format(time.DateTime))
	if err := same.Unused(); err == nil || err.Error() != told {
		t.Errorf("got %v, want %q", err, told)
	}
	must(t, r.Finish(t.Context(), &engine.Result{Status: engine.StatusPartial}))
	if _, err := j.Begin(t.Context(), same.ID(), at()); err == nil || !strings.HasSuffix(err.Error(), "(partial); make a new plan") {
		t.Errorf("got %v, want no remedy but a new plan", err)
	}
}

func TestImport_knowsThePlanWhereItWasMade(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	p := planOf(t, j, creates(1, 3))
	var file bytes.Buffer
	must(t, j.Export(t.Context(), p, &file))
	_, err := j.Begin(t.Context(), p.ID(), at())
	must(t, err)
	same, err := j.Import(t.Context(), &file)
	must(t, err)
	if _, used := errors.AsType[*journal.UsedError](same.Unused()); !used {
		t.Error("the plan is not known to be used")
	}
}

func TestImport_manyChanges(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	p := planOf(t, j, usuals(0, 2600))
	var file bytes.Buffer
	must(t, j.Export(t.Context(), p, &file))
	q, err := openIn(t, t.TempDir()).Import(t.Context(), &file)
	must(t, err)
	equal(t, "changes", all(t, p, engine.Filter{}), all(t, q, engine.Filter{}))
}

// resealed puts a seal on a file that fits what it says, as a forger can.
func resealed(file string, changes int) string {
	body := file[:strings.LastIndex(strings.TrimSuffix(file, "\n"), "\n")+1]
	return fmt.Sprintf("%s{\"seal\":\"%s\",\"changes\":%d}\n", body, hexSum(body), changes)
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestImport_refuses(t *testing.T) {
	t.Parallel()
	_, file := savedPlan(t)
	lines := strings.SplitAfter(file, "\n")
	doubled := strings.Replace(file, `client@clients.csv:3"`, `client@clients.csv:2"`, 1)
	tests := map[string]struct {
		file string
		want string
	}{
		"nothing":               {"", "line 1: the plan ends without its seal: it was cut"},
		"another file":          {"name;cpf\nAna;123\n", "line 1: this is no saved plan"},
		"other JSON":            {"{\"format\":1}\n", "line 1: this is no saved plan"},
		"a newer format":        {strings.Replace(file, `{"format":1,`, `{"format":2,`, 1), "line 1: the plan has format 2, and this bxflow knows format 1"},
		"a hostile id":          {strings.Replace(file, `"plan":"2`, `"plan":"../2`, 1), "line 1: this is no saved plan"},
		"a header with more":    {strings.Replace(file, `"job":`, `"more":1,"job":`, 1), "line 1: the header of the plan is damaged"},
		"no seal":               {strings.Join(lines[:len(lines)-2], ""), "line 12: the plan ends without its seal: it was cut"},
		"a cut line":            {file[:len(file)-90], "it was cut"},
		"no last newline":       {strings.TrimSuffix(file, "\n"), "line 12: the plan ends within a line: it was cut"},
		"an altered value":      {strings.Replace(file, "Cliente 2", "Cliente 3", 1), "line 12: the seal does not fit: the plan was altered"},
		"a change left out":     {lines[0] + strings.Join(lines[2:], ""), "line 2: change 2 stands where change 1 should"},
		"a change twice":        {lines[0] + lines[1] + strings.Join(lines[1:], ""), "line 3: change 1 stands where change 2 should"},
		"an item made twice":    {resealed(doubled, 10), "another change makes it already"},
		"an unknown kind":       {strings.Replace(file, `"kind":"create"`, `"kind":"call"`, 1), `line 2: change 1 has the unknown kind "call"`},
		"an unknown key":        {strings.Replace(file, `"seq":1,`, `"seq":1,"sql":"x",`, 1), "line 2: a change is damaged"},
		"a strange value":       {strings.Replace(file, `{"$ref":"firm@x:1"}`, `{"$exec":"firm@x:1"}`, 1), `line 2: change 1 is damaged: field "ufCrm_1737980412422": an object with the key "$exec" is no value`},
		"a strange text":        {strings.Replace(file, `["Card of ",`, `[true,`, 1), "line 2: change 1 is damaged"},
		"another count":         {resealed(file, 9), "line 12: the seal does not fit"},
		"more after the seal":   {file + "{}\n", "line 13: there is more after the seal"},
		"the id of another":     {resealed(strings.Replace(file, "Cliente 2", "Cliente 3", 1), 10), "line 1: another plan has the id"},
		"an endless first line": {strings.Repeat("x", 17<<20), "line 1: is longer than 16 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := openIn(t, t.TempDir())
			if name == "the id of another" {
				_, err := j.Import(t.Context(), strings.NewReader(file))
				must(t, err)
			}
			before := plans(t, j)
			_, err := j.Import(t.Context(), strings.NewReader(tt.file))
			var bad *journal.SavedError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the message has several lines: %q", err)
			}
			equal(t, "plans kept", before, plans(t, j))
		})
	}
}

// plans says whether there is a plan.
func plans(tb testing.TB, j *journal.Journal) bool {
	tb.Helper()
	_, err := j.Plan(tb.Context(), "")
	return err == nil
}

func TestImport_refusesEveryCutAndFlip(t *testing.T) {
	t.Parallel()
	_, file := savedPlan(t)
	j := openIn(t, t.TempDir())
	refused := func(what string, text []byte) {
		t.Helper()
		_, err := j.Import(t.Context(), bytes.NewReader(text))
		if bad, ok := errors.AsType[*journal.SavedError](err); !ok || bad.Line < 1 || bad.Line > 13 {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	for _, at := range places(len(file), 150) {
		refused(fmt.Sprintf("cut after %d bytes", at), []byte(file[:at]))
		flipped := []byte(file)
		flipped[at] ^= 1 << (at % 8)
		refused(fmt.Sprintf("another byte %d", at), flipped)
	}
	if plans(t, j) {
		t.Error("there is a plan")
	}
}

func TestExport_reportsAFullDisk(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	p := planOf(t, j, usuals(0, 2000))
	if err := j.Export(t.Context(), p, brokenWriter{}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

var errFull = errors.New("no space left")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errFull }

// Linux has file names that are no text. Their plans are plans all the same.
func TestExport_ofBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	j := openIn(t, t.TempDir())
	c := create(1)
	c.Source, c.Reason, c.Row = "caf\xe9.csv:2", "\\ufffd \xff", []string{"\xfe"}
	h := header()
	h.JobFile = "caf\xe9.yaml"
	must(t, draftOf(t, j, []*engine.Change{c}).Seal(t.Context(), h))
	p, err := j.Plan(t.Context(), h.ID)
	must(t, err)
	var file bytes.Buffer
	must(t, j.Export(t.Context(), p, &file))
	taken, err := openIn(t, t.TempDir()).Import(t.Context(), &file)
	must(t, err)
	for _, c := range all(t, taken, engine.Filter{}) {
		equal(t, "texts", []string{"caf\ufffd.csv:2", "\\ufffd \ufffd", "\ufffd"}, append([]string{c.Source, c.Reason}, c.Row...))
	}
}
