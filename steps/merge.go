package steps

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Merge merges the held items of a stream that are duplicates of each other: those
// that have the same values in some fields. What the others have and the kept one
// lacks goes to it, and so do their links; then the portal deletes them.
//
// Which items are duplicates is known only at the end of the stream. Until then the
// keys of all items are in the plan's index, on disk where they are many; in memory
// are only the ids of those that have a key in common.
type Merge struct {
	Step engine.Word   `object:"step"`
	By   []engine.Word `key:"by" required:"true" doc:"The fields that are the same in duplicates, all together: phone, email, or others. Of a phone or e-mail one value in common is enough. Items where one of them is empty are no duplicates."`
	Keep string        `key:"keep" enum:"oldest,newest,most_filled" default:"oldest" doc:"Which item of each group stays; of those with as many filled fields the oldest."`
	Most int           `key:"most" default:"10" doc:"How many items a group may have. A larger one is left alone, as a conflict: it rather shares a switchboard's number than that it is one person."`

	entity *engine.Entity
	by     []*engine.Field
	found  *duplicates
}

// duplicates are the items of a plan that have keys in common.
type duplicates struct {
	plan  *engine.Planning
	group map[int64]int64 // towards the item that stands for the group, by item
}

// Verb implements [engine.Step].
func (*Merge) Verb() string { return "merge" }

// Makes implements [engine.Step].
func (*Merge) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Merge) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Merge) Plans() bool { return false }

// Prepare implements [engine.Step].
func (s *Merge) Prepare(p *engine.Prepare) {
	s.by = nil
	s.entity = p.HeldEntity(s.Step.Text)
	if s.entity == nil {
		return
	}
	if !s.entity.Mergeable() {
		p.Problem(s.Step.Pos, "merge contacts, companies, leads or deals", "%s can't be merged", s.entity.Name)
	}
	if !p.Last() {
		p.Problem(s.Step.Pos, "put what follows into a job of its own", "merge must be the last step of its stream: only at its end is known what goes")
	}
	if s.Most < 2 {
		p.Problem(s.Step.Pos, "write 2 or more", "most is %d; a group has two items at least", s.Most)
	}
	for _, w := range s.By {
		f := p.Field(s.entity, w)
		if f == nil {
			continue
		}
		if f.ReadOnly || f.IsSet() || f.Multiple && f.Type != engine.FieldMulti || f.Type == engine.FieldFile {
			p.Problem(w.Pos, "name a field that people fill in and that has one value, or phone, email", "duplicates can't be told by %s", f.Name)
			continue
		}
		s.by = append(s.by, f)
		p.Need(s.Step.Text, f.Name)
	}
	if len(s.By) == 0 {
		p.Problem(s.Step.Pos, "name the fields that are the same in duplicates", "merge has an empty `by`")
	}
}

// Plan implements [engine.Step].
func (s *Merge) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	if s.found == nil || s.found.plan != p {
		s.found = &duplicates{plan: p, group: map[int64]int64{}}
	}
	keys := make([][]engine.Hash, len(chunk))
	var all []engine.Hash
	for i, r := range chunk {
		h := r.Held(s.Step.Text)
		if h.ID == 0 {
			p.Skip(r, fmt.Sprintf("the plan makes this %s; the next run merges it", h.Entity.Name))
			continue
		}
		keys[i] = engine.MatchKeys(s.by, h.Now)
		for n, key := range keys[i] {
			keys[i][n] = engine.HashOf("merge", p.ID(), key)
		}
		all = append(all, keys[i]...)
	}
	owners, err := p.Noted(ctx, all)
	if err != nil {
		return err
	}
	for i, r := range chunk {
		for _, key := range keys[i] {
			id := r.Held(s.Step.Text).ID
			if owner, taken := owners[key]; taken {
				other, err := strconv.ParseInt(string(owner), 10, 64)
				if err != nil {
					return fmt.Errorf("index of the plan: %w", err)
				}
				s.found.join(other, id)
				continue
			}
			owners[key] = strconv.AppendInt(nil, id, 10)
			p.Note(key, owners[key])
		}
	}
	return nil
}

// join puts two items into one group, that of the older.
func (d *duplicates) join(a, b int64) {
	a, b = d.of(a), d.of(b)
	if a != b {
		d.group[a], d.group[b] = min(a, b), min(a, b)
	}
}

// of is the item that stands for an item's group.
func (d *duplicates) of(id int64) int64 {
	for {
		up, known := d.group[id]
		if !known || up == id {
			return id
		}
		if top, known := d.group[up]; known {
			d.group[id] = top
		}
		id = up
	}
}

// groups are the ids of duplicates, each group in ascending order.
func (d *duplicates) groups() [][]int64 {
	members := map[int64][]int64{}
	for id := range d.group {
		top := d.of(id)
		members[top] = append(members[top], id)
	}
	groups := make([][]int64, 0, len(members))
	for _, ids := range members {
		slices.Sort(ids)
		groups = append(groups, ids)
	}
	slices.SortFunc(groups, func(a, b []int64) int { return cmp.Compare(a[0], b[0]) })
	return groups
}

// Gather implements [engine.Gatherer].
func (s *Merge) Gather(ctx context.Context, p *engine.Planning) error {
	if s.found == nil || s.found.plan != p {
		return nil
	}
	groups := s.found.groups()
	s.found = nil
	for len(groups) > 0 {
		var ids []int64
		n := 0
		for n < len(groups) && (n == 0 || len(ids)+len(groups[n]) <= chunkSize) {
			if len(groups[n]) <= s.Most {
				ids = append(ids, groups[n]...)
			}
			n++
		}
		held, err := p.Take(ctx, s.entity, ids)
		if err != nil {
			return err
		}
		for _, group := range groups[:n] {
			s.plan(p, group, held)
		}
		if err := p.Flush(ctx); err != nil {
			return err
		}
		groups = groups[n:]
	}
	return nil
}

// plan plans one group: what has a key in common with the kept item goes into it,
// and then what has one in common with those.
func (s *Merge) plan(p *engine.Planning, ids []int64, held map[int64]*engine.Held) {
	if len(ids) > s.Most {
		h := engine.NewHeld(s.entity, engine.Item{ID: ids[0]})
		p.Conflict(s.record(h), fmt.Sprintf("%d items have the same %s: %s; most allows %d in a group", len(ids), s.fields(), listed(ids), s.Most))
		return
	}
	var left []*engine.Held
	for _, id := range ids {
		if h := held[id]; h != nil && h.Gone == "" {
			left = append(left, h)
		}
	}
	if len(left) < 2 {
		return
	}
	kept := left[0]
	for _, h := range left[1:] {
		if s.better(h, kept) {
			kept = h
		}
	}
	left = slices.DeleteFunc(left, func(h *engine.Held) bool { return h == kept })
	keys := map[*engine.Held][]engine.Hash{kept: engine.MatchKeys(s.by, kept.Now)}
	for _, h := range left {
		keys[h] = engine.MatchKeys(s.by, h.Now)
	}
	for reached := []*engine.Held{kept}; len(reached) > 0; reached = reached[1:] {
		through := reached[0]
		left = slices.DeleteFunc(left, func(h *engine.Held) bool {
			same := slices.ContainsFunc(keys[h], func(k engine.Hash) bool { return slices.Contains(keys[through], k) })
			if same {
				p.Warn("step %s: undo can't part again what it merges", p.ID())
				p.Merge(s.record(h), h, kept, through, s.by)
				reached = append(reached, h)
			}
			return same
		})
	}
}

// better says whether an item is rather to be kept than an older one.
func (s *Merge) better(h, than *engine.Held) bool {
	switch s.Keep {
	case "newest":
		return true
	case "most_filled":
		return filled(h) > filled(than)
	}
	return false
}

// filled is how many fields of an item hold something.
func filled(h *engine.Held) int {
	n := 0
	for _, v := range h.Now {
		if v != nil && v != "" {
			n++
		}
	}
	return n
}

// record is the record of an item that goes.
func (s *Merge) record(h *engine.Held) *engine.Record {
	r := &engine.Record{Source: fmt.Sprintf("%s:%d", s.entity.Name, h.ID), Key: strconv.FormatInt(h.ID, 10)}
	r.Hold(s.Step.Text, h)
	return r
}

// fields are what duplicates are told by.
func (s *Merge) fields() string {
	names := make([]string, len(s.by))
	for i, f := range s.by {
		names[i] = f.Name
	}
	return strings.Join(names, " and ")
}

// listed are the first ids of a group.
func listed(ids []int64) string {
	texts := make([]string, 0, 5)
	for _, id := range ids[:min(5, len(ids))] {
		texts = append(texts, strconv.FormatInt(id, 10))
	}
	if len(ids) > len(texts) {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}
