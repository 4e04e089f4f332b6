package table_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// read returns every row and what was wrong with the others.
func read(tb testing.TB, r io.Reader, o table.Options) (rows []table.Row, faults []string, opened *table.Reader) {
	tb.Helper()
	opened, err := table.Open(r, o)
	if err != nil {
		tb.Fatal(err)
	}
	for {
		row, err := opened.Next()
		if errors.Is(err, io.EOF) {
			return rows, faults, opened
		}
		var fault *table.RowError
		switch {
		case errors.As(err, &fault):
			faults = append(faults, err.Error())
		case err != nil:
			tb.Fatal(err)
		default:
			rows = append(rows, row)
		}
	}
}

func encode(tb testing.TB, e encoding.Encoding, text string) string {
	tb.Helper()
	encoded, err := e.NewEncoder().String(text)
	if err != nil {
		tb.Fatal(err)
	}
	return encoded
}

func TestOpen_detectsTheDelimiter(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		text     string
		options  table.Options
		want     rune
		detected bool
		header   []string
		rows     []table.Row
	}{
		"comma": {
			text: "id,name\n1,Ana\n", want: ',', detected: true,
			header: []string{"id", "name"}, rows: []table.Row{{2, []string{"1", "Ana"}}},
		},
		"semicolon where the comma is decimal": {
			text: "id;price;tax\n1;1,5;2,5\n", want: ';', detected: true,
			header: []string{"id", "price", "tax"}, rows: []table.Row{{2, []string{"1", "1,5", "2,5"}}},
		},
		"tab": {
			text: "id\tname\n1\tAna, Rio; BR\n", want: '\t', detected: true,
			header: []string{"id", "name"}, rows: []table.Row{{2, []string{"1", "Ana, Rio; BR"}}},
		},
		"pipe": {
			text: "id|name\n1|Ana\n", want: '|', detected: true,
			header: []string{"id", "name"}, rows: []table.Row{{2, []string{"1", "Ana"}}},
		},
		"delimiters inside quotes do not count": {
			text: "id;name\n1;\"a,b,c,d\"\n2;\"e,f,g,h\"\n", want: ';', detected: true,
			header: []string{"id", "name"}, rows: []table.Row{{2, []string{"1", "a,b,c,d"}}, {3, []string{"2", "e,f,g,h"}}},
		},
		"one column whose values hold a comma": {
			text: "name\nDoe, Jane\n", want: ';', detected: true,
			header: []string{"name"}, rows: []table.Row{{2, []string{"Doe, Jane"}}},
		},
		"one column whose values hold commas and semicolons": {
			text: "note\na;b, c\n", want: '\t', detected: true,
			header: []string{"note"}, rows: []table.Row{{2, []string{"a;b, c"}}},
		},
		"a sep line": {
			text: "sep=|\r\na;b|c\r\n1;2|3\r\n", want: '|',
			header: []string{"a;b", "c"}, rows: []table.Row{{3, []string{"1;2", "3"}}},
		},
		"a quoted sep line in capitals": {
			text: "\"SEP=;\"\na;b\n1;2\n", want: ';',
			header: []string{"a", "b"}, rows: []table.Row{{3, []string{"1", "2"}}},
		},
		"a sep line yields to the options": {
			text: "sep=;\na,b\n1,2\n", options: table.Options{Delimiter: ","}, want: ',',
			header: []string{"a", "b"}, rows: []table.Row{{3, []string{"1", "2"}}},
		},
		"a name": {
			text: "a\tb\n1\t2\n", options: table.Options{Delimiter: "tab"}, want: '\t',
			header: []string{"a", "b"}, rows: []table.Row{{2, []string{"1", "2"}}},
		},
		"any character": {
			text: "a§b\n1§2\n", options: table.Options{Delimiter: "§"}, want: '§',
			header: []string{"a", "b"}, rows: []table.Row{{2, []string{"1", "2"}}},
		},
		"a header alone": {
			text: "id;name", want: ';', detected: true, header: []string{"id", "name"},
		},
		"a damaged row does not sway it": {
			text: "a;b\n1;2\n3\n4;5\n", options: table.Options{}, want: ';', detected: true,
			header: []string{"a", "b"}, rows: []table.Row{{2, []string{"1", "2"}}, {4, []string{"4", "5"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			rows, _, r := read(t, strings.NewReader(tt.text), tt.options)
			if got := r.Dialect(); got.Delimiter != tt.want || got.DelimiterDetected != tt.detected {
				t.Errorf("dialect %+v, want delimiter %q, detected %t", got, tt.want, tt.detected)
			}
			if diff := cmp.Diff(tt.header, r.Header()); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.rows, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	portuguese = "cpf;nome;endereço\n123;João Conceição;Rua São José, 1º andar\n456;Ângela Núñez;Praça da Sé\n"
	russian    = "имя;город;№\nИван Петров;Москва;17\nЁлкина Мария;Санкт-Петербург, Невский проспект;18\n"
)

func TestOpen_detectsTheEncoding(t *testing.T) {
	t.Parallel()

	utf16le := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	tests := map[string]struct {
		text  string
		raw   string
		asked string
		want  table.Dialect
	}{
		"utf-8":                          {text: russian, raw: russian, want: table.Dialect{Encoding: "utf-8", EncodingDetected: true}},
		"utf-8 with a mark":              {text: portuguese, raw: "\uFEFF" + portuguese, want: table.Dialect{Encoding: "utf-8", BOM: true}},
		"ASCII":                          {text: "a;b\n1;2\n", raw: "a;b\n1;2\n", want: table.Dialect{Encoding: "utf-8", EncodingDetected: true}},
		"utf-16le with a mark":           {text: russian, raw: "\xFF\xFE" + encode(t, utf16le, russian), want: table.Dialect{Encoding: "utf-16le", BOM: true}},
		"utf-16be with a mark":           {text: russian, raw: "\xFE\xFF" + encode(t, utf16be, russian), want: table.Dialect{Encoding: "utf-16be", BOM: true}},
		"utf-16le without":               {text: portuguese, raw: encode(t, utf16le, portuguese), want: table.Dialect{Encoding: "utf-16le", EncodingDetected: true}},
		"utf-16be without":               {text: russian, raw: encode(t, utf16be, russian), want: table.Dialect{Encoding: "utf-16be", EncodingDetected: true}},
		"windows-1252":                   {text: portuguese, raw: encode(t, charmap.Windows1252, portuguese), want: table.Dialect{Encoding: "windows-1252", EncodingDetected: true}},
		"windows-1252, one letter of it": {text: "a;nome\n1;José\n", raw: "a;nome\n1;Jos\xE9\n", want: table.Dialect{Encoding: "windows-1252", EncodingDetected: true}},
		"windows-1251":                   {text: russian, raw: encode(t, charmap.Windows1251, russian), want: table.Dialect{Encoding: "windows-1251", EncodingDetected: true}},
		"windows-1251, one short name":   {text: "id;name\n1;Яна\n", raw: "id;name\n1;" + encode(t, charmap.Windows1251, "Яна") + "\n", want: table.Dialect{Encoding: "windows-1251", EncodingDetected: true}},
		"asked for by an alias":          {text: russian, raw: encode(t, charmap.Windows1251, russian), asked: "CP1251", want: table.Dialect{Encoding: "windows-1251"}},
		"asked for koi8-r":               {text: "имя;б\nЯна;2\n", raw: encode(t, charmap.KOI8R, "имя;б\nЯна;2\n"), asked: "koi8-r", want: table.Dialect{Encoding: "koi8-r"}},
		"the mark wins":                  {text: portuguese, raw: "\uFEFF" + portuguese, asked: "windows-1252", want: table.Dialect{Encoding: "utf-8", BOM: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			wantRows, _, want := read(t, strings.NewReader(tt.text), table.Options{Delimiter: ";"})
			// One byte at a time: nothing may depend on how a file arrives.
			rows, faults, r := read(t, iotest.OneByteReader(strings.NewReader(tt.raw)), table.Options{Delimiter: ";", Encoding: tt.asked})
			tt.want.Delimiter, tt.want.HeaderLine = ';', 1
			if diff := cmp.Diff(tt.want, r.Dialect()); diff != "" {
				t.Errorf("dialect (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Header(), r.Header()); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantRows, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if len(faults) > 0 {
				t.Errorf("faults: %q", faults)
			}
		})
	}
}

// A character that the sample cuts in two is no reason to doubt UTF-8.
func TestOpen_sampleEndsInsideACharacter(t *testing.T) {
	t.Parallel()

	for shift := range 4 {
		text := "a" + strings.Repeat("x", shift) + ";b\n" + strings.Repeat("1;😀\n", 100_000)
		_, faults, r := read(t, strings.NewReader(text), table.Options{})
		if r.Dialect().Encoding != "utf-8" || len(faults) > 0 {
			t.Errorf("shift %d: %v, faults %q", shift, r.Dialect(), faults)
		}
	}
}

func TestOpen_refuses(t *testing.T) {
	t.Parallel()

	cyrillic := "имя;город\nиван петров;москва\nмария;санкт-петербург невский проспект\n"
	tests := map[string]struct {
		text    string
		options table.Options
		want    string
	}{
		"an empty file":      {"", table.Options{Name: "a.csv"}, "a.csv: the file is empty; its first line must name the columns"},
		"a file of blanks":   {"\n \r\n\n", table.Options{Name: "a.csv"}, "a.csv: the file is empty; its first line must name the columns"},
		"a sep line alone":   {"sep=;\n", table.Options{}, "table: the file is empty; its first line must name the columns"},
		"an empty name":      {"a;;c;\n", table.Options{Name: "a.csv"}, "a.csv: line 1: column 2, 4 of the header has no name; name it, or remove the column (read with delimiter ';', utf-8)"},
		"a name used twice":  {"a; b;b\n", table.Options{Name: "a.csv"}, `a.csv: line 1: columns 2, 3 are all named "b"; give each its own name (read with delimiter ';', utf-8)`},
		"a missing column":   {"CPF;name;phone\n", table.Options{Require: []string{"cpf", "name", "nane", "address"}}, `table: line 1: required column "cpf" is missing; did you mean "CPF"?; required column "nane" is missing; did you mean "name"?; required column "address" is missing; the columns are "CPF", "name", "phone" (read with delimiter ';', utf-8)`},
		"an odd delimiter":   {"a;b\n", table.Options{Delimiter: "ab"}, `table: delimiter: "ab" is not one character that can separate fields; write ",", ";", "tab" or "|"`},
		"a quote delimiter":  {"a;b\n", table.Options{Delimiter: `"`}, `table: delimiter: "\"" is not one character that can separate fields; write ",", ";", "tab" or "|"`},
		"an odd encoding":    {"a;b\n", table.Options{Encoding: "utf-7"}, `table: encoding: "utf-7" is not known; write one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850`},
		"lone high letters":  {"a;b\n1;\xE0\n2;\xF3\n", table.Options{}, "table: the encoding cannot be told from the text, perhaps windows-1252 or windows-1251; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"two code pages":     {"a\n" + "Jos\xE9 Jo\xE3o\n" + "\xC8\xE2\xE0\xED\n", table.Options{}, "table: the encoding cannot be told from the text, perhaps windows-1252 or windows-1251; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"koi8-r":             {encode(t, charmap.KOI8R, cyrillic), table.Options{}, "table: the encoding cannot be told from the text, perhaps koi8-r; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"cp866":              {encode(t, charmap.CodePage866, cyrillic), table.Options{}, "table: the encoding cannot be told from the text, perhaps cp866; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"cp850":              {encode(t, charmap.CodePage850, portuguese), table.Options{}, "table: the encoding cannot be told from the text, perhaps windows-1252 or windows-1251; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"Polish":             {encode(t, charmap.Windows1250, "a\nŁódź Śląsk\nMałgorzata Wiśniewska\nżółty\n"), table.Options{}, "table: the encoding cannot be told from the text, perhaps windows-1252 or windows-1251; set encoding: to one of utf-8, utf-16le, utf-16be, windows-1252, windows-1251, windows-1250, koi8-r, cp866, cp850"},
		"a header not UTF-8": {"a;b\xFF\n", table.Options{Encoding: "utf-8"}, "table: line 1: the header has bytes that are not utf-8: \"b\\xff\"; see whether the file is damaged or name it under encoding"},
		"a quote in names":   {"a;\"b\n", table.Options{}, "table: line 1: a quoted field has text behind its closing quote, or is never closed: \"a;\\\"b\"; end the field behind the quote, and write a quote inside it as \"\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := table.Open(strings.NewReader(tt.text), tt.options)
			if err == nil {
				t.Fatal("opened")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReader_Next(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		text   string
		rows   []table.Row
		faults []string
	}{
		"line ends inside quotes": {
			text: "a;b\r\n1;\"x\r\ny\nz\"\r\n2;w\r\n",
			rows: []table.Row{{2, []string{"1", "x\ny\nz"}}, {5, []string{"2", "w"}}},
		},
		"quotes inside quotes": {
			text: "a;b\n\"say \"\"hi\"\";\";\"\"\n",
			rows: []table.Row{{2, []string{`say "hi";`, ""}}},
		},
		"blank lines and rows without content": {
			text: "\n\na;b\n\n  \n;\n1;2\r\n\r\n\"\";\" \"\n3;4",
			rows: []table.Row{{7, []string{"1", "2"}}, {10, []string{"3", "4"}}},
		},
		"line ends of an old Mac": {
			text: "a;b\r1;2\r3;4\r",
			rows: []table.Row{{2, []string{"1", "2"}}, {3, []string{"3", "4"}}},
		},
		"short and long rows": {
			text: "a;b;c\n1;2;3\n4;5\n6;7;8;9;10\n11;12;13\n",
			rows: []table.Row{{2, []string{"1", "2", "3"}}, {5, []string{"11", "12", "13"}}},
			faults: []string{
				`t.csv: line 3: column "c": 2 fields where the header has 3, the last one: "5"; add what is missing, or a bare ';' for each empty field`,
				`t.csv: line 4: 5 fields where the header has 3, behind the last column: "9;10"; put a field that holds ';' in quotes`,
			},
		},
		"a bare quote": {
			text: "a;b\n1;TV 42\" wide\n2;x\n",
			rows: []table.Row{{3, []string{"2", "x"}}},
			faults: []string{
				`t.csv: line 2: column "b": a quote stands inside a field that does not begin with one: "1;TV 42\" wide"; put the field in quotes and write the quote inside it as ""`,
			},
		},
		"two bare quotes lines apart": {
			text: "a;b\n1;TV 42\" wide\n2;x\n3;TV 50\" wide\n4;y\n",
			rows: []table.Row{{3, []string{"2", "x"}}, {5, []string{"4", "y"}}},
			faults: []string{
				`t.csv: line 2: column "b": a quote stands inside a field that does not begin with one: "1;TV 42\" wide"; put the field in quotes and write the quote inside it as ""`,
				`t.csv: line 4: column "b": a quote stands inside a field that does not begin with one: "3;TV 50\" wide"; put the field in quotes and write the quote inside it as ""`,
			},
		},
		"an open quote does not swallow the rows below": {
			text: "a;b\n1;\"x\n2;y\n3;\"z\"\n4;w\n",
			rows: []table.Row{{3, []string{"2", "y"}}, {4, []string{"3", "z"}}, {5, []string{"4", "w"}}},
			faults: []string{
				`t.csv: line 2: column "b": a quoted field has text behind its closing quote, or is never closed: "1;\"x"; end the field behind the quote, and write a quote inside it as ""`,
			},
		},
		"text behind a closing quote": {
			text: "a;b\n\"1\"x;2\n3;4\n",
			rows: []table.Row{{3, []string{"3", "4"}}},
			faults: []string{
				`t.csv: line 2: column "a": a quoted field has text behind its closing quote, or is never closed: "\"1\"x;2"; end the field behind the quote, and write a quote inside it as ""`,
			},
		},
		"a NUL byte": {
			text: "a;b\nxxxxx;yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n1;a\x00b\n2;é\x00\n3;4\n",
			rows: []table.Row{{2, []string{"xxxxx", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}}, {5, []string{"3", "4"}}},
			faults: []string{
				`t.csv: line 3: column "b": a NUL byte: "a\x00b"; see whether the file is damaged or in another encoding`,
				`t.csv: line 4: column "b": a NUL byte: "é\x00"; see whether the file is damaged or in another encoding`,
			},
		},
		"a damaged row of UTF-8": {
			text: "имя;b\nИван;1\nПё\xFFтр;2\nМария;3\n",
			rows: []table.Row{{2, []string{"Иван", "1"}}, {4, []string{"Мария", "3"}}},
			faults: []string{
				`t.csv: line 3: column "имя": bytes that are not utf-8: "Пё\xffтр"; see whether the file is damaged or name it under encoding`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			rows, faults, _ := read(t, strings.NewReader(tt.text), table.Options{Name: "t.csv"})
			if diff := cmp.Diff(tt.rows, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReader_Next_bytesTheCodePageLacks(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ encoding, bad string }{
		"windows-1251":          {"windows-1251", "x\x98"},
		"windows-1252":          {"windows-1252", "x\x81"},
		"half of a utf-16 pair": {"utf-16le", "\x00\xD8x\x00"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			wide := func(s string) string {
				if tt.encoding == "utf-16le" {
					return encode(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), s)
				}
				return s
			}
			text := wide("a;b\n1;") + tt.bad + wide("\n2;x\n")
			rows, faults, _ := read(t, strings.NewReader(text), table.Options{Encoding: tt.encoding})
			if len(rows) != 1 || len(faults) != 1 || !strings.HasPrefix(faults[0], `table: line 2: column "b": bytes that are not `+tt.encoding) {
				t.Errorf("rows %v, faults %q", rows, faults)
			}
		})
	}
}

// A row that is refused comes with the fields that could be read, so that it
// can be written to a file of rejects.
func TestReader_Next_returnsTheRowWithItsError(t *testing.T) {
	t.Parallel()

	r, err := table.Open(strings.NewReader("a;b;c\n1;2\n1;2;3;4\n1;x\"y;z\n"), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []table.Row{{2, []string{"1", "2", ""}}, {3, []string{"1", "2", "3"}}, {4, []string{"1", "", ""}}} {
		row, err := r.Next()
		if _, ok := errors.AsType[*table.RowError](err); !ok {
			t.Fatalf("error %v, want a RowError", err)
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Errorf("row (-want +got):\n%s", diff)
		}
	}
}

func TestReader_Next_capsWhatARowMayTake(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("x", 1<<20+1)
	tests := map[string]struct {
		bad  string
		want string
	}{
		"a long field":   {"1;" + long, "the field is longer than 1 MiB"},
		"a long line":    {"1;" + strings.Repeat(long, 5), "the line is longer than 4 MiB"},
		"an open quote":  {`1;"` + long, "a quoted field has text behind its closing quote, or is never closed"},
		"without a line": {strings.Repeat(long, 9), "the line is longer than 4 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			text := "a;b\n0;first\n" + tt.bad + "\n2;last\n"
			rows, faults, _ := read(t, strings.NewReader(text), table.Options{})
			want := []table.Row{{2, []string{"0", "first"}}, {4, []string{"2", "last"}}}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if len(faults) != 1 || !strings.Contains(faults[0], tt.want) || !strings.HasPrefix(faults[0], "table: line 3: ") || len(faults[0]) > 500 {
				t.Errorf("faults %.500q", faults)
			}
		})
	}
}

func TestReader_Next_passesOnWhatTheSourceSays(t *testing.T) {
	t.Parallel()

	broken := errors.New("disk is gone")
	text := "a;b\n" + strings.Repeat("1;2\n", 200_000) + "3;\"x"
	r, err := table.Open(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), table.Options{Name: "a.csv"})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for err == nil {
		_, err = r.Next()
		rows++
	}
	if rows != 200_001 || !errors.Is(err, broken) {
		t.Errorf("%d rows, then %v", rows-1, err)
	}
	if _, again := r.Next(); !errors.Is(again, broken) {
		t.Errorf("the next call returns %v", again)
	}
	if _, err := table.Open(iotest.ErrReader(broken), table.Options{}); !errors.Is(err, broken) {
		t.Errorf("Open returns %v", err)
	}
}

// endless is a table without end.
type endless struct {
	header, row []byte
	rest        []byte
	left        int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		e.rest = e.row
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func newEndless(rows int) *endless {
	header := []byte("id;nome;cpf;telefone;cidade;valor;nota;pago;plano;data\n")
	row := []byte("12345;Maria da Conceição;123.456.789-00;\"+55 (11) 98888-7777\";São Paulo;1.234,56;\"uma; nota\";sim;gold;23/11/2026\n")
	return &endless{header: header, rest: header, row: row, left: rows}
}

//nolint:paralleltest // it measures the heap, which parallel tests would share
func TestReader_Next_needsFlatMemory(t *testing.T) {
	r, err := table.Open(newEndless(300_000), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	early, rows := uint64(0), 0
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows++; rows == 1000 {
			early = held()
		}
	}
	// The whole table is more than 30 MB.
	if late := held(); rows != 300_000 || late > early+1<<20 {
		t.Errorf("%d rows, %d bytes held after 1000, %d at the end", rows, early, late)
	}
	runtime.KeepAlive(r)
}

func BenchmarkReader_Next(b *testing.B) {
	for _, name := range []string{"utf-8", "windows-1252"} {
		b.Run(name, func(b *testing.B) {
			e := newEndless(math.MaxInt)
			if name == "windows-1252" {
				e.row = []byte(encode(b, charmap.Windows1252, string(e.row)))
			}
			b.SetBytes(int64(len(e.row)))
			b.ReportAllocs()
			r, err := table.Open(e, table.Options{Encoding: name, Delimiter: ";"})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func ExampleOpen() {
	r, err := table.Open(strings.NewReader("cpf;nome\n123;Ana\n456\n"), table.Options{Name: "clients.csv"})
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, r.Dialect(), r.Header())
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		fmt.Fprintln(os.Stdout, row.Line, row.Fields, err)
	}
	// Output:
	// delimiter ';', utf-8 [cpf nome]
	// 2 [123 Ana] <nil>
	// 3 [456 ] clients.csv: line 3: column "nome": 1 field where the header has 2, the last one: "456"; add what is missing, or a bare ';' for each empty field
}

func TestOpen_headerElsewhere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		options table.Options
		header  []string
		first   table.Row
	}{
		"below other lines": {
			"Report of November; with \"quotes\n\na;b\n1;2\n", table.Options{HeaderLine: 3}, []string{"a", "b"}, table.Row{Line: 4, Fields: []string{"1", "2"}},
		},
		"given": {
			"1;2\n3;4\n", table.Options{Columns: []string{"x", "y"}}, []string{"x", "y"}, table.Row{Line: 1, Fields: []string{"1", "2"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := table.Open(strings.NewReader(tt.text), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.header, r.Header()); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			row, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.first, row); diff != "" {
				t.Errorf("first row (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := table.Open(strings.NewReader("a;b\n"), table.Options{HeaderLine: 9}); err == nil || !strings.Contains(err.Error(), "ends before line 9") {
		t.Errorf("a header below the end gives %v", err)
	}
}

// The rows that failed are read by the same job, wherever the header of its
// file stood.
func TestOpen_rowsThatComeBack(t *testing.T) {
	t.Parallel()

	for _, o := range []table.Options{{HeaderLine: 3}, {Columns: []string{"id", "name"}}, {}} {
		rows, faults, r := read(t, strings.NewReader("id;name;_line;_step;_error\n1;Ana;9;client;no\n"), o)
		if diff := cmp.Diff([]table.Row{{Line: 2, Fields: []string{"1", "Ana", "9", "client", "no"}}}, rows); diff != "" || len(faults) > 0 || len(r.Header()) != 5 {
			t.Errorf("%+v: %q, rows (-want +got):\n%s", o, faults, diff)
		}
	}
}
