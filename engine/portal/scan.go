package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc"

	"github.com/bxflow/bxflow/engine"
)

// Scan implements [engine.Reader]. The first request reads the fifty items with
// the highest ids, which bounds all others, and the lowest ones after it. What is
// between them is read in ranges of ids, several requests at once, fifty pages in
// each: see [ranges]. Where the conditions can't travel in a batch, pages are
// read one by one.
func (c *Client) Scan(ctx context.Context, e *engine.Entity, where []engine.Condition, fields []string) iter.Seq2[[]engine.Item, error] {
	return func(yield func([]engine.Item, error) bool) {
		s, err := newScan(c, e, where, fields)
		if err == nil {
			err = s.run(ctx, func(page []engine.Item) bool { return yield(page, nil) })
		}
		if err != nil {
			yield(nil, fmt.Errorf("reading %s: %w", e.Name, err))
		}
	}
}

// scan is the state of one [Client.Scan].
type scan struct {
	client  *Client
	entity  *engine.Entity
	fields  []string
	filter  map[string]any
	here    []engine.Condition // judged here
	chained bool
	few     bool // one page seems to be enough

	ranges  ranges
	flying  [][]portion     // by request under way
	waiting [][]engine.Item // pages, ascending, until all below them are read
}

func newScan(c *Client, e *engine.Entity, where []engine.Condition, fields []string) (*scan, error) {
	s := &scan{client: c, entity: e, fields: slices.Clone(fields), few: e.Few}
	bounds := idRange{last: openEnd}
	var others []engine.Condition
	for _, condition := range where {
		list, several := condition.Value.([]any)
		switch {
		case several && len(list) == 0: // of which the portal may make no condition at all
			if !strings.HasPrefix(condition.Op, "!") {
				bounds = idRange{}
			}
		case onEmptiness(condition), onOthers(condition):
			s.here = append(s.here, condition)
			if len(s.fields) > 0 {
				s.fields = append(s.fields, condition.Field.Name)
			}
		case !bounds.narrow(condition):
			others = append(others, condition)
		}
	}
	filter, err := filterOf(others, ">id", "<id")
	if err != nil {
		return nil, err
	}
	s.filter = filter
	_, s.chained = batchQuery(s.page(int64(0), int64(1)))
	s.ranges = ranges{rest: bounds, end: bounds.last, trust: 1}
	return s, nil
}

// narrow takes a condition on the id into the range, if it is one that bounds it.
func (r *idRange) narrow(c engine.Condition) bool {
	id, ok := c.Value.(int64)
	if !ok || c.Field == nil || c.Field.Name != "id" || id < 0 || id == openEnd {
		return false
	}
	switch c.Op {
	case ">":
		r.after = max(r.after, id)
	case ">=":
		r.after = max(r.after, id-1)
	case "<":
		r.last = min(r.last, id-1)
	case "<=":
		r.last = min(r.last, id)
	default:
		return false
	}
	return true
}

// run reads everything and hands the pages on until they are no longer wanted.
func (s *scan) run(ctx context.Context, hand func([]engine.Item) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var work conc.WaitGroup
	defer work.Wait()
	defer cancel()

	if s.ranges.rest.empty() {
		return nil
	}
	if s.chained && !s.few {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	answers := make(chan answer, mostAhead)
	for {
		for s.mayAsk() {
			portions := s.ranges.next(s.length(), s.crowded())
			if len(portions) == 0 {
				break
			}
			s.flying = append(s.flying, portions)
			work.Go(func() {
				a := answer{portions: portions, err: errors.New("the page could not be read")}
				defer func() { answers <- a }() // even if reading it panics
				a.pages, a.err = s.read(ctx, portions)
			})
		}
		for _, page := range s.ready() {
			page = slices.DeleteFunc(page, func(item engine.Item) bool { return !meets(item, s.here) })
			if len(page) > 0 && !hand(page) {
				return nil
			}
		}
		if len(s.flying) == 0 {
			return nil
		}
		if err := s.take(<-answers); err != nil {
			return err
		}
	}
}

// mayAsk says whether one more request may go: always one, and more while not
// too many pages wait for those below them.
func (s *scan) mayAsk() bool {
	n := len(s.flying)
	return n == 0 || (n < s.ranges.trust && len(s.waiting)+n*maxBatch < mostAhead*maxBatch)
}

// crowded says that so many pages wait that those below them have to be read
// before anything else.
func (s *scan) crowded() bool { return len(s.waiting) > (mostAhead+1)*maxBatch }

// length is how many pages one request should read.
func (s *scan) length() int {
	if few := s.few; few || !s.chained {
		s.few = false
		return 1
	}
	length := 1
	g := s.client.governor
	g.store.view(func(f *figures) { length = g.sizeOf(f, time.Now(), methodList) })
	return length
}

// begin makes the first request: the items with the highest ids, and those with
// the lowest. If there is no full page of the former, they are all that there
// is, and the chain of the latter ends before it begins.
func (s *scan) begin(ctx context.Context) error {
	all := s.ranges.rest
	calls := []call{s.page(all.after, all.before())}
	calls[0].Params["order"] = map[string]any{"id": "DESC"}
	low := portion{idRange: all, pages: s.length() - 1}
	for i := range low.pages {
		after := any(all.after)
		if i > 0 {
			after = lastOf(i)
		}
		calls = append(calls, s.page(after, lastOf(0)))
	}
	replies, err := s.client.ask(ctx, calls, askOptions{halt: true})
	if err != nil {
		return err
	}
	top, err := s.top(replies[0], all)
	if err != nil {
		return err
	}
	s.ranges.rest = idRange{}
	return s.begun(all, top, low.pages, func(low portion) answer {
		pages, err := s.pages([]portion{low}, replies[1:])
		if err != nil && isChainEnd(err) { // the next request will see the same, if it lasts
			pages, err = make([][][]engine.Item, 1), nil
		}
		return answer{portions: []portion{low}, pages: pages, err: err}
	})
}

// begun takes the first request's pages.
func (s *scan) begun(all idRange, top []engine.Item, pages int, read func(low portion) answer) error {
	if len(top) == 0 {
		return nil
	}
	s.waiting = [][]engine.Item{top}
	if len(top) < pageSize {
		return nil
	}
	low := portion{idRange: idRange{after: all.after, last: top[0].ID - 1}, pages: pages, front: true}
	low.density = pageSize / float64(top[pageSize-1].ID-low.last)
	s.ranges.end, s.ranges.trust = low.last, 2
	return s.take(read(low))
}

// top reads the page of the highest ids, which descend, and turns it round.
func (s *scan) top(r reply, within idRange) ([]engine.Item, error) {
	page, err := decodeItems(s.entity, r)
	if err != nil {
		return nil, err
	}
	slices.Reverse(page)
	if !slices.IsSortedFunc(page, func(a, b engine.Item) int { return cmp.Or(cmp.Compare(a.ID, b.ID), -1) }) {
		return nil, outOfOrder()
	}
	return page, within.check(page)
}

// answer is what came of a request.
type answer struct {
	portions []portion
	pages    [][][]engine.Item // by portion, as far as they came
	err      error
}

// read makes one request.
func (s *scan) read(ctx context.Context, portions []portion) ([][][]engine.Item, error) {
	var calls []call
	for _, p := range portions {
		for i := range p.pages {
			after := any(p.after)
			if i > 0 {
				after = lastOf(len(calls) - 1)
			}
			calls = append(calls, s.page(after, p.before()))
		}
	}
	replies, err := s.client.ask(ctx, calls, askOptions{halt: s.chained, alone: !s.chained})
	if err != nil {
		return nil, err
	}
	return s.pages(portions, replies)
}

// pages takes the pages of a request apart. A request may end early: a chain
// stops after its last page, the portal at a limit.
func (s *scan) pages(portions []portion, replies []reply) ([][][]engine.Item, error) {
	pages := make([][][]engine.Item, len(portions))
	for n, p := range portions {
		rest := p.idRange
		for _, r := range replies[:p.pages] {
			page, err := pageOf(s.entity, r)
			if err != nil && isChainEnd(err) && len(pages[0]) > 0 {
				return pages, nil // go on after the last page that came
			}
			if err == nil {
				err = rest.check(page)
			}
			if err != nil {
				return nil, err
			}
			pages[n] = append(pages[n], page)
			if len(page) < pageSize {
				break // what follows refers to an item that is not there
			}
			rest.after = page[len(page)-1].ID
		}
		replies = replies[p.pages:]
	}
	return pages, nil
}

// check refuses a page that is not of the range that was asked for.
func (r idRange) check(page []engine.Item) error {
	if len(page) > 0 && (page[0].ID <= r.after || page[len(page)-1].ID > r.last) {
		return errors.New("the portal's pages overlap")
	}
	return nil
}

// isChainEnd says whether a link of a chain failed in a way that reading on in
// a new request will either mend or show for what it is.
func isChainEnd(err error) bool {
	var fault *Error
	return errors.As(err, &fault) && fault.Verdict != Fatal
}

// take notes what came of a request.
func (s *scan) take(a answer) error {
	if a.err != nil {
		return a.err
	}
	s.flying = slices.DeleteFunc(s.flying, func(f []portion) bool { return f[0].after == a.portions[0].after })
	for n, p := range a.portions {
		if len(a.pages[n]) == 0 {
			s.ranges.back(p.idRange)
			continue
		}
		items, last, all := 0, p.after, false
		for _, page := range a.pages[n] {
			items += len(page)
			if len(page) > 0 {
				last = page[len(page)-1].ID
				s.wait(page)
			}
			all = len(page) < pageSize || last == p.last
		}
		s.ranges.read(p, items, last, all)
	}
	return nil
}

// wait puts a page in its place among those that wait.
func (s *scan) wait(page []engine.Item) {
	at, _ := slices.BinarySearchFunc(s.waiting, page[0].ID, func(p []engine.Item, id int64) int { return cmp.Compare(p[0].ID, id) })
	s.waiting = slices.Insert(s.waiting, at, page)
}

// ready takes out the pages below which nothing is left to be read.
func (s *scan) ready() [][]engine.Item {
	unread := s.ranges.lowest()
	for _, portions := range s.flying {
		unread = min(unread, portions[0].after)
	}
	n := 0
	for n < len(s.waiting) && s.waiting[n][0].ID <= unread {
		n++
	}
	ready := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	return ready
}

// page is the call for one page of the ids between two.
func (s *scan) page(after, before any) call {
	filter := maps.Clone(s.filter)
	filter["<id"] = before
	if before == int64(openEnd) {
		delete(filter, "<id")
	}
	return listCall(s.entity, s.fields, filter, after)
}

// lastOf refers to the id of the last item of a full page that an earlier call of
// the request answers.
func lastOf(call int) reference {
	return reference(fmt.Sprintf("$result[c%d][items][%d][id]", call, pageSize-1))
}
