package main

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/lmittmann/tint"

	"github.com/bxflow/bxflow/engine/report"
)

// newLogger makes the log: coloured lines on a terminal, plain ones or JSON
// elsewhere. Secrets are masked and control characters spelled out, whoever
// logs them.
func (a *app) newLogger(w io.Writer) (*slog.Logger, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(a.flags.logLevel)); err != nil {
		return nil, usage("--log-level %q is not a level; use debug, info, warn or error", a.flags.logLevel)
	}
	if a.flags.quiet && level.Level() < slog.LevelError {
		level.Set(slog.LevelError)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: maskAttr}
	switch a.flags.logFormat {
	case "json":
		options.ReplaceAttr = cleanAttr // JSON lets some control characters pass
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case "text":
		if isTerminal(a.stderr) {
			return slog.New(tint.NewTextHandler(w, &tint.Options{
				Level: level, ReplaceAttr: cleanAttr, TimeFormat: time.TimeOnly, NoColor: !a.colour(),
			})), nil
		}
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, usage("--log-format %q is not one; use text or json", a.flags.logFormat)
}

// cleanAttr is [maskAttr] for logs whose format does not quote what a terminal
// would obey.
func cleanAttr(groups []string, attr slog.Attr) slog.Attr {
	attr = maskAttr(groups, attr)
	switch attr.Value.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(report.Clean(attr.Value.String()))
	case slog.KindAny:
		if text := fmt.Sprintf("%+v", attr.Value.Any()); report.Clean(text) != text {
			attr.Value = slog.StringValue(report.Clean(text))
		}
	default:
	}
	return attr
}

// maskAttr masks secrets in what is logged.
func maskAttr(_ []string, attr slog.Attr) slog.Attr {
	attr.Value = attr.Value.Resolve()
	switch attr.Value.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(mask(attr.Value.String()))
	case slog.KindAny:
		switch v := attr.Value.Any().(type) {
		case error:
			attr.Value = slog.StringValue(mask(v.Error()))
		default:
			text := fmt.Sprintf("%+v", v)
			if masked := mask(text); masked != text {
				attr.Value = slog.StringValue(masked)
			}
		}
	default:
	}
	return attr
}

// mask takes the secret out of whatever looks like a webhook's URL or a token.
// The portal's client masks its own; this is for texts that others wrote.
func mask(text string) string {
	if !strings.Contains(text, "/rest/") && !strings.ContainsAny(text, "=:") {
		return text
	}
	text = regexp.MustCompile(`(://[^\s:/@"']*:)[^\s"']+@`).ReplaceAllString(text, "${1}***@") // of a database
	text = regexp.MustCompile(`(/rest/\d+/)[A-Za-z0-9_-]+`).ReplaceAllString(text, "${1}***")
	text = regexp.MustCompile(`((?:auth|access_token|refresh_token|client_secret)=)[^&\s"']+`).ReplaceAllString(text, "${1}***")
	return regexp.MustCompile(`("(?:auth|access_token|refresh_token|client_secret)"\s*:\s*")[^"]+`).ReplaceAllString(text, "${1}***")
}
