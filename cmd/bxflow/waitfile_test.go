package main

import (
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// waitFile is the command waitfile of scripts: it waits until a file is there.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile path")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() > 0 {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s did not appear in ten seconds", args[0])
}
