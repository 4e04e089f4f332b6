package sandbox

import (
	"slices"
	"strconv"
	"strings"
)

// resolve replaces references to the results of earlier commands, such as
// $result[c1][item][id], in the values of a command's parameters.
func (b *batch) resolve(params *array) {
	for i, val := range params.vals {
		switch v := val.(type) {
		case *array:
			b.resolve(v)
		case string:
			params.vals[i] = b.substitute(v)
		}
	}
}

const (
	// maxReference is how long a reference may be.
	maxReference = 4096
	// maxResolved is how long a text may grow by what is put into it, from where
	// on references stay as they were written. The portal runs out of memory.
	maxResolved = 1 << 20
)

// substitute resolves the references in a text. One that is the whole text
// becomes the value, of whatever type; within a longer text only scalars are
// put in, and anything else stays as it was written. A reference runs up to the
// next white space, and what follows its last bracket is lost (observed).
func (b *batch) substitute(text string) any {
	if !strings.Contains(text, "$") {
		return text
	}
	var out strings.Builder
	at, space := 0, -1
	for out.Len() < maxResolved {
		i := strings.IndexByte(text[at:], '$')
		if i < 0 {
			break
		}
		out.WriteString(text[at : at+i])
		at += i
		if space < at {
			space = len(text)
			if end := strings.IndexAny(text[at:], " \t\r\n\v\f"); end >= 0 {
				space = at + end
			}
		}
		val, ok := b.reference(text[at:min(space, at+maxReference)])
		switch {
		case ok && at == 0 && space == len(text):
			return tree(val)
		case ok && isScalar(val):
			out.WriteString(textOf(tree(val)))
			at = space
		default:
			out.WriteByte('$')
			at++
		}
	}
	out.WriteString(text[at:])
	return out.String()
}

// reference walks a reference. A step that leads nowhere ends the walk at what
// was reached so far (observed).
func (b *batch) reference(token string) (any, bool) {
	open := strings.IndexByte(token, '[')
	if open < 0 {
		return nil, false
	}
	var val any
	switch token[:open] {
	case "$result":
		val = b.results
	case "$error":
		val = b.errors
	case "$total":
		val = b.totals
	case "$next":
		val = b.nexts
	default:
		return nil, false
	}
	steps, _ := brackets(token[open:])
	if len(steps) == 0 {
		return nil, false
	}
	for _, key := range steps {
		next, ok := member(val, key)
		if !ok {
			break
		}
		val = next
	}
	return val, true
}

// member returns what a result holds under a key.
func member(val any, key string) (any, bool) {
	switch v := val.(type) {
	case object:
		return v.get(key)
	case *array:
		return v.get(key)
	case map[string]any:
		m, ok := v[key]
		return m, ok
	case []any:
		return element(v, key)
	case []object:
		return element(v, key)
	case []map[string]any:
		return element(v, key)
	case []string:
		return element(v, key)
	case []int64:
		return element(v, key)
	default:
		return nil, false
	}
}

func element[T any](list []T, key string) (any, bool) {
	n, ok := position(key)
	if !ok || n < 0 || n >= int64(len(list)) {
		return nil, false
	}
	return list[n], true
}

func isScalar(val any) bool {
	switch val.(type) {
	case nil, object, *array, map[string]any, []any, []object, []map[string]any, []string, []int64:
		return false
	default:
		return true
	}
}

// tree turns a result into the shape of parameters.
func tree(val any) any {
	switch v := val.(type) {
	case int:
		return int64(v)
	case object:
		a := &array{}
		for _, p := range v {
			a.set(p.key, tree(p.val))
		}
		return a
	case *array:
		a := &array{}
		for key, one := range v.all() {
			a.set(key, tree(one))
		}
		return a
	case map[string]any:
		a := &array{}
		for _, key := range sortedKeys(v) {
			a.set(key, tree(v[key]))
		}
		return a
	case []any:
		return treeOf(v)
	case []object:
		return treeOf(v)
	case []map[string]any:
		return treeOf(v)
	case []string:
		return treeOf(v)
	case []int64:
		return treeOf(v)
	default:
		return val
	}
}

func treeOf[T any](list []T) *array {
	a := &array{}
	for i, one := range list {
		a.set(strconv.Itoa(i), tree(one))
	}
	return a
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
