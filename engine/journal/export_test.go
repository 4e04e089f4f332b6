package journal

import (
	"context"
	"database/sql"
	"strconv"
)

// OnCommit has f called after each commit, with whether it was awaited to be on
// disk, as the database itself says.
func (j *Journal) OnCommit(f func(durable bool, err error)) {
	j.committed = func(ctx context.Context, conn *sql.Conn) {
		var level int
		err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level)
		f(level >= 2, err) // FULL, which in WAL mode is what an fsync at commit takes
	}
}

// Lax is the run with commits that are not awaited to be on disk.
func (r *Run) Lax() *Run {
	j, run := *r.j, *r
	j.lax, run.j = true, &j
	return &run
}

// Full lets the file grow no more, as on a full disk.
func (j *Journal) Full(ctx context.Context) error {
	var pages int
	if err := j.db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	_, err := j.db.ExecContext(ctx, "PRAGMA max_page_count = "+strconv.Itoa(pages))
	return err
}
