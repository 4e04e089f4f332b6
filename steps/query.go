package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
	"github.com/bxflow/bxflow/steps/internal/database"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// Query is what a read asks a database.
type Query struct {
	SQL  *engine.Value `key:"sql" required:"true" doc:"One query, without expressions in it: values come by args."`
	DSN  *engine.Value `key:"dsn" required:"true" doc:"${{ env.NAME }} with postgres://user:password@host/database or mysql://…, or sqlite:file."`
	Args *engine.Value `key:"args" doc:"The values of $1, $2 … (PostgreSQL) or of each ? (MySQL, SQLite). last_run is NULL before the first success; times are in UTC, in SQLite texts such as 2026-11-23T02:30:00Z."`
}

// question is a query with its values, ready to be put any number of times.
type question struct {
	source *database.Source
	sql    string
	args   []any
}

// settleQuery works out what is asked of which database.
func (s *Read) settleQuery(job *engine.Job, env expression.Env) error {
	if s.Delimiter != "" || s.Encoding != "" || s.Sheet != nil || s.HeaderAt != nil || s.Done.Text != "" || s.Failed.Text != "" {
		return errors.New("delimiter, encoding, sheet, header, done and failed are of files; leave them out for a query")
	}
	q, err := s.Query.settle(job, env)
	if err != nil {
		return err
	}
	name := s.Query.name(job, s)
	s.inputs = []input{{path: name, name: name, query: q}}
	return nil
}

// name is what the rows are said to come from: sql, of further queries of the
// job sql2 and so on.
func (q *Query) name(job *engine.Job, of *Read) string {
	n := 1
	for _, stream := range job.Streams {
		read, ok := stream.Source.Source.(*Read)
		if ok && read == of {
			break
		}
		if ok && read.Query != nil {
			n++
		}
	}
	if n == 1 {
		return "sql"
	}
	return "sql" + strconv.Itoa(n)
}

// settle checks the query and evaluates its values. Nothing is put together from
// texts: who fills in a parameter could write the query.
func (q *Query) settle(job *engine.Job, env expression.Env) (*question, error) {
	text, literal := q.SQL.Literal()
	if !literal {
		return nil, engine.Problems{{Pos: q.SQL.Pos, Msg: "sql: the text can't have ${{ }} in it, since its value could change the query", Hint: "write $1 for PostgreSQL, else ?, and the value under args"}}
	}
	source, err := q.source(job, env)
	if err != nil {
		return nil, engine.Problems{{Pos: q.DSN.Pos, Msg: err.Error()}}
	}
	asked := &question{source: source, sql: text}
	if q.Args == nil {
		return asked, nil
	}
	values := q.Args.List
	if !q.Args.IsList {
		values = []*engine.Value{q.Args}
	}
	for i, v := range values {
		arg, err := argument(v, env, source)
		if err != nil {
			return nil, engine.Problems{{Pos: v.Pos, Msg: fmt.Sprintf("args: value %d: %v", i+1, err)}}
		}
		asked.args = append(asked.args, arg)
	}
	return asked, nil
}

// source reads the address of the database. It comes from the environment, since
// plans show parameters and job files are passed around; that of a file, which
// has no password, may come from anywhere.
func (q *Query) source(job *engine.Job, env expression.Env) (*database.Source, error) {
	raw, err := q.DSN.Eval(env)
	if err != nil {
		return nil, errors.New("dsn: its expression has no value")
	}
	dsn, ok := raw.(string)
	if !ok || strings.TrimSpace(dsn) == "" {
		return nil, errors.New("dsn: it is empty; set the environment variable that it is taken from")
	}
	if !database.Local(dsn) && (uses(q.DSN, "params") || !uses(q.DSN, "env")) {
		return nil, errors.New("dsn: the address of a server holds a password; list a variable under env: and write ${{ env.NAME }}")
	}
	return database.Parse(strings.TrimSpace(dsn), job.Path)
}

// uses says whether a value reads that name.
func uses(v *engine.Value, name string) bool {
	for _, u := range v.Uses() {
		if u.Name == name {
			return true
		}
	}
	return false
}

// argument evaluates one value of a query.
func argument(v *engine.Value, env expression.Env, source *database.Source) (any, error) {
	raw, err := v.Eval(env)
	if err != nil {
		return nil, err
	}
	if text, ok := raw.(string); ok && uses(v, "env") {
		source.Hide(text)
	}
	if text, literal := v.Literal(); literal && source.Typed() && regexp.MustCompile(`^-?(0|[1-9]\d{0,17})$`).MatchString(text) {
		return strconv.ParseInt(text, 10, 64) // SQLite compares by the types of the values
	}
	switch value := raw.(type) {
	case nil, string, bool, int64, float64:
		return value, nil
	case int:
		return int64(value), nil
	case time.Time:
		return argumentTime(value, uses(v, "last_run") || uses(v, "now"), source.Typed()), nil
	case expression.Omitted:
		return nil, nil //nolint:nilnil // NULL
	case []any:
		return nil, errors.New("it is a list; a query takes single values")
	default:
		return fmt.Sprint(value), nil
	}
}

// argumentTime is a time as databases take it: a day as text, unless it is a moment
// by its origin, a moment in UTC, which SQLite has only as text.
func argumentTime(t time.Time, moment, text bool) any {
	switch day := t.Format(time.DateOnly); {
	case !moment && t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())):
		return day
	case text:
		return t.UTC().Format(time.RFC3339)
	}
	return t.UTC()
}

// open puts the query.
func (q *question) open(ctx context.Context, o table.Options) (rows, io.Closer, error) {
	r, err := q.source.Query(ctx, q.sql, q.args)
	if err != nil {
		return nil, nil, err
	}
	if err := table.CheckHeader(r.Header(), o.Require); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("sql: %w", err), r.Close())
	}
	return r, r, nil
}

// fingerprint fixes the query for the plan, not the values, which may be secret.
func (q *question) fingerprint(name string) engine.FileInfo {
	sum := sha256.Sum256([]byte(q.sql))
	return engine.FileInfo{Path: name, Database: q.source.Name, SHA256: hex.EncodeToString(sum[:])}
}

// beyond says whether an error is no fault of the job: the database can't be
// reached, or the reading was stopped.
func beyond(ctx context.Context, err error) bool {
	_, unreachable := errors.AsType[*database.UnreachableError](err)
	return unreachable || ctx.Err() != nil && errors.Is(err, ctx.Err())
}
