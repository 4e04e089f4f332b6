package report

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of a table for people.
type column struct {
	title string
	right bool // numbers are aligned to the right
	least int  // how narrow it may become where the terminal is; 0: never narrower
}

// grid writes rows below their titles, aligned, without lines around them. On
// a terminal, columns that may become narrower do so until the rows fit.
func (t Terminal) grid(w io.Writer, indent string, columns []column, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	limits := t.limits(len(indent), columns, rows)
	tw := table.NewWriter()
	tw.SetStyle(gridStyle())
	head := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		head[i] = t.paint(bold, c.title)
		configs[i] = table.ColumnConfig{Number: i + 1}
		if c.right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	tw.SetColumnConfigs(configs)
	tw.AppendHeader(head)
	for _, r := range rows {
		cells := make(table.Row, len(r))
		for i, cell := range r {
			if limits[i] > 0 {
				cell = text.Snip(cell, limits[i], "…")
			}
			cells[i] = cell
		}
		tw.AppendRow(cells)
	}
	for line := range strings.Lines(tw.Render()) {
		if _, err := io.WriteString(w, indent+strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// limits are the widths to which cells are cut, 0 where they are not.
func (t Terminal) limits(indent int, columns []column, rows [][]string) []int {
	limits := make([]int, len(columns))
	if t.Width <= 0 {
		return limits
	}
	widths := make([]int, len(columns))
	total := indent
	for i, c := range columns {
		widths[i] = text.StringWidthWithoutEscSequences(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(r[i]))
		}
		total += widths[i] + 2
	}
	for over := total - 2 - t.Width; over > 0; over-- {
		widest := -1
		for i, c := range columns {
			if c.least > 0 && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		limits[widest] = widths[widest]
	}
	return limits
}

func gridStyle() table.Style {
	style := table.StyleDefault
	style.Box = table.BoxStyle{PaddingRight: "  "}
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format = table.FormatOptions{Header: text.FormatDefault, Row: text.FormatDefault}
	return style
}
