package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// Evidence is what a fault test leaves behind: the two sides of the wire, and
// what users were told.
type Evidence struct {
	Requests []sandbox.Request // in the order in which they came in
	Effects  []sandbox.Effect  // in the order in which they happened
	Items    []Item            // what the portal holds in the end
	Journals []Journal         // of one state folder, the oldest first
	Reports  []engine.Result   // as the programs printed them
	Fence    time.Duration     // as the programs were told to keep it
}

// Item is an item of the portal that carries a key.
type Item struct {
	Entity string
	ID     int64
	Key    string // xmlId or originId
}

// Journal is what a journal said when no process was at it.
type Journal struct {
	Taken time.Time // when the last process was known to be dead
	Runs  []Run
}

// Run is a run of a journal.
type Run struct {
	Header  *engine.Header
	Result  engine.Result
	Changes []Change
}

// Change is what the rules need of an [engine.Change].
type Change struct {
	Seq     int64
	Step    string
	Kind    engine.Kind
	Entity  string
	TypeID  int
	ID      int64
	Key     string // the external key
	State   engine.State
	Attempt int
	SentAt  int64
}

// Ask takes down what a portal saw and what it holds.
func (e *Evidence) Ask(p *sandbox.Portal) error {
	e.Requests, e.Effects, e.Items = p.Requests(), p.History(), nil
	type dumped struct {
		ID       int64  `json:"id"`
		XMLID    string `json:"xmlId"`
		OriginID string `json:"originId"`
	}
	var dump map[string][]dumped
	if err := json.Unmarshal(p.Dump(), &dump); err != nil {
		return err
	}
	for entity, items := range dump {
		for _, it := range items {
			if key := it.XMLID + it.OriginID; key != "" {
				e.Items = append(e.Items, Item{Entity: entity, ID: it.ID, Key: key})
			}
		}
	}
	return nil
}

// ReadJournal reads the journal of a state folder whose process is dead, and
// leaves it as it is: opening it would already mend what a crash left behind.
func ReadJournal(ctx context.Context, state string) (_ Journal, err error) {
	out := Journal{Taken: time.Now()}
	copied, err := os.MkdirTemp("", "proof-journal-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copied)) }()
	for _, name := range []string{journal.FileName, journal.FileName + "-wal"} {
		text, err := os.ReadFile(filepath.Join(state, name)) //nolint:gosec // a folder of the tests
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, err
		}
		if err := os.WriteFile(filepath.Join(copied, name), text, 0o600); err != nil { //nolint:gosec // a folder of its own
			return out, err
		}
	}
	j, err := journal.Open(ctx, copied)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	results, err := j.Runs(ctx)
	if err != nil {
		return out, err
	}
	for _, res := range slices.Backward(results) {
		r, err := readRun(ctx, j, res)
		if err != nil {
			return out, fmt.Errorf("run %s: %w", res.Run, err)
		}
		out.Runs = append(out.Runs, r)
	}
	return out, nil
}

func readRun(ctx context.Context, j *journal.Journal, res engine.Result) (Run, error) {
	run, err := j.Run(ctx, res.Run)
	if err != nil {
		return Run{}, err
	}
	out := Run{Header: run.Header(), Result: res}
	for c, err := range run.Changes(ctx, engine.Filter{}) {
		if err != nil {
			return Run{}, err
		}
		out.Changes = append(out.Changes, Change{
			Seq: c.Seq, Step: c.Step, Kind: c.Kind, Entity: c.Entity, TypeID: c.TypeID, ID: c.ID, Key: c.ExternalKey,
			State: c.State, Attempt: c.Attempt, SentAt: c.SentAt,
		})
	}
	return out, nil
}
