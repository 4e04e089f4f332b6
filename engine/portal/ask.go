package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"
)

const (
	// leastTries and leastTime are how persistent a read is: it gives up when
	// both are over.
	leastTries = 10
	leastTime  = time.Minute
	// patience is how long nothing but refusals is endured: longer than the
	// window of any limit.
	patience = 20 * time.Minute
	// firstPause doubles up to longestPause between tries.
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
)

// askOptions vary how calls are made.
type askOptions struct {
	alone bool // one request a call, not batched
	halt  bool // one batch, which stops at its first failure; later calls refer to earlier ones
	// together keeps the calls in as few batches as they can be in, whatever
	// they may cost: some refer to answers of earlier ones.
	together bool
}

// ask makes calls, batched as far as their data allow, and repeats those that
// may be repeated. There is a reply for each call, in their order; it holds an
// error where the portal refused the call for good. The error is ctx's, or says
// that the portal could not be asked.
func (c *Client) ask(ctx context.Context, calls []call, o askOptions) ([]reply, error) {
	replies := make([]reply, len(calls))
	for i, call := range calls {
		replies[i].Err = &Error{Method: call.Method, Verdict: Refused}
	}
	open := all(calls)
	p := persistence{began: time.Now()}
	for {
		if err := c.round(ctx, calls, replies, open, o); err != nil {
			return nil, err
		}
		before := len(open)
		open = repeatable(calls, replies, open)
		if o.halt && slices.Contains(open, 0) {
			open = all(calls) // nothing of the chain ran, or nobody knows
		} else if o.halt || len(open) == 0 {
			return replies, nil
		}
		fault := replies[open[0]].Err
		pause, ok := p.next(fault, len(open) < before)
		if !ok {
			return nil, fmt.Errorf("gave up after %d tries in %s: %w", p.tries, time.Since(p.began).Round(time.Second), fault)
		}
		if c.renewed(fault) {
			pause = 0
		}
		c.retried.Add(1)
		c.tellRepeat(ctx, fault, len(open), pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// tellRepeat logs that calls are made again. Somebody who waits for a portal
// that doesn't answer has to know why: that is a warning, but one a minute is
// enough. Limits are part of the daily work.
func (c *Client) tellRepeat(ctx context.Context, fault *Error, calls int, pause time.Duration) {
	level := slog.LevelDebug
	if fault.Code != codeQueryLimit && fault.Code != codeOperationLimit && !c.renewed(fault) {
		last, now := c.warned.Load(), time.Now().UnixNano()
		if now-last >= int64(leastTime) && c.warned.CompareAndSwap(last, now) {
			level = slog.LevelWarn
		}
	}
	c.logger.Log(ctx, level, "the portal gives no usable answer; asking again for at least a minute",
		"calls", calls, "after", pause.Round(time.Millisecond), "fault", fault.Error())
}

// renewed says whether all that was wrong with a call was its token, of which
// there is another now.
func (c *Client) renewed(fault *Error) bool { return fault.Verdict == Expired && c.wire.tokens != nil }

// all are the indexes of calls.
func all(calls []call) []int {
	indexes := make([]int, len(calls))
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// persistence decides how often a read is repeated.
type persistence struct {
	began time.Time
	tries int // that ended in doubt or were not sent
	first time.Time
}

// next returns the pause before the next try. Refusals by a limit are waited
// out by the governor and count only by their time; progress starts anew.
func (p *persistence) next(fault *Error, progress bool) (pause time.Duration, ok bool) {
	now := time.Now()
	if progress || p.first.IsZero() {
		p.first, p.tries = now, 0
	}
	if fault.Code == codeQueryLimit || fault.Code == codeOperationLimit {
		return time.Millisecond, now.Sub(p.first) < patience
	}
	p.tries++
	if p.tries >= leastTries && now.Sub(p.first) >= leastTime {
		return 0, false
	}
	pause = min(firstPause<<min(p.tries-1, 10), longestPause)
	return pause/2 + rand.N(pause/2), true //nolint:gosec // spreads tries, keeps no secret
}

// repeatable keeps the calls that failed in a way that a repeat may mend. A
// call that may have been executed is repeated only if it just reads.
func repeatable(calls []call, replies []reply, open []int) []int {
	var again []int
	for _, i := range open {
		fault := replies[i].Err
		if fault == nil {
			continue
		}
		switch fault.Verdict {
		case Refused, Expired:
			again = append(again, i)
		case Unknown:
			if reads(calls[i].Method) {
				again = append(again, i)
			}
		case Done, Failed, Fatal:
		}
	}
	return again
}

// round tries each open call once, several requests at a time, and stops early
// if the portal will refuse them all.
func (c *Client) round(ctx context.Context, calls []call, replies []reply, open []int, o askOptions) error {
	batch, single := split(calls, open, o)
	work := pool.New().WithContext(ctx).WithMaxGoroutines(maxInFlight).WithCancelOnError().WithFirstError()
	for _, i := range single {
		if ctx.Err() != nil {
			break
		}
		work.Go(func(ctx context.Context) error { return c.try(ctx, calls, replies, []int{i}, o) })
	}
	for len(batch) > 0 && ctx.Err() == nil {
		n := c.chunk(calls, batch, o)
		part := batch[:n]
		batch = batch[n:]
		work.Go(func(ctx context.Context) error { return c.try(ctx, calls, replies, part, o) })
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// split tells the calls that can share a batch from those that must go alone.
func split(calls []call, open []int, o askOptions) (batch, single []int) {
	if o.alone {
		return nil, open
	}
	for _, i := range open {
		if _, ok := batchQuery(calls[i]); ok {
			batch = append(batch, i)
		} else {
			single = append(single, i)
		}
	}
	return batch, single
}

// chunk is how many of the calls go into the next batch.
func (c *Client) chunk(calls []call, open []int, o askOptions) int {
	if o.halt || o.together {
		return min(len(open), maxBatch)
	}
	n := 0
	c.governor.store.view(func(f *figures) {
		size := f.newSizing(c.governor.limits)
		for n < len(open) && size.add(calls[open[n]].Method) {
			n++
		}
	})
	return n
}

// try sends some calls in one request and notes their replies. The error ends
// the whole question: ctx's, or one that every other call would meet too.
func (c *Client) try(ctx context.Context, calls []call, replies []reply, part []int, o askOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	some := make([]call, 0, len(part))
	methods := make([]string, 0, len(part))
	for _, i := range part {
		some = append(some, calls[i])
		methods = append(methods, calls[i].Method)
	}
	_, expressible := batchQuery(some[0])
	batch := !o.alone && expressible
	t, chosen, err := c.governor.admit(ctx, methods, batch)
	if err != nil {
		return err
	}
	part, some = pick(part, chosen), pick(some, chosen)
	body, fault := encode(some, batch, o.halt)
	if fault != nil {
		c.governor.cancel(ctx, t)
		replies[part[0]].Err = fault
		return nil
	}
	answers, fault := c.post(ctx, t, some, body, o.halt)
	if err := ctx.Err(); err != nil && fault != nil {
		return err
	}
	for i, at := range part {
		if fault != nil {
			copied := *fault
			replies[at] = reply{Err: &copied}
		} else {
			replies[at] = answers[i]
		}
	}
	if fault != nil && fault.Verdict == Fatal {
		return fault
	}
	return nil
}

// pick keeps what is marked.
func pick[T any](all []T, chosen []bool) []T {
	kept := make([]T, 0, len(all))
	for i, v := range all {
		if chosen[i] {
			kept = append(kept, v)
		}
	}
	return kept
}

// isRefusal says whether err is the portal's refusal with one of these codes.
func isRefusal(err error, codes ...string) bool {
	fault, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(codes, fault.Code)
}
