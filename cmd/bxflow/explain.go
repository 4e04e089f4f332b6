package main

import (
	"errors"
	"fmt"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/jobs"
)

// explain prints why the program ends, once. Problems of a job file come with
// their lines, and a sum at the end.
func (a *app) explain(err error) {
	var problems engine.Problems
	if !errors.As(err, &problems) {
		fmt.Fprintf(a.stderr, "bxflow: %s\n", mask(err.Error()))
		return
	}
	jobs.Explain(a.stderr, problems)
	fmt.Fprintf(a.stderr, "bxflow: %s; nothing was written\n", countProblems(len(problems)))
}

func countProblems(n int) string {
	if n == 1 {
		return "1 problem in the job"
	}
	return fmt.Sprintf("%d problems in the job", n)
}
