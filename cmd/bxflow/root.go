package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine/report"
)

// globalFlags are the flags that every command has.
type globalFlags struct {
	portal string
	limits []string
	state  string
	// stateGiven says that --state was typed, so that it belongs into the
	// commands that are shown to be typed next.
	stateGiven bool
	format     string
	logLevel   string
	logFormat  string
	noColor    bool
	quiet      bool
	params     []string
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "bxflow",
		Short: "Run declarative jobs against Bitrix24 portals",
		Long: `bxflow reads a job file, shows exactly what it would change in a Bitrix24
portal, and then does it: once, at the speed that the portal allows, with a
durable record. A job without a portal runs on the built-in sandbox.`,
		Example: `  bxflow plan onboarding.yaml
  bxflow run onboarding.yaml --yes`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.flags.stateGiven = c.Flags().Changed("state")
			return a.start()
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.CompletionOptions.HiddenDefaultCmd = false
	a.addFlags(root)
	addCommands(root, a)
	return root
}

// addCommands adds all commands, in the groups of the help.
func addCommands(root *cobra.Command, a *app) {
	groups := []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Jobs:", []*cobra.Command{
			newInitCommand(a),
			newValidateCommand(a), newTestCommand(a), newPlanCommand(a), newRunCommand(a), newApplyCommand(a), newResumeCommand(a), newRetryCommand(a), newUndoCommand(a), newRunsCommand(a), newShowCommand(a),
		}},
		{"Schedules:", []*cobra.Command{newServeCommand(a), newScheduleCommand(a)}},
		{"Portals:", []*cobra.Command{newPortalCommand(a), newMapCommand(a), newExportCommand(a), newCallCommand(a), newSandboxCommand(a)}},
		{"Other:", []*cobra.Command{newSchemaCommand(a), newVersionCommand(a)}},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			sayUse(c)
		}
		root.AddCommand(g.commands...)
	}
	root.AddCommand(topics()...)
	root.SetHelpCommandGroupID("Other:")
	root.SetCompletionCommandGroupID("Other:")
}

// sayUse has a command and those below it say what they take, where they are given
// too much or too little.
func sayUse(c *cobra.Command) {
	for _, below := range c.Commands() {
		sayUse(below)
	}
	if check := c.Args; check != nil && strings.Contains(c.Use, " ") {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage("%w; write %s %s", err, c.Parent().CommandPath(), c.Use)
			}
			return nil
		}
	}
}

func (a *app) addFlags(root *cobra.Command) {
	state := ".bxflow"
	if dir, ok := a.getenv("BXFLOW_STATE"); ok && dir != "" {
		state = dir
	}
	f := root.PersistentFlags()
	f.StringVar(&a.flags.portal, "portal", "", "portal: a `NAME` (BXFLOW_PORTAL_NAME, bxflow.yaml), a webhook URL, sandbox or sandbox:memory")
	f.StringArrayVar(&a.flags.limits, "limits", nil, "the portal's limits, `K=V,…`: rate=2,burst=50,operating=480s,window=10m,request=60s; may be repeated")
	f.StringVar(&a.flags.state, "state", state, "`folder` of the journal and the sandbox's contents; also BXFLOW_STATE")
	f.StringVar(&a.flags.format, "format", "text", "`format` of the result: text or json; some commands have more")
	f.StringVar(&a.flags.logLevel, "log-level", "info", "`level` from which lines are logged: debug, info, warn or error")
	f.StringVar(&a.flags.logFormat, "log-format", "text", "`format` of the log: text or json")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colours; also NO_COLOR")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "nothing on standard error but errors")
	f.StringArrayVar(&a.flags.params, "param", nil, "`K=V` sets a parameter of the job; may be repeated")
}

// start makes ready what every command uses, once its flags are known.
func (a *app) start() error {
	a.began, a.started = true, time.Now()
	a.progress = report.NewProgress(a.stderr, a.barWidth())
	log, err := a.newLogger(a.progress)
	if err != nil {
		return err
	}
	a.log = log
	a.progress.LogTo(log)
	return nil
}

// completeJobs offers the shell the files that may be jobs.
func completeJobs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// formats checks --format against what a command can write.
func (a *app) formats(allowed ...string) error {
	if slices.Contains(allowed, a.flags.format) {
		return nil
	}
	return usage("--format %q is not one that this command writes; use %s", a.flags.format, strings.Join(allowed, " or "))
}

// params are the --param flags as a map.
func (a *app) params() (map[string]string, error) {
	params := make(map[string]string, len(a.flags.params))
	for _, p := range a.flags.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--param %q is not name=value", p)
		}
		if before, twice := params[name]; twice && before != value {
			return nil, usage("--param %s is both %q and %q; keep one", name, before, value)
		}
		params[name] = value
	}
	return params, nil
}

// list writes a list as --format says.
func (a *app) list(l report.List) error {
	switch a.flags.format {
	case "json":
		return l.JSON(a.stdout)
	case "csv":
		return l.CSV(a.stdout)
	}
	return l.Text(a.stdout, a.terminal(a.stdout))
}
