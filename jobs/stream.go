package jobs

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// stepKeys are the keys that every step may have, a source only the first two.
func stepKeys() []string { return []string{"id", "name", "when", "on_error"} }

// sourceKeys is how many of stepKeys a source may have: its records are not there yet when it is judged.
const sourceKeys = 2

// steps reads the list of steps and divides it into streams.
func (d *decoder) steps(n *node, vars []*variable) {
	const remedy = "begin with `- read: …` or `- select: …`"
	switch {
	case n.shape != list:
		d.fault(n.pos, remedy, "steps is a list of steps, not %s", n.describe())
		return
	case len(n.items) == 0:
		d.fault(n.pos, remedy, "steps is empty")
		return
	}
	s := &stepper{decoder: d, vars: vars, ids: make(map[string]made), writes: make(map[string]engine.Word)}
	s.reserve(n.items)
	for _, item := range n.items {
		s.step(item)
	}
	s.closeVars()
}

// stepper reads steps one after the other.
type stepper struct {
	*decoder
	stream *engine.Stream
	vars   []*variable
	views  []*varView // as the stream sees them
	index  int
	ids    map[string]made        // steps above, by id, of all streams
	taken  []string               // ids that the job writes, and those given so far
	writes map[string]engine.Word // entities that steps above write
	keyed  bool                   // records of this stream bring a key
}

// made is what a step above holds.
type made struct {
	stream  *engine.Stream
	entity  string // empty: it holds no item
	planned bool
	portal  string // another portal than the job writes to, that the item is on
	pos     engine.Pos
}

// reserve notes the ids that the job writes, so that none is given to a step that has no id.
func (s *stepper) reserve(items []*node) {
	for _, item := range items {
		if id := entry(item, "id"); id != nil {
			s.taken = append(s.taken, id.text)
		}
	}
}

// step reads one step.
func (s *stepper) step(n *node) {
	kind, verb, ok := s.kind(n)
	if !ok {
		return
	}
	d := &stepDecoder{decoder: s.decoder, verb: verb}
	if kind.Source != nil {
		s.source(n, kind.Source(), d)
		return
	}
	if s.stream == nil {
		s.fault(verb.Pos, "put `read` or `select` before it", "%s is in no stream: nothing above it gives records", verb.Text)
		s.stream = &engine.Stream{} // so that the steps below are judged as well
		return
	}
	step := kind.Step()
	settings := settingsOf(step)
	d.checkKeys(n, settings, stepKeys())
	d.fill(settings, n)
	spec := &engine.StepSpec{Common: s.common(n, verb, s.defaultID(step.Makes(), verb.Text, step.Target())), Step: step, Index: s.index}
	s.index++
	if when := entry(n, "when"); when != nil {
		spec.When = s.condition(when, "when")
	}
	spec.OnError = s.onError(entry(n, "on_error"))
	s.target(step, verb, settings)
	s.expressions(spec, n, d)
	s.remember(spec)
	s.stream.Steps = append(s.stream.Steps, spec)
}

// kind finds the one verb of a step.
func (s *stepper) kind(n *node) (engine.StepKind, engine.Word, bool) {
	if n.shape != mapping {
		s.fault(n.pos, "write `- import: contact`", "a step is a mapping of keys, not %s", n.describe())
		return engine.StepKind{}, engine.Word{}, false
	}
	var kind engine.StepKind
	var verb engine.Word
	known := make([]string, 0, len(s.options.Kinds))
	for _, k := range s.options.Kinds {
		known = append(known, k.Verb)
	}
	for _, p := range n.pairs {
		i := slices.Index(known, p.key.Text)
		switch {
		case i < 0:
		case verb.Text != "":
			s.fault(p.key.Pos, "make two steps of it", "a step has one verb, this has %s and %s", verb.Text, p.key.Text)
			return kind, verb, false
		default:
			kind, verb = s.options.Kinds[i], p.key
		}
	}
	if verb.Text != "" {
		return kind, verb, true
	}
	at, hint := n.pos, "begin it with one of "+strings.Join(known, ", ")
	for _, p := range n.pairs {
		if !slices.Contains(stepKeys(), p.key.Text) {
			at, hint = p.key.Pos, fmt.Sprintf("%q is no verb; ", p.key.Text)+expression.Suggest(p.key.Text, slices.Clone(known))
			break
		}
	}
	s.fault(at, hint, "the step has no verb")
	return kind, verb, false
}

// source reads the step that begins a stream.
func (s *stepper) source(n *node, source engine.Source, d *stepDecoder) {
	settings := settingsOf(source)
	common := stepKeys()
	for _, key := range common[sourceKeys:] {
		if value := entry(n, key); value != nil {
			s.fault(value.pos, "put it on the steps below", "%s begins a stream and takes no %s", d.verb.Text, key)
		}
	}
	d.checkKeys(n, settings, common[:sourceKeys], common[sourceKeys:]...)
	d.fill(settings, n)
	spec := &engine.SourceSpec{Common: s.common(n, d.verb, s.defaultID(source.Makes(), d.verb.Text, "")), Source: source}
	s.stream = &engine.Stream{Source: spec}
	s.job.Streams = append(s.job.Streams, s.stream)
	if keyed, ok := source.(engine.KeyedSource); ok {
		s.keyed = keyed.Keyed()
	} else {
		s.keyed = source.Makes() != ""
	}
	portal := ""
	if from, ok := source.(engine.PortalSource); ok {
		portal = from.FromPortal().Text
		s.otherPortal(from.FromPortal())
	}
	if portal == "" {
		s.readsOwnWrites(source, d)
	}
	scope := s.scope()
	for _, p := range d.exprs {
		s.compile(p, scope, spec.ID)
		spec.Exprs = append(spec.Exprs, p.expr)
	}
	if source.Makes() == "" {
		scope.Row = openRow()
	}
	for _, p := range d.rows {
		s.compile(p, scope, spec.ID)
		spec.Exprs = append(spec.Exprs, p.expr)
	}
	s.ids[spec.ID] = made{stream: s.stream, entity: source.Makes(), portal: portal, pos: spec.Pos}
	s.openVars()
}

// otherPortal refuses a URL: what plans and reports call the portal by holds no secret.
func (s *stepper) otherPortal(name engine.Word) {
	if strings.ContainsAny(name.Text, "/{}") {
		s.fault(name.Pos, "name it in bxflow.yaml, or in BXFLOW_PORTAL_NAME", "portal takes a name here, such as old")
	}
}

// openRow is a row whose columns are not known yet. All cells are text.
func openRow() *expression.Record { return &expression.Record{Open: true, Other: expression.String} }

// readsOwnWrites refuses to select what a step above writes: the plan is made before anything is written.
func (s *stepper) readsOwnWrites(source engine.Source, d *stepDecoder) {
	entity := source.Makes()
	if entity == "" {
		return
	}
	if above, ok := s.writes[entityKey(entity)]; ok {
		s.fault(d.verb.Pos, "put it into a job of its own, to be run after this one",
			"%s reads %s, which line %d writes: the plan would not see those changes", d.verb.Text, entity, above.Pos.Line)
	}
}

// entityKey is one name for the names of an entity that are known without a portal.
func entityKey(name string) string {
	key := strings.ToLower(strings.TrimSpace(name))
	types := map[string]string{
		strconv.Itoa(engine.TypeLead): "lead", strconv.Itoa(engine.TypeDeal): "deal", strconv.Itoa(engine.TypeContact): "contact",
		strconv.Itoa(engine.TypeCompany): "company",
	}
	if known, ok := types[key]; ok {
		return known
	}
	return key
}

// common reads the keys that every step has.
func (s *stepper) common(n *node, verb engine.Word, fallback func() string) engine.Common {
	c := engine.Common{Name: s.word(entry(n, "name"), "name").Text, Pos: verb.Pos}
	if entry(n, "id") == nil {
		c.ID = fallback()
		s.taken = append(s.taken, c.ID)
		return c
	}
	id := s.word(entry(n, "id"), "id")
	c.ID = id.Text
	if id.Text == "" {
		return c
	}
	if err := expression.CheckName(id.Text); err != nil {
		s.fault(id.Pos, "", "id %v", err)
	}
	if first, ok := s.ids[id.Text]; ok {
		s.fault(id.Pos, "choose another", "id %q is that of the step in line %d", id.Text, first.pos.Line)
	}
	return c
}

// defaultID makes an id for a step that has none: the name of its entity, or its verb and the step that it changes; from
// the second on with a number.
func (s *stepper) defaultID(entity, verb, target string) func() string {
	return func() string {
		base := verb
		switch {
		case entity != "":
			base = identifier(entity)
		case target != "":
			base = identifier(verb + "_" + target)
		}
		id := base
		for n := 2; slices.Contains(s.taken, id) || expression.CheckName(id) != nil; n++ {
			id = base + strconv.Itoa(n)
		}
		return id
	}
}

// identifier makes a name that expressions can use.
func identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return '_'
	}, strings.TrimSpace(name))
	if first := []rune(id + "_")[0]; !unicode.IsLetter(first) {
		id = "item" + id
	}
	return id
}

// target checks the step that this one changes.
func (s *stepper) target(step engine.Step, verb engine.Word, settings []setting) {
	for _, setting := range settings {
		word, ok := reflect.TypeAssert[engine.Word](setting.value)
		if setting.object != "step" || !ok || word.Text == "" {
			continue
		}
		above, known := s.ids[word.Text]
		switch {
		case !known && slices.Contains(s.taken, word.Text):
			s.fault(word.Pos, "put it above this one", "step %q comes only below", word.Text)
		case !known:
			s.fault(word.Pos, expression.Suggest(word.Text, s.holders()), "there is no step %q above that holds an item", word.Text)
		case above.stream != s.stream:
			s.fault(word.Pos, expression.Suggest(word.Text, s.holders()),
				"step %q belongs to another stream: it holds nothing for these records", word.Text)
		case above.entity == "":
			s.fault(word.Pos, expression.Suggest(word.Text, s.holders()), "step %q holds no item", word.Text)
		case above.portal != "":
			s.fault(word.Pos, "import what it should become on the job's own portal, and change that",
				"step %q is on another portal, %s: it can only be read", word.Text, above.portal)
		default:
			s.writes[entityKey(above.entity)] = engine.Word{Text: above.entity, Pos: word.Pos}
		}
	}
	if needer, ok := step.(engine.Needer); ok {
		for _, entity := range needer.Needs().Entities {
			s.writes[entityKey(entity)] = engine.Word{Text: entity, Pos: verb.Pos}
		}
	}
	if entity := step.Makes(); entity != "" && step.Plans() {
		for _, setting := range settings {
			if word, ok := reflect.TypeAssert[engine.Word](setting.value); ok && setting.object == "entity" {
				s.writes[entityKey(entity)] = word
			}
		}
	}
}

// holders are the ids of this stream whose item a step can change.
func (s *stepper) holders() []string {
	var ids []string
	for id, m := range s.ids {
		if m.stream == s.stream && m.entity != "" && m.portal == "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// expressions checks a step's expressions against what is above it.
func (s *stepper) expressions(spec *engine.StepSpec, n *node, d *stepDecoder) {
	scope := s.streamScope()
	for _, p := range slices.Concat(d.exprs, d.rows) {
		s.compile(p, scope, spec.ID)
		spec.Exprs = append(spec.Exprs, p.expr)
		s.useVars(p.expr)
	}
	if spec.When != nil {
		s.compile(placed{spec.When, entry(n, "when")}, scope, spec.ID)
		s.useVars(spec.When)
	}
}

// streamScope is what the next step of the stream may use.
func (s *stepper) streamScope() expression.Scope {
	scope := s.scope()
	if source := s.stream.Source; source == nil || source.Source.Makes() == "" {
		scope.Row = openRow()
	}
	for id, m := range s.ids {
		if m.stream == s.stream && m.entity != "" {
			scope.Items[id] = &expression.Record{Open: true}
			scope.Planned[id] = m.planned
		}
	}
	scope.Vars, scope.Maps = s.varTypes(), slices.Sorted(maps.Keys(s.job.Maps))
	return scope
}

// remember makes a step known to those below it.
func (s *stepper) remember(spec *engine.StepSpec) {
	step := spec.Step
	if spec.ID != "" {
		s.ids[spec.ID] = made{stream: s.stream, entity: step.Makes(), planned: step.Plans(), pos: spec.Pos}
	}
	_, tellsApart := step.(engine.Keyer)
	if tellsApart {
		s.keyed = true
	}
	if step.Plans() && !tellsApart && !s.keyed {
		s.warn(spec.Pos, spec.ID, "add key: to the read, with a column that never changes",
			"rows are told apart by their whole content: a row that is edited makes a second item")
	}
}

// problemsOf takes the problems out of an error.
func problemsOf(err error) engine.Problems {
	if problems, ok := errors.AsType[engine.Problems](err); ok {
		return problems
	}
	return engine.Problems{{Msg: err.Error()}}
}
