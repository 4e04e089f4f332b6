package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
)

// Run is the application of one plan. It implements [engine.Log]. Several
// goroutines may use it; Resume, Finish, Result and Owner are for one.
type Run struct {
	changes
	id     string
	header *engine.Header
	result engine.Result
	owner  Owner
}

// ID is the run's id.
func (r *Run) ID() string { return r.id }

// Header is the header of the plan that is applied.
func (r *Run) Header() *engine.Header {
	h := *r.header
	return &h
}

// Result is what was recorded of the run when it was loaded; while it has not
// ended, that is how it began.
func (r *Run) Result() *engine.Result {
	res := r.result
	return &res
}

// Owner is the process that applies the run, or did.
func (r *Run) Owner() Owner { return r.owner }

// Crashed says that the run has not ended and its process is known to have.
func (r *Run) Crashed() bool { return r.result.Status == engine.StatusRunning && r.owner.Gone() }

// Begin makes a run of a sealed plan, given by its whole id, in this process.
// A plan that has a run gives a [UsedError].
func (j *Journal) Begin(ctx context.Context, planID string, started time.Time) (*Run, error) {
	p, err := j.plan(ctx, planID)
	if err != nil {
		return nil, err
	}
	if err := p.Unused(); err != nil {
		return nil, err
	}
	r := &Run{changes: p.changes, id: newID(started), header: &p.header, owner: j.owner}
	r.result = engine.Result{
		Format: engine.PlanFormat, Run: r.id, Plan: planID, Job: p.header.Job, Portal: p.header.Portal.Address,
		Undoes: p.header.Undoes, Retries: p.header.Retries, Status: engine.StatusRunning, Started: started, Steps: engine.StepResults(&p.header, nil),
	}
	text, sum, err := encodeResult(&r.result)
	if err != nil {
		return nil, err
	}
	crash.At(crash.RunBeginning)
	err = j.write(ctx, true, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO runs (id, plan, job, portal, status, started, result, result_crc,
			host, pid, boot, birth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.id, r.plan, r.result.Job, p.header.Portal.ID, string(r.result.Status), started.UnixMilli(), text, sum,
			j.owner.Host, j.owner.PID, j.owner.Boot, j.owner.Birth)
		return err
	})
	if isUnique(err) { // another process was quicker
		if p, looked := j.plan(ctx, planID); looked == nil && p.used != nil {
			err = p.used
		}
	}
	if err != nil {
		return nil, err
	}
	crash.At(crash.RunBegun)
	return r, nil
}

// Resume makes the run this process's and running again. It refuses a run that
// has nothing left to do, or whose process may still be at it; of a run of this
// very process the caller knows that it is over. Whatever ended the run may have
// hurt its record, so all of it is read first: nothing is sent by a part while
// another part is damaged.
func (r *Run) Resume(ctx context.Context) error {
	if r.result.Status == engine.StatusRunning && r.owner != r.j.owner && !r.owner.Gone() {
		return fmt.Errorf("run %s: %s is at it; wait for it to end", r.id, r.owner)
	}
	if err := r.sound(ctx); err != nil {
		return err
	}
	next := r.result
	next.Status, next.Finished, next.Error = engine.StatusRunning, time.Time{}, ""
	text, sum, err := encodeResult(&next)
	if err != nil {
		return err
	}
	err = r.j.write(ctx, true, func(tx *sql.Tx) error {
		// What it was loaded with must still hold: of two processes, one gets it.
		res, err := tx.ExecContext(ctx, `UPDATE runs SET status = 'running', finished = 0, result = ?, result_crc = ?,
			host = ?, pid = ?, boot = ?, birth = ? WHERE id = ? AND status = ? AND host = ? AND pid = ? AND boot = ?
			AND birth = ? AND `+isUnfinished, text, sum, r.j.owner.Host, r.j.owner.PID, r.j.owner.Boot, r.j.owner.Birth,
			r.id, string(r.result.Status), r.owner.Host, r.owner.PID, r.owner.Boot, r.owner.Birth)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return fmt.Errorf("run %s: nothing to resume", r.id)
	})
	if err == nil {
		r.result, r.owner = next, r.j.owner
		crash.At(crash.RunResumed)
	}
	return err
}

// sound finds damage in the run's changes and in the indexes by which they are
// found.
func (r *Run) sound(ctx context.Context) error {
	if err := r.j.check(ctx, "integrity_check(changes)"); err != nil {
		return fault(r.j.path, err)
	}
	rows, err := r.j.db.QueryContext(ctx, selectRow+"WHERE plan = ? ORDER BY seq", r.plan)
	if err != nil {
		return fault(r.j.path, err)
	}
	defer rows.Close()
	reader, last := newRowReader(), int64(0)
	for ; rows.Next(); last++ {
		c, err := reader.read(rows)
		if err == nil && c.Seq != last+1 {
			err = fmt.Errorf("change %d is missing", last+1)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &DamagedError{Path: r.j.path, Fault: err.Error()}
		}
	}
	if err := rows.Err(); err != nil {
		return fault(r.j.path, err)
	}
	if last != r.n {
		return &DamagedError{Path: r.j.path, Fault: fmt.Sprintf("change %d is missing", last+1)}
	}
	return nil
}

// isUnfinished is the condition of a run that can be resumed: it never ended,
// or stopped with changes still open. A refused run wrote nothing and is over.
const isUnfinished = `(status = 'running' OR status IN ('interrupted', 'failed')
	AND EXISTS (SELECT 1 FROM changes AS c WHERE c.plan = runs.plan AND c.open = 1))`

// Sent implements [engine.Log]. It sets State, Attempt and SentAt of each
// change. A change that is in doubt or finished with may not leave.
func (r *Run) Sent(ctx context.Context, cs []*engine.Change, at time.Time) error {
	next := make([]engine.Change, len(cs))
	for i, c := range cs {
		next[i] = *c
		next[i].State, next[i].Attempt, next[i].SentAt = engine.StateSent, c.Attempt+1, at.UnixMilli()
	}
	crash.At(crash.IntentBefore)
	if err := r.save(ctx, next, saveSent, crash.IntentWritten); err != nil {
		return err
	}
	crash.At(crash.IntentDurable)
	for i, c := range cs { // nothing else of it: others may be reading that
		c.State, c.Attempt, c.SentAt = next[i].State, next[i].Attempt, next[i].SentAt
	}
	return nil
}

// Settle implements [engine.Log]. A change that is finished with may be
// recorded again, but not in another state.
func (r *Run) Settle(ctx context.Context, cs []*engine.Change) error {
	next := make([]engine.Change, len(cs))
	for i, c := range cs {
		next[i] = *c
	}
	crash.At(crash.OutcomeBefore)
	if err := r.save(ctx, next, saveOutcome, crash.OutcomeWritten); err != nil {
		return err
	}
	crash.At(crash.OutcomeDurable)
	return nil
}

// save writes the states of changes, each of which must be in a state that the
// statement allows, all of them or none.
func (r *Run) save(ctx context.Context, cs []engine.Change, statement string, written crash.Point) error {
	return r.j.write(ctx, true, func(tx *sql.Tx) error {
		update, err := tx.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		defer update.Close()
		for i := range cs {
			row, err := rowOf(&cs[i])
			if err != nil {
				return err
			}
			res, err := update.ExecContext(ctx, append(row.stateValues(), r.plan, row.Seq)...)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, r.refused(ctx, tx, &cs[i]))
			}
		}
		if err := r.keepFiles(ctx, tx, cs); err != nil {
			return err
		}
		crash.At(written)
		return nil
	})
}

// refused says why a change could not be recorded.
func (r *Run) refused(ctx context.Context, tx *sql.Tx, c *engine.Change) error {
	var state string
	err := tx.QueryRowContext(ctx, "SELECT state FROM changes WHERE plan = ? AND seq = ?", r.plan, c.Seq).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return changeError(c, fmt.Errorf("plan %s has no such change", r.header.ID))
	}
	if err != nil {
		return err
	}
	return changeError(c, fmt.Errorf("is %s already and cannot become %s", state, c.State))
}

// Made implements [engine.Log]. Refs that no change makes or deletes are left out.
func (r *Run) Made(ctx context.Context, refs []string) (map[string]engine.Made, error) {
	list, err := json.Marshal(refs)
	if err != nil {
		return nil, err
	}
	rows, err := r.j.db.QueryContext(ctx, `SELECT c.ref, c.kind, c.state, c.item_id FROM json_each(?1) AS k
		CROSS JOIN changes AS c ON c.plan = ?2 AND c.ref = k.value AND c.kind = 'create' AND c.ref <> ''
		UNION ALL SELECT c.ref, c.kind, c.state, c.item_id FROM json_each(?1) AS k
		CROSS JOIN changes AS c INDEXED BY changes_gone ON c.plan = ?2 AND c.ref = k.value AND c.kind = 'delete' AND c.ref <> ''`,
		string(list), r.plan)
	if err != nil {
		return nil, fault(r.j.path, err)
	}
	defer rows.Close()
	made := make(map[string]engine.Made, len(refs))
	for rows.Next() {
		var ref, kind, state string
		var id int64
		if err := rows.Scan(&ref, &kind, &state, &id); err != nil {
			return nil, fault(r.j.path, err)
		}
		made[ref] = engine.Made{Kind: engine.Kind(kind), State: engine.State(state), ID: id}
	}
	return made, fault(r.j.path, rows.Err())
}

// Repeats implements [engine.Log].
func (r *Run) Repeats(ctx context.Context, since time.Time) (time.Time, error) {
	return r.j.repeats(ctx, r.plan, r.Header().Portal.ID, since)
}

// repeats returns when the newest item was sent, since then, that a run on the
// portal made with the external key of a create that a plan has left to do.
func (j *Journal) repeats(ctx context.Context, plan int64, portal string, since time.Time) (time.Time, error) {
	var sent int64
	err := j.db.QueryRowContext(ctx, `WITH recent AS MATERIALIZED (
			SELECT plan FROM runs WHERE portal = ? AND (finished = 0 OR finished >= ?))
		SELECT coalesce(max(made.sent_at), 0)
		FROM recent CROSS JOIN changes AS made ON made.plan = recent.plan
		WHERE made.kind = 'create' AND made.state = 'done' AND made.sent_at >= ? AND made.external_key <> ''
		AND (made.type_id, made.external_key) IN (
			SELECT type_id, external_key FROM changes WHERE plan = ? AND kind = 'create' AND state IN ('planned', 'sent', 'unknown'))
		AND NOT EXISTS (SELECT 1 FROM recent AS later CROSS JOIN changes AS gone INDEXED BY changes_of_item
			ON gone.plan = later.plan AND gone.alters = 1 AND gone.item_id > 0
			WHERE gone.type_id = made.type_id AND gone.item_id = made.item_id AND gone.kind = 'delete' AND gone.state = 'done')`,
		portal, since.UnixMilli(), since.UnixMilli(), plan).Scan(&sent)
	if err != nil || sent == 0 {
		return time.Time{}, fault(j.path, err)
	}
	return time.UnixMilli(sent), nil
}

// Called implements [engine.Log].
func (r *Run) Called(ctx context.Context, key string, lost bool) (bool, error) {
	return r.j.Called(ctx, r.Header().Portal.ID, key, lost)
}

// Deleted implements [engine.Log].
func (r *Run) Deleted(ctx context.Context, typeID int, ids []int64, since time.Time) (map[int64]bool, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := r.j.db.QueryContext(ctx, `WITH recent AS MATERIALIZED (
			SELECT plan FROM runs WHERE portal = ?1 AND (finished = 0 OR finished >= ?2))
		SELECT gone.item_id FROM recent CROSS JOIN json_each(?3) AS k CROSS JOIN changes AS gone INDEXED BY changes_of_item
			ON gone.plan = recent.plan AND gone.alters = 1 AND gone.item_id > 0
		WHERE gone.type_id = ?4 AND gone.item_id = k.value AND gone.kind = 'delete' AND gone.state = 'done'`,
		r.Header().Portal.ID, since.UnixMilli(), string(list), typeID)
	if err != nil {
		return nil, fault(r.j.path, err)
	}
	defer rows.Close()
	deleted := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fault(r.j.path, err)
		}
		deleted[id] = true
	}
	return deleted, fault(r.j.path, rows.Err())
}

// Totals implements [engine.Log], in the order of the steps.
func (r *Run) Totals(ctx context.Context) ([]engine.Total, error) {
	rows, err := r.j.db.QueryContext(ctx, `SELECT step, kind, state, count(*) FROM changes WHERE plan = ?
		GROUP BY step_idx, step, kind, state ORDER BY step_idx, step, kind, state`, r.plan)
	if err != nil {
		return nil, fault(r.j.path, err)
	}
	defer rows.Close()
	var totals []engine.Total
	for rows.Next() {
		var step, kind, state string
		var n int
		if err := rows.Scan(&step, &kind, &state, &n); err != nil {
			return nil, fault(r.j.path, err)
		}
		totals = append(totals, engine.Total{Step: step, Kind: engine.Kind(kind), State: engine.State(state), N: n})
	}
	return totals, fault(r.j.path, rows.Err())
}

// Finish implements [engine.Log]. The ids of the result are the run's.
func (r *Run) Finish(ctx context.Context, res *engine.Result) error {
	res.Run, res.Plan = r.id, r.header.ID
	text, sum, err := encodeResult(res)
	if err != nil {
		return err
	}
	var finished int64
	if !res.Finished.IsZero() {
		finished = res.Finished.UnixMilli()
	}
	crash.At(crash.RunFinishing)
	err = r.j.write(ctx, true, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE runs SET status = ?, finished = ?, result = ?, result_crc = ? WHERE id = ?",
			string(res.Status), finished, text, sum, r.id)
		return err
	})
	if err == nil {
		r.result = *res
		crash.At(crash.RunFinished)
	}
	return err
}

// Tell notes that people are told of an end of the run, before they are. It says
// whether they are to be: once of each end, and only while the run is as this
// process left it.
func (r *Run) Tell(ctx context.Context, end engine.End) (first bool, err error) {
	if slices.Contains(r.result.Told, end) {
		return false, nil
	}
	next := r.result
	next.Told = append(slices.Clone(next.Told), end)
	return r.amend(ctx, &next)
}

// Filed notes what became of the files that the run has read. It does so only
// while the run is as it was loaded, or as this process left it.
func (r *Run) Filed(ctx context.Context, moved []engine.Moved) error {
	next := r.result
	next.Moved = moved
	_, err := r.amend(ctx, &next)
	return err
}

// amend changes the result of a run that has ended, unless somebody else has
// taken it up since.
func (r *Run) amend(ctx context.Context, next *engine.Result) (amended bool, err error) {
	text, sum, err := encodeResult(next)
	if err != nil {
		return false, err
	}
	err = r.j.write(ctx, true, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE runs SET result = ?, result_crc = ? WHERE id = ? AND status = ?
			AND host = ? AND pid = ? AND boot = ? AND birth = ?`,
			text, sum, r.id, string(r.result.Status), r.owner.Host, r.owner.PID, r.owner.Boot, r.owner.Birth)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		amended = n == 1
		return err
	})
	if amended {
		r.result = *next
	}
	return amended, err
}

func encodeResult(res *engine.Result) (text string, sum int64, err error) {
	b, err := appendJSON(nil, res)
	if err != nil {
		return "", 0, fmt.Errorf("result of run %s: %w", res.Run, err)
	}
	return string(b), checksum([]any{string(b)}), nil
}
