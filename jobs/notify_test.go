package jobs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/jobs"
)

// noticeJob is a job with an entry of notify.
func noticeJob(entry string) []byte {
	return []byte("env: [HOOK, SMTP, BLANK, WHO]\nnotify:\n  - " + entry + "\n" + withSteps("  - select: deal\n"))
}

func noticeOptions(env map[string]string) jobs.Options {
	o := options()
	o.Getenv = func(name string) (string, bool) { return env[name], true }
	return o
}

func TestParse_notify(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"HOOK": "https://hooks.example.com/T0/s3cr3t", "SMTP": "smtps://ops:s3cr3t%40@mail.example.com:465", "WHO": "ana",
	}
	type notice struct {
		On                      []engine.End
		Webhook, Server, Person string
		To                      []string
	}
	tests := map[string]struct {
		entry string
		want  notice
	}{
		"a webhook":            {"{on: failure, webhook: '${{ env.HOOK }}'}", notice{On: []engine.End{"failure"}, Webhook: "https://hooks.example.com/T0/s3cr3t"}},
		"a part of its URL":    {"{on: [failure, plan], webhook: 'https://x.example.com/${{ env.WHO }}'}", notice{On: []engine.End{"failure", "plan"}, Webhook: "https://x.example.com/ana"}},
		"one of this machine":  {"{on: success, webhook: 'http://127.0.0.1:8080/'}", notice{On: []engine.End{"success"}, Webhook: "http://127.0.0.1:8080/"}},
		"a blank variable":     {"{on: success, webhook: '${{ env.BLANK }}'}", notice{On: []engine.End{"success"}}},
		"mail":                 {"{on: partial, email: {to: [a@example.com, '${{ env.WHO }}@example.com'], from: b@example.com, server: '${{ env.SMTP }}'}}", notice{On: []engine.End{"partial"}, Server: env["SMTP"], To: []string{"a@example.com", "ana@example.com"}}},
		"a server without any": {"{on: partial, email: {to: a@example.com, from: b@example.com, server: smtp://localhost:25}}", notice{On: []engine.End{"partial"}, Server: "smtp://localhost:25", To: []string{"a@example.com"}}},
		"a person":             {"{on: partial, person: 1}", notice{On: []engine.End{"partial"}, Person: "1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			job, err := jobs.Parse("a.yaml", noticeJob(tt.entry), noticeOptions(env))
			if err != nil {
				t.Fatal(err)
			}
			n := job.Notify[0]
			got := notice{On: n.On, Person: n.Person}
			if n.Webhook != nil {
				got.Webhook = n.Webhook.String()
			}
			if n.Email != nil {
				got.Server, got.To = n.Email.Server.String(), n.Email.To
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("notice (-want +got):\n%s", diff)
			}
		})
	}
}

// What is wrong is told without what may be a secret.
func TestParse_notifyProblems(t *testing.T) {
	t.Parallel()
	const hide = "put it into a variable, list that under env:, and write ${{ env.NAME }}"
	tests := map[string]struct{ entry, want string }{
		"no kind of end":           {"{webhook: '${{ env.HOOK }}'}", "a.yaml:3:5: the entry of notify has no on; add on:, it is a list of success, partial, failure, plan"},
		"an unknown end":           {"{on: [fail], person: 1}", `a.yaml:3:11: on cannot be "fail"; it is a list of success, partial, failure, plan`},
		"too many":                 {"{on: plan, person: 1}" + strings.Repeat("\n  - {on: plan, person: 1}", 50), "a.yaml:3:3: notify has 51 entries, more than 50; have one receiver pass it on"},
		"no end":                   {"{on: [], person: 1}", "a.yaml:3:10: on is empty; it is a list of success, partial, failure, plan"},
		"no way":                   {"{on: plan}", "a.yaml:3:5: an entry of notify tells in one way, this has 0; write one of webhook, email and person; make two entries of two"},
		"two ways":                 {"{on: plan, person: 1, webhook: '${{ env.HOOK }}'}", "a.yaml:3:5: an entry of notify tells in one way, this has 2; write one of webhook, email and person; make two entries of two"},
		"a secret for all":         {"{on: plan, webhook: 'https://hooks.example.com/s3cr3t'}", "a.yaml:3:26: webhook is a secret, and job files are shared; " + hide},
		"one in place of an entry": {"https://hooks.example.com/", "a.yaml:3:5: an entry of notify is a mapping of keys, not a single value; write `- on: [failure]` and webhook, email or person below it"},
		"plain http":               {"{on: plan, webhook: 'http://hooks.example.com/${{ env.WHO }}'}", "a.yaml:3:26: webhook is sent unencrypted, which is for this machine only; use https"},
		"no URL":                   {"{on: plan, webhook: '${{ env.WHO }}'}", "a.yaml:3:26: webhook is not a URL; it is the URL of a receiver: https://host/path"},
		"a row":                    {"{on: plan, person: '${{ row.x }}'}", "a.yaml:3:29: there is no row here; only the steps below a `read` have one"},
		"no text":                  {"{on: plan, webhook: '${{ number(env.WHO) }}'}", "a.yaml:3:26: webhook is not a text; write text, or a variable: ${{ env.NAME }}"},
		"nobody":                   {"{on: plan, person: ''}", "a.yaml:3:25: person is empty; leave the line out, or write a value"},
		"no address":               {"{on: plan, email: {to: [ops], from: b@example.com, server: 'smtp://localhost'}}", "a.yaml:3:29: to is not an e-mail address; write it like ops@example.com"},
		"no server":                {"{on: plan, email: {to: a@example.com, from: b@example.com}}", "a.yaml:3:23: email has no server; add server:"},
		"a password for all":       {"{on: plan, email: {to: a@example.com, from: b@example.com, server: 'smtp://ops:s3cr3t@mail.example.com'}}", "a.yaml:3:73: server has a password in it, and job files are shared; " + hide},
		"another kind of server":   {"{on: plan, email: {to: a@example.com, from: b@example.com, server: '${{ env.HOOK }}'}}", "a.yaml:3:73: server is not the address of a mail server; it is smtp://user:password@host:587, or smtps://, with %-codes for special characters of the password"},
		"a user without":           {"{on: plan, email: {to: a@example.com, from: b@example.com, server: 'smtp://${{ env.WHO }}@mail.example.com'}}", "a.yaml:3:73: server has a user, but no password; it is smtp://user:password@host:587"},
	}
	env := map[string]string{"HOOK": "https://hooks.example.com/s3cr3t", "WHO": "s3cr3t"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := jobs.Parse("a.yaml", noticeJob(tt.entry), noticeOptions(env))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			var shown strings.Builder
			if problems, ok := err.(engine.Problems); ok { //nolint:errorlint // Parse's own
				if err := jobs.Explain(&shown, problems); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(shown.String(), "s3cr3t") {
				t.Errorf("a secret is shown:\n%s", shown.String())
			}
		})
	}
}
