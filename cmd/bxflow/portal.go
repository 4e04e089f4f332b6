package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/report"
)

func newPortalCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "portal",
		Short: "Show what a portal has: names beside ids, ready for a job",
		Long: `Show what a portal has: entities, fields, categories, stages, lists and people,
names beside ids, as a job may write them. Nothing is changed.`,
		Example: "  bxflow portal fields Onboarding --portal sandbox",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		newPortalCheckCommand(a),
		a.listCommand("types", "List the entities: standard ones and smart processes", "", portalTypes),
		a.listCommand("fields ENTITY", "List an entity's fields", "contact", portalFields),
		a.listCommand("categories ENTITY", "List an entity's categories (pipelines)", "Onboarding", portalCategories),
		a.listCommand("stages ENTITY", "List the stages of an entity's categories", "deal", portalStages),
		a.listCommand("statuses [ID]", "List the values of the portal's lists, or of one", "SOURCE", portalStatuses),
		a.listCommand("users", "List the people of the portal", "", portalUsers),
		newPortalItemCommand(a),
	)
	return c
}

// listCommand is a command that prints one list.
func (a *app) listCommand(
	use, short, example string, list func(context.Context, *session, []string) (report.List, error),
) *cobra.Command {
	name, arg, _ := strings.Cut(use, " ")
	args := cobra.NoArgs
	switch {
	case strings.HasPrefix(arg, "["):
		args = cobra.MaximumNArgs(1)
	case arg != "":
		args = cobra.ExactArgs(1)
	}
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: strings.Join(strings.Fields("  bxflow portal "+name+" "+example+" --portal sandbox"), " "),
		Args:    args,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json", "csv"); err != nil {
				return err
			}
			return a.withPortal(c.Context(), func(ctx context.Context, s *session) error {
				l, err := list(ctx, s, args)
				if err != nil {
					return err
				}
				return a.list(l)
			})
		},
	}
}

// entity loads what the catalog has on one entity.
func (s *session) entity(ctx context.Context, name string, people bool) (*engine.Catalog, *engine.Entity, error) {
	catalog, err := s.Catalog(ctx, engine.Needs{Entities: []string{name}, Users: people})
	if err != nil {
		return nil, nil, s.nearest(ctx, name, err)
	}
	e, err := catalog.Entity(name)
	if err != nil {
		return nil, nil, s.nearest(ctx, name, err)
	}
	return catalog, e, nil
}

// nearest adds to the error of a name that no entity has the one that was
// probably meant.
func (s *session) nearest(ctx context.Context, name string, err error) error {
	unknown, ok := errors.AsType[*engine.NameError](err)
	if !ok || unknown.Several || len(unknown.Near) > 0 {
		return err
	}
	types, listing := portalTypes(ctx, s, nil)
	if listing != nil {
		return errors.Join(err, listing)
	}
	known := make([]string, 0, len(types.Rows))
	for _, row := range types.Rows {
		known = append(known, fmt.Sprint(row[0]))
	}
	return usage("%w; %s", err, expression.Suggest(name, known))
}

// portalTypes lists the standard entities, then the portal's smart processes.
func portalTypes(ctx context.Context, s *session, _ []string) (report.List, error) {
	l := report.List{Columns: []string{"name", "id", "kind"}, Right: []string{"id"}}
	for _, name := range []string{"lead", "deal", "contact", "company", "quote", "invoice"} {
		id, _ := engine.StandardEntity(name)
		l.Rows = append(l.Rows, []any{name, id, "standard"})
	}
	types, err := s.smartProcesses(ctx)
	var fault *portal.Error
	if errors.As(err, &fault) && fault.Code == "ACCESS_DENIED" {
		types, err = s.ownerTypes(ctx)
	}
	for _, t := range types {
		l.Rows = append(l.Rows, []any{t.Title, t.EntityTypeID, "smart process"})
	}
	return l, err
}

// smartProcess is an entity type that the portal's people made.
type smartProcess struct {
	Title        string
	EntityTypeID int `json:"entityTypeId"`
}

// smartProcesses asks crm.type.list, which answers administrators of the CRM.
func (s *session) smartProcesses(ctx context.Context) ([]smartProcess, error) {
	var types []smartProcess
	for start := 0; ; {
		result, err := s.Call(ctx, "crm.type.list", map[string]any{"start": start})
		if err != nil {
			return nil, err
		}
		var page struct{ Types []smartProcess }
		if err := json.Unmarshal(result.Value, &page); err != nil {
			return nil, fmt.Errorf("crm.type.list: %w", err)
		}
		types = append(types, page.Types...)
		if result.Next <= start {
			return types, nil
		}
		start = result.Next
	}
}

// firstSmartProcess is the lowest entityTypeId of a smart process ("Object
// types", the REST guide).
const firstSmartProcess = 128

// ownerTypes asks crm.enum.ownertype, which answers everybody.
func (s *session) ownerTypes(ctx context.Context) ([]smartProcess, error) {
	result, err := s.Call(ctx, "crm.enum.ownertype", nil)
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID   int
		Name string
	}
	if err := json.Unmarshal(result.Value, &all); err != nil {
		return nil, fmt.Errorf("crm.enum.ownertype: %w", err)
	}
	var types []smartProcess
	for _, t := range all {
		if t.ID >= firstSmartProcess {
			types = append(types, smartProcess{Title: t.Name, EntityTypeID: t.ID})
		}
	}
	return types, nil
}

func portalFields(ctx context.Context, s *session, args []string) (report.List, error) {
	l := report.List{
		Columns: []string{"name", "title", "type", "multiple", "required", "read_only", "original_name", "values"},
		Whole:   []string{"name"},
		Spare:   []string{"multiple", "required", "read_only", "original_name"},
	}
	_, e, err := s.entity(ctx, args[0], false)
	if err != nil {
		return l, err
	}
	for _, f := range e.Fields {
		values := make([]string, len(f.Options))
		for i, o := range f.Options {
			values[i] = fmt.Sprintf("%s (%s)", o.Name, o.ID)
		}
		l.Rows = append(l.Rows, []any{
			f.Name, f.Title, f.Type, f.Multiple, f.Required, f.ReadOnly, f.Upper, strings.Join(values, ", "),
		})
	}
	return l, nil
}

func portalCategories(ctx context.Context, s *session, args []string) (report.List, error) {
	l := report.List{Columns: []string{"name", "id", "default"}, Right: []string{"id"}}
	_, e, err := s.entity(ctx, args[0], false)
	if err != nil {
		return l, err
	}
	if !e.Categorized {
		return l, usage("%s has no categories; its stages are in: bxflow portal stages %s", e.Name, e.Name)
	}
	for _, c := range e.Categories {
		l.Rows = append(l.Rows, []any{c.Name, c.ID, c.Default})
	}
	return l, nil
}

func portalStages(ctx context.Context, s *session, args []string) (report.List, error) {
	l := report.List{Columns: []string{"category", "category_id", "name", "id", "ends"}, Right: []string{"category_id"}, Whole: []string{"id"}}
	_, e, err := s.entity(ctx, args[0], false)
	if err != nil {
		return l, err
	}
	if len(e.Categories) == 0 {
		return l, usage("%s has no stages", e.Name)
	}
	ends := map[string]string{"S": "won", "F": "lost"}
	for _, c := range e.Categories {
		for _, stage := range c.Stages {
			l.Rows = append(l.Rows, []any{c.Name, c.ID, stage.Name, stage.ID, ends[stage.Semantics]})
		}
	}
	return l, nil
}

// portalStatuses lists the values of the portal's status lists, as
// crm.status.list has them, all in one answer.
func portalStatuses(ctx context.Context, s *session, args []string) (report.List, error) {
	l := report.List{Columns: []string{"list", "name", "id"}, Whole: []string{"id"}}
	result, err := s.Call(ctx, "crm.status.list", map[string]any{"order": map[string]any{"SORT": "ASC"}})
	if err != nil {
		return l, err
	}
	var rows []struct {
		List string `json:"ENTITY_ID"`
		ID   string `json:"STATUS_ID"`
		Name string `json:"NAME"`
	}
	if err := json.Unmarshal(result.Value, &rows); err != nil {
		return l, fmt.Errorf("crm.status.list: %w", err)
	}
	var lists []string
	for _, r := range rows {
		lists = append(lists, r.List)
		if len(args) == 0 || strings.EqualFold(r.List, args[0]) {
			l.Rows = append(l.Rows, []any{r.List, r.Name, r.ID})
		}
	}
	if len(args) == 1 && len(l.Rows) == 0 {
		slices.Sort(lists)
		return l, usage("there is no list %q; %s", args[0], expression.Suggest(args[0], slices.Compact(lists)))
	}
	slices.SortStableFunc(l.Rows, func(x, y []any) int { return strings.Compare(fmt.Sprint(x[0]), fmt.Sprint(y[0])) })
	return l, nil
}

func portalUsers(ctx context.Context, s *session, _ []string) (report.List, error) {
	l := report.List{Columns: []string{"name", "email", "id", "active"}, Right: []string{"id"}, Whole: []string{"email"}}
	catalog, err := s.Catalog(ctx, engine.Needs{Users: true})
	if err != nil {
		return l, err
	}
	for _, u := range catalog.Users {
		l.Rows = append(l.Rows, []any{u.Name, u.Email, u.ID, u.Active})
	}
	return l, nil
}
