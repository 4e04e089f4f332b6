package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	t.Parallel()

	tests := map[string]struct{ in, want string }{
		"a webhook's URL":        {`Post "https://host/rest/1/s3cr3t/batch.json": EOF`, `Post "https://host/rest/1/***/batch.json": EOF`},
		"a masked URL":           {"https://host/rest/1/***/", "https://host/rest/1/***/"},
		"a token in a query":     {"?auth=abc&x=1", "?auth=***&x=1"},
		"a token in JSON":        {`{"access_token": "abc","x":"y"}`, `{"access_token": "***","x":"y"}`},
		"text without a secret":  {"line 14: rest of 1/2", "line 14: rest of 1/2"},
		"several secrets in one": {"/rest/1/aaa/ and /rest/12/bbb/", "/rest/1/***/ and /rest/12/***/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := mask(tt.in); got != tt.want {
				t.Errorf("mask(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestLogger_masksWhateverIsLogged(t *testing.T) {
	t.Parallel()

	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()

			a := newApp()
			a.flags.logLevel, a.flags.logFormat = "debug", format
			var b bytes.Buffer
			log, err := a.newLogger(&b)
			if err != nil {
				t.Fatal(err)
			}
			const url = "https://host/rest/1/s3cr3t/"
			log.Info("call "+url, "url", url, "error", errors.New("Post "+url), slog.Group("g", "url", url), "any", []string{url})
			if strings.Contains(b.String(), "s3cr3t") {
				t.Errorf("the log shows a secret:\n%s", b.String())
			}
		})
	}
}

func TestLogger_letsNoControlCharactersPass(t *testing.T) {
	t.Parallel()

	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()

			a := newApp()
			a.flags.logLevel, a.flags.logFormat = "debug", format
			var b bytes.Buffer
			log, err := a.newLogger(&b)
			if err != nil {
				t.Fatal(err)
			}
			const evil = "a\x1b[31m\u009b2J\u202e"
			log.Info(evil, "text", evil, "error", errors.New(evil), slog.Group("g", "text", evil), "any", []string{evil})
			if strings.ContainsAny(b.String(), "\x1b\u009b\u202e") {
				t.Errorf("the log holds control characters:\n%q", b.String())
			}
		})
	}
}

func TestCleanAttr(t *testing.T) {
	t.Parallel()

	const evil, want = "a\x1b[31m", `a\x1b[31m`
	for name, value := range map[string]slog.Value{
		"text": slog.StringValue(evil), "error": slog.AnyValue(errors.New(evil)), "anything": slog.AnyValue(struct{ s string }{evil}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if got := cleanAttr(nil, slog.Attr{Key: "k", Value: value}).Value.String(); !strings.Contains(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
