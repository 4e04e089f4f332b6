package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Run finds a run by its id or the beginning of it; the empty text is the last
// one. The error is an [UnknownError] where the id fits no run, or several.
func (j *Journal) Run(ctx context.Context, prefix string) (*Run, error) {
	id, err := j.find(ctx, "run", "SELECT id FROM runs WHERE true "+byPrefix, prefix)
	if err != nil {
		return nil, err
	}
	return j.run(ctx, id)
}

// run loads the run with an id.
func (j *Journal) run(ctx context.Context, id string) (*Run, error) {
	r := &Run{id: id}
	var plan, text string
	var sum int64
	err := j.db.QueryRowContext(ctx, `SELECT p.id, r.result, r.result_crc, r.host, r.pid, r.boot, r.birth
		FROM runs AS r JOIN plans AS p USING (plan) WHERE r.id = ?`, id).
		Scan(&plan, &text, &sum, &r.owner.Host, &r.owner.PID, &r.owner.Boot, &r.owner.Birth)
	if err != nil {
		return nil, fault(j.path, err)
	}
	if r.result, err = j.decodeResult(id, text, sum); err != nil {
		return nil, err
	}
	p, err := j.plan(ctx, plan)
	if err != nil {
		return nil, err
	}
	r.changes, r.header = p.changes, &p.header
	return r, nil
}

// Runs returns what all runs did, the last one first.
func (j *Journal) Runs(ctx context.Context) ([]engine.Result, error) {
	rows, err := j.db.QueryContext(ctx, "SELECT id, result, result_crc FROM runs ORDER BY run DESC")
	if err != nil {
		return nil, fault(j.path, err)
	}
	defer rows.Close()
	var results []engine.Result
	for rows.Next() {
		var id, text string
		var sum int64
		if err := rows.Scan(&id, &text, &sum); err != nil {
			return nil, fault(j.path, err)
		}
		res, err := j.decodeResult(id, text, sum)
		if err != nil {
			return nil, err
		}
		results = append(results, res)
	}
	return results, fault(j.path, rows.Err())
}

// LastRun returns when the last run of a job that succeeded on the portal was
// planned: what changes from then on, that run has not seen. Zero if there is
// none. A retry carries only what had failed, and what was undone is to be done
// again: neither counts.
func (j *Journal) LastRun(ctx context.Context, job, portal string) (time.Time, error) {
	results, err := j.Runs(ctx)
	if err != nil {
		return time.Time{}, err
	}
	undone := map[string]bool{}
	for _, res := range results { // the last one first
		if res.Undoes != "" {
			undone[res.Undoes] = true
		}
		if res.Job != job || res.Status != engine.StatusSucceeded || res.Undoes != "" || res.Retries != "" || undone[res.Run] {
			continue
		}
		run, err := j.run(ctx, res.Run)
		if err != nil {
			return time.Time{}, err
		}
		if h := run.Header(); h.Portal.ID == portal {
			return h.Created, nil
		}
	}
	return time.Time{}, nil
}

// Unfinished returns the runs that can be resumed, the last one first: those
// that never ended, be their process dead ([Run.Crashed]) or not, and those
// that stopped with changes still open.
func (j *Journal) Unfinished(ctx context.Context) ([]*Run, error) {
	ids, err := j.ids(ctx, "SELECT id FROM runs WHERE "+isUnfinished+" ORDER BY run DESC")
	if err != nil {
		return nil, err
	}
	runs := make([]*Run, 0, len(ids))
	for _, id := range ids {
		r, err := j.run(ctx, id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// ids returns the ids that a query yields.
func (j *Journal) ids(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := j.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fault(j.path, err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fault(j.path, err)
		}
		ids = append(ids, id)
	}
	return ids, fault(j.path, rows.Err())
}

func (j *Journal) decodeResult(id, text string, sum int64) (engine.Result, error) {
	var res engine.Result
	if checksum([]any{text}) != sum {
		return res, &DamagedError{Path: j.path, Fault: fmt.Sprintf("the result of run %s does not fit its checksum", id)}
	}
	if err := json.Unmarshal([]byte(text), &res); err != nil {
		return res, fmt.Errorf("%s: result of run %s: %w", j.path, id, err)
	}
	return res, nil
}

// InDoubt returns when the last change of a portal was sent whose outcome is
// not known, by any run; the zero time if there is none. Until the portal can't
// be executing it any longer, a look-up may miss the item that it makes.
func (j *Journal) InDoubt(ctx context.Context, portal string) (time.Time, error) {
	var sent int64
	err := j.db.QueryRowContext(ctx, `SELECT coalesce(max(c.sent_at), 0) FROM runs AS r
		CROSS JOIN changes AS c ON c.plan = r.plan AND c.open = 1 AND c.state IN ('sent', 'unknown')
		WHERE r.portal = ?`, portal).Scan(&sent)
	if err != nil || sent == 0 {
		return time.Time{}, fault(j.path, err)
	}
	return time.UnixMilli(sent), nil
}

// Called implements [engine.History].
func (j *Journal) Called(ctx context.Context, portal, key string, lost bool) (bool, error) {
	var kind string
	err := j.db.QueryRowContext(ctx, `SELECT c.kind FROM changes AS c INDEXED BY changes_called JOIN runs ON runs.plan = c.plan
		WHERE c.type_id = -3 AND c.external_key <> '' AND c.external_key = ? AND runs.portal = ? AND (c.state = 'done' OR ? AND c.state IN ('quarantined', 'sent', 'unknown'))
		ORDER BY c.sent_at DESC, c.plan DESC LIMIT 1`, key, portal, lost).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return kind == string(engine.KindCreate), fault(j.path, err)
}
