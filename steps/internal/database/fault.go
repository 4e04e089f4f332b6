package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
)

// StatementError says that the query, or the file, is wrong: it would be so next
// time.
type StatementError struct{ Msg string }

// Error implements error.
func (e *StatementError) Error() string { return e.Msg }

// UnreachableError says that the database did not do its part.
type UnreachableError struct{ Msg string }

// Error implements error.
func (e *UnreachableError) Error() string { return e.Msg }

// unreachable is the error of a database that can't be connected to.
func (s *Source) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &UnreachableError{fmt.Sprintf("database %s can't be reached: %s; see whether it runs and the dsn is right", s.Name, s.discreet(err))}
}

// fault is an error of a query without what nobody may see.
func (s *Source) fault(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case ofStatement(err):
		return &StatementError{"sql: " + s.discreet(err)}
	}
	return &UnreachableError{fmt.Sprintf("database %s: %s", s.Name, s.discreet(err))}
}

// ofStatement says whether a database refuses what it was asked, rather than
// being unable to answer.
func ofStatement(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		class := pg.Code[:min(2, len(pg.Code))]
		return class != "08" && class != "53" && class != "57" && class != "58" && class != "XX"
	}
	if lite, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		switch lite.Code() & 0xFF {
		case 1, 8, 20, 25, 26: // error, read-only, mismatch, range, not a database
			return true
		}
		return false
	}
	_, ok := errors.AsType[*mysql.MySQLError](err)
	return ok || strings.Contains(err.Error(), "expected ") && strings.Contains(err.Error(), "arguments") || strings.Contains(err.Error(), "missing argument")
}

// discreet is an error's text without secrets.
func (s *Source) discreet(err error) string {
	text := err.Error()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		text = pg.Message
		if pg.Code == "42P18" {
			text += "; give the value its type, for example $1::timestamptz"
		}
	}
	for _, secret := range s.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return cmp.Or(strings.Join(strings.Fields(text), " "), "it gives no reason")
}
