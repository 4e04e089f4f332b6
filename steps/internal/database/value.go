package database

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxCell is how many bytes of text a cell may have.
const maxCell = 1 << 20

// textOf is a value as the other inputs give it: dates as 2006-01-02, times with
// a zone as RFC 3339 in UTC, those without as 2006-01-02T15:04:05, numbers with
// all digits, NULL as blank. The fault says why it can't be one.
func textOf(v any, kind string, lite bool) (text, fault string) {
	switch v := v.(type) {
	case nil:
	case bool:
		text = strconv.FormatBool(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	case float32:
		text = strconv.FormatFloat(float64(v), 'f', -1, 32)
	case float64:
		bits := 64
		if kind == "FLOAT4" {
			bits = 32
		}
		text = strconv.FormatFloat(v, 'f', -1, bits)
	case time.Time:
		text = timeText(v, kind)
	case string:
		text = v
	case []byte:
		if lite || binary(kind) {
			return "", "it holds bytes (" + strings.ToLower(kind) + "), not text"
		}
		text = string(v)
	default:
		text = fmt.Sprint(v)
	}
	switch {
	case len(text) > maxCell:
		return "", "it has more than 1 MiB of text"
	case !utf8.ValidString(text):
		return "", "its text is not UTF-8"
	}
	return text, ""
}

// timeText writes a time by its column's type. A zero time is none.
func timeText(t time.Time, kind string) string {
	_, offset := t.Zone()
	switch {
	case t.IsZero():
		return ""
	case kind == "DATE":
		return t.Format(time.DateOnly)
	case kind == "TIMESTAMPTZ", offset != 0:
		return t.UTC().Format(time.RFC3339Nano)
	}
	return t.Format("2006-01-02T15:04:05.999999999")
}

// binary says whether a server's type holds bytes. In SQLite all bytes are such.
func binary(kind string) bool {
	switch kind {
	case "BYTEA", "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "BIT", "GEOMETRY", "VECTOR":
		return true
	}
	return false
}
