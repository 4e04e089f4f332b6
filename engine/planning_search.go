package engine

import (
	"context"
	"maps"
	"slices"
)

// Planning looks items up by their keys, fifty in a command, or reads all items of
// the entity instead, fifty in a command as well. It reads them all where that
// takes fewer commands for the keys that are still to come.

// Search tells how the items of a step were looked up.
type Search struct {
	Step   string   `json:"step"`
	Entity string   `json:"entity"`
	TypeID int      `json:"entity_type_id"`
	By     []string `json:"by"`   // REST names of the fields, all together
	Keys   int      `json:"keys"` // that were asked for
	// Whole says that all items of the entity were read, once for all searches.
	Whole bool `json:"whole,omitempty"`
	Items int  `json:"items"` // that the portal held; -1: it did not say
	// Commands is what the keys took, or would have taken, at fifty each; 0 where
	// they went through the portal's duplicate index.
	Commands int `json:"commands"`
}

const (
	// perCommand is how many keys or items a command asks for.
	perCommand = 50
	// wholeMost is how many items are read to spare look-ups, at most: they are
	// kept in memory, about a kilobyte each.
	wholeMost = 50_000
)

// CommandsFor is how many commands ask for so many keys or items.
func CommandsFor(n int) int { return (n + perCommand - 1) / perCommand }

// Expect says that the stream in hand has about so many records, besides those
// that were said before. Look-ups go by it, nothing else; where a few records are
// tried again, the others don't count.
func (p *Planning) Expect(records int) {
	if p.options.Retry == nil {
		p.expected += max(records, 0)
	}
}

// Find looks items up for the step in hand, as [Reader.Find] does.
func (p *Planning) Find(ctx context.Context, l Lookup) ([][]Item, error) {
	if l.Entity.Beside() { // what belongs to items, and is asked for by them
		return p.Reader.Find(ctx, l)
	}
	s := p.search(l)
	s.Keys += len(l.Keys)
	if slices.ContainsFunc(l.Match, func(f *Field) bool { return f.Type == FieldMulti }) {
		return p.Reader.Find(ctx, l)
	}
	s.Commands += CommandsFor(len(l.Keys))
	if p.wholeIsLess(l.Entity, len(l.Keys)) {
		s.Whole = true
		p.whole[l.Entity.TypeID] = true
		l.Whole, l.Select = p.began, append(slices.Clone(l.Select), p.wholeFields(l.Entity)...)
	}
	p.asked[l.Entity.TypeID] += len(l.Keys)
	return p.Reader.Find(ctx, l)
}

// search is the account of the searches that a look-up is one of.
func (p *Planning) search(l Lookup) *Search {
	by := make([]string, len(l.Match))
	for i, f := range l.Match {
		by[i] = f.Name
	}
	for _, s := range p.searches {
		if s.Step == p.spec.ID && slices.Equal(s.By, by) {
			return s
		}
	}
	s := &Search{Step: p.spec.ID, Entity: l.Entity.Name, TypeID: l.Entity.TypeID, By: by, Items: l.Entity.Items}
	p.searches = append(p.searches, s)
	return s
}

// wholeIsLess says whether all items of an entity take fewer commands than the
// keys that are still to come, these among them. Where nobody said how many
// records there are, as many keys are to come as were asked for.
func (p *Planning) wholeIsLess(e *Entity, keys int) bool {
	if p.whole[e.TypeID] {
		return true
	}
	if e.Items < 0 || e.Items > wholeMost {
		return false
	}
	coming := p.asked[e.TypeID] + keys
	if p.expected > 0 && p.inHand > 0 {
		coming = keys * max(p.expected-p.before, p.inHand) / p.inHand
	}
	return CommandsFor(e.Items) < CommandsFor(coming)
}

// wholeFields are the fields with which all items of an entity are read, so that
// they serve every step: what the steps need of them, and are to find them by.
func (p *Planning) wholeFields(e *Entity) []string {
	names := map[string]bool{}
	for _, shape := range p.shapes {
		for step, of := range shape.entities {
			if of != nil && of.TypeID == e.TypeID {
				maps.Copy(names, shape.needs[step])
			}
		}
	}
	for _, list := range p.matches[e.TypeID] {
		for _, f := range list {
			names[f.Name] = true
		}
	}
	for _, name := range []string{"xmlId", "originId"} {
		if e.FieldByName(name) != nil {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
