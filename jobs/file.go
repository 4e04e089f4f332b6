package jobs

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// fileKeys are the keys of a job file.
func fileKeys() []string {
	return []string{
		"version", "name", "description", "portal", "params", "env", "vars", "maps", "mode", "fuse", "schedule", "on_error", "guard", "notify", "steps", "tests",
	}
}

// file reads a whole job. What expressions may use comes before those that use it.
func (d *decoder) file(root *node) {
	parts, ok := d.entries(root, "a job", fileKeys())
	if !ok {
		return
	}
	d.version(root, parts["version"])
	d.job.Name = d.name(root, parts["name"])
	d.job.Description = d.text(parts["description"], "description")
	d.job.Portal = d.word(parts["portal"], "portal").Text
	d.job.Fuse = parts["fuse"] != nil && d.choice(parts["fuse"], "fuse", "true", "false") == "true"
	if mode := d.choice(parts["mode"], "mode", string(engine.ModeApply), string(engine.ModePlan)); mode != "" {
		d.job.Mode = engine.Mode(mode)
	}
	d.schedule(parts["schedule"])
	d.params(parts["params"])
	d.env(parts["env"])
	d.job.OnError = d.onError(parts["on_error"])
	d.guards(parts["guard"])
	d.notify(parts["notify"])
	if parts["steps"] == nil {
		d.fault(root.pos, "add steps:, beginning with `read` or `select`", "the job has no steps")
		return
	}
	inFiles := d.maps(parts["maps"])
	d.steps(parts["steps"], d.vars(parts["vars"]))
	d.closeMaps(inFiles)
	d.tests(parts["tests"])
}

// entries gives the values of a mapping by key, and reports keys that there are not.
func (d *decoder) entries(n *node, what string, allowed []string) (map[string]*node, bool) {
	if n.faulty {
		return nil, false
	}
	if n.shape != mapping {
		d.fault(n.pos, "it may have "+strings.Join(allowed, ", "), "%s is a mapping of keys, not %s", what, n.describe())
		return nil, false
	}
	parts := make(map[string]*node, len(n.pairs))
	for _, p := range n.pairs {
		if !slices.Contains(allowed, p.key.Text) {
			d.fault(p.key.Pos, expression.Suggest(p.key.Text, slices.Clone(allowed)), "%s has no key %q", what, p.key.Text)
			continue
		}
		parts[p.key.Text] = p.value
	}
	return parts, true
}

// version checks the format of the file.
func (d *decoder) version(root, n *node) {
	switch {
	case n == nil:
		d.fault(root.pos, "begin the file with version: 1", "the job has no version")
	case n.shape != scalar || n.text != "1":
		d.fault(n.pos, "write version: 1", "version %s is not known here", n.describe())
	}
}

// name reads the job's name, which the keys of the items that it makes are derived from.
func (d *decoder) name(root, n *node) string {
	if n == nil {
		d.fault(root.pos, "add name:, which tells this job from others on the portal", "the job has no name")
		return ""
	}
	name := d.word(n, "name").Text
	const longest = 100
	if len([]rune(name)) > longest || strings.ContainsAny(name, "\r\n\t") {
		d.fault(n.pos, "write a short name on one line", "the job's name is longer than %d characters or one line", longest)
	}
	return name
}

// word reads a single value that is not an expression. It is empty only where there is none, or where it is wrong.
func (d *decoder) word(n *node, key string) engine.Word {
	if n == nil {
		return engine.Word{}
	}
	switch {
	case n.faulty:
	case n.shape != scalar || n.null:
		d.fault(n.pos, "", "%s takes a single value, not %s", key, n.describe())
	case strings.TrimSpace(n.text) == "":
		d.fault(n.pos, "leave the line out, or write a value", "%s is empty", key)
	case strings.Contains(n.text, "${{"):
		d.fault(n.pos, "write the value out", "%s cannot be an expression: it is read before there are values", key)
	default:
		return engine.Word{Text: n.text, Pos: n.pos}
	}
	return engine.Word{Pos: n.pos}
}

// text reads words for people, which may be empty.
func (d *decoder) text(n *node, key string) string {
	if n == nil || n.shape == scalar && n.text == "" {
		return ""
	}
	return d.word(n, key).Text
}

// choice reads one of a few words.
func (d *decoder) choice(n *node, key string, options ...string) string {
	w := d.word(n, key)
	if w.Text == "" || slices.Contains(options, w.Text) {
		return w.Text
	}
	d.fault(w.Pos, "it is one of "+strings.Join(options, ", "), "%s cannot be %q", key, w.Text)
	return ""
}

// words reads a list of words; a single one is a list of one.
func (d *decoder) words(n *node, key string) []engine.Word {
	if n == nil {
		return nil
	}
	if n.shape != list {
		if w := d.word(n, key); w.Text != "" {
			return []engine.Word{w}
		}
		return nil
	}
	var words []engine.Word
	for _, item := range n.items {
		if w := d.word(item, key); w.Text != "" {
			words = append(words, w)
		}
	}
	return words
}

// env reads the names of the environment variables that expressions may use, and their values.
func (d *decoder) env(n *node) {
	d.job.Env = make(map[string]string)
	for _, w := range d.words(n, "env") {
		if _, twice := d.job.Env[w.Text]; twice {
			d.fault(w.Pos, "", "environment variable %q is listed twice", w.Text)
			continue
		}
		value, ok := "", false
		if d.options.Getenv != nil {
			value, ok = d.options.Getenv(w.Text)
		}
		if !ok && !d.options.CheckOnly {
			d.fault(w.Pos, "set it before the job is started", "environment variable %q is not set", w.Text)
		}
		d.job.Env[w.Text] = value
	}
}

// schedule reads when the job is due.
func (d *decoder) schedule(n *node) {
	if n == nil {
		return
	}
	parts, ok := d.entries(n, "schedule", []string{"cron", "timezone", "overlap", "catch_up"})
	if !ok {
		return
	}
	s := engine.Schedule{
		Cron:     d.word(parts["cron"], "cron").Text,
		Timezone: d.word(parts["timezone"], "timezone").Text,
		Overlap:  d.choice(parts["overlap"], "overlap", "skip", "queue"),
		CatchUp:  d.choice(parts["catch_up"], "catch_up", "none", "once"),
	}
	d.job.Schedule = &s
	if parts["cron"] == nil {
		d.fault(n.pos, "add cron:, such as \"0 6 * * 1-5\"", "schedule has no cron")
	}
	checked := s
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		d.fault(parts["timezone"].pos, "use a name such as America/Sao_Paulo", "timezone %q is not known", s.Timezone)
		checked.Timezone = "" // the other keys are judged all the same
	}
	if s.Cron == "" || d.options.CheckSchedule == nil {
		return
	}
	warnings, err := d.options.CheckSchedule(checked)
	if err != nil {
		d.fault(parts["cron"].pos, "", "%v", err)
	}
	for _, w := range warnings {
		d.warn(parts["cron"].pos, "", "", "%s", w)
	}
}

// onError reads when failures stop the run: continue, stop, or {stop_after: 50} or {stop_after: 5%}.
func (d *decoder) onError(n *node) engine.OnError {
	if n == nil {
		return engine.OnError{}
	}
	if n.shape != mapping {
		return engine.OnError{Stop: d.choice(n, "on_error", "continue", "stop") == "stop"}
	}
	parts, _ := d.entries(n, "on_error", []string{"stop_after"})
	after := parts["stop_after"]
	if after == nil {
		d.fault(n.pos, "write continue, stop, or {stop_after: 50}", "on_error has no stop_after")
		return engine.OnError{}
	}
	w := d.word(after, "stop_after")
	if percent, ok := strings.CutSuffix(w.Text, "%"); ok {
		const whole = 100
		share, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
		if err == nil && share > 0 && share <= whole {
			share /= whole
			// Before so many changes are finished, a single failure would be more than the share.
			return engine.OnError{StopShare: share}
		}
	} else if count, err := strconv.Atoi(w.Text); err == nil && count > 0 {
		return engine.OnError{StopAfter: count}
	}
	if w.Text != "" {
		d.fault(w.Pos, "write a number of rows like 50, or a share like 5%", "stop_after cannot be %q", w.Text)
	}
	return engine.OnError{}
}

// guards reads the conditions on the plan.
func (d *decoder) guards(n *node) {
	if n == nil {
		return
	}
	nodes := n.items
	if n.shape != list {
		nodes = []*node{n}
	}
	figures := &expression.Record{Fields: make(map[string]expression.Type)}
	for _, name := range planFigures() {
		figures.Fields[name] = expression.Int
	}
	scope := d.scope()
	scope.Plan = figures
	for _, item := range nodes {
		if guard := d.condition(item, "guard"); guard != nil {
			d.compile(placed{guard, item}, scope, "")
			d.job.Guards = append(d.job.Guards, guard)
		}
	}
}

// planFigures are the counts that a guard may judge.
func planFigures() []string {
	return []string{
		"rows", "create", "update", "move", "delete", "unchanged", "skip", "invalid", "conflict", "cleared",
	}
}

// scope is what every expression of the job may use.
func (d *decoder) scope() expression.Scope {
	return expression.Scope{
		Params: d.job.ParamTypes, Env: slices.Sorted(maps.Keys(d.job.Env)),
		Items: make(map[string]*expression.Record), Planned: make(map[string]bool),
	}
}

// condition reads a bare expression.
func (d *decoder) condition(n *node, key string) *engine.Predicate {
	if n.shape == scalar && !n.null && !n.faulty && strings.TrimSpace(n.text) != "" {
		return &engine.Predicate{Pos: n.pos, Source: n.text}
	}
	if n.faulty {
		return nil
	}
	hint := ""
	if n.missing() { // all of it was taken for a comment, perhaps
		if mended, ok := mend(d.line(n.pos.Line)); ok {
			hint = "write " + strings.TrimSpace(mended)
		}
	}
	d.fault(n.pos, hint, "%s is a condition, not %s", key, n.describe())
	return nil
}

// placed is an expression and the node that it was read from.
type placed struct {
	expr engine.Expr
	node *node
}

// compile checks an expression against what it may use.
func (d *decoder) compile(p placed, scope expression.Scope, step string) {
	if p.node.faulty {
		return
	}
	err := p.expr.Compile(scope)
	if err == nil {
		d.useMaps(p.expr)
		return
	}
	for _, problem := range problemsOf(err) {
		if problem.Pos.Line > p.node.pos.Line {
			problem.Pos.Column += p.node.indent
		}
		if mended, ok := d.cutOff(p.node, scope); ok {
			problem.Hint = "YAML takes the end of it for a comment: write " + mended
		}
		problem.Step = step
		d.problems = append(d.problems, problem)
	}
}

// cutOff tells whether a condition is whole only with the comment behind it, and gives the mended line.
func (d *decoder) cutOff(n *node, scope expression.Scope) (mended string, ok bool) {
	if n.comment == "" || strings.Contains(n.text, "${{") {
		return "", false
	}
	if _, err := expression.CompileCondition(n.text+" "+n.comment, scope); err != nil {
		return "", false
	}
	mended, ok = mend(d.line(n.pos.Line))
	return strings.TrimSpace(mended), ok
}
