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
			fmt.Fprintf(&b, "%s | %s\n", number, p.Line)
			fmt.Fprintf(&b, "%s | %s^\n", strings.Repeat(" ", len(number)), padding(p.Line, p.Pos.Column))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "      = %s\n", p.Hint)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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
