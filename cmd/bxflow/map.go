package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/report"
)

type mapFlags struct {
	from, entity, field, out string
}

func newMapCommand(a *app) *cobra.Command {
	var flags mapFlags
	c := &cobra.Command{
		Use:   "map ENTITY FIELD",
		Short: "Draft a map of one portal's names to another's",
		Long: `Draft the file of a map for a job that reads one portal and writes to another:
the names that a field's values have on the portal named by --from, beside those
on the other. FIELD is stage, category, a list, or a field of people, who are
e-mail addresses. Nothing is changed.

Names that are equal but for case and white space are filled in. For the others
the column "to" is blank, and the job reports each row that needs one; "nearest"
has what is called alike, or has the same id, for whoever fills them in. The job
says where the file is, and what is looked up in it:

  maps: {stages: maps/stages.csv}
  …
      stage: ${{ pick(deal.stageId, maps.stages) }}`,
		Example: `  bxflow map deal stage --from sandbox:old --portal sandbox
  bxflow map Onboarding Priority --from sandbox:old --portal sandbox --out maps/priorities.csv`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "csv", "json"); err != nil {
				return err
			}
			return a.withPortal(c.Context(), func(ctx context.Context, s *session) error {
				return a.draftMap(ctx, s, args[0], args[1], flags)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&flags.from, "from", "", "`portal` that the job reads, as --portal names one")
	f.StringVar(&flags.entity, "to-entity", "", "`name` of the entity on the portal that the job writes to, where it has another")
	f.StringVar(&flags.field, "to-field", "", "`name` of the field there, where it has another")
	f.StringVar(&flags.out, "out", "", "`file` to be written, which may not be there yet; default: standard output")
	return c
}

// draftMap writes the draft of a map of the names that a field's values have.
func (a *app) draftMap(ctx context.Context, s *session, entity, field string, flags mapFlags) error {
	if flags.from == "" {
		return usage("--from is missing: the portal that the job reads; --portal is the one that it writes to")
	}
	t, err := a.resolveName(flags.from, ".")
	if err != nil {
		return err
	}
	old, err := a.open(t)
	if err != nil {
		return err
	}
	from, f, err := old.valueNames(ctx, entity, []string{field})
	if err != nil {
		return err
	}
	names := []string{field, f.Title} // custom fields have another code on each portal
	if flags.field != "" {
		names = []string{flags.field}
	}
	if flags.entity != "" {
		entity = flags.entity
	}
	to, _, err := s.valueNames(ctx, entity, names)
	if err != nil {
		return err
	}
	l, spare := mapOf(from, to)
	open := 0
	for _, row := range l.Rows {
		if row[1] == "" {
			open++
		}
	}
	if open > 0 {
		a.log.Warn("names without an equal are left open", "open", open, "of", len(l.Rows), "not taken", strings.Join(spare, ", "))
	}
	return a.writeMap(l, flags.out)
}

// writeMap writes a map to a file, or to standard output.
func (a *app) writeMap(l report.List, out string) error {
	switch {
	case out == "" && a.flags.format == "json":
		return l.JSON(a.stdout)
	case out == "":
		return l.CSV(a.stdout)
	case a.flags.format == "json":
		return usage("--format json: the file of a map is CSV; leave out --format or --out")
	}
	var b bytes.Buffer
	if err := l.CSV(&b); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil { //nolint:gosec // beside a job, like it
		return usage("--out: %w", err)
	}
	return writeNew(out, b.String())
}

// valueNames are the names of what a field may hold, the first of some names that
// the portal knows.
func (s *session) valueNames(ctx context.Context, entity string, names []string) ([]engine.Option, *engine.Field, error) {
	catalog, e, err := s.entity(ctx, entity, true)
	if err != nil {
		return nil, nil, err
	}
	var faults []error
	for _, name := range names {
		switch name {
		case "stage":
			name = "stageId"
		case "category":
			name = "categoryId"
		case "": // a field without a title
			continue
		}
		f, err := e.Field(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		values := catalog.ValueNames(e, f)
		if len(values) == 0 {
			return nil, nil, usage("%s of %s holds nothing that has a name; a map is for stages, categories, lists and people", f.Name, e.Name)
		}
		return values, f, nil
	}
	return nil, nil, faults[0]
}

// mapOf pairs names: those that are equal, and beside the others the nearest. The
// names that nothing is equal to come back, too.
func mapOf(from, to []engine.Option) (l report.List, spare []string) {
	l.Columns = []string{"from", "to", "nearest"}
	from, to = eachOnce(from), eachOnce(to)
	equals := make(map[string]string, len(to))
	for _, o := range to {
		equals[expression.Fold(o.Name)] = o.Name
	}
	taken := make(map[string]bool, len(from))
	for _, o := range from {
		equal := equals[expression.Fold(o.Name)]
		taken[equal] = true
		l.Rows = append(l.Rows, []any{o.Name, equal, ""})
	}
	for _, o := range to {
		if !taken[o.Name] {
			spare = append(spare, o.Name)
		}
	}
	for i, row := range l.Rows {
		if row[1] == "" {
			row[2] = nearestOf(from[i], to, spare)
		}
	}
	return l, spare
}

// eachOnce takes each name once: a stage may be in several categories.
func eachOnce(options []engine.Option) []engine.Option {
	seen := make(map[string]bool, len(options))
	return slices.DeleteFunc(slices.Clone(options), func(o engine.Option) bool {
		folded := expression.Fold(o.Name)
		twice := seen[folded]
		seen[folded] = true
		return twice || folded == ""
	})
}

// nearestOf is the name of the value with the same id, which means the same on all
// portals where it is a word such as DT128_42:CLIENT or WEB, else one that is
// called alike; "" if there is none.
func nearestOf(o engine.Option, to []engine.Option, spare []string) string {
	word := func(id string) string {
		if _, last, ok := strings.Cut(id, ":"); ok {
			id = last
		}
		return id
	}
	id := word(o.ID)
	if _, err := strconv.Atoi(id); err != nil {
		for _, other := range to {
			if word(other.ID) == id {
				return other.Name
			}
		}
	}
	const most = 1000 // that each is compared with
	if len(spare) > most {
		return ""
	}
	name, _ := expression.Nearest(o.Name, spare)
	return name
}
