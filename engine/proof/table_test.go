package proof_test

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
)

// table is what the suite has tried. It is printed in the end under -v.
var table tally

type tally struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	name                   string
	runs, faults, findings int
}

// record adds to the row of a name, or begins it: how often the program ran, how
// often it was killed or the portal failed, and what was found to be wrong.
func record(name string, runs, faults, findings int) {
	table.mu.Lock()
	defer table.mu.Unlock()
	for i := range table.rows {
		if r := &table.rows[i]; r.name == name {
			r.runs, r.faults, r.findings = r.runs+runs, r.faults+faults, r.findings+findings
			return
		}
	}
	table.rows = append(table.rows, row{name, runs, faults, findings})
}

func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	sum := row{name: "total"}
	fmt.Fprintln(tw, "\nproof\truns\tfaults\tfindings\t")
	for _, r := range t.rows {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t\n", r.name, r.runs, r.faults, r.findings)
		sum.runs, sum.faults, sum.findings = sum.runs+r.runs, sum.faults+r.faults, sum.findings+r.findings
	}
	fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t\n", sum.name, sum.runs, sum.faults, sum.findings)
	tw.Flush()
}
