package table

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// readHeader reads the first row with content as the names of the columns,
// unless these are given.
func (t *Reader) readHeader(o Options) error {
	if len(o.Columns) > 0 {
		faults := append(nameFaults(o.Columns, inText), missing(o.Columns, o.Require)...)
		if len(faults) > 0 {
			return fmt.Errorf("%s: header: %s", t.name, strings.Join(faults, "; "))
		}
		t.header = o.Columns
		return nil
	}
	row, err := t.read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty; its first line must name the columns", t.name)
	}
	if err != nil {
		return err
	}
	t.blank = 0
	if len(row.Fields) > maxColumns {
		return fmt.Errorf("%s: line %d: the header has %d columns, more than %d; see whether delimiter: is right (%s)",
			t.name, row.Line, len(row.Fields), maxColumns, t.dialect)
	}
	names := make([]string, len(row.Fields))
	for i, field := range row.Fields {
		if fault, remedy := t.fieldFault(field); fault != "" {
			return &RowError{Name: t.name, Line: row.Line, Value: field, Fault: "the header has " + fault, Remedy: remedy}
		}
		names[i] = strings.TrimFunc(field, invisible)
	}
	faults := append(nameFaults(names, inText), missing(names, o.Require)...)
	if len(faults) > 0 {
		return fmt.Errorf("%s: line %d: %s (read with %s)", t.name, row.Line, strings.Join(faults, "; "), t.dialect)
	}
	t.header, t.dialect.HeaderLine = names, row.Line
	return nil
}

// CheckHeader finds fault with names of columns, which come from elsewhere than a
// file, and with what is required of them.
func CheckHeader(names, require []string) error {
	if len(names) > maxColumns {
		return fmt.Errorf("there are %d columns, more than %d", len(names), maxColumns)
	}
	if faults := append(nameFaults(names, inText), missing(names, require)...); len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// invisible reports what spreadsheets leave around names without showing it.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// inText is what a column of text is called by, which has no letters.
func inText(at int) string { return strconv.Itoa(at + 1) }

// nameFaults lists names that are empty or used twice, with their columns as
// called says.
func nameFaults(names []string, called func(at int) string) []string {
	var faults []string
	columns := make(map[string][]string, len(names))
	for i, name := range names {
		columns[name] = append(columns[name], called(i))
	}
	if at := columns[""]; len(at) > 0 {
		faults = append(faults, fmt.Sprintf("column %s of the header has no name; name it, or remove the column", some(at)))
	}
	for i, name := range names {
		at := columns[name]
		if name == "" || len(at) < 2 || at[0] != called(i) {
			continue
		}
		if len(faults) == maxFaults {
			return append(faults, "more columns have the same name")
		}
		faults = append(faults, fmt.Sprintf("columns %s are all named %q; give each its own name", some(at), shorten(name)))
	}
	return faults
}

const (
	// maxFaults is how many faults of a header are told: nobody mends more
	// before the next look.
	maxFaults = 10
	// maxListed is how many columns a fault names.
	maxListed = 12
)

// some lists the first few numbers.
func some(numbers []string) string {
	if more := len(numbers) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(numbers[:maxListed], ", "), more)
	}
	return strings.Join(numbers, ", ")
}

// missing lists required columns that the header lacks, with what is near.
func missing(names, require []string) []string {
	var faults []string
	for _, want := range require {
		if slices.Contains(names, want) {
			continue
		}
		near := nearest(names, want)
		remedy := "did you mean " + near + "?"
		if near == "" {
			remedy = "the columns are " + quoteList(names, maxListed)
		}
		faults = append(faults, fmt.Sprintf("required column %q is missing; %s", want, remedy))
	}
	return faults
}

// nearest returns up to three names that may have been meant by want, quoted,
// best first; empty if none is near.
func nearest(names []string, want string) string {
	type hit struct {
		name     string
		distance int
	}
	var hits []hit
	folded := strings.ToLower(want)
	for _, name := range names {
		// Longer names than this are no slips of a key, and comparing
		// costs the product of the lengths.
		if len(name) > 100 || len(want) > 100 {
			continue
		}
		candidate := strings.ToLower(name)
		d := distance([]rune(folded), []rune(candidate))
		if strings.Contains(candidate, folded) || strings.Contains(folded, candidate) {
			d = min(d, 1)
		}
		if d <= 1+len(folded)/4 {
			hits = append(hits, hit{name, d})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.distance, b.distance) })
	found := make([]string, 0, 3)
	for _, h := range hits[:min(3, len(hits))] {
		found = append(found, h.name)
	}
	return quoteList(found, 3)
}

func quoteList(names []string, most int) string {
	quoted := make([]string, 0, most)
	for _, name := range names[:min(most, len(names))] {
		quoted = append(quoted, strconv.Quote(shorten(name)))
	}
	list := strings.Join(quoted, ", ")
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return list
}

// distance is how many letters must be put in, left out or changed.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
