package sandbox

import (
	"strings"
)

const (
	// maxVars is how many variables PHP reads of one query (max_input_vars);
	// the rest is dropped.
	maxVars = 1000
	// maxNesting is how many brackets a key may have (max_input_nesting_level);
	// a deeper variable is dropped.
	maxNesting = 64
)

// parseQuery reads a query string as PHP's parse_str does: brackets nest,
// an empty pair appends, dots and spaces in the name become underscores, and a
// later value replaces an earlier one.
func parseQuery(query string) *array {
	into := &array{}
	addQuery(into, query)
	return into
}

// addQuery is [parseQuery] into an array that may hold values already.
func addQuery(into *array, query string) {
	vars := 0
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		if vars++; vars > maxVars {
			return
		}
		key, val, _ := strings.Cut(part, "=")
		setVariable(into, urlDecode(key), cleanText(urlDecode(val)))
	}
}

// setVariable gives a PHP variable, named like a[b][], its value.
func setVariable(into *array, name string, val any) {
	name = strings.TrimLeft(name, " ")
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	head, rest := name, ""
	if i := strings.IndexByte(name, '['); i >= 0 {
		head, rest = name[:i], name[i:]
	}
	if name == "" || name[0] == '[' {
		return
	}
	if strings.ContainsAny(head, " .") {
		head = strings.ReplaceAll(strings.ReplaceAll(head, " ", "_"), ".", "_")
	}
	path, ok := brackets(rest)
	if !ok {
		return
	}
	if rest != "" && len(path) == 0 {
		// A bracket that is never closed is part of the name.
		head += "_" + rest[1:]
	}
	place(into, cleanText(head), path, val)
}

// brackets splits "[a][][b]x" into a, "" and b: whatever follows the last
// closing bracket is ignored. It reports false for a key that nests too deep.
func brackets(s string) ([]string, bool) {
	var path []string
	for strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			break
		}
		if len(path) >= maxNesting {
			return nil, false
		}
		key := s[1:end]
		if strings.TrimLeft(key, " \t\r\n\v\f") == "" && len(key) <= 1 {
			key = ""
		}
		path = append(path, cleanText(key))
		s = s[end+1:]
	}
	return path, true
}

func place(into *array, head string, path []string, val any) {
	key, appending := head, false
	for _, next := range path {
		var child *array
		if !appending {
			if old, ok := into.get(key); ok {
				child, _ = old.(*array) // a scalar gives way to an array, as in PHP
			}
		}
		if child == nil {
			child = &array{}
			if appending {
				into.add(child)
			} else {
				into.set(key, child)
			}
		}
		into, key, appending = child, next, next == ""
	}
	if appending {
		into.add(val)
		return
	}
	into.set(key, val)
}

// urlDecode turns plus signs into spaces and %XX into bytes; a broken escape
// stays as it is, as in PHP's urldecode.
func urlDecode(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// cleanText replaces bytes that are not UTF-8: no database column of a portal
// would hold them.
func cleanText(s string) string { return strings.ToValidUTF8(s, "?") }
