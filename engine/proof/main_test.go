package proof_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "proof-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs.dir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if testing.Verbose() {
		table.print(os.Stdout)
	}
	os.Exit(code)
}

// long says whether the long form was asked for.
func long() bool { return os.Getenv("BXFLOW_PROOF") == "long" }
