package sandbox

import (
	"slices"
	"time"
)

// The kinds of effects.
const (
	EffectCreate = "create"
	EffectUpdate = "update"
	EffectDelete = "delete"
)

// Effect is one thing that happened to one item, for tests that check what a
// client did against what the portal saw.
type Effect struct {
	Kind         string    `json:"kind"`
	EntityTypeID int       `json:"entityTypeId"`
	ID           int64     `json:"id"`
	Key          string    `json:"key"`     // the item's xmlId or originId
	Method       string    `json:"method"`  // as documented
	Request      int       `json:"request"` // which one since the start or a reset, from 1
	Arrived      time.Time `json:"arrived"` // when the request came in
	At           time.Time `json:"at"`      // when it happened
}

// History returns all effects on items in the order in which they happened; none
// unless Options.History is set.
func (p *Portal) History() []Effect {
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	return slices.Clone(p.store.history)
}

// cause is the command that the store is working on.
type cause struct {
	method  string
	request int
	arrived time.Time
}

// note records an effect, where effects are wanted.
func (s *store) note(kind string, e *entity, it *item) {
	if !s.recording {
		return
	}
	key := it.text(e.known.xml)
	if key == "" {
		key = it.text(e.byUpper["ORIGIN_ID"])
	}
	s.history = append(s.history, Effect{
		Kind: kind, EntityTypeID: e.typeID, ID: it.id, Key: key,
		Method: s.cause.method, Request: s.cause.request, Arrived: s.cause.arrived, At: time.Now(),
	})
}
