package engine

import (
	"testing"
	"time"
)

// What follows a lost change of the same item stays as it is until that one is
// settled, even if the portal holds already what it wants: what comes after it
// must not leave before the lost one is over.
func TestJudgeItems_afterLost(t *testing.T) {
	t.Parallel()
	entity := &Entity{Name: "deal", TypeID: TypeDeal, Fields: []*Field{{Name: "title", Type: FieldString}, {Name: "comments", Type: FieldString}}}
	item := Item{ID: 5, Fields: map[string]any{"title": "old", "comments": "wanted"}}
	now := time.Now()
	tests := map[string]struct {
		title   string
		sent    time.Duration // ago
		lost    State
		follows State
	}{
		"still running":        {"new", time.Second, StateUnknown, StatePlanned},
		"not done and expired": {"new", time.Minute, StatePlanned, StatePlanned},
		"done":                 {"old", time.Second, StateDone, StateUnchanged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunner(&ApplyOptions{Fence: 30 * time.Second})
			lost := &Change{Seq: 1, Kind: KindUpdate, TypeID: TypeDeal, ID: 5, State: StateUnknown, SentAt: now.Add(-tt.sent).UnixMilli(), Fields: map[string]FieldChange{"title": {Before: "old", After: tt.title}}}
			next := &Change{Seq: 2, Kind: KindUpdate, TypeID: TypeDeal, ID: 5, State: StatePlanned, Fields: map[string]FieldChange{"comments": {After: "wanted"}}}
			r.judgeItems(entity, []*Change{lost, next}, [][]Item{{item}, {item}}, now)
			if lost.State != tt.lost || next.State != tt.follows {
				t.Errorf("the lost change is %s and the next %s, want %s and %s", lost.State, next.State, tt.lost, tt.follows)
			}
		})
	}
}
