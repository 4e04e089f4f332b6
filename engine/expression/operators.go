package expression

import (
	"errors"
	"math"
	"reflect"

	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/vm/runtime"
)

// operatorPrefix begins the names of the functions behind checked operators; no expression can write it.
const operatorPrefix = "operator "

// checkedOperator names the function that replaces an operator. Doubling a text a few times over would exhaust the memory,
// which expr-lang's budget doesn't count, and whole numbers would wrap silently.
func checkedOperator(operator string, value, left, right *nature.Nature) (name string, ok bool) {
	switch operator {
	case "+", "-", "*":
	default:
		return "", false
	}
	switch {
	case value.IsInteger:
		return operatorPrefix + operator + " int", true
	case value.Kind == reflect.String:
		return operatorPrefix + operator + " text", true
	case unknown(value) && (unknown(left) || unknown(right)):
		return operatorPrefix + operator, true
	}
	return "", false // floating point, dates, and what the check is going to refuse
}

// unknown tells a type that only the value will show.
func unknown(n *nature.Nature) bool {
	return !n.Nil && (n.Kind == reflect.Invalid || n.Kind == reflect.Interface)
}

// operators are the functions behind the checked operators.
func operators() map[string]function {
	table := make(map[string]function)
	for sign, apply := range map[string]func(a, b any) (any, error){"+": add, "-": subtract, "*": multiply} {
		call := func(args ...any) (any, error) { return apply(args[0], args[1]) }
		table[operatorPrefix+sign] = function{types: []any{new(func(any, any) any)}, call: call}
		table[operatorPrefix+sign+" int"] = function{types: []any{new(func(any, any) int)}, call: call}
		table[operatorPrefix+sign+" text"] = function{types: []any{new(func(any, any) string)}, call: call}
	}
	return table
}

// errOverflow is the fault of whole numbers that leave 64 bits.
func errOverflow() error { return errors.New("the result is too large for a whole number") }

// add is a + b.
func add(a, b any) (any, error) {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		switch {
		case !ok:
			return runtime.Add(a, b), nil
		case len(x)+len(y) > MaxText:
			return nil, tooLong()
		}
		return x + y, nil
	}
	x, y, ok := integers(a, b)
	if !ok {
		return runtime.Add(a, b), nil
	}
	if sum := x + y; (sum > x) == (y > 0) {
		return int(sum), nil
	}
	return nil, errOverflow()
}

// subtract is a - b.
func subtract(a, b any) (any, error) {
	x, y, ok := integers(a, b)
	if !ok {
		return runtime.Subtract(a, b), nil
	}
	if difference := x - y; (difference < x) == (y > 0) {
		return int(difference), nil
	}
	return nil, errOverflow()
}

// multiply is a * b.
func multiply(a, b any) (any, error) {
	x, y, ok := integers(a, b)
	if !ok {
		return runtime.Multiply(a, b), nil
	}
	if x == 0 || y == 0 {
		return 0, nil
	}
	product := x * y
	if product/y != x || x == -1 && y == math.MinInt64 || y == -1 && x == math.MinInt64 {
		return nil, errOverflow()
	}
	return int(product), nil
}

// integers gives both operands if they are whole numbers.
func integers(a, b any) (x, y int64, ok bool) {
	x, okX := integer(a)
	y, okY := integer(b)
	return x, y, okX && okY
}
