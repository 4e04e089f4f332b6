package table_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// objects reads a JSON table to its end: its rows with the faults among them.
func objects(text string, o table.Options) (header []string, got []string, err error) {
	o.Name = "in.json"
	r, err := table.OpenObjects(strings.NewReader(text), o)
	if err != nil {
		return nil, nil, err
	}
	for {
		row, err := r.Next()
		var fault *table.RowError
		switch {
		case errors.Is(err, io.EOF):
			return r.Header(), got, nil
		case errors.As(err, &fault):
			got = append(got, err.Error())
		case err != nil:
			return r.Header(), got, err
		default:
			got = append(got, strings.Join(row.Fields, "|"))
		}
	}
}

func TestOpenObjects_rows(t *testing.T) {
	t.Parallel()
	const long = `{"a": "` + "x"
	for name, c := range map[string]struct {
		text   string
		header []string
		rows   []string
	}{
		"a line each": {
			"\uFEFF{\"a\": 1.50, \"b\": \"x\"}\r\n\n{\"c\": [1, {\"d\": 2}], \"a\": null}\n{\"b\": true}",
			[]string{"a", "b", "c"},
			[]string{"1.50|x|", `||[1,{"d":2}]`, "|true|"},
		},
		"an array": {
			"[\n {\"id\": 12345678901234567890},\n\n {\"id\": \"a\\nb\",\n  \"n\": 1}\n]\n",
			[]string{"id", "n"},
			[]string{"12345678901234567890|", "a\nb|1"},
		},
		"faults among lines": {
			"{\"a\": 1}\n{\"a\": }\n[1]\n{\"a\": 1, \"a\": 2}\n{\"a\": \"\\u0000\"}\n{\"a\": \"\xff\xfe\"}\n{\"a\": 2}",
			[]string{"a"},
			[]string{
				"1",
				`in.json: line 2: not sound JSON: invalid character '}' looking for beginning of value (byte 7): "{\"a\": }"; correct the JSON of this row`,
				`in.json: line 3: this is not a JSON object: "[1]"; write {"name": value, …}`,
				`in.json: line 4: the object has "a" twice: "{\"a\": 1, \"a\": 2}"; correct the JSON of this row`,
				`in.json: line 5: column "a": a NUL byte: "\x00"; see whether the file is damaged or in another encoding`,
				`in.json: line 6: bytes that are not utf-8: "{\"a\": \"\xff\xfe\"}"; see whether the file is damaged or name it under encoding`,
				"2",
			},
		},
		"a fault in an array": {
			"[{\"a\": 1},\n 7,\n {\"a\": 2}]",
			[]string{"a"},
			[]string{"1", `in.json: line 2: this is not a JSON object: "7"; write {"name": value, …}`, "2"},
		},
		"a line of 10 MB": {
			long + strings.Repeat("x", 10<<20) + "\"}\n{\"a\": 2}\n",
			[]string{"a"},
			[]string{"in.json: line 1: the line is longer than 4 MiB; write one object a line", "2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := table.Options{}
			if strings.Contains(c.text, "\xff") {
				o.Encoding = "utf-8"
			}
			header, rows, err := objects(c.text, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.header, header); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.rows, rows); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOpenObjects_refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		o    table.Options
		want string
	}{
		"nothing":          {"", table.Options{}, "there is no JSON object"},
		"a delimiter":      {"{}", table.Options{Delimiter: ";"}, "delimiter: and header: are for delimited text"},
		"a missing column": {`{"a": 1}`, table.Options{Require: []string{"b"}}, `"b"`},
		"a cut array":      {"[{\"a\": 1},\n{\"a\"", table.Options{}, "in.json: line 2: the file ends inside the JSON"},
		"text behind":      {"[{\"a\": 1}]\n{}", table.Options{}, "text stands behind the end of the array"},
		"a huge element":   {`[{"a": "` + strings.Repeat("x", 10<<20), table.Options{}, "an element is longer than 4 MiB"},
		"great depth":      {strings.Repeat("[", 1<<20), table.Options{}, "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := objects(c.text, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// FuzzOpenObjects feeds any bytes: rows fit the header, lines don't go back,
// and every fault is printable.
func FuzzOpenObjects(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"a": 1}`, "[]", "[{\"a\": 1},\n{\"b\": [null]}]", "{\"a\": 1}\n{\"a\": }\n{\"b\": \"\\ud800\"}", "[1,", "[[[[", "\xff\xfe{\x00}\x00",
		"{\"a\": \"\x00\"}", `{"": 1}`, `{"a": 1, "a": 2}`, "\uFEFF[{\"x\": true}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := table.OpenObjects(bytes.NewReader(text), table.Options{})
		if err != nil {
			checkText(t, err.Error())
			return
		}
		header := slices.Clone(r.Header())
		for last := 0; ; {
			row, err := r.Next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				checkText(t, err.Error())
				if _, ok := errors.AsType[*table.RowError](err); !ok {
					return
				}
			}
			if row.Line < last || len(row.Fields) != len(header) || !slices.Equal(header, r.Header()) {
				t.Fatalf("line %d after %d, %q under %q of %q", row.Line, last, row.Fields, r.Header(), header)
			}
			for _, field := range row.Fields {
				if !utf8.ValidString(field) || strings.Contains(field, "\x00") {
					t.Fatalf("line %d holds %q, and nothing is said", row.Line, field)
				}
			}
			last = row.Line
		}
	})
}
