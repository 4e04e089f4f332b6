package portal

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// codeNotSent marks a refusal that the client itself made: the command was left
// out of the request. Its Code is never the portal's.
const codeNotSent = "BXFLOW_NOT_SENT"

// BatchSize implements [engine.Writer]. Until something was written it is that
// of additions, or that of a probe while their cost is not known.
func (c *Client) BatchSize() int {
	c.mu.Lock()
	methods := c.writes
	c.mu.Unlock()
	if len(methods) == 0 {
		return c.governor.firstBatch()
	}
	return c.governor.batchSize(methods)
}

// Write implements [engine.Writer]. It sends one request. Commands that it can't
// carry come back as refused, and may be sent again at once: those over the
// portal's fifty calls (of which one takes twenty imports), those whose method has
// no execution time left while others go, and those whose data can't travel in a
// batch with others, which go alone when they are first. A command on an item is
// never sent past an earlier one, nor is an import with a creation date. When ctx
// ends, Write stops waiting; a request that has left is heard out, so that nothing
// is in doubt that need not be.
func (c *Client) Write(ctx context.Context, commands []engine.Command, before func() error) ([]engine.Outcome, error) {
	outcomes := make([]engine.Outcome, len(commands))
	w := writing{commands: commands, outcomes: outcomes, single: c.singleImports.Load()}
	w.prepare()
	if len(w.calls) == 0 {
		return outcomes, nil
	}
	if w.batch && !w.single {
		markImports(w.calls)
	}
	methods := make([]string, 0, len(w.calls))
	for _, call := range w.calls {
		methods = append(methods, call.Method)
	}
	c.mu.Lock()
	c.writes = distinct(methods)
	c.mu.Unlock()
	t, chosen, err := c.governor.admit(ctx, methods, w.batch)
	if err != nil {
		return nil, err
	}
	body, fault := w.choose(chosen, t)
	if len(w.calls) == 0 {
		c.governor.cancel(ctx, t)
		return outcomes, sleep(ctx, time.Second)
	}
	if fault != nil {
		c.governor.cancel(ctx, t)
		w.all(reply{Err: fault})
		return outcomes, nil
	}
	if err := before(); err != nil {
		c.governor.cancel(ctx, t)
		return nil, err
	}
	c.forgetTables(commands)
	replies, fault := c.post(context.WithoutCancel(ctx), t, w.wire(), body, false)
	c.forgetTables(commands)
	if fault != nil {
		if fault.Verdict == Refused || fault.Verdict == Expired {
			c.retried.Add(1) // the runner will
		}
		w.all(reply{Err: fault})
		return outcomes, nil
	}
	for i, g := range w.groups {
		if g.unsupported(replies[i]) {
			c.singleImports.Store(true)
			replies[i].Err.Verdict = Refused
		}
		for n, r := range g.spread(replies[i]) {
			w.settle(w.places[g.rows[n]], r)
		}
	}
	return outcomes, nil
}

// writing is one request's worth of commands.
type writing struct {
	commands []engine.Command
	outcomes []engine.Outcome
	calls    []call // one for each command of this request
	places   []int  // of the calls, among the commands
	groups   []group
	batch    bool
	single   bool // the portal has no crm.item.batchImport
}

// wire are the calls as they are sent.
func (w *writing) wire() []call {
	calls := make([]call, 0, len(w.groups))
	for _, g := range w.groups {
		calls = append(calls, g.call)
	}
	return calls
}

// prepare chooses the calls of the request and settles the commands that are
// not in it.
func (w *writing) prepare() {
	held, grouped := heldItems{}, grouping{single: w.single}
	for i, command := range w.commands {
		call, err := callOf(command)
		if err != nil {
			w.outcomes[i] = engine.Outcome{Kind: engine.OutcomeFailed, Message: err.Error()}
			continue
		}
		_, expressible := batchQuery(call)
		first := len(w.calls) == 0
		switch {
		case held.has(command), !first && (!w.batch || !expressible), !grouped.add(call, i):
			held.add(command)
			w.outcomes[i] = notSent(i, w.commands)
		default:
			w.batch = expressible
			w.calls = append(w.calls, call)
			w.places = append(w.places, i)
		}
	}
}

// choose keeps the calls that the governor let through, and writes the body.
func (w *writing) choose(chosen []bool, t *ticket) ([]byte, *Error) {
	held := heldItems{}
	for i, at := range w.places {
		if command := w.commands[at]; !chosen[i] || held.has(command) {
			held.add(command)
			chosen[i] = false
			w.outcomes[at] = notSent(at, w.commands)
		}
	}
	w.calls, w.places = pick(w.calls, chosen), pick(w.places, chosen)
	if len(w.calls) == 0 {
		return nil, nil
	}
	w.groups = groups(w.calls)
	t.methods, t.weights = nil, nil
	for _, g := range w.groups {
		t.methods = append(t.methods, g.call.Method)
		t.weights = append(t.weights, len(g.rows))
	}
	return encode(w.wire(), w.batch, false)
}

// all gives every call of the request the same outcome.
func (w *writing) all(r reply) {
	for _, at := range w.places {
		w.settle(at, r)
	}
}

func notSent(i int, commands []engine.Command) engine.Outcome {
	return engine.Outcome{Kind: engine.OutcomeRefused, ID: commands[i].ID, Code: codeNotSent, Message: "left for a later request"}
}

// heldItems are items with a command that is left for a later request. Those that are
// to be made with a creation date of their own count as one: the portal takes none
// that is older than its newest item ("Import" of crm.item).
type heldItems map[itemKey]bool

// itemKey names the item that a command changes.
type itemKey struct {
	typeID int
	id     int64 // 0: one with a creation date of its own
}

func keyOf(c engine.Command) (key itemKey, ordered bool) {
	if c.Entity == nil || c.ID == 0 && c.Fields["createdTime"] == nil { // nothing else can be about an item that is not yet made
		return itemKey{}, false
	}
	return itemKey{c.Entity.TypeID, c.ID}, true
}

func (h heldItems) has(c engine.Command) bool {
	key, ordered := keyOf(c)
	return ordered && h[key]
}

func (h heldItems) add(c engine.Command) {
	if key, ordered := keyOf(c); ordered {
		h[key] = true
	}
}

// settle turns the reply to a command into its outcome.
func (w *writing) settle(at int, r reply) {
	command, o := w.commands[at], &w.outcomes[at]
	o.ID = command.ID
	if r.Err != nil && goneBeside(command, r.Err) {
		o.Kind = engine.OutcomeDone
		return
	}
	if r.Err != nil {
		o.Kind, o.Code, o.Message = r.Err.Verdict.outcome(), r.Err.Code, r.Err.Message
		return
	}
	o.Kind, o.Cost = engine.OutcomeDone, r.Result.Time.Duration
	if command.Kind == engine.CommandDelete {
		return
	}
	if command.Kind == engine.CommandMerge {
		settleMerge(command, r.Result.Value, o)
		return
	}
	if command.Entity.TypeID == engine.TypeCall {
		o.Item = settleCall(command, r.Result.Value)
		o.ID = o.Item.ID
		return
	}
	if command.Entity.ProductsOwner() != 0 {
		o.Item = settleProducts(command, r.Result.Value)
		return
	}
	if command.Entity.Beside() {
		id, ok := settleBeside(command, r.Result.Value)
		if o.ID = id; !ok {
			o.Kind, o.Message = engine.OutcomeUnknown, "the answer names no id"
		}
		return
	}
	var answer struct {
		Item json.RawMessage `json:"item"`
	}
	item, ok := engine.Item{}, false
	if json.Unmarshal(r.Result.Value, &answer) == nil {
		item, ok = decodeItem(command.Entity, answer.Item, true)
	}
	if !ok || (command.ID != 0 && item.ID != command.ID) {
		// It said that it is done, but not what: the journal must look it up.
		o.Kind, o.Message = engine.OutcomeUnknown, "the answer names no item"
		return
	}
	o.ID = item.ID
	if command.Kind != engine.CommandImport {
		o.Item = &item
	}
}

// distinct are the different ones of some names, in order.
func distinct(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
