package report

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine"
)

const (
	// LogEvery is how often progress becomes a line of the log where there is
	// no terminal for a bar.
	LogEvery = 10 * time.Second
	// barAfter is how long a phase must last to get a bar: quick ones would
	// only flash.
	barAfter = 400 * time.Millisecond
)

// Progress shows how far a plan or a run is: a bar with the time that is left
// and what limits on a terminal, else a line of the log every [LogEvery].
//
// It is also the writer for whatever else goes to that terminal, so that lines
// and the bar don't run into each other.
type Progress struct {
	out    io.Writer
	bars   bool
	width  int
	events bool

	mu       sync.Mutex
	log      *slog.Logger
	phase    string
	began    time.Time // of the phase
	logged   time.Time
	told     time.Time       // the last event
	bar      progress.Writer // nil while there is none
	tracker  *progress.Tracker
	renderer conc.WaitGroup
	pace     pace // of what is done
	asked    pace // of requests
}

// NewProgress shows progress on out: as bars of that width in columns, or, with
// a width of 0, in the log.
func NewProgress(out io.Writer, width int) *Progress {
	return &Progress{out: out, bars: width > 0, width: width, log: slog.New(slog.DiscardHandler)}
}

// LogTo sets the log for progress without bars.
func (p *Progress) LogTo(log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = log
}

// AsEvents writes progress without bars as JSON events rather than to the log.
func (p *Progress) AsEvents() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = true
}

// Write implements [io.Writer]: lines go above the bar, where there is one.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return p.out.Write(b)
	}
	p.bar.Log("%s", strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// Update is told how far things are. It may be called at any rate, from any
// goroutine.
func (p *Progress) Update(at engine.Progress) {
	line := p.update(at)
	if line != nil { // outside of the lock: the log may write to p
		p.log.LogAttrs(context.Background(), slog.LevelInfo, "progress", line...)
	}
}

func (p *Progress) update(at engine.Progress) []slog.Attr {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if at.Phase != p.phase {
		p.end(false)
		if p.phase == "" {
			p.logged = now // not at every change: jobs at work together have phases of their own
		}
		p.phase, p.began, p.pace, p.asked = at.Phase, now, pace{}, pace{}
	}
	p.pace.add(now, at.Done)
	p.asked.add(now, at.Requests)
	if p.events && !p.bars {
		p.event(now, at)
		return nil
	}
	if !p.bars {
		if now.Sub(p.logged) < LogEvery {
			return nil
		}
		p.logged = now
		return []slog.Attr{
			slog.String("phase", at.Phase), slog.Int("done", at.Done), slog.Int("total", at.Total),
			slog.Int("failed", at.Failed), slog.String("left", p.left(at)), slog.String("limit", limits(at.Load, math.MaxInt)),
		}
	}
	if p.bar == nil {
		if now.Sub(p.began) < barAfter {
			return nil
		}
		p.begin()
	}
	p.tracker.UpdateTotal(int64(at.Total))
	p.tracker.SetValue(int64(at.Done))
	p.tracker.UpdateMessage(count(at))
	p.bar.SetPinnedMessages(p.note(at))
	return nil
}

// Done ends the bar: the work is finished, or has failed.
func (p *Progress) Done(failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(failed)
	p.phase = ""
}

func (p *Progress) begin() {
	p.tracker = &progress.Tracker{Message: p.phase, AutoStopDisabled: true}
	p.bar = progress.NewWriter()
	p.bar.SetOutputWriter(fromMargin{p.out})
	p.bar.SetStyle(barStyle())
	p.bar.SetUpdateFrequency(100 * time.Millisecond)
	p.bar.SetTerminalWidth(p.width)
	p.bar.SetTrackerLength(min(max(p.width-60, 10), 40))
	p.bar.SetAutoStop(true) // when the tracker is done
	p.bar.AppendTracker(p.tracker)
	p.renderer.Go(p.bar.Render)
}

func (p *Progress) end(failed bool) {
	if p.bar == nil {
		return
	}
	if failed {
		p.tracker.MarkAsErrored()
	} else {
		p.tracker.MarkAsDone()
	}
	p.renderer.Wait()
	p.bar, p.tracker = nil, nil
}

// fromMargin begins whatever it writes at the left margin: a terminal echoes ^C
// where the cursor is, which would shift the bar.
type fromMargin struct{ w io.Writer }

// Write implements [io.Writer].
func (m fromMargin) Write(b []byte) (int, error) {
	if _, err := io.WriteString(m.w, "\r"); err != nil {
		return 0, err
	}
	return m.w.Write(b)
}

func barStyle() progress.Style {
	s := progress.StyleBlocks
	s.Name = "bxflow"
	s.Visibility = progress.StyleVisibility{Percentage: true, Pinned: true, Tracker: true}
	s.Options.Separator = "  "
	s.Options.DoneString, s.Options.ErrorString = "done", "stopped"
	return s
}

// count says how much is done.
func count(at engine.Progress) string {
	if at.Total == 0 {
		return fmt.Sprintf("%s %d", at.Phase, at.Done)
	}
	return fmt.Sprintf("%s %d of %d", at.Phase, at.Done, at.Total)
}

// note is the line above the bar: speed, the time that is left, failures, and
// what limits right now, as much as fits.
func (p *Progress) note(at engine.Progress) string {
	var parts []string
	if speed := p.pace.speed(); speed > 0 {
		parts = append(parts, fmt.Sprintf("%.0f/s", math.Ceil(speed)))
	}
	if left := p.left(at); left != "" {
		parts = append(parts, left+" left")
	}
	if at.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", at.Failed))
	}
	note := strings.Join(parts, ", ")
	limit := limits(at.Load, p.width-len(note)-len(", ")-1)
	if note == "" || limit == "" {
		return note + limit
	}
	return note + ", " + limit
}

// left is the time until all is done, as people say it; "" while unknown.
func (p *Progress) left(at engine.Progress) string {
	if eta := p.eta(at); eta > 0 {
		return duration(eta)
	}
	return ""
}

// eta is how many seconds are left; 0 while unknown. The pace knows how slow the
// portal is, the forecast what its limits will yet hold up: the longer counts.
// While requests wait, the pace says nothing.
func (p *Progress) eta(at engine.Progress) float64 {
	if at.Total <= at.Done {
		return 0
	}
	eta := at.Left
	if speed := p.pace.speed(); speed > 0 && at.Load.Wait.For == "" {
		eta = max(eta, float64(at.Total-at.Done)/speed)
	}
	if eta > 0 {
		eta = max(eta, 1)
	}
	return eta
}

// pace is how fast things have lately gone. What a portal lets through at first,
// its burst, says nothing of what follows, so only the last samples count.
type pace struct {
	samples []sample // a second apart at least
}

type sample struct {
	at   time.Time
	done int
}

// paceSamples is how many seconds the pace looks back.
const paceSamples = 10

func (p *pace) add(now time.Time, done int) {
	if n := len(p.samples); n > 0 && now.Sub(p.samples[n-1].at) < time.Second {
		return
	}
	p.samples = append(p.samples, sample{now, done})
	if len(p.samples) > paceSamples {
		p.samples = p.samples[1:]
	}
}

// speed is in units a second, 0 while unknown.
func (p *pace) speed() float64 {
	if len(p.samples) < 3 {
		return 0
	}
	first, last := p.samples[0], p.samples[len(p.samples)-1]
	return float64(last.done-first.done) / last.at.Sub(first.at).Seconds()
}
