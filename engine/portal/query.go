package portal

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// methodBatch carries up to fifty calls in one request.
const methodBatch = "batch"

// maxVariables is how many values one command of a batch may hold: PHP drops
// those past max_input_vars, commonly 1000, without a word.
const maxVariables = 900

// call is one method to be called. Params are JSON-like: map[string]any, []any,
// string, integers, float64, json.Number, bool, nil, or a reference.
type call struct {
	Method string
	Params map[string]any
	// Name is what references of the same batch call it; empty: its place.
	Name string
	// Alone says that it is too large to go in a batch with others, percent-encoded.
	Alone bool
}

// name is that of the call as a batch's i-th command. Numeric names would turn
// the maps of the answer into lists and lose which is which.
func (c call) name(i int) string {
	if c.Name != "" {
		return c.Name
	}
	return "c" + strconv.Itoa(i)
}

// reference is a value taken from an earlier answer of the same batch:
// $result[c1][items][49][id].
type reference string

// batchQuery writes a call as a command of a batch: method?query, every key and
// value percent-encoded. Not all data can travel that way, since there every
// value is text: ok is false for null, booleans and empty lists, for keys that
// PHP would alter, and for text that the portal would take for a reference.
// Such a call goes alone, as JSON.
func batchQuery(c call) (command string, ok bool) {
	q := query{ok: true}
	if c.Alone {
		return "", false
	}
	for _, key := range sortedKeys(c.Params) {
		if strings.ContainsAny(key, ". ") {
			return "", false // PHP makes underscores of them
		}
		q.add(key, c.Params[key])
	}
	if !q.ok || q.variables > maxVariables {
		return "", false
	}
	return c.Method + "?" + q.text.String(), true
}

// query gathers the variables of a query string in PHP's notation.
type query struct {
	text      strings.Builder
	variables int
	ok        bool
}

func (q *query) add(key string, value any) {
	switch v := value.(type) {
	case map[string]any:
		q.ok = q.ok && len(v) > 0
		for _, k := range sortedKeys(v) {
			// PHP takes [ ] for [], which appends.
			q.ok = q.ok && strings.TrimSpace(k) != "" && !strings.ContainsAny(k, "[]")
			q.add(key+"["+k+"]", v[k])
		}
	case []any:
		q.ok = q.ok && len(v) > 0
		for i, e := range v {
			q.add(key+"["+strconv.Itoa(i)+"]", e)
		}
	case reference:
		q.pair(key, string(v))
	default:
		s, ok := scalarText(value)
		q.ok = q.ok && ok && !looksLikeReference(s) && !looksLikeReference(key)
		q.pair(key, s)
	}
}

func (q *query) pair(key, value string) {
	q.variables++
	if q.text.Len() > 0 {
		q.text.WriteByte('&')
	}
	q.text.WriteString(percent(key))
	q.text.WriteByte('=')
	q.text.WriteString(percent(value))
}

// scalarText is a value as text, if text says all of it.
func scalarText(value any) (s string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, !strings.ContainsRune(v, 0)
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// looksLikeReference says whether the portal would replace part of a text by an
// earlier answer of the batch; percent-encoding does not keep it from that.
func looksLikeReference(s string) bool {
	if !strings.Contains(s, "$") {
		return false
	}
	folded := strings.ToLower(s)
	return slices.ContainsFunc([]string{"$result[", "$total[", "$next[", "$error["}, func(mark string) bool {
		return strings.Contains(folded, mark)
	})
}

// percent encodes a key or value; a space is %20 and bytes that are not UTF-8
// become the replacement character, as they do in JSON.
func percent(s string) string {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// batchBody is the body of a batch of commands, in their order: the portal runs
// them one after another as the JSON object has them. Names and commands hold
// nothing that JSON would escape.
func batchBody(names, commands []string, halt bool) []byte {
	var b strings.Builder
	b.WriteString(`{"halt":`)
	if halt {
		b.WriteString(`1`)
	} else {
		b.WriteString(`0`)
	}
	b.WriteString(`,"cmd":{`)
	for i, command := range commands {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + names[i] + `":"` + command + `"`)
	}
	b.WriteString(`}}`)
	return []byte(b.String())
}

// jsonBody is the body of a call that goes alone.
func jsonBody(params map[string]any) ([]byte, error) {
	if params == nil {
		params = map[string]any{}
	}
	return json.Marshal(params)
}
