package sandbox

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokenPath is where the token server answers: "OAuth 2.0" of the REST guide.
// In the cloud it is a host of its own, oauth.bitrix.info.
const tokenPath = "/oauth/token" //nolint:gosec // a path, not a secret

// tokenMethod is what a fault calls a request to the token server, which no
// fault strikes that doesn't name it.
const tokenMethod = "oauth.token" //nolint:gosec // a name, not a secret

// tokenLife is how long an access token serves, unless Options say otherwise.
const tokenLife = time.Hour

// maxTokens bounds the tokens that are remembered.
const maxTokens = 4096

// application is the one local application of the portal, with its token server.
// Its tokens end with the process, as if it had been installed anew.
type application struct {
	mu      sync.Mutex
	id      string
	secret  string
	life    time.Duration
	access  map[string]time.Time // until when
	refresh map[string]bool      // false: used, and dead
	pairs   int                  // issued so far, by authorisation or refresh
}

func newApplication(o Options) *application {
	return &application{
		id: "local." + randomText(7) + "." + randomText(4), secret: randomText(25), life: cmp.Or(o.TokenLife, tokenLife),
		access: map[string]time.Time{}, refresh: map[string]bool{},
	}
}

// issue makes a pair of tokens.
func (a *application) issue(now time.Time) (access, refresh string, until time.Time) {
	if len(a.access) >= maxTokens {
		maps.DeleteFunc(a.access, func(_ string, until time.Time) bool { return until.Before(now) })
	}
	if len(a.refresh) >= maxTokens {
		maps.DeleteFunc(a.refresh, func(_ string, alive bool) bool { return !alive })
	}
	access, refresh, until = randomText(35), randomText(35), now.Add(a.life)
	a.access[access], a.refresh[refresh] = until, true
	a.pairs++
	return access, refresh, until
}

// check says what a request with a token is answered; nil: it is let in.
func (a *application) check(token string) *apiError {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch until, known := a.access[token]; {
	case !known:
		return fault(http.StatusUnauthorized, "invalid_token", "Unable to get application by token")
	case !time.Now().Before(until):
		return fault(http.StatusUnauthorized, "expired_token", "The access token provided has expired")
	}
	return nil
}

// Authorization is what an application gets when somebody authorises it.
type Authorization struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	Pairs        int    `json:"pairs"`      // of tokens issued so far, this one too
}

// Authorize authorises the portal's application for user 1 and returns its
// credentials with a fresh pair of tokens; earlier ones go on to serve.
func (p *Portal) Authorize() Authorization {
	a := p.app
	a.mu.Lock()
	defer a.mu.Unlock()
	access, refresh, _ := a.issue(time.Now())
	return Authorization{
		ClientID: a.id, ClientSecret: a.secret, AccessToken: access, RefreshToken: refresh,
		ExpiresIn: int(a.life / time.Second), Pairs: a.pairs,
	}
}

// ExpireTokens lets all access tokens expire now; refresh tokens go on to serve.
func (p *Portal) ExpireTokens() {
	p.app.mu.Lock()
	defer p.app.mu.Unlock()
	for token := range p.app.access {
		p.app.access[token] = time.Now()
	}
}

// TokenPairs is how many pairs of tokens were issued so far.
func (p *Portal) TokenPairs() int {
	p.app.mu.Lock()
	defer p.app.mu.Unlock()
	return p.app.pairs
}

func isTokenPath(path string) bool { return strings.TrimSuffix(path, "/") == tokenPath }

// grant answers as the token server does: GET and POST, by query or form.
func (p *Portal) grant(r *http.Request, body io.Reader) *answer {
	data, err := io.ReadAll(io.LimitReader(body, maxControl))
	if err != nil {
		return refusal(fault(http.StatusBadRequest, "invalid_request", "The request was cut short"))
	}
	req := &request{method: tokenMethod, params: readParams(r, data)}
	f := p.faults.next(req)
	if f != nil {
		p.stats.fault()
		if a := p.refuse(f, req); a != nil {
			return a
		}
		if !p.wait(f.wait()) {
			return &answer{drop: true}
		}
	}
	scheme := "http://"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https://"
	}
	return f.spoil(p.app.exchange(req.params, scheme+r.Host+"/"))
}

// exchange gives a new pair for a refresh token, which is dead from then on.
func (a *application) exchange(params *array, base string) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	given := func(name string) string {
		v, _ := params.get(name)
		return textOf(v)
	}
	refuse := func(code, text string) *answer { return refusal(fault(http.StatusBadRequest, code, text)) }
	alive, known := a.refresh[given("refresh_token")]
	switch {
	case given("grant_type") != "refresh_token":
		return refuse("invalid_request", "The grant type is missing or not supported")
	case given("client_id") != a.id, subtle.ConstantTimeCompare([]byte(given("client_secret")), []byte(a.secret)) != 1:
		return refuse("invalid_client", "Invalid client")
	case !known || !alive:
		return refuse("invalid_grant", "Invalid grant")
	}
	a.refresh[given("refresh_token")] = false
	access, refresh, until := a.issue(time.Now())
	return plainAnswer(http.StatusOK, object{
		{"access_token", access},
		{"expires", until.Unix()},
		{"expires_in", int64(a.life / time.Second)},
		{"scope", strings.Join(scopes(), ",")},
		{"domain", "oauth.bitrix.info"},
		{"server_endpoint", base + "rest/"},
		{"status", "L"},
		{"client_endpoint", base + "rest/"},
		{"member_id", "00000000000000000000000000000001"},
		{"user_id", int64(webhookUser)},
		{"refresh_token", refresh},
	})
}

// controlTokens is POST /_sandbox/authorize and /_sandbox/expire; a body
// {"life":"5s"} sets how long tokens serve that are issued from now on.
func (p *Portal) controlTokens(name string, data []byte) *answer {
	var set struct {
		Life string `json:"life"`
	}
	if len(data) > 0 {
		err := json.Unmarshal(data, &set)
		life, bad := time.ParseDuration(cmp.Or(set.Life, "1h"))
		if err != nil || bad != nil || life <= 0 {
			return plainAnswer(http.StatusBadRequest, object{{"error", name + ": want {\"life\":\"1h\"} or nothing"}})
		}
		if set.Life != "" {
			p.app.mu.Lock()
			p.app.life = life
			p.app.mu.Unlock()
		}
	}
	if name == "expire" {
		p.ExpireTokens()
		return plainAnswer(http.StatusOK, object{{"ok", true}})
	}
	return jsonAnswer(p.Authorize())
}
