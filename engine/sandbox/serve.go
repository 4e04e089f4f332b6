package sandbox

import (
	"context"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/conc/panics"
)

// request is a REST request, read.
type request struct {
	url    string
	client string // the address that the bucket goes by
	method string // lower case
	xml    bool
	user   string // of a webhook address
	secret string
	token  string // of an address without a webhook
	params *array
	began  time.Time
	number int
	record *requestRecord // nil unless requests are recorded
}

// answer is what goes back.
type answer struct {
	status   int
	code     string // of an error
	html     bool
	body     []byte
	location string
	drop     bool // the connection is closed instead
	cut      int  // how many bytes at the end of the body are never sent
}

// ServeHTTP answers REST requests under /rest/ and, on loopback only, the
// control requests under /_sandbox/.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = http.NoBody
	if r.Body != nil {
		body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	a := p.answer(r, body, nil)
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	a.header(w.Header())
	w.WriteHeader(a.status)
	// A client that is gone doesn't get its answer: nothing to be done about it.
	_, _ = w.Write(a.body[:len(a.body)-a.cut])
	if a.cut > 0 {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (a *answer) header(h http.Header) {
	h.Set("Content-Type", "application/json; charset=utf-8")
	if a.html {
		h.Set("Content-Type", "text/html; charset=utf-8")
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
}

// answer works on a request until it has an answer, the request is cut off, or
// the client gives up waiting (gone). Whatever was begun then goes on by itself.
func (p *Portal) answer(r *http.Request, body io.Reader, gone <-chan struct{}) *answer {
	if strings.HasPrefix(r.URL.Path, "/_sandbox/") {
		return p.control(r, body)
	}
	if isTokenPath(r.URL.Path) {
		return p.grant(r, body)
	}
	if r.URL.Path != "/rest" && !strings.HasPrefix(r.URL.Path, "/rest/") {
		return &answer{status: http.StatusNotFound, html: true, body: []byte("<html><body>404 Not Found</body></html>")}
	}
	began := time.Now()
	data, err := io.ReadAll(body)
	if err != nil {
		return refusal(fault(http.StatusRequestEntityTooLarge, "INVALID_REQUEST", "The request is too large or was cut short"))
	}
	req := readRequest(r, data)
	req.began = began
	return p.work(context.WithoutCancel(r.Context()), req, gone)
}

// work numbers a request and sees to its answer.
func (p *Portal) work(ctx context.Context, req *request, gone <-chan struct{}) *answer {
	req.number = p.stats.request()
	if p.options.History {
		req.record = p.requests.begin(req)
	}
	a := p.decide(ctx, req, gone)
	req.record.answered(a)
	return a
}

// decide lets a request in, or not, and waits for what comes of it.
func (p *Portal) decide(ctx context.Context, req *request, gone <-chan struct{}) *answer {
	if !p.limits.admit(req.client) {
		p.stats.rejectedBucket()
		return refusal(tooMany())
	}
	if p.closing.Err() != nil {
		return &answer{drop: true}
	}
	f := p.faults.next(req)
	if f != nil {
		p.stats.fault()
		req.record.struck(f)
		if a := p.refuse(f, req); a != nil {
			return a
		}
	}
	limit := p.options.RequestLimit
	if f.late() {
		limit += f.delay
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	done := make(chan *answer, 1)
	req.record.letIn()
	started := p.start(func() {
		defer cancel()
		defer req.record.worked()
		defer p.stats.enter()()
		var a *answer
		if caught := panics.Try(func() { a = p.process(ctx, req, f) }); caught != nil {
			a = refusal(fault(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", caught.AsError().Error()))
		}
		done <- a
	})
	if !started {
		cancel()
		req.record.worked()
		return &answer{drop: true}
	}
	if f.late() {
		return &answer{drop: true}
	}
	select {
	case a := <-done:
		return f.spoil(a)
	case <-gone:
		return &answer{drop: true}
	case <-ctx.Done():
	}
	select {
	case a := <-done: // ended just now, which ends ctx too
		return f.spoil(a)
	default:
		p.stats.timeout()
		return &answer{drop: true}
	}
}

// process runs a request that was let in.
func (p *Portal) process(ctx context.Context, req *request, f *Fault) *answer {
	if !p.wait(p.options.Latency + f.wait()) {
		return &answer{drop: true}
	}
	m, ok := p.methods[req.method]
	isBatch := req.method == "batch"
	switch {
	case req.xml || !ok && !isBatch:
		return refusal(noMethod())
	case p.closing.Err() != nil || ctx.Err() != nil:
		return &answer{drop: true}
	}
	// The real portal, too, looks for the method before it looks at the secret.
	if err := p.authorize(req); err != nil {
		return refusal(err)
	}
	x := &exchange{
		portal: p, store: p.store, ctx: ctx, bill: p.limits.open(time.Now()),
		user: webhookUser, nested: isBatch, lag: f.lag(),
		cause: cause{request: req.number, arrived: req.began}, record: req.record, half: f != nil && f.kind == FaultDropMidway,
	}
	if !isBatch && x.half {
		return &answer{drop: true}
	}
	if !isBatch {
		r := x.execute(m, req.params)
		req.record.ran(0, r.err)
		switch {
		case x.aborted:
			return &answer{drop: true}
		case r.err != nil:
			return refusal(r.err)
		}
		return success(object{{"result", r.value}}, r, 1)
	}
	if p.limits.charge == ChargeBatch && p.limits.blocked("batch") {
		p.stats.rejected()
		return refusal(fault(http.StatusTooManyRequests, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."))
	}
	value, size := x.batch(req.params)
	if x.aborted {
		return &answer{drop: true}
	}
	r := &result{value: value, time: x.timing(req.began, "batch")}
	return success(object{{"result", r.value}}, r, size+1)
}

// webhookUser owns the webhook: an administrator.
const webhookUser = 1

// success writes the answer of a request of so many commands.
func success(out object, r *result, commands int) *answer {
	const usual = 2500 // bytes of an item
	if r.next != nil {
		out = append(out, pair{"next", *r.next})
	}
	if r.total != nil {
		out = append(out, pair{"total", *r.total})
	}
	out = append(out, pair{"time", r.time})
	return &answer{status: http.StatusOK, body: appendJSON(make([]byte, 0, usual*commands), out)}
}

func refusal(err *apiError) *answer {
	return &answer{status: err.status, code: err.code, body: appendJSON(nil, err.body())}
}

func tooMany() *apiError {
	return fault(http.StatusServiceUnavailable, "QUERY_LIMIT_EXCEEDED", "Too many requests")
}

// authorize checks the webhook's secret, or the token of an address without one.
func (p *Portal) authorize(req *request) *apiError {
	same := func(s string) bool { return subtle.ConstantTimeCompare([]byte(s), []byte(p.secret)) == 1 }
	switch {
	case req.user != "":
		if req.user != strconv.Itoa(webhookUser) || !same(req.secret) {
			return fault(http.StatusUnauthorized, "INVALID_CREDENTIALS", "Invalid request credentials")
		}
	case req.token == "":
		return fault(http.StatusUnauthorized, "NO_AUTH_FOUND", "Wrong authorization data")
	case same(req.token):
		return nil
	default:
		return p.app.check(req.token)
	}
	return nil
}

// readRequest takes an address apart: /rest/{user}/{secret}/{method} or
// /rest/{method}, the name in any case, with .json or a slash after it or not.
func readRequest(r *http.Request, body []byte) *request {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	// Without a scheme, a Location keeps that of the request.
	req := &request{url: "//" + r.Host + r.URL.RequestURI(), client: client, params: readParams(r, body)}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/rest"), "/")
	if parts := strings.SplitN(path, "/", 3); len(parts) == 3 {
		if _, numeric := position(parts[0]); numeric {
			req.user, req.secret, path = parts[0], parts[1], parts[2]
		}
	}
	name := strings.ToLower(path)
	name, req.xml = strings.CutSuffix(name, ".xml")
	req.method = methodName(name)
	if req.user == "" {
		req.token = bearer(r, req.params)
	}
	return req
}

// bearer finds an access token: in the header, which wins, or in a parameter.
func bearer(r *http.Request, params *array) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, name := range []string{"auth", "access_token"} {
		if v, ok := params.get(name); ok {
			return textOf(v)
		}
	}
	return ""
}
