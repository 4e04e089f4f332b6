//go:build unix

package database_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/steps/internal/database"
	"github.com/bxflow/bxflow/steps/internal/table"
)

// dialect is what a kind of server has of its own.
type dialect struct {
	start   func(*testing.T) *server
	schema  []string
	values  string     // a query of one value of each type
	want    [][]string // names of its columns, and what they hold
	bytes   string     // a query with a value that is not text
	args    []asked
	untyped string   // a query with a value of no type
	writes  []string // queries that write
	sleep   string   // a query of a minute
	many    string   // a query of 200,000 rows of 1 KiB
}

// asked is a query with values, and what the first column of its rows holds.
type asked struct {
	sql  string
	args []any
	want string
}

func dialects() map[string]dialect {
	moment := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
	return map[string]dialect{
		"postgres": {
			start: startPostgres,
			schema: []string{
				"CREATE TABLE people (id int PRIMARY KEY, name text, born date, made timestamp, changed timestamptz, vip bool)",
				"INSERT INTO people VALUES (1, 'Ana', '1990-02-03', '2026-11-26 23:00', '2026-11-26 20:00-03', true), (2, 'Bia', NULL, '2026-11-27 03:00', '2026-11-27 00:00-03', false)",
			},
			values: `SELECT 7::int AS i, 9223372036854775807::bigint AS big, 12345678901234567890.10::numeric(30,2) AS num, 1.5::float4 AS f4, 0.1::float8 AS f8,
				'São' AS txt, 'x'::char(3) AS chr, date '2026-11-27' AS d, timestamp '2026-11-27 10:20:30.5' AS ts, timestamptz '2026-11-27 10:20:30-03' AS tz,
				true AS b, NULL::text AS missing, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS id, '{"a": 1}'::json AS doc`,
			want: [][]string{
				{"i", "7"},
				{"big", "9223372036854775807"},
				{"num", "12345678901234567890.10"},
				{"f4", "1.5"},
				{"f8", "0.1"},
				{"txt", "São"},
				{"chr", "x  "},
				{"d", "2026-11-27"},
				{"ts", "2026-11-27T10:20:30.5"},
				{"tz", "2026-11-27T13:20:30Z"},
				{"b", "true"},
				{"missing", ""},
				{"id", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
				{"doc", `{"a": 1}`},
			},
			bytes: `SELECT 1 AS id, '\xff00'::bytea AS photo`,
			args: []asked{
				{"SELECT id FROM people WHERE name = $1 AND id < $2", []any{"Ana", "10"}, "1"},
				{"SELECT id FROM people WHERE born >= $1", []any{"1990-02-03"}, "1"},
				{"SELECT id FROM people WHERE vip = $1", []any{false}, "2"},
				{"SELECT id FROM people WHERE changed > $1 ORDER BY id", []any{moment}, "2"},
				{"SELECT id FROM people WHERE made > $1 ORDER BY id", []any{moment}, "2"},
				{"SELECT id FROM people WHERE $1::timestamptz IS NULL OR changed > $1 ORDER BY id", []any{nil}, "1,2"},
				{"SELECT id FROM people WHERE $1::timestamptz IS NULL OR changed > $1 ORDER BY id", []any{moment}, "2"},
				{"SELECT id FROM people WHERE coalesce(changed > $1, true) ORDER BY id", []any{nil}, "1,2"},
			},
			untyped: "SELECT id FROM people WHERE $1 IS NULL",
			writes: []string{
				"WITH gone AS (DELETE FROM people RETURNING id) SELECT id FROM gone",
				"SELECT set_config('transaction_read_only', 'off', false)",
				"SELECT 1; DELETE FROM people",
				"SELECT id INTO copied FROM people",
				"DELETE FROM people",
			},
			sleep: "SELECT pg_sleep(60)",
			many:  "SELECT n, repeat('x', 1024) AS filling FROM generate_series(1, 200000) AS n",
		},
		"mysql": {
			start: startMySQL,
			schema: []string{
				"CREATE TABLE people (id int PRIMARY KEY, name varchar(20), born date, made datetime, changed timestamp NULL, vip boolean)",
				"INSERT INTO people VALUES (1, 'Ana', '1990-02-03', '2026-11-26 23:00:00', '2026-11-26 23:00:00', true), (2, 'Bia', NULL, '2026-11-27 03:00:00', '2026-11-27 03:00:00', false)",
				`CREATE TABLE kinds (i int, big bigint unsigned, num decimal(30,2), f8 double, txt varchar(9) CHARACTER SET utf8mb4, d date, dt datetime(1), ts timestamp NULL,
					b boolean, missing text, doc json, t time)`,
				`INSERT INTO kinds VALUES (7, 18446744073709551615, 12345678901234567890.10, 0.1, 'São', '2026-11-27', '2026-11-27 10:20:30.5', '2026-11-27 13:20:30',
					true, NULL, '{"a": 1}', '01:02:03')`,
				"CREATE TABLE digits (n int)",
				"INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
				"CREATE FUNCTION forget() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM people; RETURN 1; END",
			},
			values: "SELECT * FROM kinds",
			want: [][]string{
				{"i", "7"},
				{"big", "18446744073709551615"},
				{"num", "12345678901234567890.10"},
				{"f8", "0.1"},
				{"txt", "São"},
				{"d", "2026-11-27"},
				{"dt", "2026-11-27T10:20:30.5"},
				{"ts", "2026-11-27T13:20:30"},
				{"b", "1"},
				{"missing", ""},
				{"doc", `{"a": 1}`},
				{"t", "01:02:03"},
			},
			bytes: "SELECT 1 AS id, cast(x'ff00' AS binary) AS photo",
			args: []asked{
				{"SELECT id FROM people WHERE name = ? AND id < ?", []any{"Ana", "10"}, "1"},
				{"SELECT id FROM people WHERE born >= ?", []any{"1990-02-03"}, "1"},
				{"SELECT id FROM people WHERE vip = ?", []any{false}, "2"},
				{"SELECT id FROM people WHERE changed > ? ORDER BY id", []any{moment}, "2"},
				{"SELECT id FROM people WHERE made > ? ORDER BY id", []any{moment}, "2"},
				{"SELECT id FROM people WHERE ? IS NULL OR changed > ? ORDER BY id", []any{nil, nil}, "1,2"},
				{"SELECT id FROM people WHERE ? IS NULL OR changed > ? ORDER BY id", []any{moment, moment}, "2"},
			},
			writes: []string{
				"SELECT forget()",
				"SELECT 1; DELETE FROM people",
				"SELECT id FROM people INTO OUTFILE '/tmp/bxflow-people'",
				"WITH all_of AS (SELECT id FROM people) DELETE FROM people",
				"DELETE FROM people",
			},
			sleep: "SELECT sleep(60)",
			many: `SELECT a.n, repeat('x', 1024) AS filling FROM digits AS a, digits AS b, digits AS c, digits AS d, digits AS e,
				(SELECT 1 UNION ALL SELECT 2) AS twice`,
		},
	}
}

// TestServers reads from real servers, where this machine has them.
func TestServers(t *testing.T) {
	t.Parallel()
	for name, d := range dialects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := d.start(t)
			s.admin(t, d.schema...)
			t.Run("values", func(t *testing.T) { testValues(t, s, d) }) //nolint:paralleltest // one server
			t.Run("args", func(t *testing.T) { testArgs(t, s, d) })     //nolint:paralleltest // one server
			if d.untyped != "" {
				t.Run("untyped", func(t *testing.T) { testUntyped(t, s, d) }) //nolint:paralleltest // one server
			}
			t.Run("writes", func(t *testing.T) { testWrites(t, s, d) })      //nolint:paralleltest // one server
			t.Run("stopped", func(t *testing.T) { testStopped(t, s, d) })    //nolint:paralleltest // one server
			t.Run("password", func(t *testing.T) { testPassword(t, s) })     //nolint:paralleltest // one server
			t.Run("many rows", func(t *testing.T) { testManyRows(t, s, d) }) //nolint:paralleltest // it measures memory
		})
	}
}

// source is a server as a job sees it.
func source(t *testing.T, s *server, pass string) *database.Source {
	t.Helper()
	src, err := database.Parse(s.dsn(pass), func(string) (string, error) { return "", errors.New("it is no file") })
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// ask puts a query and reads its rows.
func ask(ctx context.Context, t *testing.T, s *server, sql string, args ...any) (header []string, rows []table.Row, err error) {
	t.Helper()
	r, err := source(t, s, password).Query(ctx, sql, args)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Header(), rows, nil
		}
		if err != nil {
			return r.Header(), rows, err
		}
		rows = append(rows, row)
	}
}

func testValues(t *testing.T, s *server, d dialect) {
	t.Helper()
	header, rows, err := ask(t.Context(), t, s, d.values)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	var got [][]string
	for i, name := range header {
		got = append(got, []string{name, rows[0].Fields[i]})
	}
	if diff := cmp.Diff(d.want, got); diff != "" {
		t.Error(diff)
	}
	_, _, err = ask(t.Context(), t, s, d.bytes)
	fault, ok := errors.AsType[*table.RowError](err)
	if !ok || fault.Column != "photo" || !strings.Contains(fault.Text(), "it holds bytes") {
		t.Errorf("of bytes it says %v", err)
	}
}

func testArgs(t *testing.T, s *server, d dialect) {
	t.Helper()
	for _, a := range d.args {
		_, rows, err := ask(t.Context(), t, s, a.sql, a.args...)
		if err != nil {
			t.Errorf("%s with %v: %v", a.sql, a.args, err)
		}
		var got []string
		for _, row := range rows {
			got = append(got, row.Fields[0])
		}
		if strings.Join(got, ",") != a.want {
			t.Errorf("%s with %v: %v, want %s", a.sql, a.args, got, a.want)
		}
	}
}

func testUntyped(t *testing.T, s *server, d dialect) {
	t.Helper()
	const remedy = "give the value its type, for example $1::timestamptz"
	if _, _, err := ask(t.Context(), t, s, d.untyped, nil); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Errorf("of a value of no type it says %v", err)
	}
}

func testWrites(t *testing.T, s *server, d dialect) {
	t.Helper()
	for _, sql := range d.writes {
		_, rows, err := ask(t.Context(), t, s, sql)
		if _, ok := errors.AsType[*database.StatementError](err); !ok {
			t.Errorf("%s: %v, %v", sql, rows, err)
		} else {
			t.Log(err)
		}
	}
	if _, rows, err := ask(t.Context(), t, s, "SELECT id FROM people"); err != nil || len(rows) != 2 {
		t.Errorf("there are %d people now, and were 2: %v", len(rows), err)
	}
}

func testStopped(t *testing.T, s *server, d dialect) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer done()
	began := time.Now()
	if _, _, err := ask(ctx, t, s, d.sleep); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a query that was stopped it says %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

func testPassword(t *testing.T, s *server) {
	t.Helper()
	const wrong = "wr0ng:p@ss"
	rows, err := source(t, s, wrong).Query(t.Context(), "SELECT 1", nil)
	if err == nil {
		t.Fatal("anybody may read", rows.Close())
	}
	if _, ok := errors.AsType[*database.UnreachableError](err); !ok || strings.Contains(err.Error(), "p@ss") || strings.Contains(err.Error(), "p%40ss") {
		t.Errorf("of a wrong password it says %q", err)
	}
	t.Log(err)
}

// Rows are never held: 200 MiB of them take a few MiB of memory.
func testManyRows(t *testing.T, s *server, d dialect) {
	t.Helper()
	const most = 32 << 20
	r, err := source(t, s, password).Query(t.Context(), d.many, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	n := 0
	for ; ; n++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if n%50_000 == 49_999 {
			if more := heap() - before; more > most {
				t.Fatalf("%d MiB of memory hold rows after %d of them", more>>20, n+1)
			}
		}
	}
	if n != 200_000 {
		t.Errorf("there were %d rows", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	// The rest of a query is not read: it ends when that is closed.
	r, err = source(t, s, password).Query(t.Context(), d.many, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
