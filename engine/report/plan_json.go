package report

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// planHead is all of a plan's JSON but its changes.
type planHead struct {
	Format   int                  `json:"format"`
	Plan     string               `json:"plan"`
	Job      string               `json:"job"`
	Portal   string               `json:"portal"`
	Created  time.Time            `json:"created"`
	Expires  time.Time            `json:"expires"`
	Content  string               `json:"content"`
	Undoes   string               `json:"undoes,omitempty"`
	Retries  string               `json:"retries,omitempty"`
	Lasting  []string             `json:"not_undone,omitempty"`
	Summary  planSummary          `json:"summary"`
	Estimate engine.Estimate      `json:"estimate"`
	Warnings []string             `json:"warnings"`
	Broken   []string             `json:"broken_guards"`
	Steps    []engine.StepSummary `json:"steps"`
	Searches []engine.Search      `json:"searches"`
}

type planSummary struct {
	Rows int `json:"rows"`
	engine.Counts
	Cleared int `json:"cleared"`
}

type changeJSON struct {
	Step   string               `json:"step"`
	Kind   engine.Kind          `json:"kind"`
	Entity string               `json:"entity"`
	ID     *int64               `json:"id"`
	Ref    string               `json:"ref,omitempty"`
	Source string               `json:"source"`
	Key    string               `json:"key"`
	Fields map[string]fieldJSON `json:"fields"`
	Reason string               `json:"reason,omitempty"`
	Error  string               `json:"error"`
	// Conflicts are the fields in which the portal is neither as the plan saw
	// it nor as it is to be.
	Conflicts map[string]conflictJSON `json:"conflicts,omitempty"`
}

type conflictJSON struct {
	Base   any `json:"base"`
	Now    any `json:"now"`
	Wanted any `json:"wanted"`
}

type fieldJSON struct {
	Before any `json:"before"`
	After  any `json:"after"`
}

// JSON writes the plan as one JSON object. Changes are written as they are
// read, one a line.
func (p Plan) JSON(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	head, err := marshal(p.head())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s,\n\"changes\":[", head[:len(head)-1]) // a bufio.Writer keeps its first error until Flush
	comma := "\n"
	for c, err := range ahead(ctx, p.Changes.Changes(ctx, p.listed())) {
		if err != nil {
			return err
		}
		line, err := marshal(changeOf(c))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s%s", comma, line)
		comma = ",\n"
	}
	fmt.Fprint(out, "]}\n")
	return out.Flush()
}

func (p Plan) head() planHead {
	h := p.Header
	return planHead{
		Format: h.Format, Plan: h.ID, Job: h.Job, Portal: h.Portal.Address,
		Created: h.Created.UTC(), Expires: h.Expires.UTC(), Content: h.Content, Undoes: h.Undoes, Retries: h.Retries, Lasting: h.Lasting,
		Summary:  planSummary{Rows: h.Rows, Counts: h.Summary, Cleared: h.Cleared},
		Estimate: h.Estimate, Warnings: list(h.Warnings), Broken: list(p.Broken), Steps: list(h.Steps), Searches: list(h.Searches),
	}
}

func changeOf(c *engine.Change) changeJSON {
	out := changeJSON{
		Step: c.Step, Kind: c.Kind, Entity: c.Entity, Source: c.Source, Key: c.Key,
		Fields: make(map[string]fieldJSON, len(c.Fields)), Error: c.Error,
	}
	switch {
	case c.ID != 0:
		out.ID = &c.ID
	default:
		out.Ref = c.Ref
	}
	switch c.Kind {
	case engine.KindInvalid, engine.KindConflict:
		out.Error = problem(c)
	default:
		out.Reason = c.Reason
	}
	for name, f := range c.Fields {
		out.Fields[name] = fieldJSON{plain(f.Before), plain(f.After)}
		if f.Drifted {
			if out.Conflicts == nil {
				out.Conflicts = map[string]conflictJSON{}
			}
			out.Conflicts[name] = conflictJSON{plain(f.Before), plain(f.Now), plain(f.After)}
		}
	}
	return out
}

// marshal is JSON without the escapes that are meant for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return CleanJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// list is never nil, so that JSON has [] and not null.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}
