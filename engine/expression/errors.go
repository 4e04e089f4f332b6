package expression

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/file"
)

var (
	// ErrNotYet is in the chain of an evaluation's error when it needs the id of an item that does not exist yet.
	ErrNotYet = errors.New("the item does not exist yet")
	// ErrNoItem is in the chain of an evaluation's error when it needs an item that its step did not make.
	ErrNoItem = errors.New("there is no item")
)

// Error is one fault of an expression or of a template.
type Error struct {
	Line, Column int    // where in the text that was given, from 1, columns counted in characters
	Msg          string // the fault
	Hint         string // the remedy, where one is known

	cause error
}

// Error puts the place first, the fault second and the remedy last.
func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text())
}

// Text is the fault and the remedy without the place.
func (e *Error) Text() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Hint
}

// Unwrap gives [ErrNotYet] or [ErrNoItem] where that is the reason.
func (e *Error) Unwrap() error { return e.cause }

// Errors are all faults of one text, in its order.
type Errors []*Error

// Error lists the faults, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults to [errors.As] and [errors.Is].
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// excerpt is the text of an expression and where it begins in the text around it.
type excerpt struct {
	text         string
	line, column int
}

// excerptOf is the part of a text that begins at an offset in characters.
func excerptOf(outer, text string, offset int) excerpt {
	line, column := excerpt{text: outer, line: 1, column: 1}.position(offset)
	return excerpt{text: text, line: line, column: column}
}

// position turns an offset in characters into a line and a column of the text around.
func (x excerpt) position(offset int) (line, column int) {
	line, column = x.line, x.column
	for _, r := range x.text {
		if offset <= 0 {
			break
		}
		offset--
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// fault is an error at an offset in characters.
func (x excerpt) fault(offset int, hint, format string, args ...any) *Error {
	line, column := x.position(offset)
	return &Error{Line: line, Column: column, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

// placed gives an error of expr-lang its place and our wording.
func (x excerpt) placed(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if fe, ok := errors.AsType[*file.Error](err); ok {
		return x.fault(fe.From, hintFor(fe.Message), "%s", reworded(fe.Message))
	}
	return x.fault(0, "", "%s", reworded(err.Error()))
}

// hintFor is the remedy for what the parser stumbles on most.
func hintFor(msg string) string {
	switch {
	case msg == "unexpected token EOF":
		return "a bracket is not closed, or a value is missing"
	case strings.HasPrefix(msg, `unexpected token Operator("=")`):
		return "compare with =="
	case strings.HasPrefix(msg, "unexpected token Identifier("):
		return `a name with spaces in it is written row["two words"], and text stands in quotes`
	}
	return ""
}

// reworded replaces the Go names in a message of expr-lang by the words of this package.
func reworded(msg string) string {
	if types, ok := strings.CutPrefix(msg, "interface conversion: interface {} is "); ok {
		is, wanted, _ := strings.Cut(types, ", not ")
		return fmt.Sprintf("a value here must be %s, this is %s", wordFor(wanted), wordFor(is))
	}
	if strings.Contains(msg, "integer divide by zero") {
		return "a division by zero"
	}
	for _, kind := range []string{"Identifier", "Operator", "Bracket", "Number", "String"} {
		if token, ok := strings.CutPrefix(msg, "unexpected token "+kind+"("); ok {
			return "unexpected " + strings.TrimSuffix(token, ")")
		}
	}
	return strings.NewReplacer(
		"unexpected token EOF", "the expression ends too early",
		"map[string]interface {}", "map", "[]interface {}", "list", "interface {}", "any", "[]string", "list",
		"non-bool expression", "this is not true or false", "time.Time", "date", "float64", "number", "int64", "whole number", "<nil>", "null",
	).Replace(strings.TrimSpace(msg))
}

// wordFor is a Go type in the words of this package.
func wordFor(goType string) string {
	switch goType {
	case "bool":
		return Bool.String()
	case "int", "int64":
		return "a " + Int.String()
	case "string":
		return String.String()
	case "nil":
		return nameNull
	}
	return reworded(goType)
}
