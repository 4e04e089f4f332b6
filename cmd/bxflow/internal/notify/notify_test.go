package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/notify"
	"github.com/bxflow/bxflow/engine"
)

// secret stands for all that must never be shown.
const secret = "s3cr3tpath"

func message() notify.Message {
	return notify.OfRun(engine.EndPartial, &engine.Result{
		Job: "onboarding", Portal: "https://example.com/rest/1/***/", Run: "20261126-1", Status: engine.StatusPartial,
		Steps:    []engine.StepResult{{Created: 3, Failed: 1}, {Created: 2, Unchanged: 1}},
		Finished: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC),
		Error:    `clients.csv:14: "Ana Zulu" <ana@example.com> is wrong` + "\nmore of it",
	}, func(s string) string { return s })
}

// receiver answers each request with the next of some statuses, the last one
// again and again.
type receiver struct {
	*httptest.Server
	asked atomic.Int64
	last  atomic.Pointer[[]byte]
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.last.Store(&body)
		status := statuses[min(int(r.asked.Add(1)), len(statuses))-1]
		if status == 0 { // no answer
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) notice(t *testing.T) *engine.Notice {
	t.Helper()
	u, err := url.Parse(r.URL + "/" + secret)
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Notice{Webhook: u, Pos: engine.Pos{Line: 7}}
}

// send sends the message and returns the log, which has no secret.
func send(t *testing.T, s notify.Sender, n *engine.Notice) string {
	t.Helper()
	var log bytes.Buffer
	s.Log, s.Pause = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), time.Millisecond
	s.Send(t.Context(), []*engine.Notice{n}, message())
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log has a secret:\n%s", log.String())
	}
	return log.String()
}

func TestSend_webhook(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		statuses []int
		asked    int64
		log      string
	}{
		"is told once":                {[]int{204}, 1, "told how the job ended"},
		"is tried again":              {[]int{500, 429, 503, 200}, 4, "level=DEBUG msg=\"told how the job ended\""},
		"is given up":                 {[]int{500}, 4, "level=WARN msg=\"could not be told how the job ended\" job=onboarding line=7 to=\"webhook at 127.0.0.1"},
		"is not tried again for good": {[]int{404}, 1, "it answered HTTP 404"},
		"is not redirected":           {[]int{307}, 1, "a redirect; write the URL that it leads to"},
		"may have arrived":            {[]int{0}, 1, "no answer, so it may have arrived"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newReceiver(t, tt.statuses...)
			if log := send(t, notify.Sender{}, r.notice(t)); !strings.Contains(log, tt.log) {
				t.Errorf("want %q in the log:\n%s", tt.log, log)
			}
			if got := r.asked.Load(); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
		})
	}
}

func TestSend_webhookGets(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusOK)
	send(t, notify.Sender{}, r.notice(t))
	var got map[string]any
	if err := json.Unmarshal(*r.last.Load(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"format": 1.0, "on": "partial", "job": "onboarding", "portal": "https://example.com/rest/1/***/", "run": "20261126-1",
		"status": "partial", "error": `clients.csv:14: "…" <…> is wrong`, "time": "2026-11-26T10:00:00Z",
		"text": "onboarding finished, but not all rows made it on https://example.com/rest/1/***/: 5 created, 1 unchanged, 1 failed (run 20261126-1)\n" +
			`clients.csv:14: "…" <…> is wrong`,
		"counts": map[string]any{
			"created": 5.0, "updated": 0.0, "moved": 0.0, "deleted": 0.0, "unchanged": 1.0, "skipped": 0.0, "failed": 1.0, "conflicts": 0.0,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// A receiver that is not there is tried again: nothing was sent.
func TestSend_nobodyThere(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusOK)
	n := r.notice(t)
	r.Close()
	if log := send(t, notify.Sender{}, n); !strings.Contains(log, "tries=4") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestSend_person(t *testing.T) {
	t.Parallel()
	tries := 0
	s := notify.Sender{Person: func(_ context.Context, person, text string) error {
		tries++
		if person != "ana@example.com" || !strings.HasPrefix(text, "onboarding finished") {
			t.Errorf("%s is told %q", person, text)
		}
		if tries < 3 {
			return &notify.Temporary{Err: errors.New("QUERY_LIMIT_EXCEEDED")}
		}
		return nil
	}}
	send(t, s, &engine.Notice{Person: "ana@example.com"})
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
	if log := send(t, notify.Sender{}, &engine.Notice{Pos: engine.Pos{Line: 9}}); !strings.Contains(log, "blank") {
		t.Errorf("a blank entry:\n%s", log)
	}
}

// All tries take less than a minute, and the end of the program cuts the pauses
// between them short.
func TestSend_time(t *testing.T) {
	t.Parallel()
	for cut, want := range map[time.Duration]time.Duration{time.Hour: 54 * time.Second, 11 * time.Second: 11 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), cut)
			defer cancel()
			s := notify.Sender{Log: slog.New(slog.DiscardHandler), Person: func(ctx context.Context, _, _ string) error {
				<-ctx.Done()
				return &notify.Temporary{Err: ctx.Err()}
			}}
			began := time.Now()
			s.Send(ctx, []*engine.Notice{{Person: "1"}}, message())
			if took := time.Since(began); took != want {
				t.Errorf("took %s, want %s", took, want)
			}
		})
	}
}
