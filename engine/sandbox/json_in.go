package sandbox

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep a JSON body may nest, the limit of PHP's json_decode.
const maxDepth = 512

// decodeJSON reads a JSON document into PHP's shapes, keeping the order of
// keys. It reports false for anything that PHP would refuse to decode.
func decodeJSON(body []byte) (any, bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return decodeValue(dec, 0)
}

func decodeValue(dec *json.Decoder, depth int) (any, bool) {
	tok, err := dec.Token()
	if err != nil || depth > maxDepth {
		return nil, false
	}
	switch tok := tok.(type) {
	case json.Delim:
		return decodeArray(dec, tok, depth)
	case json.Number:
		return number(string(tok)), true
	default: // nil, bool or string
		return tok, true
	}
}

func decodeArray(dec *json.Decoder, open json.Delim, depth int) (any, bool) {
	a := &array{}
	for dec.More() {
		key := strconv.FormatInt(a.next, 10)
		if open == '{' {
			tok, err := dec.Token()
			if err != nil {
				return nil, false
			}
			name, ok := tok.(string)
			if !ok {
				return nil, false
			}
			key = name
		}
		val, ok := decodeValue(dec, depth+1)
		if !ok {
			return nil, false
		}
		a.set(key, val)
	}
	_, err := dec.Token() // the closing bracket
	return a, err == nil
}

// number is a JSON number as PHP holds it: an integer where it fits 64 bits,
// else a float.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return f
}
