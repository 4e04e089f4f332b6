package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Values come back with the types that they went in with. JSON has most of
// them: null, texts, true and false, lists; a number is an int64 when it has
// neither point nor exponent, else a float64. What JSON lacks is an object
// with one key, which no plain value is:
//
//	{"$ref": "client@clients.csv:12"}   the id of a planned item
//	{"$text": ["Card of ", {"$ref": …}]} text with such ids in it
//	{"$multi": [{"value": "+55…"}]}     rows of a multifield
//	{"$file": ["a.png", 81, "9f…", 0, "/…"]} name, size, SHA-256, id and path of a file
//	{"$map": {…}}                       a map
const (
	tagRef   = "$ref"
	tagText  = "$text"
	tagMulti = "$multi"
	tagFile  = "$file"
	tagMap   = "$map"
)

// encodeFields writes the fields of a change, by name; nothing for none.
func encodeFields(fields map[string]engine.FieldChange) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	b := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendFieldChange(b, name, fields[name]); err != nil {
			return "", fmt.Errorf("field %q: %w", name, err)
		}
	}
	return string(append(b, '}')), nil
}

func appendFieldChange(b []byte, name string, f engine.FieldChange) ([]byte, error) {
	b, err := appendText(b, name)
	if err != nil {
		return nil, err
	}
	b = append(b, `:{"before":`...)
	if b, err = appendValue(b, f.Before); err != nil {
		return nil, err
	}
	b = append(b, `,"after":`...)
	if b, err = appendValue(b, f.After); err != nil {
		return nil, err
	}
	for _, rows := range []struct {
		key  string
		list []engine.MultiValue
	}{{`,"add":`, f.Add}, {`,"remove":`, f.Remove}} {
		if len(rows.list) == 0 {
			continue
		}
		if b, err = appendMulti(append(b, rows.key...), rows.list); err != nil {
			return nil, err
		}
	}
	if f.Drifted {
		if b, err = appendValue(append(b, `,"drifted":true,"now":`...), f.Now); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendValue writes one value.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendText(b, v)
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case json.Number:
		return appendNumber(b, v)
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, anys(v))
	case map[string]any:
		return appendMap(b, v)
	case []engine.MultiValue:
		b, err := appendMulti(append(b, `{"`+tagMulti+`":`...), v)
		return append(b, '}'), err
	case engine.File:
		b, err := appendList(append(b, `{"`+tagFile+`":`...), []any{v.Name, v.Size, v.SHA256, v.ID, v.Path})
		return append(b, '}'), err
	case expression.Ref:
		b, err := appendText(append(b, `{"`+tagRef+`":`...), v.Step)
		return append(b, '}'), err
	case expression.Text:
		b, err := appendList(append(b, `{"`+tagText+`":`...), v.Parts)
		return append(b, '}'), err
	}
	return nil, fmt.Errorf("a value of type %T cannot be kept", v)
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, m map[string]any) ([]byte, error) {
	b = append(b, `{"`+tagMap+`":{`...)
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, key); err != nil {
			return nil, err
		}
		if b, err = appendValue(append(b, ':'), m[key]); err != nil {
			return nil, err
		}
	}
	return append(b, "}}"...), nil
}

func appendMulti(b []byte, rows []engine.MultiValue) ([]byte, error) {
	b = append(b, '[')
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if r.ID != 0 {
			b = append(strconv.AppendInt(append(b, `"id":`...), r.ID, 10), ',')
		}
		var err error
		if r.Type != "" {
			if b, err = appendText(append(b, `"type":`...), r.Type); err != nil {
				return nil, err
			}
			b = append(b, ',')
		}
		if b, err = appendText(append(b, `"value":`...), r.Value); err != nil {
			return nil, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// appendText writes a text. Most need no escapes.
func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errNotUTF8(s)
	}
	plain := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) < 0
	if plain {
		return append(append(append(b, '"'), s...), '"'), nil
	}
	return appendJSON(b, s)
}

// appendJSON writes v as it is, without the escapes that HTML would need. Bytes
// that are no UTF-8 become U+FFFD.
func appendJSON(b []byte, v any) ([]byte, error) {
	text, err := plainJSON(b, v)
	if err != nil || !bytes.Contains(text[len(b):], []byte(`\ufffd`)) {
		return text, err
	}
	// Such bytes are written in another way than the U+FFFD as which they are
	// read back, and a saved plan must be written twice alike.
	read := reflect.New(reflect.TypeOf(v))
	if err := json.Unmarshal(text[len(b):], read.Interface()); err != nil {
		return nil, err
	}
	return plainJSON(b, read.Elem().Interface())
}

func plainJSON(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// appendFloat writes a number so that it is read as a float64 again.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v is not a number that can be kept", f)
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	b = append(b, text...)
	if !strings.ContainsAny(text, ".e") {
		b = append(b, ".0"...)
	}
	return b, nil
}

func appendNumber(b []byte, n json.Number) ([]byte, error) {
	if _, err := decodeNumber(string(n)); err != nil || !json.Valid([]byte(n)) {
		return nil, fmt.Errorf("%q is not a number", string(n))
	}
	return append(b, n...), nil
}

func errNotUTF8(s string) error { return fmt.Errorf("text %q is not UTF-8", s) }

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}
