package report

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/bxflow/bxflow/engine"
)

// Text writes the plan for people: what it is about, its sums by step, the
// first changes, what is wrong, and what to type next.
func (p Plan) Text(ctx context.Context, w io.Writer, t Terminal) error {
	out := &planText{Plan: p, Terminal: t, names: names{p.Catalog}, w: bufio.NewWriter(w)}
	out.heading()
	if err := out.sums(); err != nil {
		return err
	}
	out.remarks()
	if p.Searches {
		out.searches()
	}
	if err := out.sections(ctx); err != nil {
		return err
	}
	out.footer()
	return out.w.Flush()
}

// Summary writes only the head of the text: what the plan is about and its
// sums. It is what a person is asked about.
func (p Plan) Summary(w io.Writer, t Terminal) error {
	out := &planText{Plan: p, Terminal: t, w: bufio.NewWriter(w)}
	out.heading()
	if err := out.sums(); err != nil {
		return err
	}
	out.remarks()
	return out.w.Flush()
}

type planText struct {
	Plan
	Terminal
	names names
	w     *bufio.Writer // keeps the first error until Flush
}

func (p *planText) line(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *planText) heading() {
	h := p.Header
	title := clean(headline(h))
	who := ""
	if h.Portal.User != "" {
		who = " as " + clean(h.Portal.User)
	}
	p.line("%s", p.headed(bold, title, " on "+clean(h.Portal.Address)+who))
	p.line("%s", p.paint(faint, p.wrap(fmt.Sprintf("%s, plan %s", rowsOf(h), clean(h.ID)), "  ")))
}

// headline says what a plan is for.
func headline(h *engine.Header) string {
	switch {
	case h.Undoes != "":
		return "Plan that takes back run " + h.Undoes + " of " + h.Job
	case h.Retries != "":
		return "Plan that tries the failed rows of run " + h.Retries + " of " + h.Job + " again"
	}
	return "Plan of " + h.Job
}

// sums writes the table of steps; a job whose steps change nothing has none.
func (p *planText) sums() error {
	if len(p.Header.Steps) == 0 {
		return nil
	}
	p.line("")
	return p.grid(p.w, "  ", summaryColumns(p.Header), summaryRows(p.Header, p.Terminal))
}

// rowsOf says how many rows of which files or selects the plan is made from.
func rowsOf(h *engine.Header) string {
	paths := make([]string, len(h.Files))
	for i, f := range h.Files {
		paths[i] = clean(f.Path)
		if f.Database != "" {
			paths[i] += " (" + clean(f.Database) + ")"
		}
	}
	if len(paths) == 0 {
		return plural(h.Rows, "row")
	}
	return plural(h.Rows, "row") + " of " + strings.Join(paths, ", ")
}

// countOf is one column of counts.
type countOf struct {
	title string
	kind  engine.Kind
	of    func(engine.Counts) int
	must  bool // shown even where all are 0
}

func counts() []countOf {
	return []countOf{
		{"Create", engine.KindCreate, func(c engine.Counts) int { return c.Create }, true},
		{"Update", engine.KindUpdate, func(c engine.Counts) int { return c.Update }, true},
		{"Move", engine.KindMove, func(c engine.Counts) int { return c.Move }, false},
		{"Delete", engine.KindDelete, func(c engine.Counts) int { return c.Delete }, false},
		{"Unchanged", engine.KindNone, func(c engine.Counts) int { return c.Unchanged }, true},
		{"Skip", engine.KindSkip, func(c engine.Counts) int { return c.Skip }, false},
		{"Invalid", engine.KindInvalid, func(c engine.Counts) int { return c.Invalid }, false},
		{"Conflict", engine.KindConflict, func(c engine.Counts) int { return c.Conflict }, false},
	}
}

// shownCounts leaves out the columns that hold nothing but zeros.
func shownCounts(h *engine.Header) []countOf {
	return slices.DeleteFunc(counts(), func(c countOf) bool {
		return !c.must && c.of(h.Summary) == 0
	})
}

func summaryColumns(h *engine.Header) []column {
	columns := []column{{title: "Step", least: 8}, {title: "Verb", spare: true}, {title: "Entity", least: 8}}
	for _, c := range shownCounts(h) {
		columns = append(columns, column{title: c.title, right: true})
	}
	return columns
}

func summaryRows(h *engine.Header, t Terminal) [][]string {
	shown := shownCounts(h)
	row := func(id, verb, entity string, sums engine.Counts) []string {
		cells := []string{clean(id), clean(verb), clean(entity)}
		for _, c := range shown {
			cells = append(cells, t.number(c.of(sums), kindColour(c.kind)))
		}
		return cells
	}
	rows := make([][]string, 0, len(h.Steps)+1)
	for _, s := range h.Steps {
		rows = append(rows, row(s.ID, s.Verb, s.Entity, s.Counts))
	}
	if len(h.Steps) > 1 {
		rows = append(rows, row("total", "", "", h.Summary))
	}
	return rows
}

// number is a count; zeros stay in the background.
func (t Terminal) number(n int, c colour) string {
	if n == 0 {
		return t.paint(faint, "0")
	}
	return t.paint(c, strconv.Itoa(n))
}

func (p *planText) remarks() {
	h := p.Header
	var lines []string
	if h.Fused > 0 {
		lines = append(lines, pluralVerb(h.Fused)+" with an earlier one of the same item (fuse).")
	}
	if h.Cleared > 0 {
		lines = append(lines, p.paint(yellow, cleared(h.Cleared)))
	}
	if h.Summary.Writes() > 0 {
		lines = append(lines, p.wrap(estimate(h.Estimate), ""))
		if help := faster(h); help != "" {
			lines = append(lines, p.wrap("Faster: "+help, ""))
		}
	}
	if len(h.Lasting) > 0 {
		lines = append(lines, p.paint(yellow, "What this can't take back:"))
		for _, what := range h.Lasting {
			lines = append(lines, "  "+p.wrap(clean(what), "  "))
		}
	}
	for _, warning := range h.Warnings {
		lines = append(lines, p.headed(yellow, "warning:", " "+clean(warning)))
	}
	for _, guard := range p.Broken {
		lines = append(lines, p.headed(red, "guard broken:", " "+clean(guard)))
	}
	if len(lines) > 0 {
		p.line("\n%s", strings.Join(lines, "\n"))
	}
}

func cleared(n int) string {
	if n == 1 {
		return "1 field becomes empty."
	}
	return fmt.Sprintf("%d fields become empty.", n)
}

func pluralVerb(n int) string {
	if n == 1 {
		return "1 change goes"
	}
	return fmt.Sprintf("%d changes go", n)
}

// searches tells how items were looked up, and what it took: by their keys or, if
// that is less, by reading all of them.
func (p *planText) searches() {
	if len(p.Header.Searches) == 0 {
		p.line("\nNothing was looked up.")
		return
	}
	p.line("\nHow items were looked up, 50 keys or items a command, 50 commands a request:")
	read := map[int]bool{}
	for _, s := range p.Header.Searches {
		p.line("  %s", p.wrap(fmt.Sprintf("%s: %s by %s: %s", clean(s.Step), clean(s.Entity), p.by(s), searched(s, read[s.TypeID])), "    "))
		read[s.TypeID] = read[s.TypeID] || s.Whole
	}
}

// by names the fields of a search.
func (p *planText) by(s engine.Search) string {
	labels := make([]string, len(s.By))
	for i, name := range s.By {
		labels[i] = p.names.label(s.TypeID, name)
	}
	return strings.Join(labels, " and ")
}

// searched says how a search went; read, that all items were read already.
func searched(s engine.Search, read bool) string {
	keys, items := plural(s.Keys, "key"), plural(s.Items, "item")
	switch {
	case s.Commands == 0:
		return keys + ", through the portal's index of phones and e-mails"
	case s.Whole && s.Items == 0:
		return keys + ": there are no items, so nothing was asked"
	case s.Whole && read:
		return keys + ", among the items that were read already"
	case s.Whole:
		return fmt.Sprintf("all %s were read in %s; %s would have taken %d",
			items, plural(engine.CommandsFor(s.Items), "command"), keys, s.Commands)
	case s.Items < 0:
		return fmt.Sprintf("%s in %s; the portal did not say how many items there are", keys, plural(s.Commands, "command"))
	}
	return fmt.Sprintf("%s in %s; all %s would have taken %d", keys, plural(s.Commands, "command"), items, engine.CommandsFor(s.Items))
}

// estimate says what the plan takes, and why not less.
func estimate(e engine.Estimate) string {
	s := "About " + plural(e.Requests, "request")
	if e.Reads > 0 {
		s += fmt.Sprintf(" (%d of them to read)", e.Reads)
	}
	s += ", " + duration(e.Seconds)
	switch {
	case e.Limit != "":
		s += "; limited by " + e.Limit
	case e.LimitedBy == "bucket": // as plans of before have it
		s += "; limited by the portal's requests a second"
	case e.LimitedBy == "execution_time":
		s += "; limited by the portal's execution time (operating limit)"
	}
	return s + "."
}

// faster says what would help a run that is limited; empty if we know of nothing.
func faster(h *engine.Header) string {
	creates := h.Summary.Create - h.Imports
	few := creates < 100 // what little can be saved is not worth the words
	switch {
	case few || h.Undoes != "":
		return ""
	case h.Estimate.LimitedBy == "bucket":
		return fmt.Sprintf("`automation: off` makes new items by thousands, without robots: about %d requests less.", creates/50-creates/1000)
	case h.Estimate.LimitedBy == "execution_time":
		return "`automation: off` makes new items without robots and triggers, which is most of what they cost."
	}
	return ""
}

func (p *planText) footer() {
	s := p.Header.Summary
	switch {
	case len(p.Broken) > 0:
		p.line("\nA guard is broken: this plan will not be applied.")
	case s.Writes() == 0:
		p.line("\nNothing to change.")
	}
	if p.Next != "" && s.Writes() > 0 && len(p.Broken) == 0 {
		p.line("\nNext: %s", p.paint(bold, clean(p.Next)))
	}
}

// sections lists what the plan does, and what it can't do.
func (p *planText) sections(ctx context.Context) error {
	s := p.Header.Summary
	sections := []struct {
		title string
		total int
		kinds []engine.Kind
	}{
		{"Changes", s.Writes(), []engine.Kind{engine.KindCreate, engine.KindUpdate, engine.KindMove, engine.KindDelete}},
		{"Problems", s.Invalid + s.Conflict, []engine.Kind{engine.KindInvalid, engine.KindConflict}},
		{"Skipped", s.Skip, []engine.Kind{engine.KindSkip}},
		{"Unchanged", s.Unchanged, []engine.Kind{engine.KindNone}},
	}
	for _, section := range sections {
		hidden := section.title == "Skipped" && p.Rows > 0 || section.title == "Unchanged" && !p.All
		if section.total == 0 || hidden {
			continue
		}
		p.line("\n%s", p.paint(bold, title(section.title, section.total, p.Rows, "--rows 0")))
		for c, err := range ahead(ctx, p.Changes.Changes(ctx, engine.Filter{Kinds: section.kinds, Limit: p.Rows})) {
			if err != nil {
				return err
			}
			p.change(c)
		}
	}
	return nil
}

// title heads a list of which only the first rows may be shown; with all, it says
// how.
func title(what string, total, rows int, all string) string {
	if rows > 0 && total > rows {
		return fmt.Sprintf("%s (the first %d of %d; %s shows all)", what, rows, total, all)
	}
	return fmt.Sprintf("%s (%d)", what, total)
}

// change writes one change: a line on the item, and one for each field.
func (p *planText) change(c *engine.Change) {
	head := "  " + p.paint(kindColour(c.Kind), sign(c.Kind)) + " " + clean(c.Step) + ": " + item(c)
	if c.Source != "" && c.Source != fmt.Sprintf("%s:%d", c.Entity, c.ID) {
		head += p.paint(faint, "  "+clean(c.Source))
	}
	p.line("%s", p.fit(head, 0))
	if reason := problem(c); reason != "" {
		p.line("      %s", p.reason(reason, "      "))
	}
	if !c.Kind.Writes() {
		return
	}
	width := 0
	keys := p.told(c)
	for _, name := range keys {
		width = max(width, min(text.StringWidthWithoutEscSequences(p.names.label(c.TypeID, name)), 28))
	}
	for _, name := range keys {
		label := text.Pad(text.Snip(p.names.label(c.TypeID, name), width, "…")+":", width+1, ' ')
		p.line("      %s %s", label, p.transition(c, name, 6+width+2))
	}
}

// Columns that a text is cut to even where lines may have any length: a cell may
// hold a book. JSON, HTML and CSV have all of it.
const (
	longestValue  = 120
	longestReason = 500
)

// transition is before → after, in the room that a line has after used
// columns. A created field has no before worth showing.
func (p *planText) transition(c *engine.Change, name string, used int) string {
	f := c.Fields[name]
	before, after := p.names.value(c.TypeID, name, f.Before), p.names.value(c.TypeID, name, f.After)
	created := c.Kind == engine.KindCreate && before == ""
	if c.Kind == engine.KindDelete {
		return p.fit(text.Snip(shown(before), longestValue, "…"), used)
	}
	before, after = text.Snip(shown(before), longestValue, "…"), text.Snip(shown(after), longestValue, "…")
	if created {
		return p.fit(after, used)
	}
	if room := p.Width - used - 3; p.Width > 0 && width(before)+width(after) > room {
		half := max(room/2, 8)
		before = text.Snip(before, max(half, room-width(after)), "…")
		after = text.Snip(after, max(room-width(before), 8), "…")
	}
	return p.paint(faint, before) + " → " + after
}

// reason is why something did not come about, wrapped.
func (t Terminal) reason(s, indent string) string {
	return t.wrap(text.Snip(clean(s), longestReason, "…"), indent)
}

func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

func shown(value string) string {
	if value == "" {
		return "(empty)"
	}
	return value
}

// item says which item a change is about.
func item(c *engine.Change) string {
	switch {
	case c.ID != 0:
		return clean(c.Entity) + " " + strconv.FormatInt(c.ID, 10)
	case c.Kind == engine.KindCreate:
		return "new " + clean(c.Entity)
	}
	step, source, _ := strings.Cut(c.Ref, "@")
	switch {
	case c.Ref == "", c.TypeID < engine.TypeProducts: // whose item is new, not they
		return clean(c.Entity)
	case source == c.Source:
		return "new " + clean(c.Entity) + " of " + clean(step)
	}
	return "new " + clean(c.Entity) + " of " + clean(c.Ref)
}

// sign is the mark of a kind.
func sign(k engine.Kind) string {
	switch k {
	case engine.KindCreate:
		return "+"
	case engine.KindUpdate:
		return "~"
	case engine.KindMove:
		return ">"
	case engine.KindDelete:
		return "-"
	case engine.KindInvalid, engine.KindConflict:
		return "!"
	case engine.KindSkip:
		return "·"
	case engine.KindNone:
		return "="
	}
	return "?"
}

func kindColour(k engine.Kind) colour {
	switch k {
	case engine.KindCreate:
		return green
	case engine.KindUpdate:
		return yellow
	case engine.KindMove:
		return cyan
	case engine.KindDelete, engine.KindInvalid, engine.KindConflict:
		return red
	case engine.KindNone, engine.KindSkip:
		return faint
	}
	return ""
}
