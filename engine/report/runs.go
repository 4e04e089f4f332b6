package report

import (
	"bytes"
	"io"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Runs lists runs for people, times in a zone.
func Runs(runs []engine.Result, zone *time.Location) List {
	l := List{
		Columns: []string{"run", "job", "started", "status", "took", "written", "failed", "portal"},
		Right:   []string{"took", "written", "failed"},
		Whole:   []string{"run", "started", "status", "took", "portal"}, // show and resume want the id, which begins with the time
		Spare:   []string{"started", "took", "portal"},
	}
	for _, r := range runs {
		written, failed := 0, 0
		for _, s := range r.Steps {
			written += s.Created + s.Updated + s.Moved + s.Deleted
			failed += s.Failed + s.Conflicts
		}
		took := ""
		if !r.Finished.IsZero() {
			took = duration(r.Seconds)
		}
		l.Rows = append(l.Rows, []any{
			r.Run, runName(&r), r.Started.In(zone).Format(time.DateTime), r.Status, took, written, failed, r.Portal,
		})
	}
	return l
}

// RunsJSON writes runs as a list of the objects that a run prints, one a line.
func RunsJSON(w io.Writer, runs []engine.Result) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, r := range runs {
		if i > 0 {
			b.WriteByte(',')
		}
		r.Steps = list(r.Steps)
		text, err := marshal(r)
		if err != nil {
			return err
		}
		b.WriteByte('\n')
		b.Write(text)
	}
	b.WriteString("]\n")
	_, err := w.Write(b.Bytes())
	return err
}
