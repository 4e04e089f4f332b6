package portal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// TokenServer is where the tokens of all cloud portals are renewed ("OAuth 2.0"
// of the REST guide).
const TokenServer = "https://oauth.bitrix.info/oauth/token/" //nolint:gosec // an address, not a secret

// Application is an application of a portal, by which bxflow acts instead of a
// webhook. Its calls carry an access token, which serves for an hour and is
// then renewed by means of a refresh token, which serves once.
type Application struct {
	ClientID string
	Secret   Secret // its client_secret, which only the token server is sent
	// Refresh is the refresh token of the authorisation. Those that follow it are
	// kept in Folder: by it they are found again.
	Refresh Secret
	Server  string // the token server; empty: [TokenServer]
	Folder  string // where tokens are kept; empty: in memory, and lost at the end
}

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{text} }

// IsZero says whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// ParseApplication reads the address of a portal that an application calls:
// https://host/rest/.
func ParseApplication(raw string) (Address, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, errors.New("the portal's address is not that of an application; want https://host/rest/")
	}
	host := strings.ToLower(u.Host)
	if err := checkScheme(u.Scheme, u.Hostname()); err != nil {
		return Address{}, fmt.Errorf("portal %q: %w", host, err)
	}
	if path := strings.Trim(u.Path, "/"); path != "" && path != "rest" {
		return Address{}, fmt.Errorf("portal %q: the address of an application has no webhook or method in it; want https://%s/rest/", host, host)
	}
	return Address{Scheme: u.Scheme, Host: host}, nil
}

// check refuses what can't work, or would send the client_secret to a portal.
func (a Application) check(portal Address) error {
	u, err := url.Parse(a.Server)
	switch {
	case a.ClientID == "":
		return errors.New("the application's client_id is empty")
	case a.Secret.IsZero():
		return errors.New("the application's client_secret is empty")
	case a.Refresh.IsZero():
		return errors.New("the application's refresh token is empty")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the token server is not a URL; want " + TokenServer)
	}
	if err := checkScheme(u.Scheme, u.Hostname()); err != nil {
		return fmt.Errorf("token server %q: %w", u.Host, err)
	}
	if strings.EqualFold(u.Host, portal.Host) && !isLoopback(u.Hostname()) {
		return fmt.Errorf("token server %q is the portal itself, which must not see the client_secret; want %s", u.Host, TokenServer)
	}
	return nil
}

// tokens are an application's tokens, shared by all processes of the machine
// through a file.
type tokens struct {
	app    Application
	host   string // of the token server
	http   *http.Client
	keep   *tokenFile
	logger *slog.Logger

	turn chan struct{} // held by whoever renews

	mu      sync.Mutex
	pair    pair
	secrets []string // the latest ones, none of which may show
	unused  int      // renewals in a row after which no call succeeded
}

// pair is an access token with the refresh token that renews it.
type pair struct {
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token"`
	Renewed time.Time `json:"renewed"`
}

// String masks the pair.
func (pair) String() string { return masked }

// GoString masks the pair for %#v.
func (pair) GoString() string { return masked }

// maxSecrets is how many secrets are remembered to be masked: those of the
// application, and the tokens of some renewals.
const maxSecrets = 32

func newTokens(app Application, transport http.RoundTripper, logger *slog.Logger) (*tokens, error) {
	u, err := url.Parse(app.Server)
	if err != nil {
		return nil, errors.New("the token server is not a URL")
	}
	t := &tokens{
		app: app, host: u.Host, logger: logger, turn: make(chan struct{}, 1), keep: newTokenFile(app),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.hide(app.Secret.text, app.Refresh.text)
	return t, nil
}

// hide has texts masked from now on.
func (t *tokens) hide(texts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range texts {
		if text != "" && !slices.Contains(t.secrets, text) {
			t.secrets = append(t.secrets, text)
		}
	}
	if over := len(t.secrets) - maxSecrets; over > 0 {
		t.secrets = slices.Delete(t.secrets, 2, 2+over) // the first two are the application's own
	}
}

// scrub takes all tokens out of a text that others wrote.
func (t *tokens) scrub(text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, secret := range t.secrets {
		text = strings.ReplaceAll(text, secret, masked)
	}
	return text
}

func (t *tokens) current() pair {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pair
}

func (t *tokens) set(p pair) {
	t.hide(p.Access, p.Refresh)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pair = p
}

// access is the token for the next call. Where there is none yet, one is found
// in the file or fetched.
func (t *tokens) access(ctx context.Context) (string, *Error) {
	if p := t.current(); p.Access != "" {
		return p.Access, nil
	}
	if fault := t.renew(ctx, ""); fault != nil {
		return "", fault
	}
	return t.current().Access, nil
}

// served notes that a call with a token succeeded.
func (t *tokens) served() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unused = 0
}

// renew replaces an access token that the portal called expired. Whoever comes
// second, in this process or another, finds the pair that the first one got.
// The fault is Refused if ctx ends, otherwise Fatal.
func (t *tokens) renew(ctx context.Context, expired string) *Error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return t.fault(Refused, ctx.Err().Error())
	}
	now := t.current()
	if now.Access != expired {
		return nil
	}
	unlock, err := t.keep.lock(ctx)
	if ctx.Err() != nil {
		return t.fault(Refused, ctx.Err().Error())
	}
	if err != nil {
		return t.fault(Fatal, err.Error())
	}
	defer unlock()
	kept, err := t.keep.load()
	if err != nil {
		return t.fault(Fatal, err.Error())
	}
	if kept.Access != "" && kept.Access != expired {
		t.set(kept)
		return nil
	}
	return t.exchange(ctx, cmp.Or(kept.Refresh, now.Refresh, t.app.Refresh.text))
}

// exchange spends a refresh token, and keeps what it gets for it. The place for
// that is made first: a full disk must not cost the authorisation.
func (t *tokens) exchange(ctx context.Context, refresh string) *Error {
	t.mu.Lock()
	t.unused++
	unused := t.unused
	t.mu.Unlock()
	if unused > maxExpired {
		return t.fault(Fatal, "the portal calls tokens expired that were just renewed; ask the support of Bitrix24")
	}
	place, err := t.keep.place()
	if err != nil {
		return t.fault(Fatal, err.Error())
	}
	next, fault := t.insist(ctx, refresh)
	if fault != nil {
		place.discard()
		return fault
	}
	t.set(next)
	t.logger.Debug("the application's token was renewed", "server", t.host)
	if err := place.fill(next); err != nil {
		t.keep = nil // what is in the file is dead
		t.logger.Error("the application's new tokens can't be kept: they serve until bxflow ends, then it must be authorised again", "fault", err.Error())
	}
	return nil
}

const (
	// tokenTries and leastTime are how persistently a token server is asked that
	// gives no usable answer.
	tokenTries = 5
	// tokenTimeout is how long it may take to answer.
	tokenTimeout = 30 * time.Second
)

// insist asks until the token server says yes or no. A lost answer may have held
// the one new refresh token: then the old one is dead, and that is told.
func (t *tokens) insist(ctx context.Context, refresh string) (pair, *Error) {
	began := time.Now()
	for try := 1; ; try++ {
		next, fault := t.ask(ctx, refresh)
		switch {
		case fault == nil:
			return next, nil
		case fault.Verdict == Fatal && fault.Code == codeInvalidGrant && try > 1:
			fault.Message = "an answer of the token server was lost, and with it the new refresh token; " + reauthorise
			return pair{}, fault
		case fault.Verdict == Fatal:
			return pair{}, fault
		case try >= tokenTries && time.Since(began) >= leastTime:
			fault.Verdict = Fatal
			fault.Message = fmt.Sprintf("the token server gives no usable answer, %d tries in %s: %s; try again later",
				try, time.Since(began).Round(time.Second), fault.Message)
			return pair{}, fault
		}
		pause := min(firstPause<<min(try-1, 10), longestPause)
		t.logger.Warn("the token server gives no usable answer; asking again for at least a minute",
			"server", t.host, "after", pause, "fault", fault.Message)
		if err := sleep(ctx, pause); err != nil {
			return pair{}, t.fault(Refused, err.Error())
		}
	}
}

// ask asks once. What was begun is heard out, whatever ctx says: the answer may
// hold the only token that still serves. Everything goes in the body, which
// nobody logs.
func (t *tokens) ask(ctx context.Context, refresh string) (pair, *Error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	form := url.Values{
		"grant_type": {"refresh_token"}, "client_id": {t.app.ClientID},
		"client_secret": {t.app.Secret.text}, "refresh_token": {refresh},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.app.Server, strings.NewReader(form.Encode()))
	if err != nil {
		return pair{}, t.fault(Fatal, "the token server's address is not usable")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	response, err := t.http.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return pair{}, t.fault(Unknown, err.Error())
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxGrant+1))
	if err != nil {
		return pair{}, t.fault(Unknown, err.Error())
	}
	return t.read(response.StatusCode, answer, refresh)
}

const (
	// maxGrant caps the answer of the token server.
	maxGrant = 64 << 10
	// maxToken caps a token.
	maxToken = 4 << 10
)

// read reads the token server's answer. Only a plain refusal is one: whatever
// else it is may have cost the refresh token.
func (t *tokens) read(status int, answer []byte, refresh string) (pair, *Error) {
	var grant struct {
		Access  text `json:"access_token"`
		Refresh text `json:"refresh_token"`
		Code    text `json:"error"`
		Message text `json:"error_description"`
	}
	if err := json.Unmarshal(answer, &grant); err != nil || len(answer) > maxGrant {
		return pair{}, t.fault(Unknown, fmt.Sprintf("the answer is not JSON (HTTP %d)", status))
	}
	t.hide(string(grant.Access), string(grant.Refresh))
	switch {
	case grant.Code != "" && status < http.StatusInternalServerError && status != http.StatusTooManyRequests:
		fault := t.fault(Fatal, plainText(string(grant.Message)))
		fault.Code = printable(string(grant.Code))
		fault.Message = strings.TrimPrefix(fault.Message+"; "+refusedGrant(fault.Code), "; ")
		return pair{}, fault
	case status != http.StatusOK || grant.Access == "" || len(grant.Access) > maxToken || len(grant.Refresh) > maxToken:
		return pair{}, t.fault(Unknown, fmt.Sprintf("the answer holds no tokens (HTTP %d)", status))
	}
	return pair{Access: string(grant.Access), Refresh: cmp.Or(string(grant.Refresh), refresh), Renewed: time.Now().UTC()}, nil
}

const (
	codeInvalidGrant = "invalid_grant"
	reauthorise      = "authorise the application in the portal again, and give bxflow the new refresh token (bxflow help portals)"
)

// refusedGrant says what to do about a refusal of the token server ("Error
// codes" of OAuth in the REST guide).
func refusedGrant(code string) string {
	switch code {
	case codeInvalidGrant:
		return "the refresh token serves no more; " + reauthorise
	case "invalid_client":
		return "check the application's client_id and client_secret"
	case "PAYMENT_REQUIRED":
		return "the portal's or the application's subscription has run out"
	case "insufficient_scope", "invalid_scope":
		return "the application has no right that it may use; give it the scopes crm and user, then authorise it again"
	}
	return reauthorise
}

// fault is an error of the token server, or on the way to it.
func (t *tokens) fault(v Verdict, message string) *Error {
	return &Error{Method: t.host, Verdict: v, Message: t.scrub(message)}
}

// withToken puts an access token into the body of a call, the one place where
// every portal looks for it and no server logs it.
func withToken(body []byte, access string) []byte {
	quoted, err := json.Marshal(access)
	if err != nil { // a text is always JSON
		return body
	}
	head := bytes.TrimSuffix(bytes.TrimSpace(body), []byte("}"))
	out := slices.Concat(head, []byte(`,"auth":`), quoted, []byte("}"))
	if len(bytes.TrimSpace(head)) <= len("{") {
		out = slices.Concat([]byte(`{"auth":`), quoted, []byte("}"))
	}
	return out
}
