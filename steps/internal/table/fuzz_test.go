package table_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// FuzzOpen feeds any bytes: they end, in order, within the file's lines, and
// each row fits the header.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a;b\n1;2\n", "\uFEFFa,b\r\n1,\"x\r\ny\"\r\n", "sep=;\na;b\n", "a\tb\n1\t\"", "a|b\r1|2\r",
		"a;b\n\"1\"x;2\n\"\n\"\n3;4", "a;b\n\"1;2\n3;4\n5;6", "a;b\n1;a\x00b\n", portuguese, russian,
		encode(f, charmap.Windows1252, portuguese), encode(f, charmap.Windows1251, russian),
		encode(f, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), russian),
		encode(f, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), portuguese),
	} {
		f.Add([]byte(seed), "", "")
	}
	f.Add([]byte(russian), ";", "windows-1251")
	examples, err := filepath.Glob("../../../examples/*/*.csv")
	if err != nil || len(examples) == 0 {
		f.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, path := range examples {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text[:min(len(text), 2000)], "", "")
	}
	f.Fuzz(func(t *testing.T, text []byte, delimiter, encoding string) {
		o := table.Options{Delimiter: delimiter, Encoding: encoding}
		began := time.Now()
		lines := 1 + max(bytes.Count(text, []byte("\n")), bytes.Count(text, []byte("\r")))
		want := transcript(t, bytes.NewReader(text), o, lines)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		// However the bytes come in, they are the same table.
		if got := transcript(t, iotest.OneByteReader(bytes.NewReader(text)), o, lines); got != want {
			t.Errorf("read at once:\n%s\nread byte by byte:\n%s", want, got)
		}
	})
}

// transcript reads a table to its end, checks each row, and returns all that was read.
func transcript(t *testing.T, in io.Reader, o table.Options, lines int) string {
	t.Helper()
	var b strings.Builder
	r, err := table.Open(in, o)
	if err != nil {
		checkText(t, err.Error())
		return err.Error()
	}
	header := r.Header()
	for i, name := range header {
		if name == "" || slices.Contains(header[:i], name) || !utf8.ValidString(name) {
			t.Fatalf("header %q", header)
		}
	}
	fmt.Fprintf(&b, "%v %q\n", r.Dialect(), header)
	for last := 0; ; {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			fmt.Fprintf(&b, "%d blank", r.Blank())
			return b.String()
		}
		var fault *table.RowError
		switch {
		case err == nil:
			for _, field := range row.Fields {
				if !utf8.ValidString(field) || strings.Contains(field, "\x00") {
					t.Fatalf("line %d holds %q, and nothing is said", row.Line, field)
				}
			}
		case !errors.As(err, &fault):
			t.Fatal(err)
		case fault.Line != row.Line || fault.Fault == "" || fault.Column != "" && !slices.Contains(header, fault.Column):
			t.Fatalf("the fault %+v of line %d", fault, row.Line)
		default:
			checkText(t, err.Error())
		}
		if row.Line <= last || row.Line > lines {
			t.Fatalf("line %d after line %d of %d lines", row.Line, last, lines)
		}
		if last = row.Line; len(row.Fields) != len(header) {
			t.Fatalf("line %d: %d fields for %d columns", row.Line, len(row.Fields), len(header))
		}
		fmt.Fprintf(&b, "%d %q %v\n", row.Line, row.Fields, err)
	}
}

// checkText checks that an error is words and nothing that a terminal obeys.
func checkText(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if !strconv.IsPrint(r) {
			t.Fatalf("an error has %q in it: %q", r, text)
		}
	}
	const page = 4096
	if len(text) > page {
		t.Fatalf("an error of %d bytes: %q", len(text), text[:page])
	}
}

// FuzzReader_Next_readsWhatWasWritten writes a sound table and reads it back.
func FuzzReader_Next_readsWhatWasWritten(f *testing.F) {
	f.Add("x", "y", "z")
	f.Add("a\nb", `"`, ";,\t|")
	f.Add(" ", "\r\n", "имя")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{a, b, c, "end"}
		for i, s := range want {
			// What the package refuses, and what the writer itself alters.
			s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
			want[i] = strings.ReplaceAll(s, "\r", "")
		}
		var text strings.Builder
		w := csv.NewWriter(&text)
		for _, record := range [][]string{{"c1", "c2", "c3", "c4"}, want, want} {
			if err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		rows, faults, _ := read(t, strings.NewReader(text.String()), table.Options{Delimiter: ",", Encoding: "utf-8"})
		if len(faults) > 0 || len(rows) != 2 {
			t.Fatalf("%d rows, faults %q, of %q", len(rows), faults, text.String())
		}
		for _, row := range rows {
			for i, field := range row.Fields {
				if field != engine.OriginalCell(want[i]) {
					t.Errorf("field %d is %q, want %q", i, field, want[i])
				}
			}
		}
	})
}
