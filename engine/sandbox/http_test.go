package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// Over a real connection, what a fault or the cut-off does to it.
func TestConnections(t *testing.T) {
	t.Parallel()

	const add = "crm.item.add?entityTypeId=128&fields[title]=x"
	tests := map[string]struct {
		options sandbox.Options
		want    string
		items   float64
	}{
		"served":      {sandbox.Options{}, "200", 9},
		"drop-before": {sandbox.Options{Faults: []string{"drop-before:count=1"}}, "dropped", 8},
		"drop-after":  {sandbox.Options{Faults: []string{"drop-after:count=1"}}, "dropped", 9},
		"truncate":    {sandbox.Options{Faults: []string{"truncate:count=1"}}, "cut short", 9},
		"html-502":    {sandbox.Options{Faults: []string{"html-502:count=1"}}, "502", 8},
		"cut-off": {sandbox.Options{
			RequestLimit: 20 * time.Millisecond, Cost: map[string]time.Duration{"crm.item.add": time.Minute},
		}, "dropped", 8}, // closing the portal ends the waiting of the command in hand
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := open(t, tt.options)
			srv := httptest.NewServer(p)
			defer srv.Close()
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			if got := fetch(t, client, srv.URL+p.WebhookPath()+add); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if err := p.Close(); err != nil { // waits for the command in hand
				t.Fatal(err)
			}
			again := strings.Count(p.dump(t), `"title":"Onboarding of`) + strings.Count(p.dump(t), `"title":"x"`)
			if float64(again) != tt.items {
				t.Errorf("%d cards, want %v", again, tt.items)
			}
		})
	}
}

func fetch(tb testing.TB, client *http.Client, url string) string {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "dropped"
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); errors.Is(err, io.ErrUnexpectedEOF) {
		return "cut short"
	}
	return res.Status[:3]
}

func TestBodiesAreCapped(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	srv := httptest.NewServer(p)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+p.WebhookPath()+"server.time",
		bytes.NewReader(make([]byte, 64<<20+1)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return // the portal hung up before everything was sent
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", res.StatusCode)
	}
}

func TestRoundTripOfAnEndedContext(t *testing.T) {
	t.Parallel()

	p := open(t, sandbox.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://portal.test"+p.WebhookPath()+"server.time", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Transport().RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if n := p.Stats().Requests; n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}
