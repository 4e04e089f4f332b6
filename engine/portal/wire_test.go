package portal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

func textLogger(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openRenamed opens a client of old.bitrix24.com.br, or of another host.
func openRenamed(t *testing.T, host string, transport http.RoundTripper, log *bytes.Buffer) *portal.Client {
	t.Helper()
	address, err := portal.Parse("https://" + host + "/rest/1/" + secret + "/")
	if err != nil {
		t.Fatal(err)
	}
	c, err := portal.Open(portal.Options{Address: address, Transport: transport, Limits: unlimited(), Logger: textLogger(log)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A renamed portal answers 302: the same body goes to the new host, once, and
// later calls go there directly.
func TestClient_followsARenamedPortal(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	hosts := map[string]int{}
	c := openRenamed(t, "old.bitrix24.com.br", withBody(func(_ string, body map[string]any, host string) (int, string) {
		hosts[host]++
		if host == "old.bitrix24.com.br" {
			return http.StatusFound, "https://new.bitrix24.com.br/rest/1/" + secret + "/crm.item.list.json"
		}
		if body["entityTypeId"] != 2.0 {
			t.Errorf("the body on the new host is %v", body)
		}
		return http.StatusOK, `{"result":{"items":[]}}`
	}), &log)
	for range 2 {
		if _, err := c.Call(t.Context(), "crm.item.list", map[string]any{"entityTypeId": 2}); err != nil {
			t.Fatal(err)
		}
	}
	if hosts["old.bitrix24.com.br"] != 1 || hosts["new.bitrix24.com.br"] != 2 {
		t.Errorf("requests by host %v", hosts)
	}
	if got := c.Address().String(); got != "https://new.bitrix24.com.br/rest/1/***/" {
		t.Errorf("the address is %s", got)
	}
	if got := c.ID(); got != "old.bitrix24.com.br/rest/1" {
		t.Errorf("in the middle of a run it became %s", got)
	}
	if got := c.Usage().Requests; got != 3 {
		t.Errorf("%d requests were counted, want 3", got)
	}
	const warning = `level=WARN msg="the portal was renamed; put its new address into the settings" host=new.bitrix24.com.br`
	if n := strings.Count(log.String(), "WARN"); n != 1 || !strings.Contains(log.String(), warning) || strings.Contains(log.String(), "rest/1") {
		t.Errorf("the log says %s", log.String())
	}
}

// A portal that is renamed amid writes gets each of them once; requests that
// were under way are not a second move.
func TestClient_renamedAmidWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "demo", Secret: secret, Latency: time.Second})
		var log bytes.Buffer
		renamed := time.Now().Add(10500 * time.Millisecond)
		c := openRenamed(t, "old.bitrix24.de", redirect(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "new.bitrix24.de" || time.Now().Before(renamed) {
				return box.Transport().RoundTrip(r)
			}
			<-time.After(time.Second)
			r.Body.Close()
			header := http.Header{"Location": {"https://new.bitrix24.de" + r.URL.Path}}
			return &http.Response{StatusCode: http.StatusFound, Header: header, Body: http.NoBody, Request: r}, nil
		}), &log)
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		var writers sync.WaitGroup
		for n := range 4 {
			writers.Go(func() {
				for m := range 10 {
					write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": fmt.Sprintf("made %d.%d", n, m)}})
				}
			})
		}
		writers.Wait()
		if made := strings.Count(string(box.Dump()), `"title":"made `); made != 40 || time.Now().Before(renamed) {
			t.Errorf("%d cards were made, want 40", made)
		}
		if n := strings.Count(log.String(), "was renamed"); n != 1 {
			t.Errorf("the log says %s", log.String())
		}
	})
}

// redirect is a transport that a test writes out.
type redirect func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f redirect) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client follows one move in its life.
func TestClient_refusesToMoveTwice(t *testing.T) {
	t.Parallel()
	next := map[string]string{"a.bitrix24.com": "b.bitrix24.com"}
	asked := map[string]int{}
	c := openRenamed(t, "a.bitrix24.com", withBody(func(_ string, _ map[string]any, host string) (int, string) {
		asked[host]++
		if to := next[host]; to != "" {
			return http.StatusFound, "https://" + to + "/rest/1/" + secret + "/profile.json"
		}
		return http.StatusOK, `{"result":{}}`
	}), &bytes.Buffer{})
	if _, err := c.Call(t.Context(), "profile", nil); err != nil {
		t.Fatal(err)
	}
	next["b.bitrix24.com"] = "c.bitrix24.com"
	_, err := c.Call(t.Context(), "profile", nil)
	if err == nil || !strings.Contains(err.Error(), `moved to "b.bitrix24.com", and now redirects to "c.bitrix24.com"`) || asked["c.bitrix24.com"] > 0 {
		t.Errorf("asked %v: %v", asked, err)
	}
}

// A portal that doesn't answer is spoken of once, not with every try.
func TestClient_warnsOnceThatThePortalDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tries := 0
		c := openScript(t, withBody(func(string, map[string]any, string) (int, string) {
			tries++
			return http.StatusBadGateway, "<html>"
		}), &log)
		began := time.Now()
		if _, err := c.Call(t.Context(), "crm.item.list", nil); err == nil || time.Since(began) > 2*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		const warning = `level=WARN msg="the portal gives no usable answer; asking again for at least a minute"`
		if n := strings.Count(log.String(), warning); n != 1 || tries < 10 {
			t.Errorf("%d warnings in %d tries:\n%s", n, tries, log.String())
		}
	})
}

// A limit is waited for without a word.
func TestClient_warnsOfNoLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		refusals := 3
		c := openScript(t, withBody(func(string, map[string]any, string) (int, string) {
			if refusals--; refusals >= 0 {
				return http.StatusServiceUnavailable, `{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}`
			}
			return http.StatusOK, `{"result":{}}`
		}), &log)
		if _, err := c.Call(t.Context(), "crm.item.list", nil); err != nil {
			t.Error(err)
		}
		if strings.Contains(log.String(), "WARN") {
			t.Errorf("the log says %s", log.String())
		}
	})
}

// An error that stops everything says what to do about it.
func TestError_remedy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  portal.Error
		want string
	}{
		"a wrong secret": {
			portal.Error{Method: "batch", Code: "INVALID_CREDENTIALS", Status: 401, Message: "Invalid request credentials", Verdict: portal.Fatal},
			"batch: INVALID_CREDENTIALS: Invalid request credentials (HTTP 401); check the webhook's address: its secret is wrong, or the webhook was deleted",
		},
		"a right that is missing, without a text": {
			portal.Error{Method: "crm.item.add", Code: "insufficient_scope", Verdict: portal.Fatal},
			"crm.item.add: insufficient_scope; give the webhook the missing right, in the portal: Developer resources, Integrations",
		},
		"one item that may not be seen": {
			portal.Error{Method: "crm.item.get", Code: "ACCESS_DENIED", Status: 400, Message: "no", Verdict: portal.Failed},
			"crm.item.get: ACCESS_DENIED: no (HTTP 400)",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The secret goes to no other place than the webhook's own.
func TestClient_refusesOtherRedirects(t *testing.T) {
	t.Parallel()
	const path = "/rest/1/" + secret + "/profile.json"
	tests := map[string]struct {
		host, location string
		asked          int // requests, all of them to the host
	}{
		"another path":           {"a.bitrix24.com", "https://b.bitrix24.com/login/?back=" + secret, 1},
		"another secret":         {"a.bitrix24.com", "https://b.bitrix24.com/rest/1/" + secret + "x/profile.json", 1},
		"plain http":             {"a.bitrix24.com", "http://b.bitrix24.com" + path, 1},
		"plain http on itself":   {"a.bitrix24.com", "http://a.bitrix24.com" + path, 1},
		"plain http to here":     {"a.bitrix24.com", "http://127.0.0.1" + path, 1},
		"nowhere":                {"a.bitrix24.com", path, 1},
		"in a circle":            {"a.bitrix24.com", "https://a.bitrix24.com" + path, 2},
		"another zone":           {"a.bitrix24.com", "https://a.bitrix24.xyz" + path, 1},
		"the zone itself":        {"a.bitrix24.com", "https://bitrix24.com" + path, 1},
		"below the zone":         {"a.bitrix24.com", "https://b.c.bitrix24.com" + path, 1},
		"a name like the zone":   {"a.bitrix24.com", "https://b.bitrix24.com.evil.test" + path, 1},
		"with a user name":       {"a.bitrix24.com", "https://b.bitrix24.com@evil.test" + path, 1},
		"a neighbour's name":     {"a.com.br", "https://b.com.br" + path, 1},
		"a neighbour of a name":  {"a.example.com", "https://b.example.com" + path, 1},
		"from this machine away": {"localhost", "https://a.bitrix24.com" + path, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			c := openRenamed(t, tt.host, withBody(func(_ string, _ map[string]any, host string) (int, string) {
				if asked++; host != tt.host {
					t.Errorf("%s was asked", host)
				}
				return http.StatusFound, tt.location
			}), &bytes.Buffer{})
			defer func() {
				if asked != tt.asked {
					t.Errorf("%d requests, want %d", asked, tt.asked)
				}
			}()
			_, err := c.Call(t.Context(), "profile", nil)
			var fault *portal.Error
			if !errors.As(err, &fault) || fault.Verdict != portal.Fatal || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whatever goes wrong, no text shows the secret.
func TestClient_neverShowsItsSecret(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		status int
		answer string
	}{
		"no answer":           {0, ""},
		"not sent":            {-1, ""},
		"an error with it":    {400, `{"error":"X","error_description":"/rest/1/` + secret + `/"}`},
		"a page with it":      {502, secret},
		"wrong credentials":   {401, `{"error":"INVALID_CREDENTIALS","error_description":"` + secret + `"}`},
		"a redirect to it":    {302, "https://x.test/" + secret},
		"a redirect nowhere":  {302, "://" + secret},
		"an error in a batch": {200, `{"result":{"result":[],"result_error":{"c0":{"error":"X","error_description":"` + secret + `"}}}}`},
	}
	for name, tt := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := openScript(t, func(string, map[string]any, *http.Request) (int, string) { return tt.status, tt.answer }, &log)
				e := &engine.Entity{TypeID: 2, Name: "deal"}
				_, callErr := c.Call(t.Context(), "profile", nil)
				replies, batchErr := c.Batch(t.Context(), []portal.Command{{Method: "profile"}})
				_, catalogErr := c.Catalog(t.Context(), engine.Needs{Entities: []string{"deal"}})
				outcomes, writeErr := c.Write(t.Context(), []engine.Command{{Kind: engine.CommandDelete, Entity: e, ID: 1}}, func() error { return nil })
				for _, err := range []error{callErr, batchErr, catalogErr, writeErr} {
					if err != nil && strings.Contains(err.Error(), secret) {
						t.Errorf("an error shows the secret: %v", err)
					}
				}
				for _, r := range replies {
					if r.Err != nil && strings.Contains(r.Err.Error(), secret) {
						t.Errorf("a reply shows the secret: %v", r.Err)
					}
				}
				for _, o := range outcomes {
					if strings.Contains(o.Message, secret) {
						t.Errorf("an outcome shows the secret: %v", o.Message)
					}
				}
				if strings.Contains(log.String()+c.Status(), secret) {
					t.Errorf("the log shows the secret: %s", log.String())
				}
			})
		})
	}
}

// Over real connections: a portal that can't be reached was certainly not asked,
// one that hangs up may have been.
func TestClient_knowsWhatWasSent(t *testing.T) {
	t.Parallel()
	hangup := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	t.Cleanup(hangup.Close)
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range 65 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	t.Cleanup(huge.Close)
	var config net.ListenConfig
	closed, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tests := map[string]struct {
		address string
		want    engine.OutcomeKind
	}{
		"nobody listens":      {"http://" + closed.Addr().String(), engine.OutcomeRefused},
		"the portal hangs up": {hangup.URL, engine.OutcomeUnknown},
		"an endless answer":   {huge.URL, engine.OutcomeUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := portal.Parse(tt.address + "/rest/1/" + secret + "/")
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			c, err := portal.Open(portal.Options{Address: address, Transport: transport, Limits: unlimited()})
			if err != nil {
				t.Fatal(err)
			}
			outcomes, err := c.Write(t.Context(), []engine.Command{{Kind: engine.CommandDelete, Entity: &engine.Entity{TypeID: 2}, ID: 1}}, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0].Kind != tt.want {
				t.Errorf("got %+v, want %s", outcomes[0], tt.want)
			}
		})
	}
}

// Reads are repeated at least ten times over at least a minute; calls that may
// write are not, once they may have been executed.
func TestClient_repeats(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method string
		status int
		answer string
		least  int
		most   int
		over   time.Duration
	}{
		"a read without an answer":    {"crm.item.list", 0, "", 10, 20, time.Minute},
		"a read that meets a gateway": {"crm.item.list", 502, "<html>", 10, 20, time.Minute},
		"a read that is not sent":     {"crm.item.list", -1, "", 10, 20, time.Minute},
		"a write without an answer":   {"crm.item.add", 0, "", 1, 1, 0},
		"a write that is not sent":    {"crm.item.add", -1, "", 10, 20, time.Minute},
		"a read that is refused":      {"crm.item.list", 400, `{"error":"INVALID_ARG_VALUE"}`, 1, 1, 0},
		"wrong credentials":           {"crm.item.list", 401, `{"error":"INVALID_CREDENTIALS"}`, 1, 1, 0},
		"a token that stays expired":  {"crm.item.list", 401, `{"error":"expired_token"}`, 2, 10, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				c := openScript(t, func(string, map[string]any, *http.Request) (int, string) {
					asked++
					return tt.status, tt.answer
				}, nil)
				began := time.Now()
				if _, err := c.Call(t.Context(), tt.method, nil); err == nil {
					t.Error("want an error")
				}
				if took := time.Since(began); asked < tt.least || asked > tt.most || took < tt.over || took > tt.over+2*time.Minute {
					t.Errorf("asked %d times in %s, want %d to %d in %s or more", asked, took, tt.least, tt.most, tt.over)
				}
			})
		})
	}
}

// A portal that does not answer is waited for longer than it lets a request run.
func TestClient_timeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := openTransport(t, portal.Options{Transport: silent{}, Limits: unlimited()}, "/rest/1/"+secret+"/")
		began := time.Now()
		outcomes, err := c.Write(t.Context(), []engine.Command{{Kind: engine.CommandDelete, Entity: &engine.Entity{TypeID: 2}, ID: 1}}, func() error { return nil })
		if err != nil || outcomes[0].Kind != engine.OutcomeUnknown {
			t.Errorf("got %+v, %v", outcomes, err)
		}
		if took := time.Since(began); took <= time.Minute || took > 75*time.Second {
			t.Errorf("waited %s, want more than a minute and less than the fence", took)
		}
	})
}

// A request that is slow to connect would still run when the journal takes it for
// over and sends it again: it does not leave.
func TestClient_slowToConnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "demo", Secret: secret})
		var announced time.Time
		pause := time.Duration(0)
		c := openRenamed(t, "a.bitrix24.com", redirect(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			if left := time.Since(announced); !announced.IsZero() && left > 15*time.Second {
				t.Errorf("a request left %s after it was announced", left)
			}
			return box.Transport().RoundTrip(r)
		}), &bytes.Buffer{})
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		for wait, want := range map[time.Duration]engine.OutcomeKind{10 * time.Second: engine.OutcomeDone, 20 * time.Second: engine.OutcomeRefused} {
			pause = wait
			outcomes, err := c.Write(t.Context(), []engine.Command{{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": "made"}}}, func() error {
				announced = time.Now()
				return nil
			})
			if err != nil || outcomes[0].Kind != want {
				t.Errorf("after %s of connecting: %+v, %v; want %s", wait, outcomes, err, want)
			}
		}
		if made := strings.Count(string(box.Dump()), `"title":"made"`); made != 1 {
			t.Errorf("%d cards were made, want 1", made)
		}
	})
}

// silent takes requests and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := new(bytes.Buffer).ReadFrom(r.Body); err != nil {
		return nil, err
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}
