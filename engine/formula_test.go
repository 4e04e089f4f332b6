package engine_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/bxflow/bxflow/engine"
)

// No cell is a formula to a spreadsheet, all that is none stays as it is, and
// everything comes back.
func FuzzHarmlessCell(f *testing.F) {
	for _, seed := range []string{
		"", "=1+1", "@a", "+55", "-1,5", "-", "\t=1", " =1", "\r\n=1", "\u00a0=1", "＝1", "-1+cmd|' /C calc'!A0", "+1 (55)",
		"'", "''", "'=1", "''=1", "'+55", "'a", "'-a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		got := engine.HarmlessCell(cell)
		if got != cell && got != "'"+cell {
			t.Fatalf("%q becomes %q", cell, got)
		}
		if got != "" && (strings.ContainsAny(got[:1], "=@\t\r") || strings.ContainsAny(got[:1], "+-") &&
			strings.ContainsFunc(got, func(r rune) bool { return unicode.IsLetter(r) || strings.ContainsRune("=|!*^&'\"@", r) })) {
			t.Fatalf("%q becomes %q", cell, got)
		}
		if back := engine.OriginalCell(got); back != cell {
			t.Fatalf("%q becomes %q, and then %q", cell, got, back)
		}
	})
}

func TestOriginalCell(t *testing.T) {
	t.Parallel()

	for cell, want := range map[string]string{
		"'=1+1": "=1+1", "''=1+1": "'=1+1", "'-a": "-a", "'+5511999998888": "'+5511999998888", "'-1,5": "'-1,5", "'tis": "'tis", "'": "'", "=1": "=1",
	} {
		if got := engine.OriginalCell(cell); got != want {
			t.Errorf("%q comes back as %q, want %q", cell, got, want)
		}
	}
}

func TestHarmlessCell(t *testing.T) {
	t.Parallel()

	tests := map[string]string{
		"": "", "Ana": "Ana", "=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+5511999990001": "+5511999990001",
		"-12,50": "-12,50", "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0", "\t=1": "'\t=1", "a=1": "a=1", "-": "-",
	}
	for cell, want := range tests {
		if got := engine.HarmlessCell(cell); got != want {
			t.Errorf("HarmlessCell(%q) = %q, want %q", cell, got, want)
		}
	}
}
