package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/daemon"
)

// Whatever the file of a history holds, it is refused with its name and what to
// do, or what is added to it is there when it is opened again.
func FuzzHistory(f *testing.F) {
	for _, text := range []string{
		"", "null", "{}", "[]", `{"a":"2026-11-23T06:00:00Z"}`, `{"a":null}`, `{"a":"9999-12-31T23:59:59.999999999+23:59"}`, `{"a":"0000-01-01T00:00:00Z"}`, `{"\ud800":"x"}`, `{"a":1} x`,
	} {
		f.Add([]byte(text), "a", int64(1_700_000_000))
	}
	dir := f.TempDir()
	open := func(tb testing.TB) (*daemon.History, error) {
		tb.Helper()
		return daemon.OpenHistory(dir)
	}
	f.Fuzz(func(t *testing.T, text []byte, name string, unix int64) {
		path := filepath.Join(dir, "schedule.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := open(t)
		if err != nil {
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
				t.Fatalf("it is refused with %q", err)
			}
			return
		}
		due := time.Unix(unix%(200*365*24*3600), 0).UTC()
		name = strings.ToValidUTF8(name, "?")
		if err := h.Fired(t.Context(), name, due); err != nil {
			t.Fatalf("%q keeps nothing: %v", text, err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := open(t)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if got, err := again.Last(t.Context(), name); err != nil || !got.Equal(due) {
			t.Fatalf("%q was due at %v, and is then %v, %v", name, due, got, err)
		}
	})
}
