package sandbox_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(serveEnv); path != "" {
		serve(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// serveEnv makes the test's program a portal that keeps the file it names.
const serveEnv = "SANDBOX_TEST_DATA"

func serve(path string) {
	p, err := sandbox.New(sandbox.Options{Seed: "empty", DataFile: path, Secret: "secret"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, "http://"+l.Addr().String()+p.WebhookPath())
	srv := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	fmt.Fprintln(os.Stderr, srv.Serve(l))
}
