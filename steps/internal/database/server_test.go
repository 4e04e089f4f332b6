//go:build unix

package database_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/sourcegraph/conc"
)

// password is that of every account of the servers.
const password = "s3cret:p@ss/w%rd"

// server is a database server of this machine in a folder of its own, on a port of
// loopback, for one test.
type server struct {
	scheme string
	port   int
}

// dsn is the address of its database, as a job has it.
func (s *server) dsn(pass string) string {
	u := url.URL{Scheme: s.scheme, User: url.UserPassword("erp", pass), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/erp"}
	if s.scheme == "postgres" {
		u.RawQuery = "sslmode=disable"
	}
	return u.String()
}

// program finds a program in the path, or where distributions keep it.
func program(t *testing.T, name string, places ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, place := range places {
		found, _ := filepath.Glob(filepath.Join(place, name))
		if len(found) > 0 {
			return slices.Max(found)
		}
	}
	t.Skipf("there is no %s on this machine: its database is not tested; see .ci/run for what to install", name)
	return ""
}

// account is whom a server runs as: it refuses to be root's.
type account struct{ credential *syscall.Credential }

func accountOf(t *testing.T, names ...string) account {
	t.Helper()
	if os.Getuid() != 0 {
		return account{}
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	t.Skipf("a server can't be root's, and there is no account %s", strings.Join(names, " or "))
	return account{}
}

// command is a command of the account.
func (a account) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = "/"
	if a.credential != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	}
	return c
}

// folder is one of the account, with a path that is short enough for sockets.
func (a account) folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bxflow-db-") //nolint:usetesting // those of the test can't be entered by others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if a.credential != nil {
		if err := os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// prepare does a command that makes a server's folder.
func prepare(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c.Path, err, out)
	}
}

// serve starts a server and waits for what it says when it is ready. It ends with
// the test.
func serve(t *testing.T, c *exec.Cmd, ready string) {
	t.Helper()
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	began := make(chan struct{})
	var told strings.Builder
	var reading conc.WaitGroup
	reading.Go(func() {
		defer close(over)
		waiting := true
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if waiting {
				told.WriteString(lines.Text() + "\n")
			}
			if waiting && strings.Contains(lines.Text(), ready) {
				waiting = false
				close(began)
			}
		}
	})
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGINT) // ends sessions, too; MySQL takes SIGTERM only
		_ = c.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = c.Wait()
	})
	select {
	case <-began:
	case <-over:
		t.Fatalf("%s ended:\n%s", c.Path, told.String())
	case <-time.After(time.Minute):
		_ = c.Process.Kill()
		<-over
		t.Fatalf("%s is not ready after a minute:\n%s", c.Path, told.String())
	}
}

// freePort is a port that nobody listens at now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(l.Addr())
	}
	return addr.Port
}

// execute does statements as the owner of a server.
func execute(t *testing.T, driver, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// startPostgres starts PostgreSQL with a database erp.
func startPostgres(t *testing.T) *server {
	t.Helper()
	postgres := program(t, "postgres", "/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin")
	a := accountOf(t, "postgres", "nobody")
	dir, port := a.folder(t), freePort(t)
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	prepare(t, a.command(t, filepath.Join(filepath.Dir(postgres), "initdb"),
		"-D", data, "-U", "erp", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale", "C", "--no-sync"))
	serve(t, a.command(t, postgres, "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off"), "ready to accept connections")
	s := &server{scheme: "postgres", port: port}
	execute(t, "pgx", strings.Replace(s.dsn(password), "/erp?", "/postgres?", 1), "CREATE DATABASE erp")
	return s
}

// startMySQL starts MariaDB, or MySQL, with a database erp.
func startMySQL(t *testing.T) *server {
	t.Helper()
	mariadbd := program(t, "mariadbd", "/usr/sbin", "/usr/local/sbin")
	install := program(t, "mariadb-install-db", "/usr/bin", "/usr/local/bin")
	a := accountOf(t, "mysql", "nobody")
	dir, port := a.folder(t), freePort(t)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "sock")
	prepare(t, a.command(t, install, "--no-defaults", "--datadir="+data, "--tmpdir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db"))
	serve(t, a.command(t, mariadbd, "--no-defaults", "--datadir="+data, "--tmpdir="+dir, "--socket="+socket, "--pid-file="+filepath.Join(dir, "pid"),
		"--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"), "ready for connections")
	execute(t, "mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/", port), "CREATE DATABASE erp",
		"CREATE USER erp@'%' IDENTIFIED BY '"+password+"'", "CREATE USER erp@localhost IDENTIFIED BY '"+password+"'", "GRANT ALL ON erp.* TO erp@'%'", "GRANT ALL ON erp.* TO erp@localhost")
	return &server{scheme: "mysql", port: port}
}

// admin does statements in a server's database, as its user may anywhere but in a
// job.
func (s *server) admin(t *testing.T, statements ...string) {
	t.Helper()
	if s.scheme == "postgres" {
		execute(t, "pgx", s.dsn(password), statements...)
		return
	}
	execute(t, "mysql", fmt.Sprintf("erp:%s@tcp(127.0.0.1:%d)/erp?time_zone=%%27%%2B00:00%%27", password, s.port), statements...)
}
