package expression

import (
	"fmt"
	"strings"
)

// choices is what pick looks values up in.
type choices interface {
	// pick looks a value up. ok is false where there is none.
	pick(value string) (picked any, ok bool, err error)
	// lacks is the error of a value that is not there.
	lacks(value string) error
}

// pick looks a value up in a map, or each of a list. A blank value stays blank.
func pick(args ...any) (any, error) {
	from, err := choicesOf(args[1])
	if err != nil {
		return nil, err
	}
	list, ok := elementsOf(args[0])
	if !ok {
		return pickOne(args[0], from, args[2:])
	}
	picked := make([]any, len(list))
	for i, value := range list {
		if picked[i], err = pickOne(value, from, args[2:]); err != nil {
			return nil, err
		}
	}
	return picked, nil
}

func pickOne(value any, from choices, fallback []any) (any, error) {
	if isBlank(value) {
		return "", nil
	}
	text, err := textOf(value)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSpace(text)
	picked, ok, err := from.pick(text)
	switch {
	case err != nil || ok:
		return picked, err
	case len(fallback) > 0:
		return fallback[0], nil
	}
	return nil, from.lacks(text)
}

func choicesOf(value any) (choices, error) {
	switch v := value.(type) {
	case *Map:
		return v, nil
	case map[string]any:
		return written(v), nil
	}
	return nil, fmt.Errorf("pick needs a map to choose from, such as {\"New\": \"Novo\"}, not %s", describe(value))
}

// written is a map that is written out in an expression.
type written map[string]any

func (w written) pick(value string) (any, bool, error) {
	if v, ok := w[value]; ok {
		return v, true, nil
	}
	for _, key := range keys(w) {
		if strings.EqualFold(strings.TrimSpace(key), value) {
			return w[key], true, nil
		}
	}
	return nil, false, nil
}

func (w written) lacks(value string) error {
	return fmt.Errorf("there is nothing to pick for %q; %s", value, Suggest(value, keys(w)))
}

// Map is a map that a job has in a file, such as the stages of one portal and what they are on another. The function pick
// looks values up in it. Keys and values are text: 012 is another key than 12, and a number is looked up as it is written.
// Upper and lower case are equal, and so is any white space.
type Map struct {
	name, file string
	entries    map[string]mapEntry // by folded key
}

// mapEntry is a line of the file.
type mapEntry struct {
	key, value string
	line       int
}

// NewMap is an empty map. Messages call it by its name in expressions, and name the file.
func NewMap(name, file string) *Map {
	return &Map{name: name, file: file, entries: make(map[string]mapEntry)}
}

// Add adds a line of the file. A blank value is one that is still to be decided: to pick it is an error. Where the map has the
// key already, nothing is added and the line that has it is returned, else 0.
func (m *Map) Add(key, value string, line int) (first int) {
	if e, twice := m.entries[Fold(key)]; twice {
		return e.line
	}
	m.entries[Fold(key)] = mapEntry{strings.TrimSpace(key), strings.TrimSpace(value), line}
	return 0
}

// Fold is what names that are equal have in common.
func Fold(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }

func (m *Map) pick(value string) (any, bool, error) {
	e, ok := m.entries[Fold(value)]
	if ok && e.value == "" {
		return nil, true, fmt.Errorf("maps.%s leaves open what %q becomes; fill it in at %s:%d", m.name, e.key, m.file, e.line)
	}
	return e.value, ok, nil
}

func (m *Map) lacks(value string) error {
	const most = 1000 // keys that are compared: each row of a job may come here
	hint := ""
	if len(m.entries) <= most {
		known := make([]string, 0, len(m.entries))
		for _, folded := range keys(m.entries) {
			known = append(known, m.entries[folded].key)
		}
		if best, ok := Nearest(value, known); ok {
			hint = fmt.Sprintf(", which has %q", best)
		}
	}
	return fmt.Errorf("maps.%s has nothing for %q; add a line to %s%s", m.name, value, m.file, hint)
}
