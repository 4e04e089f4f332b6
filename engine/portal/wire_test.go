package portal_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
)

func textLogger(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A renamed portal answers 302: the same body goes to the new host, once, and
// later calls go there directly.
func TestClient_followsARenamedPortal(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	hosts := map[string]int{}
	c := openScript(t, withBody(func(_ string, body map[string]any, host string) (int, string) {
		hosts[host]++
		if host == "sandbox.test" {
			return http.StatusFound, "https://new.test/rest/1/" + secret + "/crm.item.list.json"
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
	if hosts["sandbox.test"] != 1 || hosts["new.test"] != 2 {
		t.Errorf("requests by host %v", hosts)
	}
	if got := c.Address().String(); got != "https://new.test/rest/1/***/" {
		t.Errorf("the address is %s", got)
	}
	if got := c.Usage().Requests; got != 3 {
		t.Errorf("%d requests were counted, want 3", got)
	}
	if n := strings.Count(log.String(), "has moved"); n != 1 || strings.Contains(log.String(), secret) {
		t.Errorf("the log says %s", log.String())
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
	tests := map[string]string{
		"another path":   "https://new.test/login/?back=" + secret,
		"another secret": "https://new.test/rest/1/" + secret + "x/profile.json",
		"plain http":     "http://new.test/rest/1/" + secret + "/profile.json",
		"nowhere":        "/rest/1/" + secret + "/profile.json",
		"in a circle":    "https://sandbox.test/rest/1/" + secret + "/profile.json",
	}
	for name, location := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openScript(t, withBody(func(string, map[string]any, string) (int, string) { return http.StatusFound, location }), nil)
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

// silent takes requests and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := new(bytes.Buffer).ReadFrom(r.Body); err != nil {
		return nil, err
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}
