package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/journal"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/engine/report"
	"github.com/bxflow/bxflow/engine/sandbox"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

func newTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "test FILE|DIR…",
		ValidArgsFunction: completeJobs,
		Short:             "Check that jobs do what their tests say",
		Long: `Plan a job for each of its tests, and compare the plan with what the test expects.
No portal is asked and nothing is kept: each test has a sandbox portal of its own,
with the entities, fields and people of the one that jobs of portal: sandbox run
on, and with no items but those of the test.

  tests:
    - name: a known client is updated
      portal:
        - create: contact
          fields: {CPF: "52998224725", name: Ana}
      rows:
        - {cpf: 529.982.247-25, nome: Ana Lima}
      expect:
        - update: client              # a step's id
          row: 1
          fields: {name: Ana Lima}    # others may change as well

rows stand for those of the job's read; without any, its file is read. What is
expected is create, update, move, delete, invalid, conflict, unchanged or skip,
with the step's id. All must be listed but what is unchanged or skipped. params,
env and now set what the job gets; variables that are not set are blank. Ids of
items that the plan makes are written as the step that makes them: contactId:
client. Exit code 3 says that a test failed.

Of a job that reads another portal, its items are given by the portal's name:

      portals: {old: [{create: deal, fields: {title: Website}}]}

A portal that is a sandbox in bxflow.yaml has that one's names here, too.`,
		Example: `  bxflow test onboarding.yaml
  bxflow test jobs/ --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			paths, err := expand(args)
			if err != nil {
				return err
			}
			return a.testCommand(c.Context(), paths)
		},
	}
}

// testCommand runs all tests of all files before it fails.
func (a *app) testCommand(ctx context.Context, paths []string) error {
	l := report.List{Columns: []string{"file", "test", "ok", "problems"}, Right: []string{"problems"}}
	var faults, failed engine.Problems
	failures := 0
	for _, path := range paths {
		job, err := a.loadJob(path, true)
		problems, err := asProblems(path, err)
		if err != nil {
			return err
		}
		if faults = append(faults, problems...); job == nil {
			continue
		}
		for _, test := range job.Tests {
			problems, err := a.testJob(ctx, path, test)
			if err != nil {
				return fmt.Errorf("test %q: %w", test.Name.Text, err)
			}
			if len(problems) > 0 {
				failures++
			}
			failed = append(failed, located(path, problems)...)
			l.Rows = append(l.Rows, []any{path, test.Name.Text, len(problems) == 0, len(problems)})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	if len(l.Rows) == 0 {
		return usage("there are no tests in what was named; add tests: to the job, as bxflow help test shows")
	}
	if err := a.list(l); err != nil || failures == 0 {
		return err
	}
	var b bytes.Buffer
	if err := jobs.Explain(&b, quoted(failed)); err != nil {
		return err
	}
	fmt.Fprint(a.stderr, mask(report.CleanLines(b.String())))
	return &exitError{code: exitPartial, err: fmt.Errorf("%d of %d tests failed", failures, len(l.Rows))}
}

// located names the file of problems that know none.
func located(path string, problems engine.Problems) engine.Problems {
	for i := range problems {
		problems[i].File = cmp.Or(problems[i].Pos.File, path)
	}
	return problems
}

// testJob says in what a plan differs from what a test expects. Problems of the
// job itself, such as fields that the sandbox lacks, are among them.
func (a *app) testJob(ctx context.Context, path string, test *engine.Test) (problems engine.Problems, err error) {
	job, err := a.loadTested(path, test)
	if err != nil {
		return asProblems(path, err)
	}
	dir, err := os.MkdirTemp("", "bxflow-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j, err := journal.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	t := &trial{app: a, journal: j, test: test, now: test.Now, elsewhere: map[string]engine.Elsewhere{}}
	defer func() { err = errors.Join(err, t.close()) }()
	if t.now.IsZero() {
		t.now = time.Now()
	}
	err = t.open(ctx, job)
	if err == nil {
		err = t.compare(ctx, job)
	}
	more, err := asProblems(path, err)
	return append(t.problems, more...), err
}

// open makes the portals of the test, with the items that it has there.
func (t *trial) open(ctx context.Context, job *engine.Job) (err error) {
	if t.session, err = t.portal(ctx, job, job.Portal, t.test.Given); err != nil {
		return err
	}
	for _, name := range job.Elsewhere() {
		s, err := t.portal(ctx, job, name, t.test.Elsewhere[name])
		if err != nil {
			return err
		}
		t.elsewhere[name] = engine.Elsewhere{Catalogue: s, Reader: s}
	}
	return nil
}

// portal makes a sandbox that stands for a portal of the job, with some items. It
// has the names of the sandbox that bxflow.yaml describes.
func (t *trial) portal(ctx context.Context, job *engine.Job, name string, items []*engine.StepSpec) (*session, error) {
	like := portalConfig{Empty: true}
	if name != "" && !isSandbox(name) {
		described, _, err := findPortal(name, job.Dir)
		if err != nil {
			return nil, err
		}
		if described != nil && isSandbox(described.URL) {
			like.Names = described.Names
		}
	}
	limits := portal.CloudLimits()
	limits.Rate, limits.Operating = 0, 0
	s, err := t.newSession(target{ref: wordMemory, sandbox: wordMemory, limits: limits, seed: like.seed()})
	if err != nil {
		return nil, err
	}
	t.boxes = append(t.boxes, s.box)
	return s, t.fill(ctx, s, job.File, items)
}

// close closes the portals of the test.
func (t *trial) close() (err error) {
	for _, box := range t.boxes {
		err = errors.Join(err, box.Close())
	}
	return err
}

// loadTested reads a test's job with what the test gives it.
func (a *app) loadTested(path string, test *engine.Test) (*engine.Job, error) {
	params, err := a.params()
	if err != nil {
		return nil, err
	}
	maps.Copy(params, test.Params)
	job, err := jobs.Load(path, jobs.Options{
		Kinds: steps.All(), Table: steps.EachRow, Params: params,
		Getenv: func(name string) (string, bool) { return test.Env[name], true },
	})
	if err != nil {
		return nil, err
	}
	job.Notify = nil // a test tells nobody, and its portal has other people
	for _, stream := range job.Streams {
		rows, given := test.Rows[stream.Source.ID]
		if read, ok := stream.Source.Source.(*steps.Read); ok && given {
			stream.Source.Source = steps.NewRows(read, rows)
		}
	}
	return job, nil
}

// trial is one test under way.
type trial struct {
	*app
	session   *session                    // of the portal that the job writes to
	elsewhere map[string]engine.Elsewhere // the others
	boxes     []*sandbox.Portal           // all of them
	journal   *journal.Journal
	test      *engine.Test
	now       time.Time // of the test
	catalog   *engine.Catalog
	problems  engine.Problems
}

// plan plans a job on a portal of the test. A broken guard is a problem of the test.
func (t *trial) plan(ctx context.Context, s *session, job *engine.Job, now time.Time) (*journal.Plan, error) {
	draft, err := t.journal.NewDraft(ctx)
	if err != nil {
		return nil, err
	}
	header, err := engine.Plan(ctx, engine.PlanOptions{
		Job: job, PortalRef: wordMemory, Catalogue: s, Reader: s, Elsewhere: t.elsewhere, Gauge: s, Draft: draft, Now: now,
	})
	if guard, broken := errors.AsType[*engine.GuardError](err); broken {
		t.fault(t.test.Name.Pos, "", "%v", guard)
	} else if err != nil {
		return nil, errors.Join(err, draft.Discard(context.WithoutCancel(ctx)))
	}
	if t.catalog, err = s.Catalog(ctx, header.Needs); err != nil {
		return nil, err
	}
	return t.journal.Plan(ctx, header.ID)
}

// fill makes the items that the test has on a portal.
func (t *trial) fill(ctx context.Context, s *session, file string, items []*engine.StepSpec) error {
	if items == nil {
		return nil
	}
	job := &engine.Job{
		Name: "portal of a test", File: file,
		Streams: []*engine.Stream{{Source: &engine.SourceSpec{Source: once{}}, Steps: items}},
	}
	plan, err := t.plan(ctx, s, job, time.Now())
	if err != nil {
		return err
	}
	for c, err := range plan.Changes(ctx, engine.Filter{Kinds: []engine.Kind{engine.KindInvalid, engine.KindSkip}}) {
		if err != nil {
			return err
		}
		t.fault(items[c.Index].Pos, "", "an item of the test's portal can't be made: %s", c.Reason)
	}
	run, err := t.journal.Begin(ctx, plan.ID(), time.Now())
	if err != nil {
		return err
	}
	p := &planned{job: job, plan: plan, session: s, catalog: t.catalog, before: s.Usage()}
	_, err = engine.Apply(ctx, t.applyOptions(run, p, writeFlags{}))
	if err != nil {
		return err
	}
	for c, err := range run.Changes(ctx, engine.Filter{States: []engine.State{engine.StateFailed}}) {
		if err != nil {
			return err
		}
		t.fault(items[c.Index].Pos, "", "an item of the test's portal can't be made: %s", c.Error)
	}
	return nil
}

// once is a source of one record without contents.
type once struct{}

// Verb implements [engine.Source].
func (once) Verb() string { return "portal" }

// Makes implements [engine.Source].
func (once) Makes() string { return "" }

// Prepare implements [engine.Source].
func (once) Prepare(p *engine.Prepare) { p.Columns(nil) }

// Records implements [engine.Source].
func (once) Records(context.Context, *engine.Planning) iter.Seq2[[]*engine.Record, error] {
	return func(yield func([]*engine.Record, error) bool) {
		yield([]*engine.Record{{Source: "portal", Key: "portal", Row: map[string]any{}}}, nil)
	}
}

// fault records in what the test fails.
func (t *trial) fault(pos engine.Pos, hint, format string, args ...any) {
	t.problems = append(t.problems, engine.Problem{
		Pos: pos, Hint: hint, Msg: fmt.Sprintf("test %q: ", t.test.Name.Text) + fmt.Sprintf(format, args...),
	})
}

// compare plans the job and holds the plan against what is expected.
func (t *trial) compare(ctx context.Context, job *engine.Job) error {
	plan, err := t.plan(ctx, t.session, job, t.now)
	if err != nil {
		return err
	}
	var changes []*engine.Change
	for c, err := range plan.Changes(ctx, engine.Filter{}) {
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	for _, e := range t.test.Expect {
		changes = t.match(e, changes)
	}
	for _, c := range changes {
		if c.Kind != engine.KindNone && c.Kind != engine.KindSkip {
			t.fault(t.test.Name.Pos, "expect it: - "+string(c.Kind)+": "+c.Step, "the plan has what is not expected: %s", t.describe(c))
		}
	}
	return nil
}

// match takes the change that an expectation is about out of those of the plan:
// the first with all that is expected, else the first of the kind, in which case
// it says what is different.
func (t *trial) match(e engine.Expectation, changes []*engine.Change) []*engine.Change {
	best, least := -1, engine.Problems(nil)
	var others []string
	for i, c := range changes {
		if c.Step != e.Step.Text {
			continue
		}
		if c.Kind != e.Kind || e.Row != 0 && c.Line != e.Row {
			others = append(others, t.describe(c))
			continue
		}
		if wrong := t.differences(e, c); best < 0 || len(wrong) < len(least) {
			best, least = i, wrong
		}
	}
	if best >= 0 {
		t.problems = append(t.problems, least...)
		return slices.Delete(slices.Clone(changes), best, best+1)
	}
	hint := "the step plans nothing else"
	if others != nil {
		hint = "the step plans " + others[0]
		if len(others) > 1 {
			hint += fmt.Sprintf(" and %d more", len(others)-1)
		}
	}
	row := ""
	if e.Row != 0 {
		row = fmt.Sprintf(" for row %d", e.Row)
	}
	t.fault(e.Step.Pos, hint, "the plan has no %s by %s%s", e.Kind, e.Step.Text, row)
	return changes
}

// describe names a change.
func (t *trial) describe(c *engine.Change) string {
	text := fmt.Sprintf("%s by %s for %s", c.Kind, c.Step, c.Source)
	if c.Reason != "" {
		text += " (" + c.Reason + ")"
	}
	return text
}
