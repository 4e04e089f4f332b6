package portal

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// members cuts a JSON object into its members, or a list into its entries, whose
// key is nil. Anything else has none. Keys and values are parts of the text.
//
// An answer of fifty pages is some megabytes, in objects five deep. The text is
// checked once, as a whole, when the answer is read ([answerOf]); after that
// looking for where values end is all that remains to be done. Text that is not
// JSON gives members that mean nothing.
func members(raw []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		at := skipBlank(raw, 0)
		if at == len(raw) || (raw[at] != '{' && raw[at] != '[') {
			return
		}
		named := raw[at] == '{'
		at = skipBlank(raw, at+1)
		for at < len(raw) && raw[at] != '}' && raw[at] != ']' {
			var key []byte
			if named {
				end := valueEnd(raw, at)
				key = unquote(raw[at:end])
				at = skipBlank(raw, skipBlank(raw, end)+1) // the colon
			}
			end := valueEnd(raw, at)
			if !yield(key, raw[at:end]) {
				return
			}
			at = skipBlank(raw, end)
			if at < len(raw) && raw[at] == ',' {
				at = skipBlank(raw, at+1)
			}
		}
	}
}

// member is the value of one member of an object; nil if there is none.
func member(raw []byte, name string) json.RawMessage {
	for key, value := range members(raw) {
		if string(key) == name {
			return value
		}
	}
	return nil
}

// skipBlank is where the next character stands that is no blank; at may be past
// the end.
func skipBlank(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r') {
		at++
	}
	return min(at, len(raw))
}

// valueEnd is where the value that begins at a place ends: past it, unless that
// is the end of the text.
func valueEnd(raw []byte, at int) int {
	if at >= len(raw) {
		return len(raw)
	}
	switch raw[at] {
	case '"':
		return stringEnd(raw, at)
	case '{', '[':
		return nestedEnd(raw, at)
	}
	for at++; at < len(raw); at++ {
		switch raw[at] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return at
		}
	}
	return at
}

// nestedEnd is where an object or list ends.
func nestedEnd(raw []byte, at int) int {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			at = stringEnd(raw, at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		at++
		if depth == 0 {
			break
		}
	}
	return at
}

// stringEnd is where a string ends: after the next quote that is not escaped.
func stringEnd(raw []byte, at int) int {
	for at++; at < len(raw); at++ {
		next := bytes.IndexByte(raw[at:], '"')
		if next < 0 {
			return len(raw)
		}
		backslashes := 0
		for at+next-1-backslashes >= at && raw[at+next-1-backslashes] == '\\' {
			backslashes++
		}
		at += next
		if backslashes%2 == 0 {
			return at + 1
		}
	}
	return len(raw)
}

// unquote is the text of a key. Most hold nothing that is escaped.
func unquote(raw []byte) []byte {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return raw
	}
	return []byte(s)
}
