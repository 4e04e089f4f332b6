package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/bxflow/bxflow/engine"
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

// What tests look at from inside.

// EncodeFields and DecodeFields are how the fields of a change are kept.
var (
	EncodeFields = encodeFields
	DecodeFields = decodeFields
)

// Row is a change as a row of the table, and read back. The sums are those of
// what the plan fixes and of what the run writes.
func Row(c *engine.Change) (again *engine.Change, planSum, stateSum any, err error) {
	r, err := rowOf(c)
	if err != nil {
		return nil, nil, nil, err
	}
	plan, state := r.planValues(), r.stateValues()
	again, err = r.change(newValueReader())
	return again, plan[len(plan)-1], state[len(state)-1], err
}

// Result is a result as it is kept, and read back.
func (j *Journal) Result(res *engine.Result) (text string, again engine.Result, err error) {
	text, sum, err := encodeResult(res)
	if err != nil {
		return "", again, err
	}
	again, err = j.decodeResult(res.Run, text, sum)
	return text, again, err
}

// Rewrite reads a saved plan as Import does, but for the journal, and writes
// what it read as Export does.
func Rewrite(file []byte) ([]byte, error) {
	in := &saved{r: bufio.NewReader(bytes.NewReader(file)), sum: sha256.New()}
	if err := in.header(); err != nil {
		return nil, err
	}
	text, err := appendJSON(nil, in.head)
	for n := int64(0); err == nil; {
		text = append(text, '\n')
		line, fault := in.next()
		if fault != nil {
			return nil, fault
		}
		if bytes.HasPrefix(line, []byte(`{"seal":`)) {
			_, err = in.end(line, n)
			return Sealed(text), err
		}
		n++
		c, fault := in.change(line, n)
		if fault != nil {
			return nil, fault
		}
		in.accept(line)
		if line, err = encodeChange(c); err == nil {
			text = append(text, line...)
		}
	}
	return nil, err
}

// Sealed puts a seal that fits behind the lines of a saved plan.
func Sealed(lines []byte) []byte {
	sum := sha256.Sum256(lines)
	end := seal{Seal: hex.EncodeToString(sum[:]), Changes: int64(bytes.Count(lines, []byte("\n"))) - 1}
	text, err := json.Marshal(end)
	if err != nil {
		panic(err)
	}
	return append(append(bytes.Clone(lines), text...), '\n')
}

// Empty removes all plans, so that a plan is news again.
func (j *Journal) Empty(ctx context.Context) error {
	return j.write(ctx, false, func(tx *sql.Tx) error {
		for _, table := range []string{"changes", "plans"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
}

// DamageFiles alters what is known of files.
func (j *Journal) DamageFiles(ctx context.Context) error {
	_, err := j.db.ExecContext(ctx, "UPDATE files SET file_id = file_id + 1")
	return err
}
