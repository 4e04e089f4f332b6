package sandbox

import (
	"iter"
	"strconv"
)

// array is a PHP array, the one shape that every parameter arrives in: an
// ordered map whose keys are texts, where keys that spell an integer count as
// positions. Its values are nil, bool, int64, float64, string or *array.
//
// The order of keys is part of a request: batch commands run in it, and a sort
// order is applied in it.
type array struct {
	keys []string
	vals []any
	at   map[string]int // only once there are more than smallArray keys
	next int64          // the position that an appended value gets
}

// smallArray is how many keys are searched one by one before a map is built.
const smallArray = 12

// listOf returns an array of the values at the positions 0, 1, 2 and on.
func listOf(vals ...any) *array {
	a := &array{}
	for _, v := range vals {
		a.add(v)
	}
	return a
}

// len is the number of keys; a nil array has none.
func (a *array) len() int {
	if a == nil {
		return 0
	}
	return len(a.keys)
}

func (a *array) find(key string) int {
	if a.at != nil {
		if i, ok := a.at[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range a.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// get returns the value of a key and whether the key is there.
func (a *array) get(key string) (any, bool) {
	if a == nil {
		return nil, false
	}
	i := a.find(key)
	if i < 0 {
		return nil, false
	}
	return a.vals[i], true
}

// set gives a key its value; a key that is already there keeps its place.
func (a *array) set(key string, val any) {
	if i := a.find(key); i >= 0 {
		a.vals[i] = val
		return
	}
	a.keys = append(a.keys, key)
	a.vals = append(a.vals, val)
	switch {
	case a.at != nil:
		a.at[key] = len(a.keys) - 1
	case len(a.keys) > smallArray:
		a.at = make(map[string]int, 2*len(a.keys))
		for i, k := range a.keys {
			a.at[k] = i
		}
	}
	if n, ok := position(key); ok && n >= a.next {
		a.next = n + 1
	}
}

// add appends a value at the next free position.
func (a *array) add(val any) { a.set(strconv.FormatInt(a.next, 10), val) }

// all yields keys and values in their order.
func (a *array) all() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		if a == nil {
			return
		}
		for i, k := range a.keys {
			if !yield(k, a.vals[i]) {
				return
			}
		}
	}
}

// isList reports whether the keys are exactly 0, 1, 2 and on, in this order:
// such an array is written as a JSON list. An empty array is a list.
func (a *array) isList() bool {
	for i, k := range a.keys {
		if n, ok := position(k); !ok || n != int64(i) {
			return false
		}
	}
	return true
}

// position reports whether a key spells an integer the way PHP takes it for a
// position: no sign but a minus, no leading zeros, no spaces.
func position(key string) (int64, bool) {
	if key == "" || len(key) > 19 {
		return 0, false
	}
	if c := key[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != key {
		return 0, false
	}
	return n, true
}
