package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/report"
)

func newPortalCheckCommand(a *app) *cobra.Command {
	var jobFile string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check that a portal answers, as whom, and with which rights",
		Long: `Check that a portal answers, as whom, and with which rights; with --job, also
whether they are enough for a job. Clock seconds is how far the portal's clock is
ahead of this machine's; execution time is not told by a portal that doesn't limit
it, such as one on a server of one's own. Nothing is changed.`,
		Example: "  bxflow portal check --portal sandbox --job onboarding.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			return a.checkPortal(c.Context(), jobFile)
		},
	}
	c.Flags().StringVar(&jobFile, "job", "", "`file` of a job, whose rights are checked too")
	return c
}

// check is what came of checking a portal.
type check struct {
	portal engine.PortalInfo
	scopes []string
	clock  clock
	needs  *jobNeeds // nil: no job was given
}

// checkPortal asks who bxflow is there and what it may do. A right that the job,
// or every job, can't do without is an error, after all has been printed.
func (a *app) checkPortal(ctx context.Context, jobFile string) error {
	var job *engine.Job
	ofJob, dir := "", "."
	if jobFile != "" {
		var err error
		if job, err = a.loadJob(jobFile, true); err != nil {
			return err
		}
		ofJob, dir = job.Portal, job.Dir
	}
	s, err := a.openPortal(ofJob, dir)
	if err != nil {
		return err
	}
	c, err := s.check(ctx, job)
	if err != nil {
		return err
	}
	l := c.list(s)
	if a.flags.format == "json" {
		err = l.JSON(a.stdout)
	} else {
		err = l.Sheet(a.stdout, a.terminal(a.stdout))
	}
	if err != nil {
		return err
	}
	if off := c.clock.ahead; math.Abs(float64(off)) > maxClockOff {
		a.log.Warn("the portal's clock and this machine's differ by more than a minute; set this one, unless it is the portal's that is wrong", "ahead", off.String()+" s")
	}
	return c.lacking(s)
}

// check asks the portal.
func (s *session) check(ctx context.Context, job *engine.Job) (c check, err error) {
	catalog, err := s.Catalog(ctx, engine.Needs{})
	if err != nil {
		return c, err
	}
	c.portal = catalog.Portal
	if c.scopes, err = s.scopes(ctx); err != nil {
		return c, err
	}
	if c.clock, err = s.clock(ctx); err != nil {
		return c, err
	}
	if job != nil {
		c.needs, err = s.needs(ctx, job, c.scopes)
	}
	return c, err
}

// list is the one row that is shown.
func (c check) list(s *session) report.List {
	limits, p := s.target.limits, c.portal
	l := report.List{}
	add := func(column string, value any) {
		l.Columns = append(l.Columns, column)
		if len(l.Rows) == 0 {
			l.Rows = [][]any{nil}
		}
		l.Rows[0] = append(l.Rows[0], value)
	}
	add("portal", p.Address)
	add("id", p.ID)
	add("acts_by", s.target.actsBy())
	add("user", p.User)
	add("user_id", p.UserID)
	add("admin", p.Admin)
	add("scopes", strings.Join(c.scopes, ", "))
	add("rate", limits.Rate)
	add("burst", limits.Burst)
	add("operating", shortSpan(limits.Operating))
	add("window", shortSpan(limits.Window))
	add("request", shortSpan(limits.Request))
	add("execution_time", c.clock.execution())
	add("clock_seconds", c.clock.ahead)
	add("round_trip_ms", max(1, c.clock.roundTrip.Milliseconds()))
	if n := c.needs; n != nil {
		add("job", n.job)
		add("needs", strings.Join(n.scopes, ", "))
		add("missing_scopes", strings.Join(n.missing, ", "))
		add("missing_methods", strings.Join(n.methods, ", "))
		add("unreadable", strings.Join(n.unreadable, ", "))
		add("untold", n.untold(p.Admin))
	}
	return l
}

// lacking is the error of rights that are not there, or nil.
func (c check) lacking(s *session) error {
	n, missing := c.needs, []string(nil)
	switch {
	case n != nil:
		missing = n.missing
	case !slices.Contains(c.scopes, scopeCRM):
		missing = []string{scopeCRM}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("the %s lacks the scope %s; add it in the portal: Developer resources, Integrations", s.target.actsBy(), strings.Join(missing, " and "))
	case n != nil && len(n.unreadable) > 0:
		return fmt.Errorf("the user may not read %s, which the job needs; have an administrator give the right, in the CRM's access permissions", strings.Join(n.unreadable, " and "))
	case n != nil && n.merges && !c.portal.Admin:
		return errors.New("the job merges items, which the portal lets only administrators do; use a webhook of one")
	case n != nil && len(n.methods) > 0:
		return fmt.Errorf("the portal has no %s, which the job needs; it must be updated", strings.Join(n.methods, " and "))
	}
	return nil
}

// actsBy is what bxflow has of the portal.
func (t target) actsBy() string {
	if t.app != nil {
		return "application"
	}
	return "webhook"
}

// signed is a number of seconds with its sign, to a tenth.
type signed float64

// String is +1.5.
func (s signed) String() string { return fmt.Sprintf("%+.1f", float64(s)) }

// MarshalJSON is 1.5, without a plus.
func (s signed) MarshalJSON() ([]byte, error) { return json.Marshal(float64(s)) }

// maxClockOff is how many seconds clocks may differ without a warning.
const maxClockOff = 60

// clock is how the portal answers.
type clock struct {
	ahead     signed        // of this machine's clock
	roundTrip time.Duration // of the fastest of some requests
	metered   bool          // it tells the execution time of methods
}

// execution says whether the portal tells what it limits.
func (c clock) execution() string {
	if c.metered {
		return "told"
	}
	return "not told"
}

// clockTries is how many requests measure the way to the portal.
const clockTries = 3

// clock measures with a method that takes no time, and trusts the fastest answer:
// of its way each half took as long as the other, more or less.
func (s *session) clock(ctx context.Context) (c clock, err error) {
	for range clockTries {
		r, err := s.Call(ctx, "server.time", nil)
		if err != nil {
			return c, err
		}
		c.metered = c.metered || r.Time.Metered
		took := r.Answered.Sub(r.Sent)
		if c.roundTrip != 0 && took >= c.roundTrip {
			continue
		}
		c.roundTrip = max(took, 1)
		if there, ok := portalTime(r); ok {
			c.ahead = signed(math.Round(there.Sub(r.Sent.Add(took/2)).Seconds()*10)/10 + 0) // +0: never -0
		}
	}
	return c, nil
}

// portalTime is the portal's clock: in the account of a call, else, to the
// second, in the method's answer.
func portalTime(r portal.Result) (time.Time, bool) {
	if at := r.Time.FinishedAt; at > 0 && at < math.MaxInt32 {
		whole, part := math.Modf(at)
		return time.Unix(int64(whole), int64(part*1e9)), true
	}
	var text string
	if json.Unmarshal(r.Value, &text) != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// shortSpan is a duration without its empty units: 8m, not 8m0s.
func shortSpan(d time.Duration) string {
	text := d.String()
	for _, empty := range []string{"m0s", "h0m"} {
		if short, ok := strings.CutSuffix(text, empty); ok {
			text = short + empty[:1]
		}
	}
	return text
}

// scopes are the rights of the webhook or application.
func (s *session) scopes(ctx context.Context) ([]string, error) {
	result, err := s.Call(ctx, "scope", nil)
	if err != nil {
		return nil, err
	}
	var scopes []string
	if err := json.Unmarshal(result.Value, &scopes); err != nil {
		return nil, fmt.Errorf("scope: %w", err)
	}
	return scopes, nil
}
