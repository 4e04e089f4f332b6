package portal

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// table is what the client knows of all items of an entity: that there are few,
// less than a page when its catalog was loaded, or the items themselves, once they
// were read. Reading them all may be cheaper than looking keys up.
type table struct {
	few    bool
	many   bool // far more than the portal had said: they are not read
	seen   time.Time
	fields []string // that items have; of no items, all are known
	items  []engine.Item

	mu    sync.Mutex
	byKey map[string]map[string][]int // places of the items, by the names of the fields of a look-up and their values
}

// noteTable notes the items that a catalog's probe saw.
func (c *Client) noteTable(e *engine.Entity, seen time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Few {
		c.tables[e.TypeID] = &table{few: true, seen: seen, items: make([]engine.Item, e.Items)}
	} else {
		delete(c.tables, e.TypeID)
	}
}

// wholeTable returns the table of a look-up's entity, if all its items are wanted,
// or they are few and the look-up is worth reading them, or they were read lately
// and nothing was written since, here. Lately is a moment ago, unless the look-up
// says what is late enough: a request of a process that died may still be running,
// and a look-up past its fence (1.25 times the longest request) must see what it
// made.
func (c *Client) wholeTable(ctx context.Context, l engine.Lookup) (*table, error) {
	fields := slices.Clone(l.Select)
	for _, f := range l.Match {
		fields = append(fields, f.Name)
	}
	c.mu.Lock()
	known := c.tables[l.Entity.TypeID]
	c.mu.Unlock()
	wanted := !l.Whole.IsZero()
	if known != nil && !known.many && known.has(fields) {
		if time.Since(known.seen) < c.governor.limits.Request/4 || wanted && !known.seen.Before(l.Whole) {
			return known, nil
		}
	}
	few := known != nil && known.few
	if !wanted && (!few || len(l.Keys) <= pageSize) || known != nil && known.many {
		return nil, nil
	}
	if known != nil {
		fields = append(fields, known.fields...)
	}
	slices.Sort(fields)
	read := &table{few: few, seen: time.Now(), fields: slices.Compact(fields)}
	if err := c.readTable(ctx, l.Entity, read); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.tables[l.Entity.TypeID] != known: // written to meanwhile
		return nil, nil
	case few && len(read.items) >= pageSize: // there may be more by now
		delete(c.tables, l.Entity.TypeID)
		return nil, nil
	case read.many:
		c.tables[l.Entity.TypeID] = &table{many: true}
		return nil, nil
	}
	c.tables[l.Entity.TypeID] = read
	return read, nil
}

// readTable reads all items, by one page where they are few. It gives up where
// they are far more than the portal had said, as it may remember an old number
// (total of crm.item.list).
func (c *Client) readTable(ctx context.Context, e *engine.Entity, t *table) error {
	if t.few {
		pages, err := c.listAll(ctx, []listing{{entity: e, fields: t.fields, whole: true}})
		if err == nil {
			t.items = pages[0]
		}
		return err
	}
	most := 2*max(e.Items, 0) + 20*pageSize
	for page, err := range c.Scan(ctx, e, nil, t.fields) {
		if err != nil {
			return err
		}
		if t.items = append(t.items, page...); len(t.items) > most {
			t.items, t.many = nil, true
			return nil
		}
	}
	return nil
}

// has says whether the items were read with these fields.
func (t *table) has(fields []string) bool {
	return len(t.items) == 0 || !slices.ContainsFunc(fields, func(name string) bool { return !slices.Contains(t.fields, name) })
}

// find gives each key of a look-up the items that have it.
func (t *table) find(l engine.Lookup) [][]engine.Item {
	names := make([]string, 0, len(l.Match))
	for _, f := range l.Match {
		names = append(names, f.Name)
	}
	places := t.index(strings.Join(names, "\x00"), l.Match)
	found := make([][]engine.Item, len(l.Keys))
	for i, key := range l.Keys {
		for _, place := range places[joinedKey(l.Match, key)] {
			found[i] = append(found[i], t.items[place])
		}
	}
	return found
}

// index is made when it is first asked for.
func (t *table) index(name string, match []*engine.Field) map[string][]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if places, ok := t.byKey[name]; ok {
		return places
	}
	places := make(map[string][]int, len(t.items))
	for place, item := range t.items {
		keys := itemKeys(match, item)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			places[key] = append(places[key], place)
		}
	}
	if t.byKey == nil {
		t.byKey = map[string]map[string][]int{}
	}
	t.byKey[name] = places
	return places
}

// forgetTables notes that entities are about to be written to.
func (c *Client) forgetTables(commands []engine.Command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, command := range commands {
		if command.Entity != nil {
			delete(c.tables, command.Entity.TypeID)
		}
	}
}
