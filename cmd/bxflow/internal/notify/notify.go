// Package notify tells people how runs ended: by a webhook, by mail, or by a
// notification in the portal. A message that can't be sent is tried again within
// a minute, unless it may have arrived, and is a warning of the log after that:
// it changes nothing about the run. No message has data of rows or a secret.
package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/bxflow/bxflow/engine"
)

// Sender sends messages. The zero value sends webhooks and mails.
type Sender struct {
	Log *slog.Logger
	// Person sends a text to a person of the portal, given as in the job file.
	// Its errors are tried again where they are [Temporary].
	Person func(ctx context.Context, person, text string) error
	// Transport carries webhooks; nil: the network.
	Transport http.RoundTripper
	// Pause is the time before the second try, 2 s by default; each is twice the
	// one before.
	Pause time.Duration
	// TLS is for mail servers; nil: the machine's certificates.
	TLS *tls.Config
}

const (
	// tries is how often a message is sent at most: once, and three times again.
	tries = 4
	// longestTry bounds one of them, so that all take less than a minute.
	longestTry = 10 * time.Second
	firstPause = 2 * time.Second
)

// Send sends a message by each of the notices at the same time, and waits until
// all of them are done or given up. The end of ctx ends the pauses between tries,
// but no try.
func (s *Sender) Send(ctx context.Context, notices []*engine.Notice, m Message) {
	work := pool.New()
	for _, n := range notices {
		work.Go(func() { s.tell(ctx, n, m) })
	}
	work.Wait()
}

// tell sends a message by one notice.
func (s *Sender) tell(ctx context.Context, n *engine.Notice, m Message) {
	log := s.Log.With("job", m.Job, "line", n.Pos.Line)
	to, send := s.way(n, m)
	if send == nil {
		log.Warn("nobody was told: the entry of notify is blank; set its variables, or leave it out")
		return
	}
	log = log.With("to", to)
	pause := cmp.Or(s.Pause, firstPause)
	for try := 1; ; try++ {
		err := once(ctx, send)
		if err == nil {
			log.Debug("told how the job ended", "end", m.End)
			return
		}
		if _, again := errors.AsType[*Temporary](err); !again || try == tries || !sleep(ctx, pause) {
			log.Warn("could not be told how the job ended", "end", m.End, "tries", try, "error", err)
			return
		}
		if try == 1 { // or the program would seem to hang
			log.Info("could not be told how the job ended; trying again, for less than a minute", "error", err)
		}
		pause *= 2
	}
}

// once tries for as long as one try may take, even when ctx is over: a message
// that the end of the program cuts off reaches nobody.
func once(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestTry)
	defer cancel()
	return send(ctx)
}

// sleep waits, and says whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// way is to whom a notice goes, in words that the log may have, and how; nil where its
// variables are blank.
func (s *Sender) way(n *engine.Notice, m Message) (to string, send func(context.Context) error) {
	switch {
	case n.Webhook != nil:
		return "webhook at " + n.Webhook.Host, func(ctx context.Context) error { return s.post(ctx, n.Webhook, m) }
	case n.Email != nil:
		return "e-mail to " + strings.Join(n.Email.To, ", "), func(ctx context.Context) error { return s.mail(ctx, n.Email, m) }
	case n.Person != "" && s.Person != nil:
		return n.Person, func(ctx context.Context) error { return s.Person(ctx, n.Person, m.Text) }
	}
	return "", nil
}

// Temporary is an error after which the message certainly has not arrived, and
// may the next time.
type Temporary struct{ Err error }

// Error is that of the cause.
func (t *Temporary) Error() string { return t.Err.Error() }

// Unwrap returns the cause.
func (t *Temporary) Unwrap() error { return t.Err }
