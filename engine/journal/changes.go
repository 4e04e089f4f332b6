package journal

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine"
)

// A page is what is read of the changes at a time. No read lasts longer: a
// slow consumer would else keep the write-ahead log from being folded in.
const (
	pageRows  = 1000
	pageBytes = 4 << 20
)

// changes reads the changes of one plan.
type changes struct {
	j    *Journal
	plan int64
	n    int64 // how many there are, -1 while that may change
}

// Changes implements [engine.Changes]. Changes that are appended or written
// meanwhile are seen if they come after the place reached.
func (cs *changes) Changes(ctx context.Context, f engine.Filter) iter.Seq2[*engine.Change, error] {
	return func(yield func(*engine.Change, error) bool) {
		if f.Reverse {
			cs.reversed(ctx, f, yield)
			return
		}
		all := len(f.Kinds) == 0 && len(f.States) == 0 && f.Step == "" && f.Limit == 0 && f.Before == 0
		for left := f.Limit; ; {
			page, err := cs.page(ctx, f, left)
			for _, c := range page {
				if all && c.Seq != f.After+1 {
					err = &DamagedError{Path: cs.j.path, Fault: fmt.Sprintf("change %d is missing", f.After+1)}
					break
				}
				f.After = c.Seq
				if !yield(c, nil) {
					return
				}
			}
			if err == nil && len(page) == 0 && all && f.After < cs.n {
				err = &DamagedError{Path: cs.j.path, Fault: fmt.Sprintf("change %d is missing", f.After+1)}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			left -= len(page)
			if len(page) == 0 || f.Limit > 0 && left <= 0 {
				return
			}
		}
	}
}

// reversed yields changes, the last one first.
func (cs *changes) reversed(ctx context.Context, f engine.Filter, yield func(*engine.Change, error) bool) {
	for left := f.Limit; ; {
		page, err := cs.page(ctx, f, left)
		for _, c := range page {
			f.Before = c.Seq
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
			return
		}
		left -= len(page)
		if len(page) == 0 || f.Limit > 0 && left <= 0 {
			return
		}
	}
}

// page reads the next changes, at most limit unless that is 0. On an error it
// returns the changes before it as well.
func (cs *changes) page(ctx context.Context, f engine.Filter, limit int) ([]*engine.Change, error) {
	if limit <= 0 || limit > pageRows {
		limit = pageRows
	}
	where, args := condition(cs.plan, f)
	order := " ORDER BY seq LIMIT ?"
	if f.Reverse {
		order = " ORDER BY seq DESC LIMIT ?"
	}
	return cs.j.query(ctx, selectRow+where+order, append(args, limit)...)
}

// condition writes a filter as SQL.
func condition(plan int64, f engine.Filter) (string, []any) {
	index := ""
	where := []string{"plan = ?", "seq > ?"}
	args := []any{plan, f.After}
	if f.Before > 0 {
		where = append(where, "seq < ?")
		args = append(args, f.Before)
	}
	if f.Step != "" {
		where = append(where, "step = ?")
		args = append(args, f.Step)
	}
	if len(f.Kinds) > 0 {
		where = append(where, "kind IN ("+marks(len(f.Kinds))+")")
		for _, k := range f.Kinds {
			args = append(args, string(k))
		}
	}
	if len(f.States) > 0 {
		where = append(where, "state IN ("+marks(len(f.States))+")")
		for _, s := range f.States {
			args = append(args, string(s))
		}
		if !slices.ContainsFunc(f.States, engine.State.Final) {
			index = "INDEXED BY changes_open " // of a run that is nearly done, this is little
			where = append(where, "open = 1")
		}
	}
	return index + "WHERE " + strings.Join(where, " AND "), args
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// query reads changes, up to pageBytes of them. On an error it returns those
// before it as well. Rows are decoded while the next ones are fetched, which takes
// about as long.
func (j *Journal) query(ctx context.Context, query string, args ...any) (_ []*engine.Change, err error) {
	rows, err := j.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fault(j.path, err)
	}
	defer rows.Close()
	var cs []*engine.Change
	var damage error // of a row before the one that err is about
	var decoding conc.WaitGroup
	fetched := make(chan *row, 64)
	decoding.Go(func() {
		values := newValueReader()
		for r := range fetched {
			if damage != nil {
				continue
			}
			c, err := r.change(values)
			if err != nil {
				damage = &DamagedError{Path: j.path, Fault: err.Error()}
				continue
			}
			cs = append(cs, c)
		}
	})
	err = j.fetch(ctx, rows, fetched)
	close(fetched)
	decoding.Wait()
	if damage != nil {
		err = damage
	}
	return cs, err
}

// fetch hands rows on, up to pageBytes of them.
func (j *Journal) fetch(ctx context.Context, rows *sql.Rows, fetched chan<- *row) error {
	reader := newRowReader()
	for size := 0; size < pageBytes && rows.Next(); {
		r, err := reader.read(rows)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &DamagedError{Path: j.path, Fault: err.Error()}
		}
		fetched <- r
		size += len(r.Fields) + len(r.Row) + len(r.Needs)
	}
	return fault(j.path, rows.Err())
}
