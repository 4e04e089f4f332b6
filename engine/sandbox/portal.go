package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
)

// Options describe a portal. The zero value is the demo portal in memory with
// no limits at all; see [Defaults] for those of the real one.
type Options struct {
	// Seed names the contents: "demo" (also the empty text), "empty", or
	// "demo,contacts=10000,items=50000". Contents come from a fixed seed.
	// names=pt after the comma gives stages, lists and options Portuguese names.
	Seed string

	// Rate is how many requests leave the bucket in a second; 0 switches it off.
	Rate float64
	// Burst is how many requests an empty bucket takes.
	Burst int
	// Drain is how the bucket drains: DrainContinuous (also the empty text) or
	// DrainStep, the whole rate once a second.
	Drain string

	// OperatingLimit is the execution time that a method may use up within
	// OperatingWindow; 0 switches the limit off.
	OperatingLimit time.Duration
	// OperatingWindow is the sum of ten sub-windows; ten minutes when 0.
	OperatingWindow time.Duration
	// Charge says what a batch is billed to: ChargeNested, its methods (also
	// the empty text), or ChargeBatch, the method batch.
	Charge string

	// Latency is added to every request.
	Latency time.Duration
	// Cost is how long a command takes, by method; "*" stands for all others.
	Cost map[string]time.Duration
	// Pace multiplies the cost of a command that begins so long after the portal
	// opened: jitter and slow hours; nil: always 1. It must be safe for
	// concurrent use.
	Pace func(since time.Duration) float64
	// RequestLimit is when a request is cut off; 60 seconds when 0.
	RequestLimit time.Duration

	// Faults are what goes wrong, each as [ParseFault] reads it.
	Faults []string
	// DataFile keeps the contents, so that they outlive the process however it
	// ends (a power cut may take the last changes); empty: in memory only.
	DataFile string
	// Secret is the webhook's; random when empty.
	Secret string
	// TokenLife is how long an access token of the application serves; an hour
	// when 0.
	TokenLife time.Duration
	// History has every request and every effect on an item kept, for
	// [Portal.Requests] and [Portal.History].
	History bool
	// Scopes are what the webhook was given; nil: everything.
	Scopes []string
	// Ahead is how far the clock that the portal tells is ahead of this machine's.
	Ahead time.Duration
	// Zone is the portal's time zone; three hours east of UTC when nil.
	Zone *time.Location
}

// The values of Options.Drain and Options.Charge.
const (
	DrainContinuous = "continuous"
	DrainStep       = "step"
	ChargeNested    = "nested"
	ChargeBatch     = "batch"
)

// Defaults are the limits of a commercial portal: two requests a second, a
// burst of fifty, 480 seconds of execution time per method in ten minutes, a
// minute per request.
func Defaults() Options {
	return Options{
		Seed: "demo", Rate: 2, Burst: 50, Drain: DrainContinuous,
		OperatingLimit: 480 * time.Second, OperatingWindow: 10 * time.Minute, Charge: ChargeNested,
		RequestLimit: time.Minute,
	}
}

// Portal is a portal that answers REST requests. It is safe for concurrent use.
type Portal struct {
	options Options
	methods map[string]*method // by lower-case name
	secret  string
	scopes  map[string]bool // nil: all
	zone    *time.Location

	store *store

	app    *application
	limits *limiter
	faults *faultList
	stats  *counters

	requests requestLog

	closing context.Context // ends when the portal does
	close   context.CancelFunc
	tasks   conc.WaitGroup
	starts  sync.Mutex // no task begins once Close waits for them
}

// New opens a portal. Faults that can't be parsed, an unknown seed, and a data
// file that can't be read or is in use by another process are errors.
func New(o Options) (*Portal, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	faults, err := newFaultList(o.Faults)
	if err != nil {
		return nil, err
	}
	p := &Portal{
		options: o, methods: map[string]*method{}, secret: o.Secret, zone: o.Zone,
		app: newApplication(o), limits: newLimiter(o), faults: faults, stats: newCounters(),
	}
	for _, m := range allMethods() {
		p.methods[strings.ToLower(m.name)] = &m
	}
	if o.Scopes != nil {
		p.scopes = map[string]bool{}
		for _, s := range o.Scopes {
			p.scopes[s] = true
		}
	}
	if p.secret == "" {
		if p.secret, err = keptSecret(o.DataFile); err != nil {
			return nil, err
		}
	}
	if p.store, err = openStore(o); err != nil {
		return nil, err
	}
	p.store.recording = o.History
	p.store.webhook = "/rest/" + strconv.Itoa(webhookUser) + "/" + p.secret + "/"
	p.closing, p.close = context.WithCancel(context.Background())
	return p, nil
}

func (o Options) withDefaults() Options {
	if o.Drain == "" {
		o.Drain = DrainContinuous
	}
	if o.Charge == "" {
		o.Charge = ChargeNested
	}
	if o.OperatingWindow == 0 {
		o.OperatingWindow = 10 * time.Minute
	}
	if o.RequestLimit == 0 {
		o.RequestLimit = time.Minute
	}
	if o.Zone == nil {
		o.Zone = time.FixedZone("", 3*60*60)
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Drain != DrainContinuous && o.Drain != DrainStep:
		return fmt.Errorf("drain: %q is neither %s nor %s", o.Drain, DrainContinuous, DrainStep)
	case o.Charge != ChargeNested && o.Charge != ChargeBatch:
		return fmt.Errorf("charge: %q is neither %s nor %s", o.Charge, ChargeNested, ChargeBatch)
	case o.Rate < 0 || o.Rate > 0 && o.Burst < 1:
		return fmt.Errorf("rate: a bucket of %d that drains %g a second lets nothing through; use --rate 0 for none", o.Burst, o.Rate)
	case o.OperatingLimit < 0 || o.OperatingWindow < 10 || o.RequestLimit < 0 || o.Latency < 0 || o.TokenLife < 0:
		return errors.New("limits: a duration is negative or too short")
	case strings.ContainsAny(o.Secret, "/?#% "):
		return errors.New("secret: it stands in a URL; use letters and digits")
	}
	return nil
}

// keptSecret returns a random secret, and the same again for a data file, so
// that the portal's address outlives a restart.
func keptSecret(dataFile string) (string, error) {
	if dataFile == "" {
		return randomText(8), nil
	}
	path := dataFile + ".webhook"
	kept, err := os.ReadFile(path) //nolint:gosec // the path is the user's own
	if text := string(kept); err == nil && len(text) == 16 && strings.Trim(text, "0123456789abcdef") == "" {
		return text, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("data file %q: %w", dataFile, err)
	}
	secret := randomText(8)
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("data file %q: %w", dataFile, err)
	}
	return secret, nil
}

// randomText returns n random bytes in hexadecimal.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // documented never to fail
	return hex.EncodeToString(b)
}

// WebhookPath is the path that every method's name is appended to:
// /rest/1/<secret>/.
func (p *Portal) WebhookPath() string { return "/rest/1/" + p.secret + "/" }

// ID names the contents: it is kept in the data file, and a reset changes it.
func (p *Portal) ID() string {
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	return p.store.id
}

// Close waits for the commands in hand, stops what is waiting, and closes the
// data file.
func (p *Portal) Close() error {
	p.starts.Lock()
	p.close()
	p.starts.Unlock()
	p.tasks.Wait()
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return p.store.log.close()
}

// start begins a task, unless the portal is closing.
func (p *Portal) start(task func()) bool {
	p.starts.Lock()
	defer p.starts.Unlock()
	if p.closing.Err() != nil {
		return false
	}
	p.tasks.Go(task)
	return true
}

// wait lets time pass, in earnest. It reports false when the portal closes first.
func (p *Portal) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.closing.Done():
		return false
	}
}
