package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/cmd/bxflow/internal/daemon"
	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

// maxCount is how many due times of a job can be listed.
const maxCount = 10000

func newScheduleCommand(a *app) *cobra.Command {
	var count int
	c := &cobra.Command{
		Use:   "schedule FILE|DIR…",
		Short: "Show when the jobs of a folder are due next",
		Long: `Show the next due times of each job of a folder that has a schedule, the soonest
first. Times are in the job's own time zone.`,
		Example: "  bxflow schedule onboarding.yaml --count 3",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.formats("text", "json", "csv"); err != nil {
				return err
			}
			if count < 1 || count > maxCount {
				return usage("--count %d is not a number from 1 to %d", count, maxCount)
			}
			paths, err := expand(args)
			if err != nil {
				return err
			}
			return a.scheduleCommand(paths, count)
		},
	}
	c.Flags().IntVar(&count, "count", 5, "list `N` times of each job")
	return c
}

// due is one due time of a job.
type due struct {
	at  time.Time
	job *engine.Job
}

// scheduleCommand lists the due times of all sound files before it fails for
// the others.
func (a *app) scheduleCommand(paths []string, count int) error {
	var (
		dues   []due
		faults []error
		now    = time.Now()
	)
	for _, path := range paths {
		found, err := a.dues(path, now, count)
		if err != nil {
			faults = append(faults, err)
		}
		dues = append(dues, found...)
	}
	slices.SortStableFunc(dues, func(x, y due) int { return x.at.Compare(y.at) })
	l := report.List{
		Columns: []string{"due", "zone", "job", "cron", "mode", "file"},
		Whole:   []string{"due"},
		Spare:   []string{"zone", "cron", "mode"}, // the file has them
	}
	for _, d := range dues {
		at := d.at.Format(time.RFC3339)
		if a.flags.format == "text" {
			at = d.at.Format("Mon 2006-01-02 15:04:05 -07:00")
		}
		l.Rows = append(l.Rows, []any{at, daemon.ZoneName(d.at.Location()), d.job.Name, d.job.Schedule.Cron, string(d.job.Mode), d.job.File})
	}
	if len(dues) > 0 || a.flags.format != "text" {
		if err := a.list(l); err != nil {
			return err
		}
	} else if len(faults) == 0 {
		a.log.Info("none of the jobs has a schedule")
	}
	return joinProblems(faults)
}

// dues lists the next due times of one job, none if it has no schedule.
func (a *app) dues(path string, now time.Time, count int) ([]due, error) {
	job, err := a.loadJob(path, true)
	if err != nil {
		return nil, err
	}
	when, err := daemon.ScheduleOf(job)
	if when == nil || err != nil {
		return nil, err
	}
	for _, warning := range when.Warnings() {
		a.log.Warn(job.File + ": schedule: " + warning)
	}
	var list []due
	for at := now; len(list) < count; {
		at = when.Next(at)
		if at.IsZero() {
			break
		}
		list = append(list, due{at: at, job: job})
	}
	return list, nil
}

// joinProblems makes one error of those of several files.
func joinProblems(faults []error) error {
	var all engine.Problems
	for _, err := range faults {
		problems, ok := errors.AsType[engine.Problems](err)
		if !ok {
			return errors.Join(faults...)
		}
		all = append(all, problems...)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
