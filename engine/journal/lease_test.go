package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/journal"
)

func TestLease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *journal.Journal {
		j, err := journal.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	first, second := open(), open()
	lease, err := first.Lease(t.Context(), journal.Claim{Portal: "portal", Job: "import"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Lease(t.Context(), journal.Claim{Portal: "portal", Job: "other"})
	held, ok := errors.AsType[*journal.HeldError](err)
	if !ok || held.Job != "import" || held.Owner.PID != os.Getpid() {
		t.Fatalf("the second taker gets %v, want to be told of the first", err)
	}
	other, err := second.Lease(t.Context(), journal.Claim{Portal: "another portal", Job: "other"})
	if err != nil {
		t.Fatalf("another portal's lease: %v", err)
	}
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := second.Lease(short, journal.Claim{Portal: "portal", Job: "other", Wait: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting gives %v, want the context's end", err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := second.Lease(t.Context(), journal.Claim{Portal: "portal", Job: "other", Wait: true})
	if err != nil {
		t.Fatalf("a lease that was given back: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

// A shared folder keeps those off who have another journal, and a lease that
// could be had only in part leaves nothing behind.
func TestLease_shared(t *testing.T) {
	t.Parallel()
	shared := filepath.Join(t.TempDir(), "cache", "bxflow")
	first, second := openIn(t, t.TempDir()), openIn(t, t.TempDir())
	claim := journal.Claim{Portal: "portal", Job: "import", Shared: shared}
	lease, err := first.Lease(t.Context(), claim)
	must(t, err)
	must(t, lease.Unshared())
	_, err = second.Lease(t.Context(), claim)
	if held, ok := errors.AsType[*journal.HeldError](err); !ok || held.Job != "import" || held.Since.IsZero() {
		t.Fatalf("the other journal's gets %v, want to be told of the first", err)
	}
	own, err := second.Lease(t.Context(), journal.Claim{Portal: "portal"})
	if err != nil {
		t.Fatalf("what was refused is still held: %v", err)
	}
	must(t, own.Release())
	must(t, lease.Release())
	lease, err = second.Lease(t.Context(), claim)
	must(t, err)
	must(t, lease.Release())
}

// Where the shared folder can't be had, the journal's own must do.
func TestLease_withoutTheSharedFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	dir := t.TempDir()
	claim := journal.Claim{Portal: "portal", Job: "import", Shared: filepath.Join(file, "bxflow")}
	lease, err := openIn(t, dir).Lease(t.Context(), claim)
	must(t, err)
	if lease.Unshared() == nil {
		t.Error("it is said to be shared")
	}
	if _, err = openIn(t, dir).Lease(t.Context(), claim); err == nil {
		t.Error("two have the lease of one journal")
	}
	must(t, lease.Release())
}

// Who held the lease before and is gone is not named for who has it now.
func TestLease_namesNoDeadHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	lease, err := j.Lease(t.Context(), journal.Claim{Portal: "portal", Job: "import"})
	must(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "lease-*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	must(t, err)
	for name, told := range map[string]string{
		"a dead one":  strings.Replace(string(text), `"PID":`, `"PID":2147483647,"was":`, 1),
		"half of one": string(text[:len(text)/2]),
		"nothing":     "",
	} {
		must(t, os.WriteFile(files[0], []byte(told), 0o600))
		_, err := j.Lease(t.Context(), journal.Claim{Portal: "portal", Job: "other"})
		if held, ok := errors.AsType[*journal.HeldError](err); !ok || err.Error() != "another run holds the portal; wait for it with --wait" {
			t.Errorf("%s: got %v (%+v)", name, err, held)
		}
	}
	must(t, lease.Release())
}
