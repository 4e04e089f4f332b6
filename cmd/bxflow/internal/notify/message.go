package notify

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Message is what is told of the end of a run, or of what never came to one. As
// JSON it is what webhooks get; text is for receivers that show nothing else.
type Message struct {
	Format int            `json:"format"`
	End    engine.End     `json:"on"`
	Text   string         `json:"text"`
	Job    string         `json:"job"`
	Portal string         `json:"portal"`
	Run    string         `json:"run"` // empty: it never came to one
	Status string         `json:"status"`
	Counts map[string]int `json:"counts"`
	Error  string         `json:"error"`
	Time   time.Time      `json:"time"`
}

// OfRun is the message of a run, or of one that did not come about, whose end has
// a status and an error. Whom it goes to is shown no secret.
func OfRun(end engine.End, r *engine.Result, mask func(string) string) Message {
	var counts []count
	for _, o := range engine.ResultCounts(r.Steps) {
		counts = append(counts, count{o.Name, o.N})
	}
	m := Message{
		End: end, Job: r.Job, Portal: mask(r.Portal), Run: r.Run, Status: string(r.Status), Error: withoutData(mask(r.Error)), Time: r.Finished,
	}
	return m.with(counts)
}

// OfPlan is the message of a plan that is not applied.
func OfPlan(h *engine.Header, mask func(string) string) Message {
	c := h.Summary
	counts := []count{
		{"to create", c.Create},
		{"to update", c.Update},
		{"to move", c.Move},
		{"to delete", c.Delete},
		{"unchanged", c.Unchanged},
		{"skip", c.Skip},
		{"invalid", c.Invalid},
		{"conflict", c.Conflict},
	}
	m := Message{End: engine.EndPlan, Job: h.Job, Portal: mask(h.Portal.Address), Status: "planned", Time: h.Created}
	return m.with(counts)
}

// count is how many changes there are of one kind.
type count struct {
	kind string // "to create" of a plan is create where it is no text
	n    int
}

// with adds the counts, and the text, which has those that are not zero.
func (m Message) with(counts []count) Message {
	m.Format, m.Counts = engine.PlanFormat, map[string]int{}
	var some []string
	for _, c := range counts {
		m.Counts[strings.TrimPrefix(c.kind, "to ")] = c.n
		if c.n > 0 {
			some = append(some, fmt.Sprintf("%d %s", c.n, c.kind))
		}
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	m.Time = m.Time.UTC().Truncate(time.Second)
	text := m.Subject()
	if m.Portal != "" {
		text += " on " + m.Portal
	}
	if len(some) > 0 {
		text += ": " + strings.Join(some, ", ")
	}
	if m.Run != "" {
		text += " (run " + m.Run + ")"
	}
	if m.Error != "" {
		text += "\n" + m.Error
	}
	m.Text = text
	return m
}

// Subject says in a few words how the job ended.
func (m Message) Subject() string {
	switch m.End {
	case engine.EndSuccess:
		return m.Job + " succeeded"
	case engine.EndPartial:
		return m.Job + " finished, but not all rows made it"
	case engine.EndFailure:
	case engine.EndPlan:
		return m.Job + " would change something"
	}
	if m.Status == string(engine.StatusRefused) {
		return m.Job + " was refused"
	}
	return m.Job + " failed"
}

// longestError is how much of an error is told.
const longestError = 500

// withoutData takes out of an error what it quotes: that may be a value of a row.
// The log and the run's record have all of it.
func withoutData(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(text, `"…"`)
	text = regexp.MustCompile(`[^\s"<>(),;:]+@[^\s"<>(),;:]+`).ReplaceAllString(text, "…")
	if runes := []rune(text); len(runes) > longestError {
		return string(runes[:longestError]) + "…"
	}
	return text
}
