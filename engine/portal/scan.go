package portal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Scan implements [engine.Reader]. A batch reads fifty pages in a chain: each
// page begins after the last id of the one before, which the portal itself
// fills in. Where the conditions can't travel in a batch, pages are read one by
// one.
func (c *Client) Scan(ctx context.Context, e *engine.Entity, where []engine.Condition, fields []string) iter.Seq2[[]engine.Item, error] {
	return func(yield func([]engine.Item, error) bool) {
		s, err := newScan(c, e, where, fields)
		for err == nil && !s.finished {
			var pages [][]engine.Item
			pages, err = s.next(ctx)
			for _, page := range pages {
				page = slices.DeleteFunc(page, func(item engine.Item) bool { return !meets(item, s.emptiness) })
				if len(page) > 0 && !yield(page, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(nil, fmt.Errorf("reading %s: %w", e.Name, err))
		}
	}
}

// scan is the state of one [Client.Scan].
type scan struct {
	client    *Client
	entity    *engine.Entity
	fields    []string
	filter    map[string]any
	emptiness []engine.Condition // judged here
	chained   bool
	after     int64 // the last id that was read
	finished  bool
}

func newScan(c *Client, e *engine.Entity, where []engine.Condition, fields []string) (*scan, error) {
	s := &scan{client: c, entity: e, fields: slices.Clone(fields)}
	var others []engine.Condition
	for _, condition := range where {
		if !onEmptiness(condition) {
			others = append(others, condition)
			continue
		}
		s.emptiness = append(s.emptiness, condition)
		if len(s.fields) > 0 {
			s.fields = append(s.fields, condition.Field.Name)
		}
	}
	filter, err := filterOf(others, ">id")
	if err != nil {
		return nil, err
	}
	s.filter = filter
	_, s.chained = batchQuery(s.page(0))
	return s, nil
}

func (s *scan) page(after any) call { return listCall(s.entity, s.fields, s.filter, after) }

// next reads the pages of one request.
func (s *scan) next(ctx context.Context) ([][]engine.Item, error) {
	calls := []call{s.page(s.after)}
	if s.chained {
		calls = s.chain(s.client.chainLength())
	}
	replies, err := s.client.ask(ctx, calls, askOptions{halt: s.chained, alone: !s.chained})
	if err != nil {
		return nil, err
	}
	var pages [][]engine.Item
	for i, r := range replies {
		page, err := pageOf(s.entity, r)
		if err != nil && i > 0 && isChainEnd(err) {
			return pages, nil // go on after the last page that came
		}
		if err != nil {
			return nil, err
		}
		if len(page) > 0 && page[0].ID <= s.after {
			return nil, errors.New("the portal's pages overlap")
		}
		if len(page) > 0 {
			s.after = page[len(page)-1].ID
			pages = append(pages, page)
		}
		if len(page) < pageSize {
			// The chain ends here: the next link refers to an item that is not
			// there, and the portal stops at it.
			s.finished = true
			return pages, nil
		}
	}
	return pages, nil
}

// isChainEnd says whether a link of a chain failed in a way that reading on in
// a new request will either mend or show for what it is.
func isChainEnd(err error) bool {
	var fault *Error
	return errors.As(err, &fault) && fault.Verdict != Fatal
}

// chain makes pages that each begin after the last item of the one before.
func (s *scan) chain(length int) []call {
	calls := []call{s.page(s.after)}
	for i := 1; i < length; i++ {
		calls = append(calls, s.page(reference(fmt.Sprintf("$result[c%d][items][%d][id]", i-1, pageSize-1))))
	}
	return calls
}

// chainLength is how many pages one request should read.
func (c *Client) chainLength() int {
	length := 1
	c.governor.store.view(func(f *figures) { length = c.governor.sizeOf(f, time.Now(), methodList) })
	return length
}
