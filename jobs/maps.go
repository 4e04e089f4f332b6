package jobs

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

const (
	// maxMap is the size in bytes up to which the table of a map is read: some 100,000 lines.
	maxMap = 4 << 20

	mapRemedy = "write a CSV with the columns from and to, or YAML lines of old: new"
)

// mapColumns are the columns of a table that make a map. It may have others, for people.
func mapColumns() []string { return []string{"from", "to"} }

// jobMap is a map of the job while its file is read.
type jobMap struct {
	*expression.Map
	name, file engine.Word
	lines      int
	open       []engine.Word // what nobody has decided yet
}

// maps reads the maps that the job has in files.
func (d *decoder) maps(n *node) []*jobMap {
	if n == nil || n.faulty {
		return nil
	}
	if n.shape != mapping {
		d.fault(n.pos, "write name: maps/name.csv", "maps is a mapping of names to files, not %s", n.describe())
		return nil
	}
	d.job.Maps = make(map[string]*expression.Map, len(n.pairs))
	d.mapsUsed = make(map[string]bool)
	all := make([]*jobMap, 0, len(n.pairs))
	for _, p := range n.pairs {
		if err := expression.CheckName(p.key.Text); err != nil {
			d.fault(p.key.Pos, "", "map %v", err)
			continue
		}
		m := &jobMap{name: p.key, file: d.word(p.value, "map "+p.key.Text)}
		m.Map = expression.NewMap(m.name.Text, m.file.Text)
		d.job.Maps[m.name.Text] = m.Map // also where its file is wrong: what uses it is not
		if m.file.Text != "" {
			d.mapFile(m)
		}
		all = append(all, m)
	}
	return all
}

// mapFile fills a map from its file.
func (d *decoder) mapFile(m *jobMap) {
	ending := strings.ToLower(filepath.Ext(m.file.Text))
	switch ending {
	case ".csv", ".tsv", ".txt", ".yaml", ".yml":
	default:
		d.fault(m.file.Pos, mapRemedy, "map %s: %q is neither CSV nor YAML by its ending", m.name.Text, m.file.Text)
		return
	}
	path, text, ok := d.beside(m.file, "map "+m.name.Text, maxMap)
	switch {
	case !ok:
	case ending == ".yaml" || ending == ".yml":
		if root := d.readPart(path, text, part{"a map is a mapping of names", "write old: new lines"}); root != nil {
			d.mapPairs(m, root)
		}
	default:
		d.mapTable(m, path, text)
	}
	if len(m.open) > 0 {
		d.warn(m.file.Pos, "", "fill them in before a row needs them", "map %s leaves %d of its %d lines open, first that of %q (%s:%d)",
			m.name.Text, len(m.open), m.lines, brief(m.open[0].Text, longestQuote), m.file.Text, m.open[0].Pos.Line)
	}
}

// mapPairs reads the lines of a YAML file.
func (d *decoder) mapPairs(m *jobMap, root *node) {
	for _, p := range root.pairs {
		to := ""
		if !p.value.null && (p.value.shape != scalar || p.value.text != "") {
			to = d.word(p.value, p.key.Text).Text
		}
		d.mapLine(m, p.key, to)
	}
}

// mapTable reads the rows of a table. It stops where nobody would read on: the file is no map.
func (d *decoder) mapTable(m *jobMap, path string, text []byte) {
	if d.options.Table == nil {
		d.fault(m.file.Pos, "write YAML lines of old: new", "map %s: tables can't be read here", m.name.Text)
		return
	}
	if utf8.Valid(text) {
		d.quote(path, strings.Split(sourceOf(text), "\n"))
	}
	before := len(d.problems)
	err := d.options.Table(path, bytes.NewReader(text), mapColumns(), func(line int, cells []string, fault string) bool {
		pos := engine.Pos{File: path, Line: line, Column: 1}
		switch from, to := strings.TrimSpace(cells[0]), cells[1]; {
		case fault != "":
			d.fault(pos, "", "%s", fault)
		case from != "":
			d.mapLine(m, engine.Word{Text: from, Pos: pos}, to)
		case strings.TrimSpace(to) != "":
			d.fault(pos, "write what it stands for", "from is blank, and to is %q", to)
		}
		return len(d.problems)-before < maxExplained
	})
	if err != nil {
		d.fault(m.file.Pos, mapRemedy, "map %s: %v", m.name.Text, err)
	}
}

// mapLine adds a line to a map.
func (d *decoder) mapLine(m *jobMap, from engine.Word, to string) {
	if first := m.Add(from.Text, to, from.Pos.Line); first != 0 {
		d.fault(from.Pos, "keep one; upper and lower case are equal", "map %s has %q twice, first in line %d", m.name.Text, from.Text, first)
		return
	}
	m.lines++
	if strings.TrimSpace(to) == "" {
		m.open = append(m.open, from)
	}
}

// closeMaps judges the maps that no step uses.
func (d *decoder) closeMaps(all []*jobMap) {
	for _, m := range all {
		if !d.mapsUsed[m.name.Text] {
			d.warn(m.name.Pos, "", "leave it out, or write pick(value, maps."+m.name.Text+") in a step", "map %q is not used", m.name.Text)
		}
	}
}

// useMaps notes the maps that an expression chooses from.
func (d *decoder) useMaps(e engine.Expr) {
	for _, use := range e.Uses() {
		if use.Name == "maps" {
			d.mapsUsed[use.Member] = true
		}
	}
}
