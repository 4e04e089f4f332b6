package report

import (
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of a table for people.
type column struct {
	title string
	right bool // numbers are aligned to the right
	least int  // how narrow it may become where the terminal is; 0: never narrower
	spare bool // may be left out where the terminal is too narrow for all
}

// grid writes rows below their titles, aligned, without lines around them. On
// a terminal, columns that may become narrower do so until the rows fit.
func (t Terminal) grid(w io.Writer, indent string, columns []column, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	columns, rows, limits := t.arrange(len(indent), columns, rows)
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

// arrange makes a table fit the terminal: cells of columns that may become
// narrower are cut, then columns that can be spared are left out, the last one
// first. It returns the widths to which cells are cut, 0 where they are not.
func (t Terminal) arrange(indent int, columns []column, rows [][]string) ([]column, [][]string, []int) {
	for {
		limits, fits := t.limits(indent, columns, rows)
		spare := len(columns) - 1
		for spare >= 0 && !columns[spare].spare {
			spare--
		}
		if fits || spare < 0 {
			return columns, rows, limits
		}
		columns = slices.Delete(slices.Clone(columns), spare, spare+1)
		narrower := make([][]string, len(rows))
		for i, r := range rows {
			narrower[i] = slices.Delete(slices.Clone(r), spare, spare+1)
		}
		rows = narrower
	}
}

// limits are the widths to which cells must be cut, and whether that is enough.
func (t Terminal) limits(indent int, columns []column, rows [][]string) (limits []int, fits bool) {
	limits = make([]int, len(columns))
	if t.Width <= 0 {
		return limits, true
	}
	widths := make([]int, len(columns))
	total := indent - 2
	for i, c := range columns {
		widths[i] = width(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], width(r[i]))
		}
		total += widths[i] + 2
	}
	for ; total > t.Width; total-- {
		widest := -1
		for i, c := range columns {
			if c.least > 0 && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return limits, false
		}
		widths[widest]--
		limits[widest] = widths[widest]
	}
	return limits, true
}

func gridStyle() table.Style {
	style := table.StyleDefault
	style.Box = table.BoxStyle{PaddingRight: "  "}
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format = table.FormatOptions{Header: text.FormatDefault, Row: text.FormatDefault}
	return style
}
