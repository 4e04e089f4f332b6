package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

func newValidateCommand(a *app) *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use:               "validate FILE|DIR…",
		ValidArgsFunction: completeJobs,
		Short:             "Check job files without running them",
		Long: `Check job files, or all of a folder. No portal is asked unless --portal names
one: then names are checked against what it has, and files that jobs read are
opened as far as their header. With -v it says what each file is taken for:
format, encoding, delimiter, header, sheet, and what the values of its first rows
look like.`,
		Example: `  bxflow validate onboarding.yaml
  bxflow validate -v onboarding.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text", "json"); err != nil {
				return err
			}
			if verbose && a.flags.format != "text" {
				return usage("-v is for people; leave out --format %s", a.flags.format)
			}
			paths, err := expand(args)
			if err != nil {
				return err
			}
			return a.validate(c.Context(), paths, verbose)
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "say what each file that is read is taken for")
	return c
}

// expand replaces folders by the job files in them.
func expand(args []string) ([]string, error) {
	var paths []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usage("%w", err)
		}
		if !info.IsDir() {
			paths = append(paths, arg)
			continue
		}
		found, err := jobFiles(arg)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, usage("%s: there are no job files (*.yaml) in it", arg)
		}
		paths = append(paths, found...)
	}
	return paths, nil
}

// validate checks all files before it fails.
func (a *app) validate(ctx context.Context, paths []string, verbose bool) error {
	l := report.List{Columns: []string{"file", "job", "ok", "problems", "warnings"}, Right: []string{"problems", "warnings"}}
	var all engine.Problems
	for _, path := range paths {
		job, warnings, err := a.validateFile(ctx, path)
		problems, err := asProblems(path, err)
		if err != nil {
			return err
		}
		if verbose && job != nil && len(problems) == 0 {
			if problems, err = asProblems(path, a.look(ctx, path, job)); err != nil {
				return err
			}
		}
		all = append(all, problems...)
		name := ""
		if job != nil {
			name = job.Name
		}
		for _, w := range warnings {
			a.log.Warn(w)
		}
		l.Rows = append(l.Rows, []any{path, name, len(problems) == 0, len(problems), len(warnings)})
	}
	if err := a.list(l); err != nil {
		return err
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// validateFile checks one file, against a portal if --portal names one.
func (a *app) validateFile(ctx context.Context, path string) (*engine.Job, []string, error) {
	job, err := a.loadJob(path, true)
	if err != nil {
		return nil, nil, err
	}
	warnings := make([]string, 0, len(job.Warnings))
	for _, w := range job.Warnings {
		warnings = append(warnings, w.Error())
	}
	if a.flags.portal == "" {
		return job, warnings, nil
	}
	s, err := a.openPortal(job.Portal, job.Dir)
	if err != nil {
		return job, warnings, err
	}
	catalog, err := s.Catalog(ctx, job.Needs())
	if err != nil {
		return job, warnings, err
	}
	portals, err := a.openElsewhere(job)
	if err != nil {
		return job, warnings, err
	}
	elsewhere := map[string]*engine.Catalog{}
	for name, p := range portals {
		if elsewhere[name], err = p.Catalogue.Catalog(ctx, job.NeedsFrom(name)); err != nil {
			return job, warnings, fmt.Errorf("portal %s: %w", name, err)
		}
	}
	online, err := engine.Check(ctx, job, catalog, elsewhere)
	return job, append(warnings, online...), err
}

// asProblems takes the problems out of an error; others, such as a portal that
// can't be reached, end the command.
func asProblems(path string, err error) (engine.Problems, error) {
	var problems engine.Problems
	var name *engine.NameError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &problems):
		return problems, nil
	case errors.As(err, &name):
		return engine.Problems{{File: path, Msg: strings.TrimSpace(name.Error())}}, nil
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}
