package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// transport hands requests to a portal without a network.
type transport struct{ portal *Portal }

// Transport returns a client's side of the portal that needs no sockets, so
// that it can be used in simulated time (testing/synctest). Whatever the host
// of a URL says, the portal answers; all requests come from one address.
func (p *Portal) Transport() http.RoundTripper { return transport{p} }

// RoundTrip implements [http.RoundTripper]. When the request's context ends
// before the answer is there, its error is returned and the portal works on. A
// connection that the portal closes is [io.ErrUnexpectedEOF].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in := r.Clone(ctx)
	in.RemoteAddr = "127.0.0.1:0"
	var body io.Reader = http.NoBody
	if r.Body != nil {
		defer r.Body.Close()
		body = io.LimitReader(r.Body, maxBody)
	}
	a := t.portal.answer(in, body, ctx.Done())
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a.drop {
		return nil, io.ErrUnexpectedEOF
	}
	res := &http.Response{
		Status:     strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: int64(len(a.body)), Request: r,
	}
	a.header(res.Header)
	sent := io.Reader(bytes.NewReader(a.body[:len(a.body)-a.cut]))
	if a.cut > 0 {
		sent = io.MultiReader(sent, broken{})
	}
	res.Body = io.NopCloser(sent)
	return res, nil
}

// broken is the end of an answer that was cut short.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
