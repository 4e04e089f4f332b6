package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kinds of faults.
const (
	FaultDropBefore = "drop-before" // the connection is closed, nothing is done
	FaultDropAfter  = "drop-after"  // done, but the answer is lost
	FaultDropMidway = "drop-midway" // half of a batch is done, of anything else nothing; the connection is closed
	FaultError500   = "error-500"   // INTERNAL_SERVER_ERROR; done only with the probability done=
	FaultHTML502    = "html-502"    // a gateway's page; done only with the probability done=
	FaultTruncate   = "truncate"    // done, but the answer is cut short
	FaultSlow       = "slow"        // delay= longer
	FaultLimit503   = "limit-503"   // QUERY_LIMIT_EXCEEDED, nothing is done
	FaultLimit429   = "limit-429"   // OPERATION_TIME_LIMIT, nothing is done
	FaultExpired    = "expired"     // expired_token, nothing is done
	FaultMoved      = "moved"       // 302 to the same address, as of a renamed portal; nothing is done
	FaultLag        = "lag"         // lists show what is made only delay= later
	FaultLate       = "late"        // the connection is closed at once, and it is done delay= later
)

// Fault is something that goes wrong with a request.
type Fault struct {
	spec   string
	kind   string
	p      float64 // probability; 1 unless given
	nth    int     // only the nth matching request; 0: any
	after  int     // only after so many matching requests
	count  int     // so many times at most; 0: no limit
	method string  // lower case; empty: any
	delay  time.Duration
	done   float64 // probability that an error 500 or 502 comes after the work was done

	random *rand.Rand
	seen   int
	struck int
	isDone bool // of the request that it struck
}

// ParseFault reads a fault: KIND, or KIND:KEY=VALUE,… with the keys p (its
// probability), nth (only the nth request that matches), after (only after so
// many), count (so many times at most), method, delay, done and seed.
func ParseFault(spec string) (Fault, error) {
	kind, keys, _ := strings.Cut(spec, ":")
	f := Fault{spec: spec, kind: strings.TrimSpace(kind), p: 1}
	switch f.kind {
	case FaultDropBefore, FaultDropAfter, FaultDropMidway, FaultError500, FaultHTML502, FaultTruncate, FaultSlow,
		FaultLimit503, FaultLimit429, FaultExpired, FaultMoved, FaultLag, FaultLate:
	default:
		return Fault{}, fmt.Errorf("fault: %q is no kind of fault; the kinds are drop-before, drop-after, "+
			"drop-midway, error-500, html-502, truncate, slow, limit-503, limit-429, expired, moved, lag, late", f.kind)
	}
	seed := uint64(1)
	for part := range strings.SplitSeq(keys, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, val, _ := strings.Cut(part, "=")
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		var err error
		if key == "seed" {
			seed, err = strconv.ParseUint(val, 10, 64)
		} else {
			err = f.set(key, val)
		}
		if err != nil {
			return Fault{}, fmt.Errorf("fault %q: %q=%q: %w", spec, key, val, err)
		}
	}
	if f.delay == 0 && (f.kind == FaultSlow || f.kind == FaultLag || f.kind == FaultLate) {
		return Fault{}, fmt.Errorf("fault %q: %s needs a time; add delay=2s", spec, f.kind)
	}
	f.random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a repeatable sequence is wanted
	return f, nil
}

func (f *Fault) set(key, val string) (err error) {
	switch key {
	case "p":
		f.p, err = probability(val)
	case "done":
		f.done, err = probability(val)
	case "nth":
		f.nth, err = atLeast(1, val)
	case "after":
		f.after, err = atLeast(0, val)
	case "count":
		f.count, err = atLeast(1, val)
	case "method":
		f.method = strings.ToLower(val)
	case "delay":
		if f.delay, err = time.ParseDuration(val); err != nil || f.delay < 0 {
			err = errors.New("not a duration of 0 or more; write one such as 2s")
		}
	default:
		err = errors.New("unknown key; the keys are p, nth, after, count, method, delay, done, seed")
	}
	return err
}

func probability(val string) (float64, error) {
	p, err := strconv.ParseFloat(val, 64)
	if err == nil && !(p >= 0 && p <= 1) {
		return 0, errors.New("not from 0 to 1")
	}
	return p, err
}

// atLeast reads a number of requests.
func atLeast(least int, val string) (int, error) {
	const most = 1e9
	n, err := strconv.Atoi(val)
	if err == nil && (n < least || n > most) {
		return 0, fmt.Errorf("not from %d to %d", least, int(most))
	}
	return n, err
}

// faultList is the faults that are on, in the order given.
type faultList struct {
	mu   sync.Mutex
	list []*Fault
}

func newFaultList(specs []string) (*faultList, error) {
	l := &faultList{}
	return l, l.replace(specs)
}

// replace puts other faults in place; none is replaced if one is wrong.
func (l *faultList) replace(specs []string) error {
	var list []*Fault
	for _, spec := range specs {
		f, err := ParseFault(spec)
		if err != nil {
			return err
		}
		list = append(list, &f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = list
	return nil
}

// next returns the fault that strikes a request, or nil: the first that matches.
func (l *faultList) next(req *request) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		if f.method != "" && !req.asks(f.method) || f.method == "" && req.method == tokenMethod {
			continue
		}
		f.seen++
		if f.strikes() {
			f.struck++
			hit := *f
			hit.isDone = f.random.Float64() < f.done
			return &hit
		}
	}
	return nil
}

func (f *Fault) strikes() bool {
	switch {
	case f.nth > 0 && f.seen != f.nth+f.after:
		return false
	case f.seen <= f.after:
		return false
	case f.count > 0 && f.struck >= f.count:
		return false
	default:
		return f.p >= 1 || f.random.Float64() < f.p
	}
}

// asks reports whether a request is for a method, itself or in its batch.
func (req *request) asks(method string) bool {
	if req.method == method {
		return true
	}
	if req.method != "batch" {
		return false
	}
	cmd, _ := req.params.get("cmd")
	list, _ := cmd.(*array) // no array, no commands
	for _, val := range list.all() {
		if text, ok := val.(string); ok {
			if name, _ := splitCommand(text); strings.EqualFold(methodName(name), method) {
				return true
			}
		}
	}
	return false
}

// refuse returns the answer of a fault that keeps a request from being worked
// on, or nil.
func (p *Portal) refuse(f *Fault, req *request) *answer {
	switch f.kind {
	case FaultDropBefore:
		return &answer{drop: true}
	case FaultLimit503:
		p.stats.rejectedBucket()
		return refusal(tooMany())
	case FaultLimit429:
		p.stats.rejected()
		return refusal(fault(http.StatusTooManyRequests, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."))
	case FaultExpired:
		return refusal(fault(http.StatusUnauthorized, "expired_token", "The access token provided has expired"))
	case FaultMoved:
		return &answer{status: http.StatusFound, html: true, location: req.url}
	case FaultError500, FaultHTML502:
		if !f.isDone {
			return f.spoil(nil)
		}
	}
	return nil
}

// spoil returns what is left of an answer.
func (f *Fault) spoil(a *answer) *answer {
	if f == nil {
		return a
	}
	switch f.kind {
	case FaultDropAfter, FaultDropMidway:
		return &answer{drop: true}
	case FaultTruncate:
		a.cut = (len(a.body) + 1) / 2
	case FaultError500:
		return refusal(fault(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "Internal server error"))
	case FaultHTML502:
		return &answer{
			status: http.StatusBadGateway, html: true,
			body: []byte("<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>\n"),
		}
	}
	return a
}

// late reports whether the client is let go before the work begins.
func (f *Fault) late() bool { return f != nil && f.kind == FaultLate }

// wait is how much longer a request takes.
func (f *Fault) wait() time.Duration {
	if f != nil && (f.kind == FaultSlow || f.kind == FaultLate) {
		return f.delay
	}
	return 0
}

// lag is how long lists don't show what a request makes.
func (f *Fault) lag() time.Duration {
	if f != nil && f.kind == FaultLag {
		return f.delay
	}
	return 0
}
