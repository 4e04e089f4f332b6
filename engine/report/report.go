// Package report shows plans, runs and lists to people and programs: as text
// for a terminal, JSON, HTML and CSV.
//
// Its one rule: what is shown comes from a stream. The changes of a plan are
// read from where they are kept and written one by one, so that a report on a
// million of them takes no more memory than one on ten. Text from outside (cells,
// names, messages of the portal) is made harmless before it reaches a terminal.
package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Terminal says what text may look like where it is shown. The zero value is
// for files and pipes: no colours, lines of any length.
type Terminal struct {
	Width int // columns; 0: unlimited
	Color bool
}

// colour is an ANSI code.
type colour string

const (
	bold   colour = "1"
	faint  colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

func (t Terminal) paint(c colour, s string) string {
	if !t.Color || s == "" || c == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// fit cuts s to what a line has left after some columns.
func (t Terminal) fit(s string, used int) string {
	if t.Width <= 0 {
		return s
	}
	return text.Snip(s, max(t.Width-used, 8), "…")
}

// wrap breaks s into lines of the terminal's width; all but the first begin
// with the indent.
func (t Terminal) wrap(s, indent string) string {
	if t.Width <= len(indent)+20 {
		return s
	}
	lines := strings.Split(text.WrapSoft(s, t.Width-len(indent)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n"+indent)
}

// headed wraps a line whose beginning is painted. Colours are put on after the
// line is broken: they have no width.
func (t Terminal) headed(c colour, head, rest string) string {
	line := t.wrap(head+rest, "  ")
	if after, ok := strings.CutPrefix(line, head); ok {
		return t.paint(c, head) + after
	}
	return line
}

// Clean makes text from outside harmless to a terminal: control characters,
// escape sequences and marks that turn the reading direction are spelled out.
// It returns one line.
func Clean(s string) string { return clean(s) }

// CleanLines is [Clean] for a text of several lines: it keeps their ends and
// their tabs.
func CleanLines(s string) string {
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j, part := range strings.Split(line, "\t") {
			if j > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(clean(part))
		}
	}
	return b.String()
}

// CleanJSON spells out, in a JSON text, the characters that [Clean] does. JSON
// itself allows most of them inside its texts.
func CleanJSON(raw []byte) []byte {
	harmful := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(" \t\r\n", r) }
	if !utf8.Valid(raw) { // as who reads the JSON would: a U+FFFD for each byte
		raw = []byte(string([]rune(string(raw))))
	}
	if bytes.IndexFunc(raw, harmful) < 0 {
		return raw
	}
	var b bytes.Buffer
	for _, r := range string(raw) {
		if !harmful(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.Bytes()
}

// clean is [Clean].
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	harmless := func(r rune) bool { return unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !harmless(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case harmless(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\u00a0':
			b.WriteByte(' ')
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// plural is a number and its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && !strings.HasSuffix(stem, "e") {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// duration is seconds as people say them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min.
func duration(seconds float64) string {
	if seconds < 0.1 {
		return "under 0.1 s"
	}
	if seconds < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", seconds), ".0") + " s"
	}
	d := time.Duration(math.Round(seconds)) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return joined(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	}
	return joined(int(d.Hours()), "h", int(d.Minutes())%60, "min")
}

func joined(n int, unit string, rest int, small string) string {
	if rest == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, rest, small)
}
