package engine_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// What a plan may name is told apart from what was only added since.
func TestCatalogChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	catalog, err := w.client.Catalog(t.Context(), engine.Needs{Entities: []string{"contact", "Onboarding"}, Users: true})
	if err != nil {
		t.Fatal(err)
	}
	field := func(c *engine.Catalog, entity int, name string) *engine.Field {
		f, err := c.Entities[entity].Field(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	without := func(c *engine.Catalog, entity int, name string) {
		gone := field(c, entity, name)
		e := c.Entities[entity]
		e.Fields = slices.DeleteFunc(e.Fields, func(f *engine.Field) bool { return f == gone })
	}
	tests := map[string]struct {
		change func(c *engine.Catalog)
		want   []string
	}{
		"nothing":                  {func(*engine.Catalog) {}, nil},
		"a field is gone":          {func(c *engine.Catalog) { without(c, 0, "CPF") }, []string{`field "CPF" of contact was removed`}},
		"a list is gone":           {func(c *engine.Catalog) { without(c, 1, "Priority") }, []string{`field "Priority" of Onboarding was removed`}},
		"a field has another type": {func(c *engine.Catalog) { field(c, 0, "CPF").Type = engine.FieldDouble }, []string{`field "CPF" of contact was changed`}},
		"a field has another name": {func(c *engine.Catalog) { field(c, 0, "CPF").Title = "CNPJ" }, []string{`field "CPF" of contact was changed`}},
		"a value is gone": {
			func(c *engine.Catalog) { f := field(c, 1, "Priority"); f.Options = f.Options[1:] },
			[]string{`value "Low" of field "Priority" of Onboarding was removed`},
		},
		"a stage and its category have other names": {
			func(c *engine.Catalog) {
				k := &c.Entities[1].Categories[0]
				k.Name, k.Stages[1].Name = "Other", "Other"
			},
			[]string{`category "Clients" of Onboarding was changed`, `stage "In progress" of Onboarding was changed`},
		},
		"a stage is gone": {
			func(c *engine.Catalog) { k := &c.Entities[1].Categories[0]; k.Stages = k.Stages[:len(k.Stages)-1] },
			[]string{`stage "Lost" of Onboarding was removed`},
		},
		"an entity is gone": {
			func(c *engine.Catalog) { c.Entities = c.Entities[:1] },
			[]string{"Onboarding was removed"},
		},
		"a person is dismissed, another gone": {
			func(c *engine.Catalog) { c.Users = c.Users[1:]; c.Users[0].Active = false },
			[]string{`person "Alex Moreira" was removed`, `person "Ana Lima" was changed`},
		},
		"only more of all": {
			func(c *engine.Catalog) {
				for _, e := range c.Entities {
					e.Fields = slices.Insert(e.Fields, 0, &engine.Field{Name: "ufCrm_1", Title: "Wood", Type: engine.FieldString})
				}
				f := field(c, 1, "Priority")
				f.Options = slices.Insert(f.Options, 0, engine.Option{ID: "999", Name: "None"})
				k := &c.Entities[1].Categories[0]
				k.Stages = slices.Insert(k.Stages, 1, engine.Stage{ID: "DT128_42:WAIT", Name: "Waiting"})
				c.Entities[1].Categories = append(c.Entities[1].Categories, engine.Category{ID: 99, Name: "More"})
				c.Users = slices.Insert(c.Users, 0, engine.User{ID: 99, Name: "New", Active: true})
				c.Entities = slices.Insert(c.Entities, 0, &engine.Entity{TypeID: 1032, Name: "More"})
			},
			nil,
		},
	}
	parts := catalog.Parts()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			later := cloned(t, catalog)
			tt.change(later)
			if diff := cmp.Diff(tt.want, later.Changes(parts)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
	ids := map[string]bool{}
	for _, p := range parts {
		if ids[p.ID] {
			t.Errorf("two parts have the id %s", p.ID)
		}
		ids[p.ID] = true
	}
	text, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(text); size > 40_000 {
		t.Errorf("%d parts take %d bytes of a plan", len(parts), size)
	}
}

// cloned is a catalog of one's own.
func cloned(tb testing.TB, c *engine.Catalog) *engine.Catalog {
	tb.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	var own engine.Catalog
	if err := json.Unmarshal(text, &own); err != nil {
		tb.Fatal(err)
	}
	return &own
}
