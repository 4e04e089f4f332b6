package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// Import creates an item or updates the one that has the record's match
// values.
type Import struct {
	Entity      engine.Word         `object:"entity"`
	Match       []engine.MatchList  `key:"match" required:"true" doc:"The field that tells items apart, a list of fields (all together), or several lists tried in turn."`
	OnMatch     string              `key:"on_match" enum:"update,skip,fail" default:"update" doc:"What to do when an item matches."`
	OnMany      string              `key:"on_many" enum:"fail,first,newest" default:"fail" doc:"What to do when several items match."`
	Duplicates  string              `key:"duplicates" enum:"fail,first,last,merge" default:"fail" doc:"What to do when rows of one key want different things: fail (all of them are invalid), first or last wins, or merge (later rows fill what earlier ones left empty). Of rows that reach one item by different keys, first takes the first; otherwise all of them are invalid."`
	Fields      []engine.FieldValue `key:"fields" required:"true" doc:"Fields of the item, by title, REST name or UF_ name; the match fields among them."`
	OnCreate    []engine.FieldValue `key:"on_create" doc:"Fields that are set only when the item is new."`
	Replace     bool                `key:"replace" default:"false" doc:"true makes phones, e-mails, links and files exactly the given ones; otherwise the given are added."`
	Blank       string              `key:"blank" enum:"omit,clear" default:"omit" doc:"clear: a blank value clears the field of an existing item."`
	Automation  string              `key:"automation" enum:"on,off" default:"on" doc:"off makes new items by crm.item.import, so that no robots, triggers or workflows run."`
	Category    *engine.Value       `key:"category" doc:"Category of a new item."`
	Stage       *engine.Value       `key:"stage" doc:"Stage of a new item."`
	ExternalKey engine.Word         `key:"external_key" doc:"The text field that carries the external key of a new item. Default: xmlId, or originId."`

	Missing      string              `key:"missing" enum:"keep,mark,move,delete" default:"keep" doc:"What becomes of items that no row is about any more: mark sets missing_set, move moves them to missing_to. Nothing, while a row of the source can't be used."`
	MissingWhere []engine.FieldValue `key:"missing_where" doc:"Which items must be in the source; conditions as of select. Required with missing."`
	MissingSet   []engine.FieldValue `key:"missing_set" doc:"The fields that mark a missing item."`
	MissingTo    *engine.Value       `key:"missing_to" doc:"The stage of a missing item, by name or id."`
	MissingMost  string              `key:"missing_most" default:"10%" doc:"How many items may be missing, a number or a share of those in missing_where. More refuse the plan."`

	missing  missing
	entity   *engine.Entity
	fields   mapping
	onCreate mapping
	match    [][]*engine.Field
	place    placement
	key      *engine.Field
}

// Verb implements [engine.Step].
func (*Import) Verb() string { return "import" }

// Makes implements [engine.Step].
func (s *Import) Makes() string { return s.Entity.Text }

// Target implements [engine.Step].
func (*Import) Target() string { return "" }

// Plans implements [engine.Step].
func (*Import) Plans() bool { return true }

// Prepare implements [engine.Step].
func (s *Import) Prepare(p *engine.Prepare) {
	s.entity, s.match = p.Entity(s.Entity), nil
	p.Holds(s.entity)
	if s.entity == nil {
		return
	}
	s.fields = newMapping(p, s.entity, s.Fields, onEither)
	made := onMake
	if s.Automation == "off" {
		made = onImport
	}
	s.onCreate = newMapping(p, s.entity, s.OnCreate, made)
	s.place = newPlacement(p, s.entity, s.Category, s.Stage)
	s.key = keyField(p, s.entity, s.ExternalKey)
	needFor(p, p.ID(), s.entity, s.fields)
	for _, words := range s.Match {
		if list := s.matchList(p, words); len(list) > 0 {
			s.match = append(s.match, list)
		}
	}
	s.checkDuplicates(p)
	s.prepareMissing(p)
}

func (s *Import) matchList(p *engine.Prepare, words engine.MatchList) []*engine.Field {
	list := make([]*engine.Field, 0, len(words))
	for _, w := range words {
		f := p.Field(s.entity, w)
		switch {
		case f == nil:
		case f.Type != engine.FieldFile && !s.fields.has(f):
			p.Problem(w.Pos, "map it there", "match field %s has no value in `fields`", f.Name)
		case sought(p, w.Pos, f, list):
			list = append(list, f)
		}
	}
	return list
}

// Matches implements [engine.Matcher].
func (s *Import) Matches() (*engine.Entity, [][]*engine.Field) { return s.entity, s.match }

// RecordKey implements [engine.Keyer].
func (s *Import) RecordKey(p *engine.Planning, r *engine.Record) ([]any, bool) {
	var own mapping
	for _, m := range s.fields {
		for _, list := range s.match {
			for _, f := range list {
				if f == m.field && !own.has(f) {
					own = append(own, m)
				}
			}
		}
	}
	wants, err := own.eval(p, p.Env(r), false)
	if err != nil {
		return nil, false
	}
	list, key, ok := s.firstKey(wants)
	if !ok {
		return nil, false
	}
	return s.folded(list, key), true // as the match finds the item
}

// firstKey is the first complete match list and its values: what makes the
// record the same next time, whichever list finds the item.
func (s *Import) firstKey(wants []want) (list int, key []any, ok bool) {
	for i, fields := range s.match {
		if key, complete := keyOf(fields, wants); complete {
			return i, key, true
		}
	}
	return 0, nil, false
}

// entry is one record on its way through an import.
type entry struct {
	record *engine.Record
	wants  []want
	claim  engine.Hash // of the record's key
	digest engine.Hash // of what it wants
	owner  *entry      // the earlier record of this chunk with the same key
	stored *engine.Claim
	hits   []engine.Item
	held   *engine.Held // an item that matches: of the portal, or by this plan
	list   int          // the match list that found it; all of them: none did
	stray  string       // why an item that the row made before no longer matches
	fault  string
}

// Plan implements [engine.Step].
func (s *Import) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	entries, err := s.entries(ctx, p, chunk)
	if err != nil {
		return err
	}
	if err := s.lookUp(ctx, p, entries); err != nil {
		return err
	}
	if err := s.findStrays(ctx, p, entries); err != nil {
		return err
	}
	if err := s.hold(ctx, p, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.settle(ctx, p, e); err != nil {
			return err
		}
	}
	return nil
}

// entries evaluates the records and finds out which of them share a key.
func (s *Import) entries(ctx context.Context, p *engine.Planning, chunk []*engine.Record) ([]*entry, error) {
	var entries []*entry
	var claims []engine.Hash
	for _, r := range chunk {
		wants, err := s.fields.eval(p, p.Env(r), s.Blank == "clear")
		if err != nil {
			p.Invalid(r, err.Error())
			continue
		}
		list, key, ok := s.firstKey(wants)
		if !ok {
			p.Invalid(r, "nothing to match by: "+s.matchNames()+" is empty"+s.matchColumns())
			continue
		}
		e := &entry{record: r, wants: wants, claim: p.ClaimKey(list, s.folded(list, key)), digest: digestOf(wants), list: len(s.match)}
		entries = append(entries, e)
		claims = append(claims, e.claim)
	}
	if err := s.combine(ctx, p, entries); err != nil {
		return nil, err
	}
	stored, err := p.Claims(ctx, claims)
	if err != nil {
		return nil, err
	}
	first := map[engine.Hash]*entry{}
	for _, e := range entries {
		e.stored = stored[e.claim]
		e.owner = first[e.claim]
		if e.owner == nil {
			first[e.claim] = e
		}
	}
	return entries, nil
}

func (s *Import) folded(list int, key []any) []any {
	out := make([]any, len(key))
	for i, f := range s.match[list] {
		out[i] = f.Fold(key[i])
	}
	return out
}

func (s *Import) matchNames() string {
	var lists []string
	for _, list := range s.match {
		names := make([]string, len(list))
		for i, f := range list {
			names[i] = f.Name
			if f.Title != "" {
				names[i] = f.Title
			}
		}
		lists = append(lists, strings.Join(names, " and "))
	}
	return strings.Join(lists, ", or ")
}

// matchColumns names the columns that the match fields are made from.
func (s *Import) matchColumns() string {
	var values []*engine.Value
	for _, m := range s.fields {
		if slices.ContainsFunc(s.match, func(list []*engine.Field) bool { return slices.Contains(list, m.field) }) {
			values = append(values, m.value)
		}
	}
	return columnsOf(values...)
}

func digestOf(wants []want) engine.Hash {
	values := make([]any, 0, 2*len(wants))
	for _, w := range wants {
		values = append(values, w.field.Name, w.value)
	}
	return engine.HashOf(values...)
}

// owns says whether the entry is the first of its key, in this chunk and
// before.
func (e *entry) owns() bool { return e.owner == nil && e.stored == nil }

// lookUp tries the match lists in turn for the records that own their key.
func (s *Import) lookUp(ctx context.Context, p *engine.Planning, entries []*entry) error {
	more := s.fields.names()
	for n, list := range s.match {
		var open []*entry
		var keys [][]any
		for _, e := range entries {
			if !e.owns() || e.hits != nil || e.held != nil {
				continue
			}
			if key, complete := keyOf(list, e.wants); complete {
				open, keys = append(open, e), append(keys, key)
			}
		}
		held, err := p.PlannedItems(ctx, s.entity, list, keys)
		if err != nil {
			return err
		}
		hits, err := find(ctx, p, s.entity, list, keys, more)
		if err != nil {
			return err
		}
		for i, e := range open {
			e.hits = hits[i]
			if len(hits[i]) == 0 {
				e.hits, e.held = nil, held[i]
			}
			if e.hits != nil || e.held != nil {
				e.list = n
			}
		}
	}
	return nil
}

// findStrays looks for items that carry the external keys of rows which match
// nothing: the row made them before, and somebody changed their match values
// since. Another item with the same key would never be told apart from it.
func (s *Import) findStrays(ctx context.Context, p *engine.Planning, entries []*entry) error {
	var open []*entry
	var keys [][]any
	for _, e := range entries {
		if !e.owns() || e.hits != nil || e.held != nil || s.fields.has(s.key) || s.onCreate.has(s.key) {
			continue
		}
		open = append(open, e)
		keys = append(keys, []any{engine.ExternalKeyOf(p.Job.Name, p.ID(), e.record.Key)})
	}
	found, err := find(ctx, p, s.entity, []*engine.Field{s.key}, keys, s.fields.names())
	if err != nil {
		return err
	}
	for i, e := range open {
		switch {
		case len(found[i]) == 1 && s.matches(e, found[i][0]):
			e.hits, e.list = found[i], 0 // the portal's lists have only now come to show it
		case len(found[i]) > 0:
			e.stray = fmt.Sprintf("%s %s was made for this row before, and its %s has been changed since",
				s.entity.Name, ids(found[i]), s.matchNames())
		}
	}
	return nil
}

// matches says whether an item has the values that an entry is matched by.
func (s *Import) matches(e *entry, item engine.Item) bool {
	return slices.ContainsFunc(s.match, func(list []*engine.Field) bool {
		key, complete := keyOf(list, e.wants)
		for i, f := range list {
			complete = complete && f.Equal(item.Fields[f.Name], key[i])
		}
		return complete
	})
}

// hold takes the items that were found and brings them up to what this plan
// already asks of them.
func (s *Import) hold(ctx context.Context, p *engine.Planning, entries []*entry) error {
	var held []*engine.Held
	var claims []*engine.Claim
	for _, e := range entries {
		if e.stored != nil {
			claims = append(claims, e.stored)
		}
		if e.hits == nil {
			continue
		}
		hit, err := choose(e.hits, s.OnMany)
		if err != nil {
			e.fault = err.Error()
			continue
		}
		e.held = p.Hold(e.record, hit, s.entity)
		held = append(held, e.held)
	}
	if err := p.Overlay(ctx, held); err != nil {
		return err
	}
	return p.Recall(ctx, s.entity, claims, append(p.Fields(p.ID()), s.fields.names()...))
}

// settle plans one record's change, in the order of the rows.
func (s *Import) settle(ctx context.Context, p *engine.Planning, e *entry) error {
	if !e.owns() {
		return s.share(p, e)
	}
	if e.stray != "" {
		p.Conflict(e.record, e.stray)
		return nil
	}
	if h := s.plannedSince(p, e); h != nil {
		e.held, e.fault = h, ""
	}
	if e.fault != "" {
		p.Invalid(e.record, e.fault)
		return nil
	}
	if e.held == nil {
		return s.create(p, e)
	}
	e.record.Hold(p.ID(), e.held)
	if s.gone(p, e.record, e.held) {
		return nil
	}
	first, err := s.oneKey(ctx, p, e)
	if err != nil || e.fault != "" {
		return err
	}
	if !first {
		p.Unchanged(e.record, e.held)
	} else if err := s.found(ctx, p, e); err != nil {
		return err
	}
	return s.claim(p, e, e.held)
}

// gone skips a record whose item this plan deletes before.
func (s *Import) gone(p *engine.Planning, r *engine.Record, h *engine.Held) bool {
	if h.Gone == "" {
		return false
	}
	p.Skip(r, fmt.Sprintf("%s %d matches and is deleted for %s; the next run makes a new one", s.entity.Name, h.ID, h.Gone))
	return true
}

// plannedSince is the item that a record above it in the chunk makes, or gives
// values, so that the entry's earlier lists match it.
func (s *Import) plannedSince(p *engine.Planning, e *entry) *engine.Held {
	for _, list := range s.match[:e.list] {
		if key, complete := keyOf(list, e.wants); complete {
			if h := p.PlannedSince(s.entity, list, key); h != nil {
				return h
			}
		}
	}
	return nil
}

// oneKey says whether the record is the first that reaches its item. It refuses
// another one, by another key, unless the first is to win.
func (s *Import) oneKey(ctx context.Context, p *engine.Planning, e *entry) (first bool, err error) {
	key := itemClaim(p, e.held)
	claims, err := p.Claims(ctx, []engine.Hash{key})
	if err != nil {
		return false, err
	}
	if c := claims[key]; c != nil && c.Source != e.record.Source {
		if s.Duplicates == "first" {
			return false, nil
		}
		e.fault = fmt.Sprintf("%s reaches the same %s by another key", c.Source, s.entity.Name)
		p.Withdraw(p.ID(), c.Source, fmt.Sprintf("%s reaches the same %s by another key", e.record.Source, s.entity.Name))
		p.Invalid(e.record, e.fault)
		return false, nil
	}
	return true, p.SetClaim(key, &engine.Claim{Source: e.record.Source})
}

func (s *Import) found(ctx context.Context, p *engine.Planning, e *entry) error {
	switch s.OnMatch {
	case "skip":
		p.Skip(e.record, fmt.Sprintf("%s %d matches and on_match is skip", s.entity.Name, e.held.ID))
	case "fail":
		p.Invalid(e.record, fmt.Sprintf("%s %d matches and on_match is fail", s.entity.Name, e.held.ID))
	default:
		fields, err := forUpdate(ctx, p, e.held, e.wants, s.Replace)
		if err != nil {
			return err
		}
		p.Change(e.record, engine.KindUpdate, e.held, fields)
	}
	return nil
}

func (s *Import) create(p *engine.Planning, e *entry) error {
	env := p.Env(e.record)
	first, err := s.onCreate.eval(p, env, false)
	if err != nil {
		p.Invalid(e.record, err.Error())
		return nil
	}
	fields := forCreate(append(first, e.wants...))
	if err := s.place.apply(env, fields); err != nil {
		p.Invalid(e.record, err.Error())
		return nil
	}
	key := stamp(p, e.record, s.key, fields)
	c := p.Create(e.record, s.entity, fields, key)
	c.Import = s.Automation == "off"
	c.Match = s.matched(e)
	h := e.record.Held(p.ID())
	settle(h)
	if s.severalKeys() {
		if err := p.SetClaim(itemClaim(p, h), &engine.Claim{Source: e.record.Source}); err != nil {
			return err
		}
	}
	return s.claim(p, e, h)
}

// severalKeys says whether other records may reach an item by another key than
// the one that it is made with.
func (s *Import) severalKeys() bool {
	return len(s.match) > 1 || slices.ContainsFunc(s.match, func(list []*engine.Field) bool {
		return slices.ContainsFunc(list, func(f *engine.Field) bool { return f.Type == engine.FieldMulti })
	})
}

// itemClaim is the key of the claim to be the record that an item is for.
func itemClaim(p *engine.Planning, h *engine.Held) engine.Hash {
	return p.ClaimKey("item", h.ID, h.Ref)
}

// matched names the fields of the record's key.
func (s *Import) matched(e *entry) []string {
	list, _, ok := s.firstKey(e.wants)
	if !ok {
		return nil
	}
	names := make([]string, 0, len(s.match[list]))
	for _, f := range s.match[list] {
		names = append(names, f.Name)
	}
	return names
}

// claim makes the record the owner of its key.
func (s *Import) claim(p *engine.Planning, e *entry, h *engine.Held) error {
	return p.SetClaim(e.claim, &engine.Claim{Source: e.record.Source, Digest: e.digest, ID: h.ID, Ref: h.Ref})
}

// share settles a record whose key an earlier record owns: it shares that
// record's change. Different wants are duplicates, unless the owner speaks for
// all of them.
func (s *Import) share(p *engine.Planning, e *entry) error {
	owner := e.stored
	if owner == nil {
		if e.owner.record.Held(p.ID()) == nil {
			p.Invalid(e.record, fmt.Sprintf("has the key of %s, which is invalid", e.owner.record.Source))
			return nil
		}
		h := e.owner.record.Held(p.ID())
		if s.gone(p, e.record, h) {
			return nil
		}
		owner = &engine.Claim{Source: e.owner.record.Source, Digest: e.owner.digest, ID: h.ID, Ref: h.Ref}
	}
	if owner.Digest == e.digest || s.Duplicates != "fail" {
		p.Unchanged(e.record, p.Shared(e.record, s.entity, owner))
		return nil
	}
	p.Withdraw(p.ID(), owner.Source, fmt.Sprintf("%s has the same key (%s) and other values", e.record.Source, s.matchNames()))
	p.Invalid(e.record, fmt.Sprintf("%s has the same key (%s) and other values", owner.Source, s.matchNames()))
	return nil
}
