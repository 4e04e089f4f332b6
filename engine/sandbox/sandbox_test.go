package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(serveEnv); path != "" {
		serve(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// portal is an open portal and a client that needs no sockets.
type portal struct {
	*sandbox.Portal
	http *http.Client
}

func open(t testing.TB, o sandbox.Options) *portal {
	t.Helper()
	p, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &portal{p, &http.Client{Transport: p.Transport()}}
}

// post calls a method with a JSON body and returns the status and the answer.
func (p *portal) post(t testing.TB, method, body string) (int, map[string]any) {
	t.Helper()
	res, err := p.send(t, method, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, body, err)
	}
	return res.StatusCode, decode(t, res)
}

func (p *portal) send(t testing.TB, method, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://portal.test"+p.WebhookPath()+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return p.http.Do(req)
}

func decode(t testing.TB, res *http.Response) map[string]any {
	t.Helper()
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("answer %s: %v", raw, err)
	}
	return out
}

// call is post that must succeed; it returns the result.
func (p *portal) call(t testing.TB, method, body string) any {
	t.Helper()
	status, out := p.post(t, method, body)
	if status != http.StatusOK || out["error"] != nil {
		t.Fatalf("%s %s: %d %v", method, body, status, out)
	}
	return out["result"]
}

// item is call for methods that return an item.
func (p *portal) item(t testing.TB, method, body string) map[string]any {
	t.Helper()
	item, ok := at(p.call(t, method, body), "item").(map[string]any)
	if !ok {
		t.Fatalf("%s %s: no item", method, body)
	}
	return item
}

// refused is post that must fail; it returns the code and the text.
func (p *portal) refused(t testing.TB, method, body string) (status int, code, text string) {
	t.Helper()
	status, out := p.post(t, method, body)
	code, ok := out["error"].(string)
	if !ok {
		t.Fatalf("%s %s: no error: %v", method, body, out)
	}
	text, _ = out["error_description"].(string)
	if _, ok := out["time"]; ok {
		t.Errorf("%s: an error has a time object", method)
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
func compact(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
