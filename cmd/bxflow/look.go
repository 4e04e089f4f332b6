package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/steps"
)

// look prints what the files that a job reads are taken for. What is wrong with
// them are problems of the job.
func (a *app) look(ctx context.Context, path string, job *engine.Job) error {
	var problems engine.Problems
	for _, stream := range job.Streams {
		read, ok := stream.Source.Source.(*steps.Read)
		if !ok {
			continue
		}
		looks, err := read.Look(ctx, job, sampledRows)
		for _, l := range looks {
			if err := a.printLook(path, l); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		found, placed := errors.AsType[engine.Problems](err)
		switch {
		case placed:
			problems = append(problems, found...)
		case err != nil:
			problems = append(problems, engine.Problem{File: job.File, Pos: read.Pos(), Step: stream.Source.ID, Msg: err.Error()})
		}
	}
	return problems.Err()
}

func (a *app) printLook(path string, l steps.Look) error {
	if l.Format == "" {
		_, err := fmt.Fprintf(a.stdout, "%s reads %s, which is not looked at\n\n", report.Clean(path), report.Clean(l.File))
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s reads %s\n", report.Clean(path), report.Clean(l.File)); err != nil {
		return err
	}
	terminal := a.terminal(a.stdout)
	err := report.List{
		Columns: []string{"format", "encoding", "delimiter", "sheet", "header", "rows_looked_at", "first_fault"},
		Rows:    [][]any{{l.Format, l.Encoding, l.Delimiter, l.Sheet, l.Header, l.Rows, l.Fault}},
	}.Sheet(a.stdout, terminal)
	if err != nil {
		return err
	}
	columns := report.List{Columns: []string{"column", "values"}}
	for _, c := range l.Columns {
		columns.Rows = append(columns.Rows, []any{c.Name, c.Values})
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	if err := columns.Text(a.stdout, terminal); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout)
	return err
}
