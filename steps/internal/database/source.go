// Package database reads the rows of one SQL query, as text, from PostgreSQL,
// MySQL or SQLite.
//
// It never writes: the statement must be a query, and runs in a transaction, or
// on a file, that can't. No address of a database, which holds a password, gets
// into an error.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver sqlite
)

// patience is how long a database may take to be reached.
const patience = 30 * time.Second

// The databases that are known.
const (
	postgres   = "postgres"
	mysqlServe = "mysql"
	sqlite     = "sqlite"
)

// Source is a database, before it is opened.
type Source struct {
	Name string // for people: host/database, or the file; no secret

	kind    string
	secrets []string
	open    func() (*sql.DB, error)
}

// Parse reads the address of a database. A file's path goes through resolve.
func Parse(dsn string, resolve func(string) (string, error)) (*Source, error) {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch strings.ToLower(scheme) {
	case sqlite:
		return file(rest, resolve)
	case postgres, "postgresql", mysqlServe:
		return server(dsn)
	}
	return nil, errors.New("dsn: it is no address of a database; write postgres://user:password@host/database, mysql://… or sqlite:file")
}

// Local says whether an address is that of a file, which has no password.
func Local(dsn string) bool {
	return len(dsn) > len(sqlite) && strings.EqualFold(dsn[:len(sqlite)+1], sqlite+":")
}

// file is a database in a file, opened so that it can't be written.
func file(name string, resolve func(string) (string, error)) (*Source, error) {
	path, err := resolve(name)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: filepath.Base(path), kind: sqlite}
	s.open = func() (*sql.DB, error) {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a file")
		}
		if failed, ok := errors.AsType[*os.PathError](err); ok {
			err = failed.Err
		}
		if err != nil {
			return nil, &StatementError{fmt.Sprintf("file %q: %v", s.Name, err)}
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		uri := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute)}
		return sql.Open(sqlite, uri.String()+"?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(30000)")
	}
	return s, nil
}

// server is a database behind a network.
func server(dsn string) (*Source, error) {
	u, err := url.Parse(dsn)
	if err != nil { // it quotes the address
		return nil, errors.New("dsn: the address can't be read; write the user and the password with %-codes for : / ? # @ and %")
	}
	if u.Hostname() == "" || strings.Trim(u.Path, "/") == "" || u.Fragment != "" {
		return nil, errors.New("dsn: the address names no host or no database; write postgres://user:password@host:5432/database")
	}
	password, _ := u.User.Password()
	s := &Source{Name: u.Host + u.Path, kind: mysqlServe, secrets: []string{dsn, password, url.QueryEscape(password), url.PathEscape(password)}}
	options := u.Query()
	if u.Scheme == mysqlServe {
		if !only(options, "tls") {
			return nil, errors.New("dsn: of what may follow the ?, MySQL takes tls here, and nothing else")
		}
		s.open = func() (*sql.DB, error) { return openMySQL(u, password) }
		return s, nil
	}
	s.kind = postgres
	if !only(options, "sslmode", "search_path") {
		return nil, errors.New("dsn: of what may follow the ?, PostgreSQL takes sslmode and search_path here, and nothing else")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // it quotes the address
		return nil, errors.New("dsn: the address is not one of PostgreSQL; write postgres://user:password@host:5432/database?sslmode=require")
	}
	s.secrets = append(s.secrets, config.Password) // which may be the environment's
	config.ConnectTimeout = patience
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.RuntimeParams["application_name"] = "bxflow"
	s.open = func() (*sql.DB, error) { return stdlib.OpenDB(*config), nil }
	return s, nil
}

func openMySQL(u *url.URL, password string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.DBName = u.User.Username(), password, "tcp", strings.Trim(u.Path, "/")
	c.Addr = u.Host
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	c.Timeout, c.ParseTime, c.TLSConfig = patience, true, u.Query().Get("tls")
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	c.Logger = silent{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, errors.New("dsn: the address is not one of MySQL; tls is true, skip-verify or preferred")
	}
	return sql.OpenDB(connector), nil
}

// silent keeps the driver from writing to standard error.
type silent struct{}

// Print implements [mysql.Logger].
func (silent) Print(...any) {}

// only says whether there are no options but these.
func only(options url.Values, known ...string) bool {
	for _, name := range known {
		options.Del(name)
	}
	return len(options) == 0
}

// Typed says whether the database compares by the types of values.
func (s *Source) Typed() bool { return s.kind == sqlite }

// Hide keeps a text out of errors.
func (s *Source) Hide(text string) { s.secrets = append(s.secrets, text) }

// Query runs a query and returns its rows, to be closed. They end with ctx.
func (s *Source) Query(ctx context.Context, statement string, args []any) (*Rows, error) {
	if err := s.check(statement); err != nil {
		return nil, err
	}
	db, err := s.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(ctx)
	r := &Rows{source: s, ctx: ctx, cancel: cancel, db: db}
	if err := r.query(statement, args); err != nil { //nolint:contextcheck // r has it
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}
