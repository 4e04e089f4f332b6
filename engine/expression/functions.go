package expression

import "fmt"

// FunctionDoc describes a function that expressions may call.
type FunctionDoc struct {
	Name      string
	Signature string
	Doc       string // one sentence
	Example   string // an expression, and what it gives
}

// Functions describes all functions, in the order in which documentation should show them.
func Functions() []FunctionDoc {
	var docs []FunctionDoc
	for _, group := range groups() {
		for _, f := range group {
			docs = append(docs, f.doc)
		}
	}
	return docs
}

// function is a function and what expr-lang must know of it.
type function struct {
	doc      FunctionDoc
	min, max int   // arguments; max -1: any number
	types    []any // overloads, as nil function values or pointers to them
	needsNow bool  // the frozen time is passed before the arguments
	builtin  bool  // expr-lang has it
	call     func(args ...any) (any, error)
	// literal judges an argument, counted from 0, that is written out as text, before there are values.
	literal func(argument int, text string) error
}

// arity says how many arguments the function takes.
func (f function) arity() string {
	plural := "s"
	if f.max == 1 {
		plural = ""
	}
	switch f.max {
	case -1:
		return fmt.Sprintf("%d or more arguments", f.min)
	case f.min:
		return fmt.Sprintf("%d argument%s", f.min, plural)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

// groups are all functions: those for text, conversions, Brazilian and other identities, values, lists.
func groups() [][]function {
	return [][]function{textFunctions(), conversions(), identities(), valueFunctions(), builtins()}
}

// functions is the table of all functions by name.
func functions() map[string]function {
	table := make(map[string]function)
	for _, group := range groups() {
		for _, f := range group {
			table[f.doc.Name] = f
		}
	}
	return table
}

// valueFunctions decide between values.
func valueFunctions() []function {
	return []function{
		{
			doc: FunctionDoc{
				"default", "default(value, fallback)",
				"The value, or the fallback where the value is null or blank.", `default(" ", "n/a") gives "n/a"`,
			},
			min: 2, max: 2, types: []any{new(func(any, any) any)},
			call: func(args ...any) (any, error) {
				if isBlank(args[0]) {
					return args[1], nil
				}
				return args[0], nil
			},
		},
		{
			doc: FunctionDoc{
				namePick, "pick(value, choices, fallback?)",
				"What a map has for the value, or for each of a list, in any case; a value that it has not is an error, or gives the fallback.",
				`pick("new", {"New": "Novo", "Won": "Ganho"}) gives "Novo"`,
			},
			min: 2, max: 3, types: []any{new(func(any, any) any), new(func(any, any, any) any)},
			call: pick,
		},
		{
			doc: FunctionDoc{
				"omit", "omit()",
				"Leaves the field as it is; it must be the whole value of the field.", `row.x == "" ? omit() : row.x`,
			},
			types: []any{new(func() any)},
			call:  func(...any) (any, error) { return Omitted{}, nil },
		},
		{
			doc: FunctionDoc{
				"file", "file(path)",
				"The file at a path, for a field that holds files; a path starts from the job's folder, and a blank one gives blank text.",
				`file("") gives ""`,
			},
			min: 1, max: 1, types: []any{new(func(string) any)},
			call: fileAt,
		},
		{
			doc: FunctionDoc{
				"hash", "hash(value, …)",
				"Sixteen hexadecimal digits that are always the same for the same values.", `hash("a", 1) gives "ee9051b5dc1230d1"`,
			},
			min: 1, max: -1, types: []any{new(func(...any) string)},
			call: hash,
		},
	}
}

// fileAt names a file. It is the engine that opens it: expressions reach nothing.
func fileAt(args ...any) (any, error) {
	path, err := textArg("file", args[0])
	if err != nil || blankText(path) {
		return "", err
	}
	return File{Path: clean(path)}, nil
}

// builtins are the functions of expr-lang that are left in: all that is pure, bounded and of use for a row.
func builtins() []function {
	list := func(name, signature, doc, example string) function {
		return function{doc: FunctionDoc{name, signature, doc, example}, builtin: true}
	}
	return []function{
		list("len", "len(text or list)", "The number of characters or elements.", `len("abc") gives 3`),
		list("trimPrefix", "trimPrefix(text, prefix)", "The text without the prefix.", `trimPrefix("+55 11", "+55 ") gives "11"`),
		list("trimSuffix", "trimSuffix(text, suffix)", "The text without the suffix.", `trimSuffix("12 kg", " kg") gives "12"`),
		list("hasPrefix", "hasPrefix(text, prefix)", "Whether the text begins so.", `hasPrefix("abc", "a") gives true`),
		list("hasSuffix", "hasSuffix(text, suffix)", "Whether the text ends so.", `hasSuffix("abc", "c") gives true`),
		list("indexOf", "indexOf(text, part)", "Where the part begins in the text, from 0, or -1.", `indexOf("abc", "b") gives 1`),
		list("abs", "abs(number)", "The number without its sign.", `abs(-2) gives 2`),
		list("ceil", "ceil(number)", "The next whole number up.", `ceil(1.2) gives 2.0`),
		list("floor", "floor(number)", "The next whole number down.", `floor(1.8) gives 1.0`),
		list("min", "min(number, …)", "The smallest.", `min(3, 1, 2) gives 1`),
		list("max", "max(number, …)", "The largest.", `max(3, 1, 2) gives 3`),
		list("sum", "sum(list)", "The sum of a list of numbers.", `sum([1, 2]) gives 3`),
		list("first", "first(list)", "The first element, or null.", `first(["a", "b"]) gives "a"`),
		list("last", "last(list)", "The last element, or null.", `last(["a", "b"]) gives "b"`),
		list("uniq", "uniq(list)", "The list with each element once.", `uniq([1, 1, 2]) gives [1, 2]`),
		list("sort", "sort(list)", "The list in order.", `sort([2, 1]) gives [1, 2]`),
		list("reverse", "reverse(list)", "The list from its end.", `reverse([1, 2]) gives [2, 1]`),
		list("count", "count(list, condition)", "How many elements, called #, fulfil the condition.", `count([1, 2], # > 1) gives 1`),
		list("all", "all(list, condition)", "Whether all elements fulfil the condition.", `all([1, 2], # > 0) gives true`),
		list("any", "any(list, condition)", "Whether an element fulfils the condition.", `any([1, 2], # > 1) gives true`),
		list("none", "none(list, condition)", "Whether no element fulfils the condition.", `none([1, 2], # > 2) gives true`),
		list("filter", "filter(list, condition)", "The elements that fulfil the condition.", `filter([1, 2], # > 1) gives [2]`),
		list("map", "map(list, expression)", "The list with the expression's value for each element.", `map([1, 2], # * 2) gives [2, 4]`),
		list("find", "find(list, condition)", "The first element that fulfils the condition, or null.", `find([1, 2], # > 1) gives 2`),
		list("duration", "duration(text)", "A length of time in h, m and s, to add to a date.", `now - duration("36h")`),
	}
}

// isBlank tells whether a value is null or text of nothing but white space.
func isBlank(value any) bool {
	s, ok := value.(string)
	return value == nil || ok && blankText(s)
}
