package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// portal is an open portal and a client that needs no sockets.
type portal struct {
	*sandbox.Portal
	http *http.Client
}

func open(tb testing.TB, o sandbox.Options) *portal {
	tb.Helper()
	p, err := sandbox.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &portal{p, &http.Client{
		Transport:     p.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post calls a method with a JSON body and returns the status and the answer.
func (p *portal) post(tb testing.TB, method, body string) (int, map[string]any) {
	tb.Helper()
	res, err := p.send(tb, method, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, body, err)
	}
	return res.StatusCode, decode(tb, res)
}

func (p *portal) send(tb testing.TB, method, body string) (*http.Response, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost,
		"http://portal.test"+p.WebhookPath()+method, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return p.http.Do(req)
}

func decode(tb testing.TB, res *http.Response) map[string]any {
	tb.Helper()
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		tb.Fatalf("answer %s: %v", raw, err)
	}
	return out
}

// call is post that must succeed; it returns the result.
func (p *portal) call(tb testing.TB, method, body string) any {
	tb.Helper()
	status, out := p.post(tb, method, body)
	if status != http.StatusOK || out["error"] != nil {
		tb.Fatalf("%s %s: %d %v", method, body, status, out)
	}
	return out["result"]
}

// item is call for methods that return an item.
func (p *portal) item(tb testing.TB, method, body string) map[string]any {
	tb.Helper()
	item, ok := at(p.call(tb, method, body), "item").(map[string]any)
	if !ok {
		tb.Fatalf("%s %s: no item", method, body)
	}
	return item
}

// refused is post that must fail; it returns the code and the text.
func (p *portal) refused(tb testing.TB, method, body string) (status int, code, text string) {
	tb.Helper()
	status, out := p.post(tb, method, body)
	code, ok := out["error"].(string)
	if !ok {
		tb.Fatalf("%s %s: no error: %v", method, body, out)
	}
	text, _ = out["error_description"].(string)
	if _, ok := out["time"]; ok {
		tb.Errorf("%s: an error has a time object", method)
	}
	return status, code, text
}

// at walks a decoded answer: texts are keys, ints are positions.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

// compact is the JSON of a value, for comparing.
func compact(tb testing.TB, v any) string {
	tb.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
