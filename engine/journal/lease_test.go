package journal_test

import (
	"context"
	"errors"
	"os"
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
	lease, err := first.Lease(t.Context(), "portal", "import", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Lease(t.Context(), "portal", "other", false)
	held, ok := errors.AsType[*journal.HeldError](err)
	if !ok || held.Job != "import" || held.Owner.PID != os.Getpid() {
		t.Fatalf("the second taker gets %v, want to be told of the first", err)
	}
	other, err := second.Lease(t.Context(), "another portal", "other", false)
	if err != nil {
		t.Fatalf("another portal's lease: %v", err)
	}
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := second.Lease(short, "portal", "other", true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting gives %v, want the context's end", err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := second.Lease(t.Context(), "portal", "other", true)
	if err != nil {
		t.Fatalf("a lease that was given back: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
