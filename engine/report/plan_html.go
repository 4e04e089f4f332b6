package report

import (
	"bufio"
	"context"
	_ "embed" // the page
	"html/template"
	"io"

	"github.com/bxflow/bxflow/engine"
)

//go:embed plan.html
var planPage string

// htmlHead is what the page says before the changes.
type htmlHead struct {
	planHead
	Rows    string
	User    string
	Needs   string
	Columns []string
	Steps   []htmlStep
	Shown   []htmlFilter

	title string
}

type htmlStep struct {
	ID, Verb, Entity string
	Counts           []int
}

type htmlFilter struct {
	Kind  engine.Kind
	Count int
}

type htmlChange struct {
	Kind   engine.Kind
	Sign   string
	Step   string
	Item   string
	Source string
	Key    string
	Error  string
	Fields []htmlField
	Open   bool // what is new is many fields that are all alike; it is shut at first
}

type htmlField struct {
	Label, Name, Before, After string
	New                        bool
}

// HTML writes the plan as one page that needs nothing else: no scripts, fonts
// or pictures. Rows are written as they are read; kinds are hidden and shown by
// check boxes.
func (p Plan) HTML(ctx context.Context, w io.Writer) error {
	page, err := template.New("plan").Parse(planPage)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := page.ExecuteTemplate(out, "head", p.htmlHead()); err != nil {
		return err
	}
	row := page.Lookup("row")
	for c, err := range ahead(ctx, p.Changes.Changes(ctx, p.listed())) {
		if err != nil {
			return err
		}
		if err := row.Execute(out, p.htmlChange(c)); err != nil {
			return err
		}
	}
	if err := page.ExecuteTemplate(out, "foot", nil); err != nil {
		return err
	}
	return out.Flush()
}

func (p Plan) htmlHead() htmlHead {
	h := p.Header
	head := htmlHead{planHead: p.head(), title: headline(h), Rows: rowsOf(h), User: h.Portal.User, Needs: "Nothing to change."}
	if h.Summary.Writes() > 0 {
		head.Needs = estimate(h.Estimate)
	}
	shown := shownCounts(h)
	for _, c := range shown {
		head.Columns = append(head.Columns, c.title)
		if n := c.of(h.Summary); n > 0 && (c.kind != engine.KindNone || p.All) {
			head.Shown = append(head.Shown, htmlFilter{c.kind, n})
		}
	}
	for _, s := range h.Steps {
		step := htmlStep{ID: s.ID, Verb: s.Verb, Entity: s.Entity}
		for _, c := range shown {
			step.Counts = append(step.Counts, c.of(s.Counts))
		}
		head.Steps = append(head.Steps, step)
	}
	return head
}

func (p Plan) htmlChange(c *engine.Change) htmlChange {
	n := names{p.Catalog}
	out := htmlChange{
		Kind: c.Kind, Sign: sign(c.Kind), Step: c.Step, Item: item(c), Source: c.Source, Key: c.Key, Error: problem(c),
		Open: c.Kind != engine.KindCreate,
	}
	for _, name := range p.told(c) {
		f := c.Fields[name]
		out.Fields = append(out.Fields, htmlField{
			Label: n.label(c.TypeID, name), Name: name, New: c.Kind == engine.KindCreate,
			Before: n.value(c.TypeID, name, f.Before), After: n.value(c.TypeID, name, f.After),
		})
	}
	return out
}

// Title is the headline of the page.
func (h htmlHead) Title() string { return h.title }

// Cleared says how many fields become empty, for the page.
func (h htmlHead) Cleared() string {
	if h.Summary.Cleared == 0 {
		return ""
	}
	return cleared(h.Summary.Cleared)
}
