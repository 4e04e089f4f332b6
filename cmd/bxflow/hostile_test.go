package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answering is a portal that gives one answer to everything. It returns the
// webhook's URL.
func answering(tb testing.TB, status int, body string) string {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if _, err := w.Write([]byte(body)); err != nil {
			tb.Error(err)
		}
	}))
	tb.Cleanup(server.Close)
	return server.URL + "/rest/1/s3cr3t/"
}

// execute runs a command line in this process and returns what it prints.
func execute(tb testing.TB, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	dir := tb.TempDir()
	a := newApp()
	streams := map[string]**os.File{"stdout": &a.stdout, "stderr": &a.stderr}
	for name, stream := range streams {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		*stream = f
	}
	code = a.execute(tb.Context(), append(args, "--state", filepath.Join(dir, "state")))
	texts := map[string]string{}
	for name := range streams {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		texts[name] = string(text)
	}
	return code, texts["stdout"], texts["stderr"]
}

func TestExecute_noEscapesOfThePortalReachATerminal(t *testing.T) {
	t.Parallel()

	refusal := answering(t, http.StatusBadRequest, `{"error":"A\u001b[2J","error_description":"bad \u001b[31m\u009b7m red\u202e"}`)
	success := answering(t, http.StatusOK, `{"result":{"a":"`+"\u009b31m\u202e"+`\u001b[2J"}}`)
	tests := map[string]struct {
		args []string
		code int
	}{
		"an error of plan":       {[]string{"plan", "testdata/jobs/onboarding.yaml", "--portal", refusal}, exitUnfinished},
		"an error of check":      {[]string{"portal", "check", "--portal", refusal}, exitUnfinished},
		"an error of a call":     {[]string{"call", "server.time", "--portal", refusal}, exitUnfinished},
		"the result of a call":   {[]string{"call", "server.time", "--portal", success}, exitDone},
		"an argument of its own": {[]string{"plan", "no\x1b[31mfile.yaml"}, exitUsage},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			code, stdout, stderr := execute(t, tt.args...)
			if code != tt.code || strings.ContainsAny(stdout+stderr, "\x1b\u009b\u202e") {
				t.Errorf("exit %d, want %d\n%q\n%q", code, tt.code, stdout, stderr)
			}
		})
	}
}

func TestExplain_saysNothingTwice(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ in, want string }{
		"one line":             {"a: b", "a: b"},
		"the same again":       {"a: b\na: b", "a: b"},
		"the same, less exact": {"run 1: a: b\na: b\nc", "run 1: a: b\nc"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := distinct(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
