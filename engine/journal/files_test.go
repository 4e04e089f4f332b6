package journal_test

import (
	"errors"
	"testing"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
)

// The journal knows which files runs have put where, and nothing of those that they
// found.
func TestRun_keepsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	r := runOf(t, j, creates(1, 3))
	cs := all(t, r, engine.Filter{})
	must(t, r.Sent(t.Context(), cs, at()))
	file := func(id int64, name string) engine.File {
		return engine.File{ID: id, Name: name, Size: 3, SHA256: name, Path: "/photos/" + name}
	}
	cs[0].State, cs[0].ID = engine.StateDone, 101
	cs[0].Fields["photo"] = engine.FieldChange{After: file(7, "a")}
	cs[0].Fields["docs"] = engine.FieldChange{Before: []any{engine.File{ID: 4}}, After: []any{engine.File{ID: 4}, file(8, "b"), file(0, "c")}}
	cs[1].State, cs[1].ID = engine.StateFailed, 102
	cs[1].Fields["photo"] = engine.FieldChange{After: file(0, "a")}
	cs[2].State = engine.StateUnknown
	must(t, r.Settle(t.Context(), cs))

	portal := r.Header().Portal.ID
	for _, again := range []*journal.Journal{j, openIn(t, copyOf(t, dir))} {
		r, err := again.Run(t.Context(), r.ID())
		must(t, err)
		equal(t, "changes", cs, all(t, r, engine.Filter{}))
		for _, tt := range []struct {
			portal string
			item   int64
			field  string
			want   []engine.File
		}{
			{portal, 101, "photo", []engine.File{{ID: 7, Name: "a", Size: 3, SHA256: "a"}}},
			{portal, 101, "docs", []engine.File{{Name: "c", Size: 3, SHA256: "c"}, {ID: 8, Name: "b", Size: 3, SHA256: "b"}}},
			{portal, 102, "photo", nil},
			{"another", 101, "photo", nil},
		} {
			files, err := again.Files(t.Context(), tt.portal, cs[0].TypeID, tt.item, tt.field)
			must(t, err)
			equal(t, tt.field, tt.want, files)
		}
	}
}

// A damaged note of a file is refused: it might have the file uploaded again.
func TestFiles_damaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openIn(t, dir)
	r := runOf(t, j, creates(1, 1))
	cs := all(t, r, engine.Filter{})
	must(t, r.Sent(t.Context(), cs, at()))
	cs[0].State, cs[0].ID = engine.StateDone, 101
	cs[0].Fields["photo"] = engine.FieldChange{After: engine.File{ID: 7, Name: "a", Size: 3, SHA256: "a"}}
	must(t, r.Settle(t.Context(), cs))
	must(t, j.DamageFiles(t.Context()))
	_, err := j.Files(t.Context(), r.Header().Portal.ID, cs[0].TypeID, 101, "photo")
	if _, damaged := errors.AsType[*journal.DamagedError](err); !damaged {
		t.Errorf("error %v of a damaged note", err)
	}
}
