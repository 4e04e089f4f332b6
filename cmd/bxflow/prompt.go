package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

// mayAsk says whether there is somebody to be asked. Off a terminal, --yes must
// have been given: it is said before anything is planned.
func (a *app) mayAsk(yes bool) error {
	if yes || isTerminal(a.stdin) {
		return nil
	}
	return usage("there is no terminal to ask on; add --yes to apply without asking, or use plan to look first")
}

// mayWrite checks what a command that writes was given, before anything is read.
func (a *app) mayWrite(c *cobra.Command, flags *writeFlags) error {
	if err := flags.check(c); err != nil {
		return err
	}
	a.tellProgress()
	return a.mayAsk(flags.yes)
}

// tellProgress has a command that writes tell programs how far it is: as events,
// where its result is for programs, too.
func (a *app) tellProgress() {
	if a.flags.format == "json" && !a.flags.quiet {
		a.progress.AsEvents()
	}
}

// approve shows what a plan would do and asks whether to do it. The answer no
// is a refusal.
func (a *app) approve(ctx context.Context, p report.Plan) error {
	if err := p.Summary(a.progress, a.terminal(a.stderr)); err != nil {
		return err
	}
	return a.ask(ctx, question(p.Header))
}

// ask asks a question whose answer no is a refusal.
func (a *app) ask(ctx context.Context, question string) error {
	fmt.Fprintf(a.progress, "\n%s [y/N] ", question)
	answer, err := a.readLine(ctx)
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "s", "sim", "д", "да":
		return nil
	}
	return refused("not applied: the answer was no; nothing was written")
}

// question names what would be done, and where.
func question(h *engine.Header) string {
	s := h.Summary
	var parts []string
	for _, c := range []struct {
		verb string
		n    int
	}{{"create", s.Create}, {"update", s.Update}, {"move", s.Move}, {"delete", s.Delete}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", c.verb, c.n))
		}
	}
	what := strings.Join(parts, ", ")
	return fmt.Sprintf("%s%s on %s?", strings.ToUpper(what[:1]), what[1:], h.Portal.Address)
}

// readLine reads an answer. A signal ends the wait.
func (a *app) readLine(ctx context.Context) (string, error) {
	answer := make(chan string, 1)
	go func() { // a terminal can't be read with a context; it ends with the program
		line, _ := bufio.NewReader(a.stdin).ReadString('\n') // a closed terminal is the answer no
		answer <- line
	}()
	select {
	case line := <-answer:
		return line, ctx.Err() // Ctrl-C and a line may come at once
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
