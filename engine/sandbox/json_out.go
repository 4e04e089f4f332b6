package sandbox

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// pair is one member of an [object].
type pair struct {
	key string
	val any
}

// object is an answer's JSON object, its members in the order written. An
// empty one is written as [], as PHP writes an empty array.
type object []pair

// get returns the value of a member and whether it is there.
func (o object) get(key string) (any, bool) {
	for _, p := range o {
		if p.key == key {
			return p.val, true
		}
	}
	return nil, false
}

// appendJSON writes a value as the portal does: json_encode with quotes, tags,
// ampersands and apostrophes as \u00XX, slashes escaped, other text as it is,
// and [] for whatever is empty. A type that no answer may hold is a mistake in
// a method, hence the panic.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendText(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case object:
		return appendObject(b, v)
	case *array:
		return appendArray(b, v)
	case map[string]any:
		return appendMap(b, v)
	case []any:
		return appendList(b, v)
	case []object:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	case []int64:
		return appendList(b, v)
	case []map[string]any:
		return appendList(b, v)
	default:
		panic(fmt.Sprintf("sandbox: a value of type %T has no JSON form", v))
	}
}

func appendList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v)
	}
	return append(b, ']')
}

func appendObject(b []byte, o object) []byte {
	if len(o) == 0 {
		return append(b, "[]"...)
	}
	b = append(b, '{')
	for i, p := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, p.key)
		b = append(b, ':')
		b = appendJSON(b, p.val)
	}
	return append(b, '}')
}

func appendArray(b []byte, a *array) []byte {
	if a.len() == 0 {
		return append(b, "[]"...)
	}
	if a.isList() {
		return appendList(b, a.vals)
	}
	b = append(b, '{')
	for i, k := range a.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, k)
		b = append(b, ':')
		b = appendJSON(b, a.vals[i])
	}
	return append(b, '}')
}

func appendMap(b []byte, m map[string]any) []byte {
	o := make(object, 0, len(m))
	for _, k := range sortedKeys(m) {
		o = append(o, pair{k, m[k]})
	}
	return appendObject(b, o)
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, '0')
	}
	if f == 0 && math.Signbit(f) {
		return append(b, "-0.0"...)
	}
	if abs := math.Abs(f); abs == 0 || abs >= 1e-4 && abs < 1e15 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	// PHP writes 7.0e-6 and 1.5e+20.
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return append(b, mantissa+"e"+exponent[:1]+strings.TrimLeft(exponent[1:], "0")...)
}

// appendText writes a JSON string. Texts are valid UTF-8: whatever comes in is
// made so where it enters.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"

	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		var esc string
		switch {
		case c == '/':
			esc = `\/`
		case c == '\\':
			esc = `\\`
		case c == '\n':
			esc = `\n`
		case c == '\r':
			esc = `\r`
		case c == '\t':
			esc = `\t`
		case c == '\b':
			esc = `\b`
		case c == '\f':
			esc = `\f`
		case c < ' ' || c == '"' || c == '\'' || c == '&' || c == '<' || c == '>':
			b = append(b, s[done:i]...)
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			done = i + 1
			continue
		case c == 0xE2 && i+2 < len(s) && s[i+1] == 0x80 && (s[i+2] == 0xA8 || s[i+2] == 0xA9):
			// PHP escapes the two Unicode line ends even where it leaves other text alone.
			b = append(b, s[done:i]...)
			b = append(b, '\\', 'u', '2', '0', '2', hex[s[i+2]&15])
			done = i + 3
			i += 2
			continue
		default:
			continue
		}
		b = append(b, s[done:i]...)
		b = append(b, esc...)
		done = i + 1
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}
