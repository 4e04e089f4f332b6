package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/crash"
)

// maxAnswer caps an answer's size, unpacked. A batch of fifty full pages is a
// few megabytes.
const maxAnswer = 64 << 20

// userAgent names the client, as the REST guide asks.
const userAgent = "bxflow/1"

// wire sends bytes to the portal and reads what comes back. It knows nothing of
// methods, limits or repeats; it is what keeps the secret out of errors.
type wire struct {
	http   *http.Client
	limits Limits
	logger *slog.Logger

	tokens *tokens // of an application; nil for a webhook

	mu      sync.Mutex
	address Address
	moved   bool         // it is another than at first
	moves   atomic.Int64 // requests that a redirect cost
}

func newWire(address Address, transport http.RoundTripper, limits Limits, logger *slog.Logger) *wire {
	return &wire{
		// Following a redirect would turn the POST into a GET and lose the body.
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limits: limits, logger: logger, address: address,
	}
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 15 * time.Second,
	}
}

// Address is where the portal is now; it may have moved since the client opened.
func (w *wire) Address() Address {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.address
}

// post calls a method with a JSON body, for an application with its token. One
// that expired is renewed; the call was not executed then, and whoever made it
// makes it again, as its limits allow.
func (w *wire) post(ctx context.Context, method string, body []byte) (Result, *Error) {
	if w.tokens == nil {
		return w.send(ctx, method, body)
	}
	access, fault := w.tokens.access(ctx)
	if fault != nil {
		return Result{}, fault
	}
	result, fault := w.send(ctx, method, withToken(body, access))
	switch {
	case fault == nil:
		w.tokens.served()
		result.Value = scrubToken(result.Value, access)
	case fault.Verdict == Expired:
		if stop := w.tokens.renew(ctx, access); stop != nil {
			return Result{}, stop
		}
	}
	return result, fault
}

// scrubToken takes an application's token out of addresses in an answer, as
// [Address.scrubAnswer] does a webhook's secret.
func scrubToken(answer []byte, access string) []byte {
	return bytes.ReplaceAll(answer, []byte("auth="+access), []byte("auth="+masked))
}

// scrub takes all secrets out of a text that others wrote.
func (w *wire) scrub(text string) string {
	text = w.Address().scrub(text)
	if w.tokens != nil {
		text = w.tokens.scrub(text)
	}
	return text
}

// scrubError takes the secrets out of an error that the portal may have worded.
func (w *wire) scrubError(e *Error) {
	for _, text := range []*string{&e.Code, &e.Message, &e.Argument} {
		*text = w.scrub(*text)
	}
	e.Application = w.tokens != nil
}

// send makes one call. A portal that was renamed answers 302: the same body
// then goes to the new host, once.
func (w *wire) send(ctx context.Context, method string, body []byte) (Result, *Error) {
	address, sent := w.Address(), time.Now()
	leave := sent.Add(w.limits.leave(len(body)))
	status, location, answer, fault := w.exchange(ctx, address, method, body, leave)
	if fault == nil && isRedirect(status) {
		next, err := address.moved(location, method)
		if err == nil {
			err = w.mayMove(next)
		}
		if err != nil {
			return Result{}, &Error{Method: method, Status: status, Verdict: Fatal, Message: err.Error()}
		}
		w.moves.Add(1)
		sent = time.Now()
		status, _, answer, fault = w.exchange(ctx, next, method, body, leave)
		if fault == nil && isRedirect(status) {
			return Result{}, &Error{Method: method, Status: status, Verdict: Fatal, Message: fmt.Sprintf("the portal redirects to %q, which redirects again; check its address", next.Host)}
		}
		if fault == nil {
			w.move(next)
		}
	}
	if fault != nil {
		w.scrubError(fault)
		return Result{}, fault
	}
	result, fault := answerOf(method, status, address.scrubAnswer(answer))
	if fault != nil {
		w.scrubError(fault)
		return Result{}, fault
	}
	result.Sent, result.Answered = sent, time.Now()
	return result, nil
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// mayMove refuses a second move: a portal is not renamed twice while bxflow
// runs. Requests that left before the first one come to the same place.
func (w *wire) mayMove(to Address) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moved && w.address != to {
		return fmt.Errorf("the portal has moved to %q, and now redirects to %q; check its address", w.address.Host, to.Host)
	}
	return nil
}

// move remembers the portal's new host.
func (w *wire) move(to Address) {
	w.mu.Lock()
	known := w.address == to
	w.address, w.moved = to, w.moved || !known
	w.mu.Unlock()
	if !known {
		w.logger.Warn("the portal was renamed; put its new address into the settings", "host", to.Host)
	}
}

// errUnconnected ends a request that has not left when it had to.
var errUnconnected = errors.New("no connection in time")

// leave is within what time a request of so many bytes has to leave once it is
// announced. The journal reckons that it has run its course a quarter more than its
// longest after that (the fence), and so much is left for connecting and uploading.
func (l Limits) leave(bytes int) time.Duration {
	const most = engine.BatchUpload * 4 / 3 // for more of it, the fence is as much later
	return max(l.Request/4-engine.UploadTime(int64(min(bytes, most))), l.Request/20)
}

// exchange sends one HTTP request, unless it takes too long to connect. The fault
// says whether the portal can have seen it.
func (w *wire) exchange(ctx context.Context, to Address, method string, body []byte, leave time.Time) (status int, location string, answer []byte, fault *Error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout(w.limits)+engine.UploadTime(int64(len(body))))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { crash.At(crash.RequestWritten) },
	})
	sent := &sentMark{Reader: bytes.NewReader(body)}
	connecting := time.AfterFunc(time.Until(leave), func() {
		if !sent.left.Load() {
			giveUp(errUnconnected)
		}
	})
	defer connecting.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.call(method), sent)
	if err != nil {
		return 0, "", nil, &Error{Method: method, Verdict: Fatal, Message: "the portal's address is not usable"}
	}
	request.ContentLength = int64(len(body))
	// A connection that died while idle is replaced by the transport itself, as
	// long as nothing was written to it.
	request.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(&sentMark{Reader: bytes.NewReader(body), first: sent}), nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	crash.At(crash.RequestBefore)
	response, err := w.http.Do(request)
	if err != nil {
		if errors.Is(context.Cause(ctx), errUnconnected) {
			err = errUnconnected
		}
		return 0, "", nil, transportFault(to, method, err, sent.left.Load())
	}
	defer response.Body.Close()
	crash.At(crash.AnswerBegun)
	var text bytes.Buffer
	text.Grow(int(min(max(response.ContentLength, 0), maxAnswer/8)) + bytes.MinRead) // most that say a length are telling the truth
	_, err = text.ReadFrom(io.LimitReader(response.Body, maxAnswer+1))
	answer = text.Bytes()
	if err != nil {
		return 0, "", nil, transportFault(to, method, err, true)
	}
	if len(answer) > maxAnswer {
		return 0, "", nil, &Error{Method: method, Status: response.StatusCode, Verdict: Unknown, Message: "the answer is larger than 64 MiB"}
	}
	crash.At(crash.AnswerRead)
	return response.StatusCode, response.Header.Get("Location"), answer, nil
}

// transportFault words an error of the network without the URL, which holds the
// secret. A body of which no byte was read was not sent either.
func transportFault(to Address, method string, err error, sent bool) *Error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	message := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		message = "no answer in time"
	case errors.Is(err, context.Canceled):
		message = "interrupted while waiting for the answer"
	}
	verdict := Refused
	if sent {
		verdict = Unknown
	}
	return &Error{Method: method, Verdict: verdict, Message: to.scrub(fmt.Sprintf("%s: %s", to.Host, message))}
}

// sentMark notes when a request's body begins to be read. Until then there is
// no connection, and nothing has left.
type sentMark struct {
	*bytes.Reader
	left  atomic.Bool
	first *sentMark // of which this is a copy
}

// Read implements [io.Reader].
func (s *sentMark) Read(p []byte) (int, error) {
	s.mark()
	return s.Reader.Read(p)
}

// WriteTo implements [io.WriterTo], which copying prefers.
func (s *sentMark) WriteTo(w io.Writer) (int64, error) {
	s.mark()
	return s.Reader.WriteTo(w)
}

func (s *sentMark) mark() {
	s.left.Store(true)
	if s.first != nil {
		s.first.left.Store(true)
	}
}
