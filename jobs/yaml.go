package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/bxflow/bxflow/engine"
)

// This file is the only one that knows the YAML library. It turns a text into nodes that keep the source text of
// scalars, and reports what YAML would quietly make of them.

// maxFile is the size in bytes up to which a job file is read.
const maxFile = 1 << 20

// shape tells a scalar, a list and a mapping apart.
type shape int

const (
	scalar shape = iota
	list
	mapping
)

// String names the shape in messages.
func (s shape) String() string {
	switch s {
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	case scalar:
	}
	return "a single value"
}

// node is a value of the job file.
type node struct {
	shape shape
	pos   engine.Pos // of a scalar's first character
	text  string     // of a scalar, as the file has it; 012345 stays 012345
	plain bool       // a scalar without quotes
	null  bool       // a plain null, or nothing at all
	// indent is the number of characters before each further line of a literal block.
	indent  int
	comment string // after a plain scalar on its line
	faulty  bool   // what is wrong with it has been reported
	items   []*node
	pairs   []pair
}

// pair is an entry of a mapping.
type pair struct {
	key   engine.Word
	value *node
}

// missing tells that nothing is written where a value belongs.
func (n *node) missing() bool { return n.null && n.text == "" }

// describe names the node in messages.
func (n *node) describe() string {
	switch {
	case n.faulty:
		return "what YAML makes of it"
	case n.shape != scalar:
		return n.shape.String()
	case n.missing():
		return "nothing"
	case n.null:
		return "null"
	}
	return fmt.Sprintf("%q", brief(n.text, 60))
}

// brief cuts a text that messages quote: a file may be anything but a job.
func brief(text string, longest int) string {
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}

// read parses the file's text. A line that YAML cannot read is mended where the intent is clear, so that the problems
// behind it are found as well. It returns nil where there is nothing to go on with.
func (d *decoder) read(text string) *node {
	if !d.readable(text) {
		return nil
	}
	lines := slices.Clone(d.lines)
	const attempts = 20 // lines that are mended
	for range attempts {
		var document yaml.Node
		err := yaml.Load([]byte(strings.Join(lines, "\n")), &document)
		if err == nil {
			return d.root(&document)
		}
		line, mended, ok := d.syntax(err, lines)
		if !ok {
			return nil
		}
		lines[line] = mended
	}
	return nil
}

// readable refuses what is no text.
func (d *decoder) readable(text string) bool {
	switch {
	case len(text) > maxFile:
		d.fault(engine.Pos{}, "", "the file has %d bytes; a job file may have %d", len(text), maxFile)
		return false
	case !utf8.ValidString(text):
		for i, line := range d.lines {
			if !utf8.ValidString(line) {
				column := len([]rune(line[:firstInvalid(line)])) + 1
				d.fault(engine.Pos{Line: i + 1, Column: column}, "save the file as UTF-8", "the file is not UTF-8 text")
				return false
			}
		}
	}
	return true
}

// firstInvalid is the offset of the first byte that is not UTF-8.
func firstInvalid(line string) int {
	for i, r := range line {
		if r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD") {
			return i
		}
	}
	return 0
}

// root takes the mapping out of a document.
func (d *decoder) root(document *yaml.Node) *node {
	if len(document.Content) == 0 {
		return nil
	}
	n := d.convert(document.Content[0])
	if n.shape != mapping {
		if d.from != "" {
			d.fault(n.pos, d.part.remedy, "%s, this is %s", d.part.what, n.describe())
			return nil
		}
		d.fault(n.pos, "begin with version: 1", "a job is a mapping of keys, this is %s", n.describe())
		return nil
	}
	return n
}

// syntax reports a fault that YAML found. Where a line can be mended, it returns the line's index and the mended line.
func (d *decoder) syntax(err error, lines []string) (index int, mended string, ok bool) {
	mark, message := markOf(err)
	switch {
	case strings.Contains(message, "no documents") && d.from != "":
		d.fault(engine.Pos{File: d.from, Line: 1, Column: 1}, d.part.remedy, "the file is empty")
		return 0, "", false
	case strings.Contains(message, "no documents"):
		d.fault(engine.Pos{Line: 1, Column: 1}, "begin with version: 1", "the file is empty")
		return 0, "", false
	case strings.Contains(message, "found multiple"):
		d.fault(secondDocument(lines), "one file is one job", "the file has more than one document")
		return 0, "", false
	}
	// YAML marks what is missing behind the end of the file, and has seen the line as it was mended.
	index = min(max(mark.Line, 1), len(lines)) - 1
	pos := engine.Pos{Line: index + 1, Column: min(max(mark.Column, 1), len([]rune(d.lines[index]))+1)}
	if place, indent, ok := strayItem(lines[:index+1]); ok {
		d.fault(place, fmt.Sprintf("begin the line with %d spaces", indent),
			"the item is indented by %d, the list that it belongs to by %d", place.Column-1, indent)
		return 0, "", false
	}
	if mended, ok = mend(lines[index]); ok {
		d.fault(pos, "write "+strings.TrimSpace(mended), "YAML cannot read this value as it stands")
		return index, mended, true
	}
	hint := ""
	if strings.Contains(lines[index], "${{") {
		hint = "put the ${{ … }} in quotes"
	}
	if strings.HasPrefix(strings.TrimLeft(lines[index], " "), "\t") {
		hint = "indent with spaces, not with tabs"
	}
	d.fault(pos, hint, "not YAML: %s", message)
	return 0, "", false
}

// markOf finds the place and the text of the library's first error.
func markOf(err error) (mark yaml.Mark, message string) {
	// Several errors must be looked for first: the type that holds them also answers to the question for one.
	if several, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(several.Errors) > 0 {
		return several.Errors[0].Mark, several.Errors[0].Message
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		return one.Mark, one.Message
	}
	return yaml.Mark{}, err.Error()
}

// secondDocument is the place of the mark that begins it.
func secondDocument(lines []string) engine.Pos {
	begun := false
	for i, line := range lines {
		if strings.HasPrefix(line, "---") && begun {
			return engine.Pos{Line: i + 1, Column: 1}
		}
		text := strings.TrimSpace(line)
		begun = begun || text != "" && !strings.HasPrefix(text, "#") && !strings.HasPrefix(text, "%")
	}
	return engine.Pos{Line: 1, Column: 1}
}

// entryLine is a line with a key and a plain or half-quoted value on it.
func entryLine() *regexp.Regexp {
	return regexp.MustCompile(`^( *(?:- +)*(?:[^\s"'#&*!|>%@{}\[\],:][^:#]*|"[^"]*"|'[^']*'): +)(\S.*?)\s*$`)
}

// mend puts the value of a line in quotes. It tells whether that changes anything.
func mend(line string) (mended string, ok bool) {
	parts := entryLine().FindStringSubmatch(line)
	if parts == nil {
		return "", false
	}
	value := parts[2]
	if wholeQuote(value) || strings.ContainsAny(value[:1], "|>{[&*") {
		return "", false
	}
	// A comment behind an expression stays a comment.
	rest := ""
	if end := strings.LastIndex(value, "}}"); end >= 0 && comment().MatchString(value[end+2:]) {
		value, rest = value[:end+2], value[end+2:]
	}
	return parts[1] + quoted(value) + rest, true
}

// strayItem tells whether the last of some lines, which YAML can't read, is a list's item that is indented differently
// from the items above it. It returns the item's place and the indentation of those.
func strayItem(lines []string) (place engine.Pos, indent int, ok bool) {
	own := itemIndent(lines[len(lines)-1])
	if own < 0 {
		return engine.Pos{}, 0, false
	}
	nearest, above := -1, ""
	for _, line := range slices.Backward(lines[:len(lines)-1]) {
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		if above == "" {
			above = strings.TrimRight(text, " ")
		}
		item := itemIndent(line)
		if nearest < 0 {
			nearest = item
		}
		if item == own || strings.HasSuffix(above, ":") {
			return engine.Pos{}, 0, false // it belongs there
		}
		if len(line)-len(text) < own && item < 0 {
			break
		}
	}
	return engine.Pos{Line: len(lines), Column: own + 1}, nearest, nearest >= 0
}

// itemIndent is the number of spaces before a list's item, -1 where a line is none.
func itemIndent(line string) int {
	text := strings.TrimLeft(line, " ")
	if text != "-" && !strings.HasPrefix(text, "- ") {
		return -1
	}
	return len(line) - len(text)
}

// comment is a comment of YAML and the space before it.
func comment() *regexp.Regexp { return regexp.MustCompile(`^\s+#`) }

// wholeQuote tells whether a value is in quotes from its beginning to its end.
func wholeQuote(value string) bool {
	return regexp.MustCompile(`^(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")$`).MatchString(value)
}

// quoted is a text in the quotes in which YAML changes nothing.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// convert turns a node of the library into one of ours, and reports what would be lost.
func (d *decoder) convert(y *yaml.Node) *node {
	n := &node{pos: engine.Pos{File: d.from, Line: y.Line, Column: y.Column}}
	if y.Kind == yaml.AliasNode {
		d.fault(n.pos, "write the value out", "*%s is an alias of YAML, which job files don't have", y.Value)
		return &node{pos: n.pos, faulty: true}
	}
	if y.Anchor != "" {
		d.fault(n.pos, "leave it out, or put the value in quotes", "&%s is an anchor of YAML, which job files don't have", y.Anchor)
	}
	if d.tagged(y, n) || d.bare(y, n) {
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.shape = mapping
		d.convertPairs(y, n)
	case yaml.SequenceNode:
		n.shape = list
		for _, item := range y.Content {
			n.items = append(n.items, d.convert(item))
		}
	default:
		d.convertScalar(y, n)
	}
	return n
}

// tagged reports a tag, such as that of `when: !row.paid`, of which YAML keeps nothing.
func (d *decoder) tagged(y *yaml.Node, n *node) bool {
	if y.Style&yaml.TaggedStyle == 0 {
		return false
	}
	n.faulty = true
	hint := "leave it out"
	if mended, ok := mend(d.line(y.Line)); ok && y.Kind == yaml.ScalarNode {
		hint = "write " + strings.TrimSpace(mended)
	}
	d.fault(n.pos, hint, "%s is a tag of YAML, so that nothing of it would be left", y.Tag)
	return true
}

// bare reports {{ … }}, which YAML reads as a mapping inside a mapping.
func (d *decoder) bare(y *yaml.Node, n *node) bool {
	if y.Kind != yaml.MappingNode || len(y.Content) == 0 || y.Content[0].Kind != yaml.MappingNode {
		return false
	}
	n.faulty = true
	d.fault(n.pos, "write ${{ … }}, or put text with braces in quotes", "an expression is not written {{ … }}")
	return true
}

// convertPairs converts the entries of a mapping. A key that stands there twice is reported, and its first value counts.
func (d *decoder) convertPairs(y *yaml.Node, n *node) {
	seen := make(map[string]int)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		key := engine.Word{Text: k.Value, Pos: engine.Pos{File: d.from, Line: k.Line, Column: k.Column}}
		value := d.convert(y.Content[i+1])
		switch first, twice := seen[key.Text]; {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			d.fault(key.Pos, "", "a key must be a single word")
		case twice:
			d.fault(key.Pos, fmt.Sprintf("line %d has it first", first), "key %q is there twice", key.Text)
		default:
			seen[key.Text] = k.Line
			n.pairs = append(n.pairs, pair{key, value})
		}
	}
}

// convertScalar keeps a scalar's text, and where in the file its characters are.
func (d *decoder) convertScalar(y *yaml.Node, n *node) {
	n.text, n.comment = y.Value, y.LineComment
	switch {
	case y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		n.pos.Column++
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		d.block(n)
	default:
		n.plain = true
		n.null = y.Tag == "!!null"
		d.unfinished(n)
	}
}

// block places a block scalar: its text begins on the line below its mark.
func (d *decoder) block(n *node) {
	for line := n.pos.Line + 1; line <= len(d.lines); line++ {
		text := d.line(line)
		if rest := strings.TrimLeft(text, " "); rest != "" {
			n.indent = len(text) - len(rest)
			n.pos = engine.Pos{File: d.from, Line: line, Column: n.indent + 1}
			return
		}
	}
}

// unfinished reports an expression that YAML cut off at a comment, with the mended line.
func (d *decoder) unfinished(n *node) {
	open := strings.LastIndex(n.text, "${{")
	if open < 0 || strings.Contains(n.text[open:], "}}") || !strings.Contains(n.comment, "}}") {
		return
	}
	if mended, ok := mend(d.line(n.pos.Line)); ok {
		d.fault(n.pos, "write "+strings.TrimSpace(mended), "YAML takes %q for a comment and cuts the expression off", n.comment)
		n.faulty = true
	}
}
