// Package portal is the client of a Bitrix24 portal: it calls REST methods
// alone or fifty in a batch, turns the portal's fields and values into the
// engine's and back, and spends the portal's limits.
//
// # The limits, and how they are spent
//
// A portal limits a client in three ways ("Limits" of the REST guide).
//
// Requests. Each request adds one to a bucket that drains by two a second and
// holds fifty (five and 250 on the Enterprise plan); what does not fit is
// refused with 503. A batch of fifty calls is one request. The governor keeps
// the same bucket (level), lets the whole burst go at once, and then sends as
// the bucket drains. All processes of a machine share it in a small file, since
// the portal counts by source address. Each waits for one slot in it at a time,
// and the jobs of a process take turns (queue), so that whoever has much to ask
// holds up nobody who has little. If a request is refused all the same,
// somebody else is behind that address: the bucket counts as full, and the
// neighbour's rate, worked out from the surprise, is kept free from then on.
//
// Execution time. The portal adds up how long each method worked in the last
// ten minutes, and refuses it with 429 once that is over 480 seconds. Every
// answer tells the sum. The governor (methodUse) follows it, adds what is on its
// way, and sends only what fits into 95 % of it; a method that has used up its
// time waits for the oldest tenth of the window to be forgotten, and others
// pass it. Whether a batch is billed or the calls in it, each portal shows in
// its first answers; until then both are assumed.
//
// Time of one request. The portal cuts a request off after a minute, which
// leaves the calls in it in doubt. So a batch is as long as what its calls have
// lately cost allows in 25 seconds (sizing), five while nobody knows, and at
// most fifty, imports twenty to a call of crm.item.batchImport. Requests in
// flight start at two, and grow while throughput does (gate).
//
// # Repeats
//
// One function, classify, says of each answer whether the call was executed.
// Reads are repeated here until they succeed, at least ten times over at least
// a minute. Writes are never repeated here: [Client.Write] says what is known of
// each, and the engine's runner, which keeps a journal, decides.
//
// # Names and values
//
// Calls of crm.item.* are made with useOriginalUfNames N: custom fields have
// their REST names (ufCrm41_1737980095947) on the wire as in the engine. Portals
// before CRM 25.0.0 know no other, and ignore unknown names without a word.
// Values are canonical inside, see [Decode]; an empty one is nil.
package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Options say which portal to open and how.
type Options struct {
	Address Address
	// Application is what calls an address that has no webhook; nil for a webhook.
	Application *Application
	// ID tells the portal from others in plans; empty: host and webhook user.
	// A sandbox has its own, that of its contents.
	ID string
	// Transport carries the requests; nil: the network.
	Transport http.RoundTripper
	// Limits of the portal. The zero value is [CloudLimits].
	Limits Limits
	// State is the folder in which processes share what they know of the limits
	// ([SharedState]); empty: nothing is shared or kept.
	State string
	// Logger gets what a person may want to know: a moved portal, retries; nil:
	// nothing is logged.
	Logger *slog.Logger
}

// Client talks to one portal. Its methods may be used at the same time.
type Client struct {
	wire     *wire
	governor *governor
	logger   *slog.Logger
	host     string // that it was opened with

	requests atomic.Int64
	commands atomic.Int64
	rejected atomic.Int64
	retried  atomic.Int64
	inFlight atomic.Int64
	expired  atomic.Int64 // expired tokens in a row
	warned   atomic.Int64 // when repeats were last warned of, Unix nanoseconds
	// singleImports says that the portal has no crm.item.batchImport.
	singleImports atomic.Bool

	mu       sync.Mutex
	id       string   // empty: an application whose user is not known yet
	writes   []string // methods of the last write
	catalogs map[string]cachedCatalog
	tables   map[int]*table // entities with few items, by type id
}

var (
	_ engine.Catalogue = (*Client)(nil)
	_ engine.Reader    = (*Client)(nil)
	_ engine.Writer    = (*Client)(nil)
	_ engine.Gauge     = (*Client)(nil)
)

// Open makes a client. It sends nothing.
func Open(o Options) (*Client, error) {
	if o.Address.Host == "" {
		return nil, errors.New("the portal's address is empty; want https://host/rest/1/secret/")
	}
	if o.Limits == (Limits{}) {
		o.Limits = CloudLimits()
	}
	if err := o.Limits.check(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	wire := newWire(o.Address, o.Transport, o.Limits, o.Logger)
	account := strconv.FormatInt(o.Address.User, 10)
	id, host := o.ID, o.Address.Host
	switch {
	case id != "":
		host = id // a sandbox's bucket goes with its contents, not with a port
	case o.Application == nil:
		id = o.Address.ID()
	}
	if err := o.openApplication(wire, &account); err != nil {
		return nil, err
	}
	return &Client{
		wire: wire,
		governor: &governor{
			limits: o.Limits, user: account, gate: newGate(), next: queue{width: 1},
			store: newStore(o.State, host, o.Limits, o.Logger),
		},
		logger: o.Logger, id: id, host: o.Address.Host,
		catalogs: map[string]cachedCatalog{}, tables: map[int]*table{},
	}, nil
}

// openApplication gives the wire the tokens of an application, whose execution
// time the portal counts by itself.
func (o Options) openApplication(w *wire, account *string) (err error) {
	if (o.Application != nil) != o.Address.isApplication() {
		return errors.New("an application calls https://host/rest/, and a webhook nothing else than itself; keep one of them")
	}
	if o.Application == nil {
		return nil
	}
	app := *o.Application
	app.Server = cmp.Or(app.Server, TokenServer)
	if err := app.check(o.Address); err != nil {
		return err
	}
	*account = app.ClientID
	w.tokens, err = newTokens(app, o.Transport, o.Logger)
	return err
}

// requestTimeout is longer than the portal lets a request run: giving up
// earlier would only leave it in doubt.
func requestTimeout(l Limits) time.Duration { return l.Request + l.Request/10 + time.Second }

// Address is where the portal is; a renamed one may have moved since Open.
func (c *Client) Address() Address { return c.wire.Address() }

// ID tells the portal and the user from others; it holds no secret. It is empty
// for an application whose user is not known yet, see [Client.Identify].
func (c *Client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// Identify is ID, for which the portal is asked whose an application's token is.
func (c *Client) Identify(ctx context.Context) (string, error) {
	if id := c.ID(); id != "" {
		return id, nil
	}
	if _, err := c.Catalog(ctx, engine.Needs{}); err != nil {
		return "", err
	}
	id := c.ID()
	if id == "" {
		return "", errors.New("profile: the portal doesn't say whose the application's token is")
	}
	return id, nil
}

// identified notes whose an application's token is.
func (c *Client) identified(user int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == "" && user > 0 {
		c.id = identity(c.host, user)
	}
}

// Limits are those that the client was opened with.
func (c *Client) Limits() Limits { return c.governor.limits }

// Call calls one method. It is repeated while it was certainly not executed;
// a method that only reads, in any case. The error is an [*Error], or ctx's.
func (c *Client) Call(ctx context.Context, method string, params map[string]any) (Result, error) {
	if !isMethod(method) {
		return Result{}, fmt.Errorf("%q is not the name of a method; want one like crm.item.list", method)
	}
	replies, err := c.ask(ctx, []call{{Method: method, Params: params}}, askOptions{alone: true})
	if err != nil {
		return Result{}, err
	}
	if replies[0].Err != nil {
		return Result{}, replies[0].Err
	}
	return replies[0].Result, nil
}

// Command is one call of a [Client.Batch].
type Command struct {
	Method string
	Params map[string]any
}

// Reply is what became of one call of a [Client.Batch].
type Reply struct {
	Result Result
	Err    *Error // nil if the call succeeded
}

// Batch calls any number of methods, fifty in a request. They are independent:
// the failure of one stops no other, and those that were certainly not executed
// are repeated; those that only read, in any case. The error is ctx's, or that
// of a portal that can't be reached.
func (c *Client) Batch(ctx context.Context, commands []Command) ([]Reply, error) {
	calls := make([]call, 0, len(commands))
	for _, command := range commands {
		if !isMethod(command.Method) {
			return nil, fmt.Errorf("%q is not the name of a method; want one like crm.item.list", command.Method)
		}
		calls = append(calls, call{Method: command.Method, Params: command.Params})
	}
	replies, err := c.ask(ctx, calls, askOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]Reply, 0, len(replies))
	for _, r := range replies {
		out = append(out, Reply(r))
	}
	return out, nil
}

// Usage implements [engine.Gauge].
func (c *Client) Usage() engine.Usage {
	return engine.Usage{
		Requests: int(c.requests.Load() + c.wire.moves.Load()), Commands: int(c.commands.Load()),
		Rejected: int(c.rejected.Load()), Retried: int(c.retried.Load()),
	}
}

// Forecast implements [engine.Gauge].
func (c *Client) Forecast(commands map[string]int) engine.Forecast {
	return c.governor.forecast(commands)
}

// Load implements [engine.Gauge].
func (c *Client) Load() engine.Load {
	load := c.governor.load()
	load.InFlight = int(c.inFlight.Load())
	return load
}

// post sends one request for which there is a ticket, and lets the governor
// learn from it. A batch's replies are in the order of calls.
func (c *Client) post(ctx context.Context, t *ticket, calls []call, body []byte, halt bool) ([]reply, *Error) {
	method := methodBatch
	if !t.batch {
		method = calls[0].Method
	}
	c.requests.Add(1)
	c.commands.Add(int64(len(calls)))
	c.inFlight.Add(1)
	result, fault := c.wire.post(ctx, method, body)
	c.inFlight.Add(-1)
	replies := []reply{{Result: result}}
	if fault == nil && t.batch {
		replies, fault = batchReplies(calls, result.Value, halt)
	}
	if fault != nil {
		replies = nil
	}
	for _, r := range replies {
		if r.Err != nil {
			c.wire.scrubError(r.Err)
		}
	}
	c.governor.done(ctx, t, report{fault: fault, outer: result.Time, replies: replies})
	c.count(fault, replies)
	return replies, fault
}

// count notes refusals by a limit, and expired tokens in a row.
func (c *Client) count(fault *Error, replies []reply) {
	faults := []*Error{fault}
	for _, r := range replies {
		faults = append(faults, r.Err)
	}
	for _, f := range faults {
		if f != nil && (f.Code == codeQueryLimit || f.Code == codeOperationLimit) {
			c.rejected.Add(1)
		}
	}
	switch {
	case fault == nil:
		c.expired.Store(0)
	case c.wire.tokens != nil: // which count for themselves
	case fault.Verdict == Expired && c.expired.Add(1) > maxExpired:
		fault.Verdict = Fatal
	}
}

// maxExpired is how often in a row an expired token is taken for a passing
// fault. A webhook's token has nothing to be renewed with; an application's was
// renewed each time.
const maxExpired = 5

// encode writes the body of one request.
func encode(calls []call, batch, halt bool) ([]byte, *Error) {
	if !batch {
		body, err := jsonBody(calls[0].Params)
		if err != nil {
			return nil, &Error{Method: calls[0].Method, Verdict: Failed, Message: fmt.Sprintf("the parameters are not JSON: %v", err)}
		}
		return body, nil
	}
	names := make([]string, 0, len(calls))
	commands := make([]string, 0, len(calls))
	for i, c := range calls {
		command, ok := batchQuery(c)
		if !ok {
			return nil, &Error{Method: c.Method, Verdict: Failed, Message: "the parameters can't travel in a batch"}
		}
		names = append(names, c.name(i))
		commands = append(commands, command)
	}
	return batchBody(names, commands, halt), nil
}

// isNull says whether an answer is empty.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
