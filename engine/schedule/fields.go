package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one of the five positions of a cron line.
type field struct {
	name     string
	min, max int
	values   []string // names of min, min+1, …
}

// Positions that are looked at on their own.
const (
	dayOfMonth = 2
	dayOfWeek  = 4
)

func cronFields() [5]field {
	return [5]field{
		{name: "minute", min: 0, max: 59},
		{name: "hour", min: 0, max: 23},
		{name: "day of month", min: 1, max: 31},
		{
			name: "month", min: 1, max: 12,
			values: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"},
		},
		// Both 0 and 7 are Sunday.
		{name: "day of week", min: 0, max: 7, values: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}},
	}
}

// nickname returns the fields that a word such as @daily stands for.
func nickname(words []string) (string, error) {
	if len(words) == 1 {
		switch strings.ToLower(words[0]) {
		case "@yearly", "@annually":
			return "0 0 1 1 *", nil
		case "@monthly":
			return "0 0 1 * *", nil
		case "@weekly":
			return "0 0 * * 0", nil
		case "@daily", "@midnight":
			return "0 0 * * *", nil
		case "@hourly":
			return "0 * * * *", nil
		}
	}
	return "", fmt.Errorf("%q is not known; write @hourly, @daily, @weekly, @monthly, @yearly, @every 15m or five fields",
		strings.Join(words, " "))
}

// canonicalFields rewrites a cron line so that the parser behind it can take
// it only one way: numbers for names, full ranges, Sunday as 0. What that
// parser lets pass without a meaning, such as 1,,2 or +5, is refused here.
func canonicalFields(words []string) ([]string, error) {
	fields := cronFields()
	if len(words) != len(fields) {
		return nil, fmt.Errorf("%q has %d fields; write five: minute, hour, day of month, month, day of week",
			strings.Join(words, " "), len(words))
	}
	canonical := make([]string, len(fields))
	for i, f := range fields {
		var items []string
		for item := range strings.SplitSeq(words[i], ",") {
			c, err := f.item(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			items = append(items, c)
		}
		canonical[i] = strings.Join(items, ",")
	}
	return canonical, nil
}

// item rewrites one member of a list: *, a value or a range, perhaps in steps.
func (f field) item(item string) (string, error) {
	span, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		n, ok := number(stepText)
		if !ok || n < 1 || n > f.max {
			// A step past the end, such as */90 minutes, would be due
			// once an hour, which is never what was meant.
			return "", fmt.Errorf("%q: the step %q is not a number from 1 to %d; use @every for other intervals", item, stepText, f.max)
		}
		step = n
	}
	if span == "*" || span == "?" {
		if step == 1 {
			return "*", nil
		}
		return "*/" + strconv.Itoa(step), nil
	}
	low, high, ranged := strings.Cut(span, "-")
	from, err := f.value(item, low)
	if err != nil {
		return "", err
	}
	to := from
	switch {
	case ranged:
		if to, err = f.value(item, high); err != nil {
			return "", err
		}
	case stepped:
		to = f.max
	}
	if f.name == "day of week" {
		return weekdays(item, from, to, step)
	}
	if from > to {
		return "", fmt.Errorf("%q: %q comes after %q; write %s-%d,%d-%s", item, low, high, low, f.max, f.min, high)
	}
	return fmt.Sprintf("%d-%d/%d", from, to, step), nil
}

// weekdays writes days out one by one, since the week may be left at its end
// and entered at its beginning: FRI-SUN, 5-7 and 5-0 are the same three days.
func weekdays(item string, from, to, step int) (string, error) {
	if to == 0 && from > 0 {
		to = 7
	}
	if from > to {
		return "", fmt.Errorf("%q: the range ends before it begins; list the days, such as SAT,SUN,MON", item)
	}
	var days []string
	for d := from; d <= to; d += step {
		if day := strconv.Itoa(d % 7); !slices.Contains(days, day) {
			days = append(days, day)
		}
	}
	return strings.Join(days, ","), nil
}

// value reads a number or a name.
func (f field) value(item, text string) (int, error) {
	if n, ok := number(text); ok && n >= f.min && n <= f.max {
		return n, nil
	}
	for i, name := range f.values {
		if strings.EqualFold(text, name) {
			return f.min + i, nil
		}
	}
	names := ""
	if len(f.values) > 0 {
		names = " or a name such as " + f.values[1]
	}
	return 0, fmt.Errorf("%q: %q is not a number from %d to %d%s", item, text, f.min, f.max, names)
}

// number reads plain digits, no sign.
func number(text string) (int, bool) {
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// anyValue reports whether a canonical field leaves its values open.
func anyValue(canonical string) bool {
	return slices.Contains(strings.Split(canonical, ","), "*")
}
