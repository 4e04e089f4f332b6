package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

type initFlags struct {
	entity string
	out    string
	region string
}

func newInitCommand(a *app) *cobra.Command {
	var flags initFlags
	c := &cobra.Command{
		Use:   "init FILE",
		Short: "Write a job for a file, with the portal's real fields",
		Long: `Look at a file's header and first rows, ask the portal for its fields, and write a
job that imports the file: each column to the field of its name. What is not
certain is marked "guess:", and columns without a field are kept as comments. The
job is written beside the file, under its name; a file that is there stays as it
is. It can be planned at once: look at the plan before you run it.`,
		Example: `  bxflow init clients.csv
  bxflow init clients.csv --entity Onboarding --out cards.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.formats("text"); err != nil {
				return err
			}
			return a.initCommand(c.Context(), args[0], flags)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.entity, "entity", "contact", "what the rows become: an `entity` by name or id")
	f.StringVar(&flags.out, "out", "", "the job `file`; - prints it")
	f.StringVar(&flags.region, "region", "", "`country` of telephone numbers without a +, such as BR")
	return c
}

// sampledRows is how many rows are looked at to guess what columns hold.
const sampledRows = 200

func (a *app) initCommand(ctx context.Context, path string, flags initFlags) error {
	sample, err := steps.Sampled(ctx, path, sampledRows)
	if err != nil {
		return usage("%w", err)
	}
	if flags.out == "" {
		flags.out = strings.TrimSuffix(path, filepath.Ext(path)) + ".yaml"
	}
	s, err := a.openPortal("", filepath.Dir(path))
	if err != nil {
		return err
	}
	catalog, entity, err := s.entity(ctx, flags.entity, true)
	if err != nil {
		return err
	}
	d := newJobDraft(sample, entity, flags.region)
	d.portal, d.file = s.target.ref, path
	if !d.mapped() {
		return usage("%s: no column is called like a field of %s; bxflow portal fields %q lists them, and --entity names another entity", path, entity.Name, entity.Name)
	}
	d.beside = flags.out == "-" || filepath.Clean(filepath.Dir(flags.out)) == filepath.Clean(filepath.Dir(path))
	text := d.text()
	if err := checkDraft(ctx, flags.out, path, text, catalog); err != nil {
		return err
	}
	if flags.out == "-" {
		_, err := fmt.Fprint(a.stdout, text)
		return err
	}
	if err := writeNew(flags.out, text); err != nil {
		return err
	}
	next := []string{"plan", flags.out}
	if !d.beside {
		next = append(next, "--param", "file="+path)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s. %s\nNext: %s\n", flags.out, entity.Name, d.summary(), a.again(next...))
	return err
}

// checkDraft holds the job that was written against the portal: it must be one
// that can be planned.
func checkDraft(ctx context.Context, name, path, text string, catalog *engine.Catalog) error {
	file, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if name == "-" {
		name = filepath.Join(filepath.Dir(path), "job.yaml")
	}
	job, err := jobs.Parse(name, []byte(text), jobs.Options{Kinds: steps.All(), Params: map[string]string{"file": file}})
	if err != nil {
		return err
	}
	_, err = engine.Check(ctx, job, catalog, nil)
	return err
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a job file holds no secret, and the user names it
	if errors.Is(err, fs.ErrExist) {
		return usage("%s is there already; name another file with --out, or remove it", path)
	}
	if err != nil {
		return usage("--out: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}
