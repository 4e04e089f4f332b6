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

// Plan is a sealed plan. It implements [engine.Changes].
type Plan struct {
	changes
	header engine.Header
	text   string // the header's JSON
	file   string // the seal of its file, "" if it never was in one
	used   *UsedError
}

// ID is the plan's id.
func (p *Plan) ID() string { return p.header.ID }

// Header is what the plan says of itself.
func (p *Plan) Header() *engine.Header {
	h := p.header
	return &h
}

// Unused is nil for a plan that no run has begun to apply, and a [UsedError]
// for others.
func (p *Plan) Unused() error {
	if p.used == nil {
		return nil
	}
	return p.used
}

// Plan finds a plan by its id or the beginning of it; the empty text is the
// last one. Drafts are not found. The error is an [UnknownError] where the id
// fits no plan, or several.
func (j *Journal) Plan(ctx context.Context, prefix string) (*Plan, error) {
	id, err := j.find(ctx, "plan", "SELECT id FROM plans WHERE state = 'sealed' "+byPrefix, prefix)
	if err != nil {
		return nil, err
	}
	return j.plan(ctx, id)
}

// plan loads the sealed plan with an id.
func (j *Journal) plan(ctx context.Context, id string) (*Plan, error) {
	p := &Plan{changes: changes{j: j}}
	var sum, began int64
	used := UsedError{Plan: id}
	err := j.db.QueryRowContext(ctx, `SELECT p.plan, p.changes, p.header, p.header_crc, p.seal,
		coalesce(r.id, ''), coalesce(r.started, 0), coalesce(r.status, '')
		FROM plans AS p LEFT JOIN runs AS r ON r.plan = p.plan WHERE p.state = 'sealed' AND p.id = ?`, id).
		Scan(&p.plan, &p.n, &p.text, &sum, &p.file, &used.Run, &began, &used.Status)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &UnknownError{What: "plan", ID: id}
	}
	if err != nil {
		return nil, fault(j.path, err)
	}
	if used.Run != "" {
		used.Began = time.UnixMilli(began)
		p.used = &used
	}
	if checksum([]any{p.text, p.n}) != sum {
		return nil, &DamagedError{Path: j.path, Fault: fmt.Sprintf("the header of plan %s does not fit its checksum", id)}
	}
	if err := json.Unmarshal([]byte(p.text), &p.header); err != nil {
		return nil, fmt.Errorf("%s: header of plan %s: %w", j.path, id, err)
	}
	return p, nil
}

// byPrefix is the rest of a query for ids: those that begin with ?1, that which
// is ?1 before all others, the last one made first.
const byPrefix = "AND substr(id, 1, length(?1)) = ?1 ORDER BY id = ?1 DESC, rowid DESC LIMIT 5"

// find returns the one id of a query with byPrefix that is, or begins with, the
// prefix; for an empty prefix the last one made.
func (j *Journal) find(ctx context.Context, what, query, prefix string) (string, error) {
	fits, err := j.ids(ctx, query, prefix)
	if err != nil {
		return "", err
	}
	if len(fits) == 1 || len(fits) > 1 && (prefix == "" || fits[0] == prefix) {
		return fits[0], nil
	}
	return "", &UnknownError{What: what, ID: prefix, Fits: fits}
}
