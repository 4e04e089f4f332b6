package table_test

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/bxflow/bxflow/steps/internal/table"
)

// FuzzOpen feeds any bytes: they end, in order, within the file's lines, and
// each row fits the header.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a;b\n1;2\n", "\uFEFFa,b\r\n1,\"x\r\ny\"\r\n", "sep=;\na;b\n", "a\tb\n1\t\"", "a|b\r1|2\r",
		"a;b\n\"1\"x;2\n\"\n\"\n3;4", "a;b\n1;a\x00b\n", portuguese, russian,
		encode(f, charmap.Windows1252, portuguese), encode(f, charmap.Windows1251, russian),
		encode(f, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), russian),
		encode(f, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), portuguese),
	} {
		f.Add([]byte(seed), "", "")
	}
	f.Add([]byte(russian), ";", "windows-1251")
	f.Fuzz(func(t *testing.T, text []byte, delimiter, encoding string) {
		r, err := table.Open(strings.NewReader(string(text)), table.Options{Delimiter: delimiter, Encoding: encoding})
		if err != nil {
			return
		}
		last := 0
		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			var fault *table.RowError
			if err != nil && !errors.As(err, &fault) {
				t.Fatal(err)
			}
			if row.Line <= last || row.Line > len(text)+1 {
				t.Fatalf("line %d after line %d of %d bytes", row.Line, last, len(text))
			}
			if last = row.Line; len(row.Fields) != len(r.Header()) {
				t.Fatalf("line %d: %d fields for %d columns", row.Line, len(row.Fields), len(r.Header()))
			}
		}
	})
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
				if field != want[i] {
					t.Errorf("field %d is %q, want %q", i, field, want[i])
				}
			}
		}
	})
}
