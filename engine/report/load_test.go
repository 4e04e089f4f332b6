package report_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/report"
)

// held is a run that waits for execution time and settles nothing.
func held() engine.Progress {
	load := busy
	load.Wait = engine.Wait{For: "execution time of crm.item.add", Seconds: 240}
	return engine.Progress{Phase: "apply", Done: 300, Total: 1200, Load: load, Left: 840}
}

func TestProgress_saysWhatFits(t *testing.T) {
	t.Parallel()

	for width, wants := range map[int][]string{
		80:  {"14 min left, waiting 4 min for execution time of crm.item.add"},
		200: {"14 min left, waiting 4 min for execution time of crm.item.add; bucket 50/50 used, 2.0/s; crm.item.add 300/480 s used"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			p := report.NewProgress(&b, width)
			for range 5 {
				p.Update(held())
				<-time.After(time.Second)
			}
			p.Done(false)
			for _, want := range wants {
				if !strings.Contains(b.String(), want) {
					t.Errorf("at %d columns the bar never shows %q", width, want)
				}
			}
			for line := range strings.Lines(b.String()) {
				if _, note, found := strings.Cut(line, "14 min left"); found && utf8.RuneCountInString(note)+len("14 min left") > width+8 { // 8: colour and end of line
					t.Errorf("at %d columns: %q", width, line)
				}
			}
		})
	}
}

// While a run waits the forecast tells when it ends; else the longer of
// forecast and pace does.
func TestProgress_foretellsTheEnd(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		step int // changes a second
		wait bool
		left float64
		want float64
	}{
		"waits":           {step: 0, wait: true, left: 840, want: 840},
		"waits and moves": {step: 1, wait: true, left: 100, want: 100},
		"slow portal":     {step: 1, left: 100, want: 895},
		"limits ahead":    {step: 100, left: 500, want: 500},
		"unknown":         {},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			p := report.NewProgress(&b, 0)
			p.AsEvents()
			at := held()
			at.Left = tt.left
			if !tt.wait {
				at.Load.Wait = engine.Wait{}
			}
			for range 11 { // twice a second: half of it is too often
				p.Update(at)
				<-time.After(500 * time.Millisecond)
				p.Update(at)
				<-time.After(500 * time.Millisecond)
				if at.Done += tt.step; at.Done > 305 && tt.step == 1 {
					break
				}
				if at.Done >= 700 {
					break
				}
			}
			lines := strings.Split(strings.TrimSpace(b.String()), "\n")
			if len(lines) > 11 {
				t.Errorf("%s: %d events in 11 s", name, len(lines))
			}
			var e struct {
				Done, Total int
				Waiting     string
				ETA         float64 `json:"eta_seconds"`
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
				t.Fatal(err)
			}
			if e.ETA != tt.want || (e.Waiting != "") != tt.wait {
				t.Errorf("%s: %+v, want %v s", name, e, tt.want)
			}
		})
	}
}
