package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bxflow/bxflow/engine"
)

// eventEvery is the shortest time between two events.
const eventEvery = time.Second

// progressEvent is a line of JSON on how far a plan or run is.
type progressEvent struct {
	Event     string             `json:"event"` // progress
	Phase     string             `json:"phase"`
	Done      int                `json:"done"`
	Total     int                `json:"total"` // 0 while unknown
	Failed    int                `json:"failed"`
	Rate      float64            `json:"requests_per_second"`
	Bucket    engine.Bucket      `json:"bucket"`
	Execution []engine.Execution `json:"execution"`
	Waiting   string             `json:"waiting"`     // empty if nothing waits
	ETA       float64            `json:"eta_seconds"` // 0 while unknown
}

// event writes an event, unless there was one just now.
func (p *Progress) event(now time.Time, at engine.Progress) {
	if now.Sub(p.told) < eventEvery {
		return
	}
	p.told = now
	e := progressEvent{
		Event: "progress", Phase: at.Phase, Done: at.Done, Total: at.Total, Failed: at.Failed,
		Rate: tenths(p.asked.speed()), Bucket: at.Load.Bucket, Execution: make([]engine.Execution, 0, len(at.Load.Execution)),
		Waiting: waiting(at.Load.Wait), ETA: math.Ceil(p.eta(at)),
	}
	e.Bucket.Used, e.Bucket.Rate = tenths(e.Bucket.Used), tenths(e.Bucket.Rate)
	for _, x := range at.Load.Execution {
		x.Used, x.ResetsIn = tenths(x.Used), tenths(x.ResetsIn)
		e.Execution = append(e.Execution, x)
	}
	// Nobody could be told of an error: this is where errors go.
	_ = json.NewEncoder(p.out).Encode(e)
}

func tenths(x float64) float64 { return math.Round(x*10) / 10 }

// limits says what is used of a portal's limits, and first what is waited for.
// What is less telling is left out where it would be wider than width columns.
func limits(l engine.Load, width int) string {
	var parts []string
	if text := waiting(l.Wait); text != "" {
		parts = append(parts, text)
	}
	if b := l.Bucket; b.Burst > 0 {
		parts = append(parts, fmt.Sprintf("bucket %.0f/%.0f used, %.1f/s", b.Used, b.Burst, b.Rate))
	}
	for i, e := range l.Execution {
		if i == mostBudgets || e.Share() < leastShare {
			break
		}
		parts = append(parts, fmt.Sprintf("%s %.0f/%.0f s used", e.Method, e.Used, e.Limit))
	}
	text := ""
	for i, part := range parts {
		if i > 0 {
			part = "; " + part
		}
		if utf8.RuneCountInString(text)+utf8.RuneCountInString(part) > width {
			break
		}
		text += part
	}
	return clean(strings.TrimPrefix(text, "; "))
}

// mostBudgets is how many methods' execution times are shown, of those of which
// at least leastShare is used.
const (
	mostBudgets = 3
	leastShare  = 0.05
)

// waiting says what requests wait for and how long.
func waiting(w engine.Wait) string {
	switch {
	case w.For == "":
		return ""
	case w.Seconds <= 0:
		return "waiting for " + w.For
	}
	return "waiting " + duration(math.Ceil(w.Seconds)) + " for " + w.For
}
