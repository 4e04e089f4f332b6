package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/steps"
)

type exportFlags struct {
	where     []string
	fields    []string
	out       string
	translate bool
	resume    bool
}

func newExportCommand(a *app) *cobra.Command {
	var flags exportFlags
	c := &cobra.Command{
		Use:   "export ENTITY",
		Short: "Write items to a file: CSV, TSV, JSONL or XLSX",
		Long: `Write the items of an entity to a file, by ascending id: CSV, TSV, JSONL or XLSX,
as its ending says, or to standard output as --format says. Nothing is changed.

Names are those of jobs: entities, fields, categories, stages, list values,
people. --where takes a condition as the where of a select does, with an
operator before the field where it is not equality (<, <=, >, >=, !, %); it may
be repeated, and the same field again means any of its values. FIELD= is an
empty field. --translate writes names in the place of ids. In CSV and TSV, cells
that a spreadsheet would run as a formula begin with an apostrophe, which read
takes away again; numbers and phone numbers never do. In XLSX, text is text,
numbers are numbers, and dates are dates, with the time of this machine's zone;
after a sheet's last row the items go on on the next.

The file appears when it is complete. Until then the items are in FILE.partial
beside it. An export that was interrupted goes on from there with the same
command and --resume; without --resume it begins anew, as XLSX always does. Items
that are made while it reads may be left out.`,
		Example: `  bxflow export Onboarding --where stage=New --fields id,title,Notes --portal sandbox
  bxflow export Onboarding --where category=Clients --where '>=createdTime=2026-01-01' --translate --out cards.csv --portal sandbox
  bxflow export contact --fields id,name,phone,birthdate --out contacts.xlsx --portal sandbox`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			format, err := a.exportFormat(flags)
			if err != nil {
				return err
			}
			return a.withPortal(c.Context(), func(ctx context.Context, s *session) error {
				return a.export(ctx, s, args[0], format, flags)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&flags.where, "where", nil, "`FIELD=VALUE` that items must meet; may be repeated")
	f.StringSliceVar(&flags.fields, "fields", nil, "`A,B` are the fields to be written; default: all of them")
	f.StringVar(&flags.out, "out", "", "`file` to be written, .csv, .tsv, .jsonl or .xlsx; default: standard output")
	f.BoolVar(&flags.translate, "translate", false, "names in the place of ids: list values, stages, categories, people")
	f.BoolVar(&flags.resume, "resume", false, "go on with an export to the same file that was interrupted")
	return c
}

// exportFormat is what the items are written as: what --format says, else what
// the file's ending says, else CSV.
func (a *app) exportFormat(flags exportFlags) (string, error) {
	formats := []string{"csv", "tsv", "jsonl", "xlsx"}
	format := strings.ToLower(strings.TrimPrefix(filepath.Ext(flags.out), "."))
	switch {
	case flags.out == "" && flags.resume:
		return "", usage("--resume is for an export to a file; add --out FILE")
	case a.flags.format != "text":
		if err := a.formats(formats...); err != nil {
			return "", err
		}
		format = a.flags.format
	case flags.out == "":
		format = "csv"
	case !slices.Contains(formats, format):
		return "", usage("--out %s: its ending says no format; use .csv, .tsv, .jsonl or .xlsx, or add --format", flags.out)
	}
	switch {
	case format == "xlsx" && flags.resume:
		return "", usage("--resume: a workbook is written when all items are there, so there is nothing to go on from; begin anew without --resume, or export to .csv")
	case format == "xlsx" && flags.out == "" && isTerminal(a.stdout):
		return "", usage("a workbook is not for a terminal; add --out FILE.xlsx")
	}
	return format, nil
}

// export writes the items of an entity.
func (a *app) export(ctx context.Context, s *session, name, format string, flags exportFlags) error {
	catalog, e, err := s.entity(ctx, name, true)
	if err != nil {
		return err
	}
	where, err := steps.Where(catalog, e, flags.where)
	if err != nil {
		return usage("--where: %w", err)
	}
	columns, fields, err := exportColumns(catalog, e, flags)
	if err != nil {
		return usage("--fields: %w", err)
	}
	x := &exporter{app: a, session: s, entity: e, where: where, fields: fields}
	if flags.out == "" {
		out := bufio.NewWriterSize(a.stdout, 1<<16)
		x.items = report.NewItems(out, format, columns)
		x.items.Readable = isTerminal(a.stdout)
		x.kept = func() error { return errors.Join(x.items.Flush(), out.Flush()) }
		return x.whole(ctx)
	}
	return a.exportFile(ctx, x, format, columns, flags)
}

// exportFile writes to a file that appears when it is complete.
func (a *app) exportFile(ctx context.Context, x *exporter, format string, columns []report.Column, flags exportFlags) (err error) {
	before := x.session.Usage()
	file, err := openPartial(flags.out, flags.resume, exportTerms{
		Portal: x.session.ID(), Entity: x.entity.TypeID, Where: flags.where, Fields: x.fields, Format: format, Translate: flags.translate,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.close()); err != nil && file.mark.Items > 0 {
			a.log.Warn("the export is not complete; the same command with --resume goes on", "items", file.mark.Items, "kept in", file.path())
		}
	}()
	x.items = report.NewItems(file, format, columns)
	x.done, x.last = file.mark.Items, file.mark.Last
	keep := func() error { return errors.Join(x.items.Flush(), file.keep(x.done, x.last)) }
	x.kept = keep
	if format == "xlsx" {
		x.kept = x.items.Flush // there is nothing to go on from before its end
	}
	if err := x.whole(ctx); err != nil {
		return err
	}
	if err := errors.Join(keep(), file.finish()); err != nil {
		return err
	}
	if n := x.items.Sheets(); n > 1 {
		a.log.Warn("the items did not fit on one sheet", "sheets", n)
	}
	used := x.session.Usage().Since(before)
	return report.Exported(a.stdout, x.done, x.entity.Name, flags.out, used.Requests, time.Since(a.started))
}

// exportColumns are the fields to be written and the titles above them: as they
// were typed, else REST names, and with --translate the titles of custom fields.
func exportColumns(c *engine.Catalog, e *engine.Entity, flags exportFlags) (columns []report.Column, fields []string, err error) {
	titles := map[string]int{}
	for _, f := range e.Fields {
		titles[f.Title]++
	}
	wanted := flags.fields
	if len(wanted) == 0 {
		wanted = []string{"id"}
		for _, f := range e.Fields {
			if f.Name != "id" {
				wanted = append(wanted, f.Name)
			}
		}
	}
	for _, typed := range wanted {
		f, err := e.Field(typed)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(fields, f.Name) {
			return nil, nil, fmt.Errorf("%q is there twice", typed)
		}
		column := report.Column{Title: strings.TrimSpace(typed), Field: f}
		if flags.translate {
			column.Names = report.Names(c, e, f)
			if len(flags.fields) == 0 && f.Custom && f.Title != "" && titles[f.Title] == 1 {
				column.Title = f.Title
			}
		}
		columns, fields = append(columns, column), append(fields, f.Name)
	}
	return columns, fields, nil
}

// exporter reads items and writes them on.
type exporter struct {
	app     *app
	session *session
	entity  *engine.Entity
	where   []engine.Condition
	fields  []string
	items   *report.Items
	kept    func() error // makes safe what was written
	done    int          // items written
	last    int64        // the id of the last one
}

// whole writes the header and the items, or what is left of them.
func (x *exporter) whole(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, x.items.Close()) }()
	if x.last == 0 {
		if err := x.items.Header(); err != nil {
			return err
		}
	}
	if err := x.run(ctx); err != nil {
		return err
	}
	return errors.Join(x.items.Finish(), x.kept())
}

// keepEvery is after how many items what was written is made safe: a request's
// worth.
const keepEvery = 2500

// run writes the items after the last one. What was written before an error is
// kept.
func (x *exporter) run(ctx context.Context) error {
	where := x.where
	if x.last > 0 {
		id := x.entity.FieldByName("id")
		if id == nil {
			return fmt.Errorf("%s has no id to go on from", x.entity.Name)
		}
		where = append(slices.Clone(where), engine.Condition{Op: ">", Field: id, Value: x.last})
	}
	safe, load := x.done, x.session.Load()
	for page, err := range x.session.Scan(ctx, x.entity, where, x.fields) { //nolint:contextcheck // progress is logged, whatever becomes of ctx
		if err != nil {
			return errors.Join(err, x.kept())
		}
		for _, item := range page {
			if err := x.items.Write(item); err != nil {
				return err
			}
			x.done, x.last = x.done+1, item.ID
		}
		if x.done-safe >= keepEvery {
			if err := x.kept(); err != nil {
				return err
			}
			safe, load = x.done, x.session.Load()
		}
		x.app.progress.Update(engine.Progress{Phase: "export", Done: x.done, Requests: x.session.Usage().Requests, Load: load})
	}
	return x.kept()
}
