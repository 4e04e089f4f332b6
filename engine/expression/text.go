package expression

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textFunctions change text.
func textFunctions() []function {
	return []function{
		onText("trim", "The text without white space at its ends.", `trim(" a ") gives "a"`, strings.TrimSpace),
		onText("lower", "The text in lower case.", `lower("ANA") gives "ana"`, strings.ToLower),
		onText("upper", "The text in upper case.", `upper("ana") gives "ANA"`, strings.ToUpper),
		onText("title", "A name with capitals, small words such as de, da and e left small.",
			`title("MARIA DA SILVA") gives "Maria da Silva"`, title),
		{
			doc:   FunctionDoc{"digits", "digits(text)", "The digits of the text, nothing else.", `digits("529.982-25") gives "52998225"`},
			min:   1,
			max:   1,
			types: []any{new(func(string) string), new(func(int) string)},
			call: func(args ...any) (any, error) {
				s, err := textOf(args[0])
				return digits(s), err
			},
		},
		{
			doc: FunctionDoc{
				"pad", "pad(text, length)",
				"The text with as many zeros before it as it lacks, such as a spreadsheet drops; blank text stays blank.", `pad("1234567890", 11) gives "01234567890"`,
			},
			min: 2, max: 2, types: []any{new(func(string, int) string), new(func(int, int) string)},
			call: pad,
		},
		{
			doc: FunctionDoc{
				"replace", "replace(text, old, new)",
				"The text with every old replaced by new.", `replace("1,5", ",", ".") gives "1.5"`,
			},
			min: 3, max: 3, types: []any{new(func(string, string, string) string)},
			call: replace,
		},
		{
			doc: FunctionDoc{
				"split", "split(text, separator)",
				"The parts of the text as a list; an empty separator splits at white space.", `split("a;b", ";") gives ["a", "b"]`,
			},
			min: 1, max: 2, types: []any{new(func(string) []string), new(func(string, string) []string)},
			call: split,
		},
		{
			doc: FunctionDoc{
				"join", "join(list, separator)",
				"The elements as one text, with the separator between them; null and blank ones are left out.",
				`join(["Ana", "", "Sá"], " ") gives "Ana Sá"`,
			},
			min: 2, max: 2, types: []any{new(func([]any, string) string), new(func([]string, string) string)},
			call: join,
		},
		{
			doc:   FunctionDoc{"string", "string(value)", "The value as text.", `string(1.5) gives "1.5"`},
			min:   1,
			max:   1,
			types: []any{new(func(any) string)},
			call:  func(args ...any) (any, error) { return textOf(args[0]) },
		},
	}
}

// onText is a function from text to text.
func onText(name, doc, example string, change func(string) string) function {
	return function{
		doc: FunctionDoc{name, name + "(text)", doc, example},
		min: 1, max: 1, types: []any{new(func(string) string)},
		call: func(args ...any) (any, error) {
			s, err := textArg(name, args[0])
			return change(s), err
		},
	}
}

// textArg takes a text argument; null is blank. Types are checked before, but a value of an open record may be anything.
func textArg(name string, value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s takes text, not %s; string(…) makes text of it", name, describe(value))
}

// textArgs takes several text arguments.
func textArgs(name string, values []any) ([]string, error) {
	texts := make([]string, len(values))
	for i, v := range values {
		var err error
		if texts[i], err = textArg(name, v); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// blankText tells whether there is nothing but white space, no-break and zero-width spaces included: spreadsheets
// leave them in cells that look empty.
func blankText(s string) bool {
	return strings.TrimFunc(s, invisible) == ""
}

// clean takes away what cannot be seen at the ends of a cell.
func clean(s string) string { return strings.TrimFunc(s, invisible) }

// invisible tells white space, zero-width characters and byte order marks.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || r >= '\u200b' && r <= '\u200f' || r == '\u2060' || r == '\ufeff'
}

// digits keeps the decimal digits; those of other scripts become ASCII ones where their block is in order.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		if r >= '０' && r <= '９' {
			return r - '０' + '0'
		}
		return -1
	}, s)
}

// pad is the function of that name. No number that names anything is longer than it allows.
func pad(args ...any) (any, error) {
	const mostDigits = 100
	s, err := textOf(args[0])
	if err != nil || blankText(s) {
		return "", err
	}
	length, ok := args[1].(int)
	if !ok || length < 1 || length > mostDigits {
		return nil, fmt.Errorf("pad takes a length from 1 to %d, not %s", mostDigits, describe(args[1]))
	}
	s = clean(s)
	return strings.Repeat("0", max(0, length-utf8.RuneCountInString(s))) + s, nil
}

// title writes a name with a capital at the start of each word. Portuguese and Spanish particles stay small unless they
// begin the name; letters after an apostrophe or a hyphen are capitals too: D'Ávila, Sá-Carneiro.
func title(s string) string {
	var b strings.Builder
	first := true
	for len(s) > 0 {
		size := wordSize(s)
		if size == 0 {
			r, n := utf8.DecodeRuneInString(s)
			b.WriteRune(r)
			s = s[n:]
			continue
		}
		word := strings.ToLower(s[:size])
		if first || !particle(word) {
			word = capitals(word)
		}
		b.WriteString(word)
		s, first = s[size:], false
	}
	return b.String()
}

// wordSize is the length of the word at the start of s, in bytes.
func wordSize(s string) int {
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		return i
	}
	return len(s)
}

// particle tells the small words inside names and titles.
func particle(word string) bool {
	switch word {
	case "da", "das", "de", "del", "do", "dos", "e", "y", "van", "von", "der":
		return true
	}
	return false
}

// capitals makes the first letter of a word, and of its parts, a capital.
func capitals(word string) string {
	start := true
	return strings.Map(func(r rune) rune {
		letter := unicode.IsLetter(r) || unicode.IsMark(r)
		defer func() { start = !letter && !unicode.IsDigit(r) }()
		if start && letter {
			return unicode.ToTitle(r)
		}
		return r
	}, word)
}

// replace is the function of that name.
func replace(args ...any) (any, error) {
	texts, err := textArgs("replace", args)
	if err != nil {
		return nil, err
	}
	text, old, replacement := texts[0], texts[1], texts[2]
	if old == "" {
		return text, nil
	}
	if grown := strings.Count(text, old) * (len(replacement) - len(old)); len(text)+grown > MaxText {
		return nil, tooLong()
	}
	return strings.ReplaceAll(text, old, replacement), nil
}

// split is the function of that name. Blank text has no parts.
func split(args ...any) (any, error) {
	texts, err := textArgs("split", args)
	if err != nil {
		return nil, err
	}
	text, separator := texts[0], ""
	if len(texts) > 1 {
		separator = texts[1]
	}
	var parts []string
	switch {
	case blankText(text):
		return []string{}, nil
	case separator == "":
		parts = strings.Fields(text)
	default:
		parts = strings.SplitN(text, separator, MaxRange+1)
	}
	if len(parts) > MaxRange {
		return nil, fmt.Errorf("split makes more than %d parts", MaxRange)
	}
	return parts, nil
}

// join is the function of that name.
func join(args ...any) (any, error) {
	separator, err := textArg("join", args[1])
	if err != nil {
		return nil, err
	}
	elements, ok := elementsOf(args[0])
	if !ok && args[0] != nil {
		return nil, fmt.Errorf("join takes a list, not %s", describe(args[0]))
	}
	var b strings.Builder
	for _, element := range elements {
		s, err := textOf(element)
		if err != nil {
			return nil, err
		}
		if blankText(s) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > MaxText {
			return nil, tooLong()
		}
	}
	return b.String(), nil
}

// tooLong refuses to build a text past the limit.
func tooLong() error { return fmt.Errorf("the text grows past %d bytes", MaxText) }

// hash is the function of that name: a part of the SHA-256 of the values, each with its type and length before it, so that
// neither ("ab", "c") and ("a", "bc") nor 1 and "1" are equal.
func hash(args ...any) (any, error) {
	sum := sha256.New()
	for _, arg := range args {
		s, err := textOf(arg)
		if err != nil {
			return nil, err
		}
		if v, isInt := arg.(int64); isInt {
			arg = int(v) // whole numbers of portals and literals are one type here
		}
		fmt.Fprintf(sum, "%T:%d:%s;", arg, len(s), s)
	}
	const size = 8
	return hex.EncodeToString(sum.Sum(nil)[:size]), nil
}

// elementsOf gives the elements of a list.
func elementsOf(value any) (elements []any, ok bool) {
	switch list := value.(type) {
	case []any:
		return list, true
	case []string:
		for _, s := range list {
			elements = append(elements, s)
		}
		return elements, true
	}
	return nil, false
}
