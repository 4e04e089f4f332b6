package journal_test

import (
	"math"
	"os"
	"testing"

	"github.com/bxflow/bxflow/engine/journal"
)

func TestOwner_isGone(t *testing.T) {
	t.Parallel()
	here := runOf(t, openIn(t, t.TempDir())).Owner()
	with := func(change func(*journal.Owner)) journal.Owner {
		o := here
		change(&o)
		return o
	}
	tests := map[string]struct {
		owner journal.Owner
		want  bool
	}{
		"not this process":             {here, false},
		"not one of another host":      {with(func(o *journal.Owner) { o.Host += "x"; o.PID = math.MaxInt32 }), false},
		"one of an earlier boot":       {with(func(o *journal.Owner) { o.Boot += "x" }), true},
		"one that had our number":      {with(func(o *journal.Owner) { o.Birth += "1" }), true},
		"one that there is no more":    {with(func(o *journal.Owner) { o.PID = math.MaxInt32 }), true},
		"one whose number another has": {with(func(o *journal.Owner) { o.PID = os.Getppid() }), here.Birth != ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.owner.Gone(); got != tt.want {
				t.Errorf("%+v is gone: %v, want %v", tt.owner, got, tt.want)
			}
		})
	}
}
