package jobs

import (
	"fmt"
	"io"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// maxExplained is the number of problems that are written out: nobody mends more before the next look.
const maxExplained = 100

// Explain writes problems for people: each with its place, the line of the file, a caret below the spot, and the remedy.
func Explain(w io.Writer, problems engine.Problems) error {
	var b strings.Builder
	for i, p := range problems {
		if i == maxExplained {
			fmt.Fprintf(&b, "and %d more problems\n", len(problems)-i)
			break
		}
		bare := p
		bare.Hint = ""
		fmt.Fprintln(&b, bare.Error())
		if p.Line != "" {
			number := fmt.Sprintf("%5d", p.Pos.Line)
			line, column := around(p.Line, p.Pos.Column)
			fmt.Fprintf(&b, "%s | %s\n", number, line)
			fmt.Fprintf(&b, "%s | %s^\n", strings.Repeat(" ", len(number)), padding(line, column))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "      = %s\n", p.Hint)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// around is the part of a long line around a column, and where the column is in it.
func around(line string, column int) (part string, at int) {
	runes := []rune(line)
	if len(runes) <= longestQuote {
		return line, column
	}
	first := min(max(column-1-longestQuote/2, 0), len(runes)-longestQuote)
	part, at = string(runes[first:first+longestQuote]), column-first
	if first > 0 {
		part, at = "…"+part, at+1
	}
	if first+longestQuote < len(runes) {
		part += "…"
	}
	return part, at
}

// padding is the space before a column of a line, with the line's own tabs.
func padding(line string, column int) string {
	runes := []rune(line)
	pad := make([]rune, 0, column)
	for i := range max(column-1, 0) {
		if i < len(runes) && runes[i] == '\t' {
			pad = append(pad, '\t')
			continue
		}
		pad = append(pad, ' ')
	}
	return string(pad)
}
