package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

func TestFaults(t *testing.T) {
	t.Parallel()

	const add = `{"entityTypeId":128,"fields":{"title":"f"}}`
	tests := map[string]struct {
		spec  string
		want  string // outcome of the first request
		items int    // made by it
	}{
		"drop-before":              {"drop-before:count=1", "dropped", 0},
		"drop-after":               {"drop-after:count=1", "dropped", 1},
		"error-500":                {"error-500:count=1", "500 INTERNAL_SERVER_ERROR", 0},
		"error-500 after the work": {"error-500:count=1,done=1", "500 INTERNAL_SERVER_ERROR", 1},
		"html-502":                 {"html-502:count=1", "502 html", 0},
		"truncate":                 {"truncate:count=1", "cut short", 1},
		"slow":                     {"slow:count=1,delay=5s", "200 ", 1},
		"limit-503":                {"limit-503:count=1", "503 QUERY_LIMIT_EXCEEDED", 0},
		"limit-429":                {"limit-429:count=1", "429 OPERATION_TIME_LIMIT", 0},
		"expired":                  {"expired:count=1", "401 expired_token", 0},
		"moved":                    {"moved:count=1", "302 html", 0},
		"another method":           {"drop-before:method=crm.item.update", "200 ", 1},
		"late":                     {"late:count=1,delay=5s", "dropped", 0},
		"lag":                      {"lag:count=1,delay=5s", "200 ", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			synctest.Test(t, func(t *testing.T) {
				p := open(t, sandbox.Options{Seed: "empty", Faults: []string{tt.spec}})
				if got := outcome(t, p, "crm.item.add", add); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if n := len(p.items(t)); n != tt.items {
					t.Errorf("%d items, want %d", n, tt.items)
				}
				if tt.items == 0 && strings.Contains(tt.spec, "delay=") {
					pass(t, 6*time.Second)
					if n := len(p.items(t)); n != 1 {
						t.Errorf("%d items after the delay, want 1", n)
					}
				}
				if got := outcome(t, p, "crm.item.add", add); got != "200 " {
					t.Errorf("the next request: got %q, want it served", got)
				}
			})
		})
	}
}

// outcome sends a request and says in a word what came back.
func outcome(tb testing.TB, p *portal, method, body string) string {
	tb.Helper()
	res, err := p.send(tb, method, body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "dropped"
	}
	if err != nil {
		tb.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		res.Body.Close()
		return fmt.Sprintf("%d html", res.StatusCode)
	}
	raw, err := io.ReadAll(res.Body)
	res.Body.Close()
	if errors.Is(err, io.ErrUnexpectedEOF) && len(raw) > 0 && int64(len(raw)) < res.ContentLength {
		return "cut short"
	}
	res.Body = io.NopCloser(strings.NewReader(string(raw)))
	code, _ := decode(tb, res)["error"].(string)
	return fmt.Sprintf("%d %s", res.StatusCode, code)
}

func TestFaultKeys(t *testing.T) {
	t.Parallel()

	struck := func(t *testing.T, specs ...string) string {
		t.Helper()
		p := open(t, sandbox.Options{Seed: "empty", Faults: specs})
		var out strings.Builder
		for range 8 {
			switch got := outcome(t, p, "server.time", `{}`); got {
			case "200 ":
				out.WriteByte('.')
			case "dropped":
				out.WriteByte('d')
			default:
				out.WriteByte(got[0])
			}
		}
		return out.String()
	}
	tests := map[string]struct {
		specs []string
		want  string
	}{
		"always":            {[]string{"drop-before"}, "dddddddd"},
		"nth":               {[]string{"drop-before:nth=3"}, "..d....."},
		"after":             {[]string{"drop-before:after=6"}, "......dd"},
		"count":             {[]string{"drop-before:count=2"}, "dd......"},
		"after and count":   {[]string{"drop-before:after=2,count=2"}, "..dd...."},
		"the first matches": {[]string{"error-500:nth=2", "drop-before:count=3"}, "d5dd...."},
		"never":             {[]string{"drop-before:p=0"}, "........"},
		"other method":      {[]string{"drop-before:method=batch"}, "........"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := struck(t, tt.specs...); got != tt.want {
				t.Errorf("%v: got %s, want %s", tt.specs, got, tt.want)
			}
		})
	}
	one, again := struck(t, "drop-before:p=0.5,seed=7"), struck(t, "drop-before:p=0.5,seed=7")
	if one != again || !strings.Contains(one, "d") || !strings.Contains(one, ".") {
		t.Errorf("equal seeds: %s and %s", one, again)
	}
}

func TestFaultsInBatchesAreFoundByMethod(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{Faults: []string{"drop-before:method=crm.item.ADD"}})
	if got := outcome(t, p, "batch", `{"cmd":{"a":"server.time","b":"CRM.item.add?entityTypeId=128"}}`); got != "dropped" {
		t.Errorf("a batch with the method: got %q", got)
	}
	if got := outcome(t, p, "batch", `{"cmd":{"a":"server.time"}}`); got != "200 " {
		t.Errorf("a batch without it: got %q", got)
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()

	for _, spec := range []string{"", "explode", "slow", "lag", "drop-before:p=2", "drop-before:p=x", "drop-before:nth=0", "slow:delay=-1s", "drop-before:when=now", "drop-before:seed=-1"} {
		if _, err := sandbox.ParseFault(spec); err == nil {
			t.Errorf("%q: taken", spec)
		}
	}
	p := open(t, sandbox.Options{Faults: []string{"drop-before:count=1"}})
	if got := p.control(t, http.MethodPost, "faults", `["nonsense"]`); !strings.Contains(got, "nonsense") {
		t.Errorf("a wrong fault: got %s", got)
	}
	p.control(t, http.MethodPost, "faults", `[]`)
	p.control(t, http.MethodPost, "limits", `{"rate":1,"burst":1}`)
	if got := outcome(t, p, "server.time", `{}`) + outcome(t, p, "server.time", `{}`); got != "200 503 QUERY_LIMIT_EXCEEDED" {
		t.Errorf("after the controls: got %q", got)
	}
}
