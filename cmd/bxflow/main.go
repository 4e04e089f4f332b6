// Command bxflow runs declarative jobs against Bitrix24 portals: it shows what a
// job would change, changes it once, at the speed that the portal allows, and
// keeps a durable record of both.
//
// The package only wires: one file a command; what a command does lives in the
// packages that it calls.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name time zones, and not every machine has them

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(realMain())
}

// realMain is main with its deferred calls done before the program ends. The
// first SIGINT or SIGTERM cancels the context, so that a run stops at a safe
// point; after it a signal has its usual effect, and the second one ends the
// program at once. The journal holds what is needed to go on.
func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	cobra.EnableCommandSorting = false // the help lists commands as they are used, one after another
	return newApp().execute(ctx, os.Args[1:])
}
