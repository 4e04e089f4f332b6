package report_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

// Changes come in order, all of those before an error come before it, and nobody
// reads on once nothing is wanted any more.
func TestAhead(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	some := func(n int64, end error) iter.Seq2[*engine.Change, error] {
		return func(yield func(*engine.Change, error) bool) {
			for seq := int64(1); seq <= n; seq++ {
				if !yield(&engine.Change{Seq: seq}, nil) {
					return
				}
			}
			if end != nil {
				yield(nil, end)
			}
		}
	}
	tests := map[string]struct {
		n, want, stop int64
		end, fault    error
		cancel        bool
	}{
		"none":                 {},
		"a few":                {n: 7, want: 7},
		"full parts":           {n: 500, want: 500},
		"many":                 {n: 10_001, want: 10_001},
		"an error at once":     {end: broken, fault: broken},
		"an error behind":      {n: 501, want: 501, end: broken, fault: broken},
		"stopped":              {n: 100_000, want: 3, stop: 3},
		"stopped and an error": {n: 3, want: 3, stop: 3, end: broken},
		"cancelled":            {n: 10, cancel: true, fault: context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancel {
				cancel()
			}
			var got int64
			var fault error
			for c, err := range report.Ahead(ctx, some(tt.n, tt.end)) {
				if err != nil {
					fault = err
					break
				}
				if got++; c.Seq != got {
					t.Fatalf("change %d comes as the %dth", c.Seq, got)
				}
				if got == tt.stop {
					break
				}
			}
			if got != tt.want && !tt.cancel || !errors.Is(fault, tt.fault) {
				t.Errorf("%d changes and %v, want %d and %v", got, fault, tt.want, tt.fault)
			}
		})
	}
}
