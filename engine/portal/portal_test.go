package portal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unlimited are limits under which no test waits.
func unlimited() portal.Limits {
	l := portal.CloudLimits()
	l.Rate, l.Operating = 0, 0
	return l
}

// openSandbox makes a sandbox portal and a client of it.
func openSandbox(tb testing.TB, o sandbox.Options, limits portal.Limits) (*portal.Client, *sandbox.Portal) {
	tb.Helper()
	box, err := sandbox.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { box.Close() })
	return openTransport(tb, portal.Options{Transport: box.Transport(), Limits: limits}, box.WebhookPath()), box
}

func openTransport(tb testing.TB, o portal.Options, path string) *portal.Client {
	tb.Helper()
	address, err := portal.Parse("https://sandbox.test" + path)
	if err != nil {
		tb.Fatal(err)
	}
	o.Address = address
	client, err := portal.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// script answers requests by hand: the method and the JSON body of each.
type script func(method string, body map[string]any, request *http.Request) (status int, answer string)

// errDropped is a connection that ended without an answer.
var errDropped = errors.New("connection reset by peer")

// RoundTrip implements [http.RoundTripper]. Status 0 is no answer; -1 one
// before anything was sent.
func (s script) RoundTrip(r *http.Request) (*http.Response, error) {
	method := strings.TrimSuffix(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], ".json")
	status, answer := s(method, nil, r)
	if status == -1 {
		return nil, errDropped
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, err
	}
	if status == 1 { // the script wants to see the body first
		status, answer = s(method, body, r)
	}
	if status == 0 {
		return nil, errDropped
	}
	header := http.Header{}
	if status == http.StatusFound {
		header.Set("Location", answer)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// withBody makes a script that always sees the body.
func withBody(answer func(method string, body map[string]any, host string) (int, string)) script {
	return func(method string, body map[string]any, r *http.Request) (int, string) {
		if body == nil {
			return 1, ""
		}
		return answer(method, body, r.URL.Host)
	}
}

func openScript(tb testing.TB, s script, log *bytes.Buffer) *portal.Client {
	tb.Helper()
	o := portal.Options{Transport: s, Limits: unlimited()}
	if log != nil {
		o.Logger = textLogger(log)
	}
	return openTransport(tb, o, "/rest/1/"+secret+"/")
}

func loadCatalog(tb testing.TB, c *portal.Client, entities ...string) *engine.Catalog {
	tb.Helper()
	catalog, err := c.Catalog(tb.Context(), engine.Needs{Entities: entities, Users: true})
	if err != nil {
		tb.Fatal(err)
	}
	return catalog
}

func entityOf(tb testing.TB, c *engine.Catalog, name string) *engine.Entity {
	tb.Helper()
	e, err := c.Entity(name)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func fieldOf(tb testing.TB, e *engine.Entity, name string) *engine.Field {
	tb.Helper()
	f, err := e.Field(name)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// write sends commands and fails the test unless they are done.
func write(tb testing.TB, c *portal.Client, commands ...engine.Command) []engine.Outcome {
	tb.Helper()
	var all []engine.Outcome
	for len(commands) > 0 {
		outcomes, err := c.Write(tb.Context(), commands, func() error { return nil })
		if err != nil {
			tb.Fatal(err)
		}
		var again []engine.Command
		for i, o := range outcomes {
			switch o.Kind {
			case engine.OutcomeDone:
				all = append(all, o)
			case engine.OutcomeRefused:
				again = append(again, commands[i])
			default:
				tb.Fatalf("command %d: %+v", i, o)
			}
		}
		commands = again
	}
	return all
}

// roundTripEdited sends a request with its body altered.
func roundTripEdited(next http.RoundTripper, r *http.Request, edit func(string) string) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	edited := edit(string(raw))
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = io.NopCloser(strings.NewReader(edited)), int64(len(edited))
	return next.RoundTrip(out)
}
