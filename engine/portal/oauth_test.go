package portal_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// tokenServer stands for the cloud's, which is another host than the portal.
const tokenServer = "https://tokens.test/oauth/token/"

// network is a transport that sees all requests, and may lose their answers.
type network struct {
	next http.RoundTripper
	lose func(*http.Request) bool // the answer; nil: none

	mu   sync.Mutex
	urls []string
	sent map[string]string // bodies by host
}

// RoundTrip implements [http.RoundTripper].
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.urls = append(n.urls, r.URL.String())
	if n.sent == nil {
		n.sent = map[string]string{}
	}
	n.sent[r.URL.Host] += string(body) + "\n"
	n.mu.Unlock()
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(body))
	response, err := n.next.RoundTrip(out)
	if err == nil && n.lose != nil && n.lose(r) {
		response.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return response, err
}

func (n *network) to(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, u := range n.urls {
		if strings.HasPrefix(u, "https://"+host+"/") {
			count++
		}
	}
	return count
}

// application is an authorisation of a sandbox's application.
func application(a sandbox.Authorization, folder string) *portal.Application {
	return &portal.Application{
		ClientID: a.ClientID, Secret: portal.NewSecret(a.ClientSecret), Refresh: portal.NewSecret(a.RefreshToken),
		Server: tokenServer, Folder: folder,
	}
}

func openApplication(tb testing.TB, app *portal.Application, transport http.RoundTripper, log *bytes.Buffer) *portal.Client {
	tb.Helper()
	address, err := portal.ParseApplication("https://sandbox.test/rest/")
	if err != nil {
		tb.Fatal(err)
	}
	o := portal.Options{Address: address, Application: app, Transport: transport, Limits: unlimited()}
	if log != nil {
		o.Logger = textLogger(log)
	}
	client, err := portal.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func newBox(tb testing.TB, o sandbox.Options) *sandbox.Portal {
	tb.Helper()
	box, err := sandbox.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { box.Close() })
	return box
}

// An application's token is renewed when the portal calls it expired and not
// before; the call is then made again, and nothing secret goes where it must not.
func TestApplication_renewsItsToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "empty", TokenLife: time.Hour})
		given := box.Authorize()
		folder := t.TempDir()
		wire := &network{next: box.Transport()}
		var log bytes.Buffer
		c := openApplication(t, application(given, folder), wire, &log)
		if id := c.ID(); id != "" {
			t.Errorf("before a call it is %q", id)
		}
		for range 4 { // three hours and some
			for range 10 {
				if _, err := c.Call(t.Context(), "crm.item.list", map[string]any{"entityTypeId": 3}); err != nil {
					t.Fatal(err)
				}
				<-time.After(6 * time.Minute)
			}
			if _, err := c.Call(t.Context(), "profile", nil); err != nil {
				t.Fatal(err)
			}
		}
		if id, err := c.Identify(t.Context()); id != "sandbox.test/rest/1" || err != nil {
			t.Errorf("it is %q, %v", id, err)
		}
		if n := wire.to("tokens.test"); n != 5 || box.TokenPairs() != 6 {
			t.Errorf("%d requests to the token server, %d pairs, want 5 and 6: the first token, and one an hour", n, box.TokenPairs())
		}
		if strings.Contains(log.String(), "WARN") {
			t.Errorf("the log says %s", log.String())
		}
		if strings.Contains(wire.sent["sandbox.test"], given.ClientSecret) || strings.Contains(wire.sent["sandbox.test"], given.RefreshToken) {
			t.Error("the portal was sent the client_secret or a refresh token")
		}
		for _, u := range wire.urls {
			if strings.Contains(u, "?") || strings.Contains(u, "auth=") {
				t.Errorf("a URL has a query: %s", u)
			}
		}
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(files) != 2 {
			t.Errorf("the folder holds %v, %v", files, err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
		}
	})
}

// Processes that share an authorisation never spend one refresh token twice, and
// one that starts later goes on with what they kept.
func TestApplication_sharedByProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "empty", TokenLife: 10 * time.Minute, Latency: 50 * time.Millisecond})
		given := box.Authorize()
		folder := t.TempDir()
		wire := &network{next: box.Transport()}
		var processes sync.WaitGroup
		for range 4 {
			c := openApplication(t, application(given, folder), wire, nil)
			for range 5 {
				processes.Go(func() {
					for range 30 {
						if _, err := c.Call(t.Context(), "profile", nil); err != nil {
							t.Error(err)
							return
						}
						<-time.After(time.Minute)
					}
				})
			}
		}
		processes.Wait()
		c := openApplication(t, application(given, folder), wire, nil)
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Error(err)
		}
		if n := box.TokenPairs(); n > 5 {
			t.Errorf("%d pairs were issued in half an hour, want one for ten minutes", n)
		}
	})
}

// The token expires between and within writes: each is made once.
func TestApplication_writesOnceWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{
			Seed: "demo", TokenLife: 3 * time.Second, Latency: time.Second, Faults: []string{"expired:p=0.1,seed=7"},
		})
		c := openApplication(t, application(box.Authorize(), t.TempDir()), box.Transport(), nil)
		card := entityOf(t, loadCatalog(t, c, "Onboarding"), "Onboarding")
		before := strings.Count(string(box.Dump()), `"title":"made `)
		for n := range 60 {
			write(t, c, engine.Command{Kind: engine.CommandAdd, Entity: card, Fields: map[string]any{"title": fmt.Sprintf("made %d", n)}})
		}
		if made := strings.Count(string(box.Dump()), `"title":"made `) - before; made != 60 {
			t.Errorf("%d cards were made, want 60", made)
		}
		if box.TokenPairs() < 10 {
			t.Errorf("%d pairs were issued: the test is of no use", box.TokenPairs())
		}
	})
}

// The token server's refusals stop everything and say what to do.
func TestApplication_refusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*portal.Application)
		faults []string
		lose   int // the answer of so many requests to the token server
		want   string
		tries  int
	}{
		"a dead refresh token":  {change: func(a *portal.Application) { a.Refresh = portal.NewSecret("0123456789") }, want: "invalid_grant: Invalid grant; the refresh token serves no more; authorise the application", tries: 1},
		"a wrong client_secret": {change: func(a *portal.Application) { a.Secret = portal.NewSecret("0123456789") }, want: "invalid_client: Invalid client; check the application's client_id", tries: 1},
		"a lost answer":         {lose: 1, want: "invalid_grant: an answer of the token server was lost, and with it the new refresh token; authorise", tries: 2},
		"a server that is down": {faults: []string{"html-502:method=oauth.token"}, want: "the token server gives no usable answer, ", tries: 5},
		"one that is refused":   {faults: []string{"error-500:method=oauth.token,count=3"}, tries: 4},
		"one that never got it": {faults: []string{"drop-before:method=oauth.token,count=2"}, tries: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				box := newBox(t, sandbox.Options{Seed: "empty", Faults: tt.faults})
				given := box.Authorize()
				app := application(given, t.TempDir())
				if tt.change != nil {
					tt.change(app)
				}
				wire := &network{next: box.Transport(), lose: func(r *http.Request) bool {
					tt.lose--
					return r.URL.Host == "tokens.test" && tt.lose >= 0
				}}
				var log bytes.Buffer
				c := openApplication(t, app, wire, &log)
				began := time.Now()
				_, err := c.Call(t.Context(), "crm.item.list", map[string]any{"entityTypeId": 3})
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				if n := wire.to("tokens.test"); n < tt.tries || n > 12 || time.Since(began) > 3*time.Minute {
					t.Errorf("asked %d times in %s", n, time.Since(began))
				}
				shown := log.String() + fmt.Sprint(err)
				for _, secret := range []string{given.ClientSecret, given.RefreshToken, given.AccessToken} {
					if strings.Contains(shown, secret) {
						t.Errorf("a secret shows in %s", shown)
					}
				}
			})
		})
	}
}

// What a process left that died while it kept new tokens is cleared away.
func TestApplication_afterAKill(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Seed: "empty"})
	given, folder := box.Authorize(), t.TempDir()
	for range 2 {
		c := openApplication(t, application(given, folder), box.Transport(), nil)
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Fatal(err)
		}
		kept, err := filepath.Glob(filepath.Join(folder, "tokens-*"))
		if err != nil || len(kept) != 2 {
			t.Fatalf("the folder holds %v, %v", kept, err)
		}
		if err := os.WriteFile(strings.TrimSuffix(kept[0], ".lock")+".123", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		box.ExpireTokens()
		if _, err := c.Call(t.Context(), "profile", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Damaged tokens are told, and not spent again from the beginning.
func TestApplication_damagedFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"access_token":"a"}`, `{"access_token":1,"refresh_token":"b"}`, strings.Repeat("x", 1<<16)} {
		box := newBox(t, sandbox.Options{Seed: "empty"})
		given, folder := box.Authorize(), t.TempDir()
		if _, err := openApplication(t, application(given, folder), box.Transport(), nil).Call(t.Context(), "profile", nil); err != nil {
			t.Fatal(err)
		}
		kept, err := filepath.Glob(filepath.Join(folder, "tokens-*.json"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("the folder holds %v, %v", kept, err)
		}
		if err := os.WriteFile(kept[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = openApplication(t, application(given, folder), box.Transport(), nil).Call(t.Context(), "profile", nil)
		if err == nil || !strings.Contains(err.Error(), "are damaged; delete the file") || box.TokenPairs() != 2 {
			t.Errorf("%.20q: %v, %d pairs", text, err, box.TokenPairs())
		}
	}
}

// What was renewed can't be kept: that is known before the old token is spent.
func TestApplication_noRoomForTokens(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	box := newBox(t, sandbox.Options{Seed: "empty"})
	c := openApplication(t, application(box.Authorize(), filepath.Join(file, "x")), box.Transport(), nil)
	if _, err := c.Call(t.Context(), "profile", nil); err == nil || !strings.Contains(err.Error(), "tokens can't be kept") {
		t.Errorf("got %v", err)
	}
	if n := box.TokenPairs(); n != 1 {
		t.Errorf("%d pairs were issued, want that of the authorisation alone", n)
	}
}

// The call is made again at once: it doesn't matter how short a token serves.
func TestApplication_shortTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "empty", TokenLife: 150 * time.Millisecond, Latency: 100 * time.Millisecond})
		c := openApplication(t, application(box.Authorize(), t.TempDir()), box.Transport(), nil)
		for range 20 {
			if _, err := c.Call(t.Context(), "profile", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A portal that answers nothing but expired tokens is not asked for ever.
func TestApplication_expiredForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "empty", Faults: []string{"expired"}})
		c := openApplication(t, application(box.Authorize(), t.TempDir()), box.Transport(), nil)
		_, err := c.Call(t.Context(), "profile", nil)
		if err == nil || !strings.Contains(err.Error(), "that were just renewed") || box.TokenPairs() > 8 {
			t.Errorf("after %d pairs: %v", box.TokenPairs(), err)
		}
	})
}

// What the portal answers with its tokens in it, nobody sees.
func TestApplication_neverShowsItsTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newBox(t, sandbox.Options{Seed: "empty"})
		given := box.Authorize()
		var log bytes.Buffer
		var access string
		c := openApplication(t, application(given, ""), tokenEcho(box.Transport(), func(token string) string {
			access = token
			return fmt.Sprintf(`{"error":"ERROR_CORE","error_description":"%s %s %s"}`, token, given.ClientSecret, given.RefreshToken)
		}), &log)
		_, err := c.Call(t.Context(), "profile", nil)
		app := application(given, "")
		shown := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", err, err, err, log.String(), app, *app, *app)
		c = openApplication(t, application(box.Authorize(), ""), tokenEcho(box.Transport(), func(token string) string {
			access = token
			return fmt.Sprintf(`{"result":{"urlMachine":"https:\/\/sandbox.test\/rest\/crm.controller.item.getFile\/?token=x\u0026auth=%s"}}`, token)
		}), &log)
		file, err := c.Call(t.Context(), "profile", nil)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(file.Value)
		for _, secret := range []string{access, given.ClientSecret, given.RefreshToken} {
			if secret == "" || strings.Contains(shown, secret) {
				t.Errorf("%q shows in %s", secret, shown)
			}
		}
	})
}

// tokenEcho answers calls of the portal by the token that they carry; the token
// server is the sandbox's.
func tokenEcho(next http.RoundTripper, answer func(token string) string) http.RoundTripper {
	calls := withBody(func(_ string, body map[string]any, _ string) (int, string) {
		text := answer(fmt.Sprint(body["auth"]))
		if strings.HasPrefix(text, `{"result"`) {
			return http.StatusOK, text
		}
		return http.StatusBadRequest, text
	})
	return byHost{"tokens.test": next, "sandbox.test": calls}
}

// byHost sends requests where they belong.
type byHost map[string]http.RoundTripper

// RoundTrip implements [http.RoundTripper].
func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return b[r.URL.Host].RoundTrip(r)
}

func TestOpen_refusesApplications(t *testing.T) {
	t.Parallel()
	secret := portal.NewSecret("s")
	tests := map[string]struct {
		address string
		app     portal.Application
	}{
		"no client_id":                    {"https://a.test/rest/", portal.Application{Secret: secret, Refresh: secret}},
		"no client_secret":                {"https://a.test/rest/", portal.Application{ClientID: "x", Refresh: secret}},
		"no refresh token":                {"https://a.test/rest/", portal.Application{ClientID: "x", Secret: secret}},
		"a webhook":                       {"https://a.test/rest/1/abc/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret}},
		"a token server in the clear":     {"https://a.test/rest/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret, Server: "http://b.test/oauth/token/"}},
		"the portal as its token server":  {"https://a.test/rest/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret, Server: "https://A.test/oauth/token/"}},
		"a token server with a query":     {"https://a.test/rest/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret, Server: "https://b.test/?client_secret=1"}},
		"an address in the clear":         {"http://a.test/rest/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret}},
		"an address with a method":        {"https://a.test/rest/profile", portal.Application{ClientID: "x", Secret: secret, Refresh: secret}},
		"an address with a user name too": {"https://u:p@a.test/rest/", portal.Application{ClientID: "x", Secret: secret, Refresh: secret}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := portal.ParseApplication(tt.address)
			if err != nil {
				if address, err = portal.Parse(tt.address); err != nil {
					return
				}
			}
			if _, err = portal.Open(portal.Options{Address: address, Application: &tt.app}); err == nil {
				t.Error("want an error")
			}
		})
	}
}

// A renamed portal gets the token under its new name, another host none; the
// token server is not followed anywhere.
func TestApplication_redirects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		host, to string // of the portal
		tokens   string // where the token server redirects to; empty: nowhere
		want     string
		asked    string // besides
	}{
		"a new name":     {host: "old.bitrix24.com", to: "new.bitrix24.com", asked: "new.bitrix24.com"},
		"another host":   {host: "old.bitrix24.com", to: "evil.test", want: `redirects to "evil.test", which need not be the same one`},
		"another server": {host: "old.bitrix24.com", tokens: "https://evil.test/oauth/token/", want: "gives no usable answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				box := newBox(t, sandbox.Options{Seed: "empty"})
				wire := &network{next: redirect(func(r *http.Request) (*http.Response, error) {
					to := ""
					switch {
					case r.URL.Host == tt.host && tt.to != "":
						to = "https://" + tt.to + r.URL.Path
					case r.URL.Host == "tokens.test":
						to = tt.tokens
					}
					if to == "" {
						return box.Transport().RoundTrip(r)
					}
					return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {to}}, Body: http.NoBody, Request: r}, nil
				})}
				address, err := portal.ParseApplication("https://" + tt.host + "/rest/")
				if err != nil {
					t.Fatal(err)
				}
				c, err := portal.Open(portal.Options{Address: address, Application: application(box.Authorize(), t.TempDir()), Transport: wire, Limits: unlimited()})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Call(t.Context(), "profile", nil)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				for host := range wire.sent {
					if host != "tokens.test" && host != tt.host && host != tt.asked {
						t.Errorf("%s was asked", host)
					}
				}
			})
		})
	}
}
