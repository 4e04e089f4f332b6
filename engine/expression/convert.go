package expression

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// conversions make numbers and dates of text. Blank text stays blank.
func conversions() []function {
	return []function{
		{
			doc: FunctionDoc{
				"number", "number(text, decimal?)",
				"The number in a text such as 1.234,56 or 1,234.56; where 1.234 could be either, name the decimal mark.",
				`number("R$ 1.234,56") gives 1234.56`,
			},
			min: 1, max: 2,
			types: []any{new(func(string) any), new(func(string, string) any), new(func(float64) any)},
			call:  number, literal: decimalLiteral,
		},
		{
			doc: FunctionDoc{"int", "int(value)", "The whole number in a text or a number.", `int("42") gives 42`},
			min: 1, max: 1, types: []any{new(func(string) any), new(func(int) any), new(func(float64) any)},
			call: whole,
		},
		{
			doc: FunctionDoc{
				"round", "round(number, places?)",
				"The number with so many decimal places (0 to 15, default 0), halves away from zero.", `round(1.005, 2) gives 1.01`,
			},
			min: 1, max: 2, types: []any{new(func(float64) any), new(func(float64, int) any)},
			call: round,
		},
		{
			doc: FunctionDoc{
				"yesno", "yesno(text)",
				"Whether a text says yes, sim, да, true, 1 or x rather than no, não, нет, false, 0 or -; also in French, German, Spanish.",
				`yesno("Sim") gives true`,
			},
			min: 1, max: 1, types: []any{new(func(string) any), new(func(bool) any)},
			call: yesNo,
		},
		{
			doc: FunctionDoc{
				"date", "date(value, layout?)",
				"The date in a text; the layout shows 2 January 2006 (02/01/2006) or is like dd/mm/yyyy, default is 2006-01-02.",
				`date("31/12/2025", "02/01/2006") gives date("2025-12-31")`,
			},
			min: 1, max: 2, needsNow: true,
			types: []any{
				new(func(time.Time, string) any), new(func(time.Time, string, string) any), new(func(time.Time, time.Time) any),
			},
			call: date, literal: layoutLiteral,
		},
		{
			doc: FunctionDoc{"format", "format(date, layout)", "The date as text.", `format(date("2025-12-31"), "02/01/2006") gives "31/12/2025"`},
			min: 2, max: 2, types: []any{new(func(time.Time, string) string)},
			call: format,
		},
		{
			doc: FunctionDoc{"now", "now()", "The time at which the plan was begun, the same in all expressions of a run.", `now() == now gives true`},
		},
		{
			doc: FunctionDoc{"daysAgo", "daysAgo(days)", "The time so many days before now.", `daysAgo(0) == now gives true`},
			min: 1, max: 1, needsNow: true, types: []any{new(func(time.Time, int) time.Time)},
			call: daysAgo,
		},
	}
}

// maxDigits is the number of decimal digits that a float64 always keeps.
const maxDigits = 15

// number is the function of that name.
func number(args ...any) (any, error) {
	switch v := args[0].(type) {
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	}
	texts, err := textArgs("number", args)
	if err != nil || isBlank(texts[0]) {
		return "", err
	}
	mark := ""
	if len(texts) > 1 {
		mark = texts[1]
		if err := decimalLiteral(1, mark); err != nil {
			return nil, err
		}
	}
	plain, err := plainNumber(texts[0], mark)
	if err != nil {
		return nil, fmt.Errorf("%q %w", texts[0], err)
	}
	value, err := strconv.ParseFloat(plain, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", texts[0])
	}
	return value, nil
}

// decimalLiteral checks the second argument of number.
func decimalLiteral(argument int, text string) error {
	if argument == 1 && text != "," && text != "." {
		return fmt.Errorf("%q is not a decimal mark; use \",\" or \".\"", text)
	}
	return nil
}

// plainNumber brings a written number into the form -1234.56. The mark is the decimal one, or empty where it is not given.
func plainNumber(text, mark string) (string, error) {
	s, negative := unsigned(text)
	if strings.Trim(s, "0123456789.,") != "" || strings.Trim(s, ".,") == "" {
		return "", errors.New("is not a number; write it like 1234.56 or 1.234,56")
	}
	if mark == "" {
		var err error
		if mark, err = decimalMark(s); err != nil {
			return "", err
		}
	}
	grouping := ","
	if mark == "," {
		grouping = "."
	}
	units, fraction, _ := strings.Cut(s, mark)
	groups := strings.Split(units, grouping)
	for i, group := range groups {
		if i > 0 && len(group) != 3 || i == 0 && len(groups) > 1 && (len(group) > 3 || group == "") {
			return "", errors.New("is not a number: its thousands are not in groups of three digits")
		}
	}
	if strings.ContainsAny(fraction, ".,") {
		return "", errors.New("is not a number: it has a mark after the decimal one")
	}
	units = strings.Join(groups, "")
	if len(strings.TrimLeft(units, "0"))+len(fraction) > maxDigits {
		return "", fmt.Errorf("has more than %d digits; keep it as text", maxDigits)
	}
	plain := "0" + units + "." + fraction + "0"
	if negative {
		return "-" + plain, nil
	}
	return plain, nil
}

// unsigned takes the sign, currency symbols and spaces off a written number. Minus signs come as hyphens or as U+2212.
func unsigned(text string) (s string, negative bool) {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || invisible(r) || r == '\'' || r == '’' {
			return -1
		}
		return r
	}, text)
	for _, code := range []string{"US$", "R$"} {
		s = strings.Replace(s, code, "", 1)
	}
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.Is(unicode.Sc, r) })
	for _, sign := range []string{"-", "−", "+"} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			return strings.TrimLeftFunc(rest, func(r rune) bool { return unicode.Is(unicode.Sc, r) }), sign != "+"
		}
	}
	return s, false
}

// decimalMark finds the decimal mark of a number in digits, dots and commas. Of two kinds of marks the last is the decimal
// one; a mark that stands there more than once groups thousands; one before three digits may be either.
func decimalMark(s string) (string, error) {
	dots, commas := strings.Count(s, "."), strings.Count(s, ",")
	switch {
	case dots > 0 && commas > 0:
		return string(s[strings.LastIndexAny(s, ".,")]), nil
	case dots+commas == 0, commas > 1:
		return ".", nil
	case dots > 1:
		return ",", nil
	}
	i := strings.IndexAny(s, ".,")
	mark := s[i : i+1]
	before, after := s[:i], s[i+1:]
	if len(after) == 3 && len(before) >= 1 && len(before) <= 3 && before[0] != '0' {
		return "", errors.New("could be thousands or a fraction; say which mark is the decimal one: number(text, \",\") or number(text, \".\")")
	}
	return mark, nil
}

// whole is the function int.
func whole(args ...any) (any, error) {
	switch v := args[0].(type) {
	case int, int64:
		return v, nil
	case float64:
		const exact = 1 << 53
		if v != math.Trunc(v) || math.Abs(v) > exact {
			return nil, fmt.Errorf("%v is not a whole number; use round(…) first", v)
		}
		return int64(v), nil
	}
	text, err := textArg("int", args[0])
	if err != nil || blankText(text) {
		return "", err
	}
	value, err := strconv.ParseInt(clean(text), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a whole number; number(…) reads marks and fractions", text)
	}
	return value, nil
}

// round is the function of that name. It rounds the number as it is written, so that 1.005 becomes 1.01 although the
// nearest binary fraction is a little less.
func round(args ...any) (any, error) {
	if isBlank(args[0]) {
		return "", nil
	}
	places := int64(0)
	if len(args) > 1 {
		var ok bool
		if places, ok = integer(args[1]); !ok || places < 0 || places > maxDigits {
			return nil, fmt.Errorf("round takes 0 to %d places, not %s", maxDigits, describe(args[1]))
		}
	}
	value, ok := args[0].(float64)
	if !ok {
		n, isInt := integer(args[0])
		if !isInt {
			return nil, fmt.Errorf("round takes a number, not %s; number(…) makes one of text", describe(args[0]))
		}
		value = float64(n)
	}
	exact, ok := new(big.Rat).SetString(strconv.FormatFloat(value, 'g', -1, 64))
	if !ok {
		return nil, errors.New("round takes a number that is finite")
	}
	return strconv.ParseFloat(exact.FloatString(int(places)), 64)
}

// integer gives the whole number that a value is.
func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case int32:
		return int64(v), true
	}
	return 0, false
}

// date is the function of that name; the frozen time comes first and says in which zone a date without one is.
func date(args ...any) (any, error) {
	now, ok := args[0].(time.Time)
	if !ok {
		return nil, errors.New("date has no present time")
	}
	if t, ok := args[1].(time.Time); ok {
		y, m, d := t.In(now.Location()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, now.Location()), nil
	}
	texts, err := textArgs("date", args[1:])
	if err != nil || blankText(texts[0]) {
		return "", err
	}
	text, layouts := clean(texts[0]), isoLayouts()
	if len(texts) > 1 {
		layout, err := goLayout(texts[1])
		if err != nil {
			return nil, err
		}
		layouts = []string{layout}
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if len(texts) > 1 {
		return nil, fmt.Errorf("%q is not a date like %q", texts[0], texts[1])
	}
	return nil, fmt.Errorf("%q is not a date like 2006-01-02; name its layout: date(text, \"02/01/2006\")", texts[0])
}

// isoLayouts are the layouts that need not be named: nobody writes them with day and month swapped.
func isoLayouts() []string {
	return []string{
		time.DateOnly, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04",
		"02.01.2006", "02.01.2006 15:04:05", "02.01.2006 15:04",
	}
}

// layoutLiteral checks the layout of date.
func layoutLiteral(argument int, text string) error {
	if argument != 1 {
		return nil
	}
	_, err := goLayout(text)
	return err
}

// goLayout takes a layout of Go, or one in the letters of spreadsheets (dd/mm/yyyy hh:mm), and makes it one of Go. It must
// have a day, a month and a year.
func goLayout(layout string) (string, error) {
	translated := layout
	if !strings.ContainsAny(layout, "0123456789") {
		translated = fromLetters(layout)
	}
	probe := time.Date(2021, time.November, 23, 0, 0, 0, 0, time.UTC)
	back, err := time.Parse(translated, probe.Format(translated))
	if err != nil || !back.Equal(probe) {
		return "", fmt.Errorf("%q is not a layout of a date; write 2 January 2006 in it, like \"02/01/2006\"", layout)
	}
	return translated, nil
}

// fromLetters translates dd/mm/yyyy. The m next to an hour is a minute.
func fromLetters(layout string) string {
	var b strings.Builder
	hour := false
	for rest := layout; rest != ""; {
		run := rest[:len(rest)-len(strings.TrimLeft(rest, rest[:1]))]
		if low := strings.ToLower(rest); len(run) > 0 {
			run = rest[:len(low)-len(strings.TrimLeft(low, low[:1]))]
		}
		element, ok := letterElements(hour)[strings.ToLower(run)]
		if !ok {
			element = run
		}
		if ok {
			hour = strings.HasPrefix(strings.ToLower(run), "h")
		}
		b.WriteString(element)
		rest = rest[len(run):]
	}
	return b.String()
}

// letterElements are the elements of a layout in letters.
func letterElements(afterHour bool) map[string]string {
	elements := map[string]string{
		"yyyy": "2006", "yy": "06", "mm": "01", "m": "1", "dd": "02", "d": "2", "hh": "15", "h": "15", "ss": "05", "s": "5",
	}
	if afterHour {
		elements["mm"], elements["m"] = "04", "4"
	}
	return elements
}

// format is the function of that name.
func format(args ...any) (any, error) {
	if isBlank(args[0]) {
		return "", nil
	}
	t, ok := args[0].(time.Time)
	if !ok {
		return nil, fmt.Errorf("format takes a date, not %s; date(…) makes one of text", describe(args[0]))
	}
	text, err := textArg("format", args[1])
	if err != nil {
		return nil, err
	}
	layout := text
	if !strings.ContainsAny(text, "0123456789") {
		layout = fromLetters(text)
	}
	return t.Format(layout), nil
}

// daysAgo is the function of that name.
func daysAgo(args ...any) (any, error) {
	const most = 1_000_000
	now, ok := args[0].(time.Time)
	days, isInt := integer(args[1])
	if !ok || !isInt || days < -most || days > most {
		return nil, fmt.Errorf("daysAgo takes a whole number of days, not %s", describe(args[1]))
	}
	return now.AddDate(0, 0, -int(days)), nil
}
