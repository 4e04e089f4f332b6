package report_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/engine/report"
)

// changes are the changes of a plan or run, in memory.
type changes []*engine.Change

// Changes implements [engine.Changes].
func (cs changes) Changes(_ context.Context, f engine.Filter) iter.Seq2[*engine.Change, error] {
	return func(yield func(*engine.Change, error) bool) {
		n := 0
		for _, c := range cs {
			switch {
			case f.Kinds != nil && !slices.Contains(f.Kinds, c.Kind),
				f.States != nil && !slices.Contains(f.States, c.State),
				f.Step != "" && f.Step != c.Step, c.Seq <= f.After:
				continue
			}
			if n++; f.Limit > 0 && n > f.Limit {
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func testCatalog() *engine.Catalog {
	return &engine.Catalog{
		Entities: []*engine.Entity{
			{TypeID: 3, Name: "contact", Fields: []*engine.Field{
				{Name: "name", Type: engine.FieldString},
				{Name: "phone", Type: engine.FieldMulti, Multiple: true},
				{Name: "assignedById", Type: engine.FieldUser},
			}},
			{
				TypeID: 128, Name: "Onboarding", Categorized: true,
				Fields: []*engine.Field{
					{Name: "title", Type: engine.FieldString},
					{Name: "ufCrm41_1737980412420", Title: "Priority", Type: engine.FieldEnum, Custom: true, Options: []engine.Option{
						{ID: "101", Name: "Low"}, {ID: "103", Name: "High"},
					}},
				},
				Categories: []engine.Category{{ID: 42, Name: "Clients", Default: true, Stages: []engine.Stage{
					{ID: "DT128_42:NEW", Name: "New"}, {ID: "DT128_42:PREPARATION", Name: "In progress"},
				}}},
			},
		},
		Users: []engine.User{{ID: 3, Name: "Ana Lima", Email: "ana@example.com", Active: true}},
	}
}

func testChanges() changes {
	long := "A remark that somebody wrote in a hurry and that is much longer than what fits beside a label on a terminal of eighty columns"
	cs := changes{
		{
			Step: "client", Kind: engine.KindCreate, Entity: "contact", TypeID: 3, Ref: "client@clients.csv:2", Source: "clients.csv:2",
			Key: "12345678900", Fields: map[string]engine.FieldChange{
				"name":         {After: "Cliente Um"},
				"phone":        {After: []engine.MultiValue{{Value: "+5511999990001"}, {Value: "+5511999990002"}}},
				"assignedById": {After: int64(3)},
			},
		},
		{
			Step: "card", Kind: engine.KindCreate, Entity: "Onboarding", TypeID: 128, Ref: "card@clients.csv:2", Source: "clients.csv:2",
			Key: "12345678900", Fields: map[string]engine.FieldChange{
				"title":      {After: "Onboarding of Cliente Um"},
				"contactId":  {After: expression.Ref{Step: "client@clients.csv:2"}},
				"stageId":    {After: "DT128_42:NEW"},
				"categoryId": {After: int64(42)},
			},
		},
		{
			Step: "client", Kind: engine.KindUpdate, Entity: "contact", TypeID: 3, ID: 17, Source: "clients.csv:3",
			Key: "22345678900", Fields: map[string]engine.FieldChange{
				"name":     {Before: "Joao", After: " João "},
				"phone":    {Before: []engine.MultiValue{{ID: 5, Value: "+551199"}}, After: []engine.MultiValue{{ID: 5, Value: "+551199"}, {Value: "+551188"}}},
				"comments": {Before: long, After: "\x1b[31mred\x07\n" + long},
				"birth":    {Before: "1990-02-01", After: nil},
			},
		},
		{
			Step: "card2", Kind: engine.KindUpdate, Entity: "Onboarding", TypeID: 128, ID: 5, Source: "clients.csv:3",
			Fields: map[string]engine.FieldChange{"ufCrm41_1737980412420": {Before: int64(101), After: int64(103)}},
		},
		{
			Step: "move", Kind: engine.KindMove, Entity: "Onboarding", TypeID: 128, ID: 5, Source: "clients.csv:3",
			Fields: map[string]engine.FieldChange{"stageId": {Before: "DT128_42:NEW", After: "DT128_42:PREPARATION"}},
		},
		{Step: "gone", Kind: engine.KindDelete, Entity: "contact", TypeID: 3, ID: 99, Source: "clients.csv:3"},
		{Step: "client", Kind: engine.KindNone, Entity: "contact", TypeID: 3, ID: 18, Source: "clients.csv:4"},
		{
			Step: "client", Kind: engine.KindInvalid, Entity: "contact", TypeID: 3, Source: "clients.csv:5", Line: 5,
			Reason: `phone: "+7 (9" is not a phone number; give it with its area code, or leave the cell blank when there is none`,
			Row:    []string{"=cmd()", "+7 (9", "", "São \"Paulo\""},
		},
		{Step: "card", Kind: engine.KindSkip, Entity: "Onboarding", TypeID: 128, Source: "clients.csv:5", Reason: "the row is invalid at step client"},
	}
	for i, c := range cs {
		c.Seq = int64(i + 1)
	}
	return cs
}

func testPlan(tb testing.TB) report.Plan {
	tb.Helper()
	h := &engine.Header{
		Format: engine.PlanFormat, ID: "0199aa-plan", Job: "onboarding", JobFile: "onboarding.yaml",
		Portal:  engine.PortalInfo{Address: "https://sandbox/rest/1/***/", User: "Ana Lima"},
		Created: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Expires: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		Files: []engine.FileInfo{{Path: "clients.csv"}}, Rows: 4, Cleared: 1, Content: "c0ffee",
		Estimate: engine.Estimate{Requests: 8, Seconds: 75.2, LimitedBy: "bucket"},
		Warnings: []string{"step card: create without a key makes an item for every row whose content changes; add key: to the read above it"},
	}
	byStep := map[string]*engine.StepSummary{}
	for _, s := range []engine.StepSummary{
		{ID: "client", Verb: "import", Entity: "contact"},
		{ID: "card", Verb: "create", Entity: "Onboarding"},
		{ID: "card2", Verb: "update", Entity: "Onboarding"},
		{ID: "move", Verb: "move", Entity: "Onboarding"},
		{ID: "gone", Verb: "delete", Entity: "contact"},
	} {
		byStep[s.ID] = &s
	}
	cs := testChanges()
	for _, c := range cs {
		byStep[c.Step].Add(c.Kind, 1)
		h.Summary.Add(c.Kind, 1)
	}
	for _, id := range []string{"client", "card", "card2", "move", "gone"} {
		h.Steps = append(h.Steps, *byStep[id])
	}
	return report.Plan{
		Header: h, Changes: cs, Catalog: testCatalog(), Rows: 20, Next: "bxflow run onboarding.yaml",
	}
}
