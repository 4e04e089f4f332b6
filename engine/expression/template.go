package expression

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	openMark  = "${{"
	closeMark = "}}"

	hintUnclosed = "close it with }}; YAML ends an unquoted value at \" #\" and breaks it at \": \", so put the value in quotes"
)

// Template is a scalar of a job file: plain text, one ${{ … }}, or text with ${{ … }} in it. It is safe for concurrent
// use. A literal "${{" is written ${{ "${{" }}.
type Template struct {
	text  string
	whole *Program // the scalar is this one expression
	parts []part
}

// part is a stretch of text, or an expression.
type part struct {
	text    string
	program *Program
}

// ParseTemplate parses a scalar and compiles the expressions in it. Its error is [Errors], placed in the text.
func ParseTemplate(text string, scope Scope) (*Template, error) {
	pieces, problem := scan(text)
	if problem != nil {
		return nil, Errors{problem}
	}
	t := &Template{text: text}
	var problems Errors
	for _, p := range pieces {
		if !p.expression {
			t.parts = append(t.parts, part{text: p.text})
			continue
		}
		program, err := compile(excerptOf(text, p.text, p.offset), scope)
		if faults, ok := errors.AsType[Errors](err); ok {
			problems = append(problems, faults...)
			continue
		}
		t.parts = append(t.parts, part{program: program})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	t.whole = wholeOf(t.parts)
	return t, nil
}

// wholeOf finds the one expression of a scalar that has nothing but white space around it.
func wholeOf(parts []part) *Program {
	var whole *Program
	for _, p := range parts {
		switch {
		case p.program == nil && strings.TrimSpace(p.text) == "":
		case p.program != nil && whole == nil:
			whole = p.program
		default:
			return nil
		}
	}
	return whole
}

// Literal gives the text of a scalar without expressions.
func (t *Template) Literal() (text string, ok bool) {
	for _, p := range t.parts {
		if p.program != nil {
			return "", false
		}
	}
	return t.text, true
}

// Whole gives the expression of a scalar that is one ${{ … }} and nothing else, whose value keeps its type.
func (t *Template) Whole() (program *Program, ok bool) { return t.whole, t.whole != nil }

// Source is the scalar's text.
func (t *Template) Source() string { return t.text }

// Uses lists the members that the expressions read, in the order of the text.
func (t *Template) Uses() []Use {
	var uses []Use
	for _, p := range t.parts {
		if p.program != nil {
			uses = append(uses, p.program.uses...)
		}
	}
	return uses
}

// Eval gives the value: that of the one expression, else text, or a [Text] if an item in it does not exist yet.
func (t *Template) Eval(env Env) (any, error) {
	if t.whole != nil {
		return t.whole.Eval(env)
	}
	var done []any
	var b strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := p.program.Eval(env)
		if err != nil {
			return nil, err
		}
		pending, err := appendText(&b, value)
		if err != nil {
			return nil, p.program.source.fault(0, "", "%s", err)
		}
		for _, piece := range pending {
			if s, ok := piece.(string); ok {
				b.WriteString(s)
				continue
			}
			done = appendString(done, b.String())
			b.Reset()
			done = append(done, piece)
		}
		if b.Len() > MaxText {
			return nil, p.program.source.fault(0, "", "%s", tooLong())
		}
	}
	if len(done) == 0 {
		return b.String(), nil
	}
	return Text{Parts: appendString(done, b.String())}, nil
}

// appendString adds a text that is not empty.
func appendString(parts []any, s string) []any {
	if s == "" {
		return parts
	}
	return append(parts, s)
}

// appendText writes a value as text, or gives the parts of one that is not all text yet.
func appendText(b *strings.Builder, value any) (pending []any, err error) {
	switch v := value.(type) {
	case Ref:
		return []any{v}, nil
	case Text:
		return v.Parts, nil
	}
	s, err := textOf(value)
	b.WriteString(s)
	return nil, err
}

// textOf writes a value as text: null as nothing, a date at midnight as 2006-01-02, any other time as RFC 3339, a list with
// commas between its elements.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case time.Time:
		if h, m, s := v.Clock(); h == 0 && m == 0 && s == 0 && v.Nanosecond() == 0 {
			return v.Format(time.DateOnly), nil
		}
		return v.Format(time.RFC3339), nil
	case []string:
		return strings.Join(v, ", "), nil
	case []any:
		texts := make([]string, len(v))
		for i, element := range v {
			var err error
			if texts[i], err = textOf(element); err != nil {
				return "", err
			}
		}
		return strings.Join(texts, ", "), nil
	}
	return "", errors.New(describe(value) + " cannot be written as text")
}

// piece is a stretch of a scalar: literal text, or what stands between ${{ and }}.
type piece struct {
	text       string
	expression bool
	offset     int // of text in the scalar, in characters
}

// scan splits a scalar at its ${{ … }}. Braces and quotes inside an expression are minded, so that {"a": {"b": 1}} and "}}"
// don't end it.
func scan(text string) ([]piece, *Error) {
	var pieces []piece
	rest, at := text, 0
	for {
		before, after, found := strings.Cut(rest, openMark)
		if before != "" {
			pieces = append(pieces, piece{text: before, offset: at})
		}
		if !found {
			return pieces, nil
		}
		at += utf8.RuneCountInString(before) + len(openMark)
		end := closing(after)
		if end < 0 {
			msg, hint := "${{ is never closed", hintUnclosed
			if strings.Contains(after, closeMark) {
				msg, hint = "${{ is never closed: a quote or a brace is open before the }}", "close the quote or brace"
			}
			return nil, excerptOf(text, text, 0).fault(at-len(openMark), hint, "%s", msg)
		}
		pieces = append(pieces, piece{text: after[:end], expression: true, offset: at})
		at += utf8.RuneCountInString(after[:end]) + len(closeMark)
		rest = after[end+len(closeMark):]
	}
}

// closing finds the }} that ends an expression, or -1.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"', '\'', '`':
			end := endOfQuote(s, i)
			if end < 0 {
				return -1
			}
			i = end
		case '{':
			depth++
		case '}':
			if depth == 0 && strings.HasPrefix(s[i:], closeMark) {
				return i
			}
			depth = max(depth-1, 0)
		case '/':
			if strings.HasPrefix(s[i:], "/*") {
				end := strings.Index(s[i+2:], "*/")
				if end < 0 {
					return -1
				}
				i += 2 + end + 1
			}
		}
	}
	return -1
}

// endOfQuote finds the end of the text that begins with a quote at i, or -1.
func endOfQuote(s string, i int) int {
	quote := s[i]
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == quote:
			return j
		case s[j] == '\\' && quote != '`':
			j++
		}
	}
	return -1
}

// unwrap takes a ${{ … }} off a condition.
func unwrap(source string) (inner excerpt, problem *Error) {
	whole := excerptOf(source, source, 0)
	if !strings.Contains(source, openMark) {
		return whole, nil
	}
	pieces, problem := scan(source)
	if problem != nil {
		return excerpt{}, problem
	}
	found := 0
	for _, p := range pieces {
		switch {
		case p.expression:
			inner = excerptOf(source, p.text, p.offset)
			found++
		case strings.TrimSpace(p.text) != "":
			found = 2
		}
	}
	if found != 1 {
		return excerpt{}, whole.fault(0, "write it without ${{ }}, or with one around the whole",
			"a condition is one expression, not text with ${{ }} in it")
	}
	return inner, nil
}
