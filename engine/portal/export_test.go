package portal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// What tests look at from inside.

// Status is the client's load as a text, for what tests print and compare.
func (c *Client) Status() string {
	load := c.Load()
	parts := []string{"no limits"}
	if b := load.Bucket; b.Burst > 0 {
		parts[0] = fmt.Sprintf("bucket %.0f/%.0f, %.1f/s", b.Used, b.Burst, b.Rate)
	}
	for _, e := range load.Execution {
		if e.Share() > 0.5 {
			parts = append(parts, fmt.Sprintf("%s %.0f/%.0f s of execution time", e.Method, e.Used, e.Limit))
		}
	}
	return strings.Join(parts, "; ")
}

// BatchQuery is a call as a command of a batch.
func BatchQuery(method string, params map[string]any) (string, bool) {
	return batchQuery(call{Method: method, Params: params})
}

// BatchBody is the body of a batch with one command.
func BatchBody(command string) []byte { return batchBody([]string{"c0"}, []string{command}, false) }

// Classify decides what an error means.
func Classify(method string, status int, code string) Verdict { return classify(method, status, code) }

// AnswerOf reads an HTTP answer.
func AnswerOf(method string, status int, body []byte) (Result, *Error) {
	return answerOf(method, status, body)
}

// BatchReplies reads the result of a batch of n calls.
func BatchReplies(n int, value json.RawMessage, halt bool) ([]Reply, *Error) {
	calls := make([]call, n)
	for i := range calls {
		calls[i].Method = "crm.item.add"
	}
	replies, fault := batchReplies(calls, value, halt)
	out := make([]Reply, 0, len(replies))
	for _, r := range replies {
		out = append(out, Reply(r))
	}
	return out, fault
}

// DecodeItem reads an item as crm.item.* prints it, from an answer that is JSON.
func DecodeItem(e *engine.Entity, raw json.RawMessage, keepEmpty bool) (engine.Item, bool) {
	if !json.Valid(raw) {
		return engine.Item{}, false
	}
	return decodeItem(e, raw, keepEmpty)
}

// CatalogKept is how long a catalog serves again.
const CatalogKept time.Duration = catalogKept

// Members cuts an object into its members.
func Members(raw []byte) map[string]json.RawMessage { return objectOf(raw) }

// RangesRead is what [Ranges] came to.
type RangesRead struct {
	IDs      []int64
	Requests int
	Waited   int // pages at once, the most
}

// Ranges reads a table of these ids as a scan does, several requests of so many
// pages at once, without a portal.
func Ranges(ids []int64, length int) RangesRead {
	var out RangesRead
	s := scan{ranges: ranges{rest: idRange{last: openEnd}, end: openEnd, trust: 1}}
	page := func(r idRange) []engine.Item {
		var items []engine.Item
		at, _ := slices.BinarySearch(ids, r.after+1)
		for ; at < len(ids) && ids[at] <= r.last && len(items) < pageSize; at++ {
			items = append(items, engine.Item{ID: ids[at]})
		}
		return items
	}
	read := func(portions []portion) answer {
		a := answer{portions: portions, pages: make([][][]engine.Item, len(portions))}
		for n, p := range portions {
			for rest := p.idRange; len(a.pages[n]) < p.pages; {
				one := page(rest)
				a.pages[n] = append(a.pages[n], one)
				if len(one) < pageSize {
					break
				}
				rest.after = one[len(one)-1].ID
			}
		}
		return a
	}
	hand := func() {
		for _, p := range s.ready() {
			for _, item := range p {
				out.IDs = append(out.IDs, item.ID)
			}
		}
	}
	out.Requests = 1
	top := ids[max(0, len(ids)-pageSize):]
	if len(top) < pageSize {
		out.IDs = append(out.IDs, top...)
		return out
	}
	all := s.ranges.rest
	s.ranges.rest = idRange{}
	s.begun(all, page(idRange{top[0] - 1, openEnd, 0}), length-1, func(low portion) answer { return read([]portion{low}) })
	var flying []answer
	for hand(); ; hand() {
		for s.mayAsk() {
			portions := s.ranges.next(length, s.crowded())
			if len(portions) == 0 {
				break
			}
			out.Requests++
			s.flying = append(s.flying, portions)
			flying = append(flying, read(portions))
		}
		out.Waited = max(out.Waited, len(s.waiting))
		if len(flying) == 0 {
			return out
		}
		if s.take(flying[0]) != nil {
			return out
		}
		flying = flying[1:]
	}
}

// ScrubAnswer is an answer without the secret in its addresses.
func ScrubAnswer(a Address, answer []byte) []byte { return a.scrubAnswer(answer) }
