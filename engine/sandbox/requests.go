package sandbox

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// How a request was answered. Whether an answer arrived the portal can't know.
const (
	AnsweredFully   = "answered" // after the work, be it with an error
	AnsweredRefused = "refused"  // without any work
	AnsweredDropped = "dropped"  // not at all: the connection was closed
	AnsweredCut     = "cut"      // in part: then the connection was closed
)

// Request is one request as the portal saw it, for tests that check what a
// client asked against what became of it.
type Request struct {
	Number   int       `json:"number"`  // since the start or a reset, from 1
	Arrived  time.Time `json:"arrived"` // when it came in
	Ended    time.Time `json:"ended"`   // when it was answered and all work on it done; zero before
	Method   string    `json:"method"`  // lower case
	Commands []Command `json:"commands"`
	LetIn    bool      `json:"letIn"`           // it was worked on
	Answered string    `json:"answered"`        // empty before
	Status   int       `json:"status"`          // of HTTP
	Error    string    `json:"error,omitempty"` // the answer's code
	Fault    string    `json:"fault,omitempty"` // the kind of fault that struck
}

// Command is one method that a request asks for: its own, or one of its batch.
type Command struct {
	Method       string   `json:"method"` // lower case
	EntityTypeID int64    `json:"entityTypeId,omitempty"`
	ID           int64    `json:"id,omitempty"`
	Keys         []string `json:"keys,omitempty"`  // xmlId or originId: of the items to be made, or asked for by a list
	Whole        bool     `json:"whole,omitempty"` // of a list: it asks for all items, or all after an id
	Done         bool     `json:"done,omitempty"`  // it ran and was no error
	Error        string   `json:"error,omitempty"` // its code
}

// Requests returns all requests in the order in which they came in, what a
// refused one asked for too; none unless Options.History is set.
func (p *Portal) Requests() []Request {
	l := &p.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Request, len(l.list))
	for i, r := range l.list {
		all[i] = r.Request
		all[i].Commands = slices.Clone(r.Commands)
	}
	slices.SortFunc(all, func(a, b Request) int { return a.Number - b.Number })
	return all
}

// requestLog keeps requests. Clients ask for the same keys over and over, so
// each text is kept once.
type requestLog struct {
	mu    sync.Mutex
	list  []*requestRecord
	texts map[string]string
}

// requestRecord is a request in the log. It is nil where nothing is recorded.
type requestRecord struct {
	Request

	log  *requestLog
	open int // its answer and the work on it, as far as they are to come
}

// begin records a request that came in.
func (l *requestLog) begin(req *request) *requestRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &requestRecord{log: l, open: 1, Request: Request{Number: req.number, Arrived: req.began, Method: l.keep(req.method)}}
	if req.method != "batch" {
		r.Commands = []Command{l.command(req.method, req.params)}
	} else {
		cmd, _ := req.params.get("cmd")
		commands, _ := cmd.(*array) // no array, no commands
		for _, val := range commands.all() {
			if text, ok := val.(string); ok {
				name, query := splitCommand(text)
				r.Commands = append(r.Commands, l.command(strings.ToLower(methodName(name)), parseQuery(query)))
			}
		}
	}
	l.list = append(l.list, r)
	return r
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.texts = nil, nil
}

// keep returns the one copy of a text.
func (l *requestLog) keep(text string) string {
	if kept, ok := l.texts[text]; ok {
		return kept
	}
	if l.texts == nil {
		l.texts = map[string]string{}
	}
	text = strings.Clone(text) // and not the whole request that it is part of
	l.texts[text] = text
	return text
}

// command reads what a method is asked to do.
func (l *requestLog) command(name string, params *array) Command {
	c := Command{Method: l.keep(name)}
	if v, ok := params.get("entityTypeId"); ok {
		c.EntityTypeID = intOf(v)
	}
	if v, ok := params.get("id"); ok {
		c.ID = intOf(v)
	}
	group := func(name string) *array {
		v, _ := params.get(name)
		a, _ := v.(*array) // whatever isn't an array holds nothing
		return a
	}
	switch {
	case strings.HasSuffix(name, ".mergebatch"): // about the last one, which goes
		c.EntityTypeID = intOf(memberText(group("params"), "entityTypeId"))
		ids, _ := group("params").get("entityIds")
		for _, v := range valuesOf(ids) {
			c.ID = intOf(textOf(v))
		}
	case strings.HasSuffix(name, ".list"):
		filter := group("filter")
		c.Keys = l.askedKeys(nil, filter)
		c.Whole = filter.len() == 0
		if filter.len() == 1 {
			_, c.Whole = filter.get(">id")
		}
	case strings.HasSuffix(name, ".batchimport"):
		for _, row := range group("data").all() {
			fields, _ := row.(*array)
			c.Keys = append(c.Keys, l.ownKey(fields))
		}
	case strings.HasSuffix(name, ".add"), strings.HasSuffix(name, ".import"):
		c.Keys = []string{l.ownKey(group("fields"))}
	}
	return c
}

// ownKey is the key of an item to be made, its xmlId if it has both.
func (l *requestLog) ownKey(fields *array) string {
	key := ""
	for name, val := range fields.all() {
		switch plainName(name) {
		case "xmlid":
			return l.keep(textOf(val))
		case "originid":
			key = textOf(val)
		}
	}
	return l.keep(key)
}

// askedKeys are the keys that a filter asks for, in its groups too.
func (l *requestLog) askedKeys(keys []string, filter *array) []string {
	for name, val := range filter.all() {
		list, several := val.(*array)
		switch name = plainName(strings.TrimLeft(name, "=@")); {
		case name == "xmlid" || name == "originid":
			if !several {
				list = listOf(val)
			}
			for _, v := range list.all() {
				keys = append(keys, l.keep(textOf(v)))
			}
		case several:
			keys = l.askedKeys(keys, list)
		}
	}
	return keys
}

// plainName is what xmlId and XML_ID have in common.
func plainName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// struck notes the fault that strikes a request.
func (r *requestRecord) struck(f *Fault) {
	if r != nil && f != nil {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		r.Fault = f.kind
	}
}

// letIn notes that work on a request begins.
func (r *requestRecord) letIn() {
	if r != nil {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		r.LetIn = true
		r.open++
	}
}

// ran notes how the command of a number came out, counted from 0.
func (r *requestRecord) ran(number int, err *apiError) {
	if r == nil {
		return
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if number >= len(r.Commands) {
		return
	}
	c := &r.Commands[number]
	if c.Done = err == nil; err != nil {
		c.Error = err.code
	}
}

// answered notes what a request is answered.
func (r *requestRecord) answered(a *answer) {
	if r == nil {
		return
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	switch {
	case a.drop:
		r.Answered = AnsweredDropped
	case a.cut > 0:
		r.Answered, r.Status = AnsweredCut, a.status
	case !r.LetIn:
		r.Answered, r.Status, r.Error = AnsweredRefused, a.status, a.code
	default:
		r.Answered, r.Status, r.Error = AnsweredFully, a.status, a.code
	}
	r.close()
}

// worked notes that the work on a request is over.
func (r *requestRecord) worked() {
	if r != nil {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		r.close()
	}
}

func (r *requestRecord) close() {
	if r.open--; r.open == 0 {
		r.Ended = time.Now()
	}
}
