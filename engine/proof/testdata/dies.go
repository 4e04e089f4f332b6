package main

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/bxflow/bxflow/engine/crash"
)

// init makes the program kill itself at a point: PROOF_DIES_AT names it,
// PROOF_DIES_HIT says at which time that it comes by, 1 unless given, and
// PROOF_DIES_AFTER from which other point on that is counted. The tests build
// this file into the program; what ships lacks it.
func init() {
	at, ok := os.LookupEnv("PROOF_DIES_AT")
	if !ok {
		return
	}
	last := int64(1)
	if text, ok := os.LookupEnv("PROOF_DIES_HIT"); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic(err)
		}
		last = n
	}
	after := os.Getenv("PROOF_DIES_AFTER")
	var counting atomic.Bool
	counting.Store(after == "")
	var hits atomic.Int64
	crash.On(func(p crash.Point) {
		if string(p) == after {
			counting.Store(true)
		}
		if string(p) != at || !counting.Load() || hits.Add(1) < last {
			return
		}
		fmt.Fprintln(os.Stderr, "dies at", p)
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			self.Kill()
		}
		select {} // nothing comes after
	})
}
