package portal

import (
	"context"
	"slices"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// table is what the client knows of an entity of which the portal held less than
// a page of items when its catalog was loaded: reading them all is cheaper than
// looking keys up.
type table struct {
	seen   time.Time
	fields []string // that items have; of no items, all are known
	items  []engine.Item
}

// noteTable notes the items that a catalog's probe saw.
func (c *Client) noteTable(e *engine.Entity, seen time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Few {
		c.tables[e.TypeID] = &table{seen: seen, items: make([]engine.Item, e.Items)}
	} else {
		delete(c.tables, e.TypeID)
	}
}

// wholeTable returns all items of a look-up's entity, if they are few and the
// look-up is worth reading them, or they were read a moment ago and nothing was
// written since, here. The moment is short, since a request of a process that
// died may still be running, and a look-up past its fence (1.25 times the longest
// request) must see what it made.
func (c *Client) wholeTable(ctx context.Context, l engine.Lookup) (items []engine.Item, ok bool, err error) {
	fields := slices.Clone(l.Select)
	for _, f := range l.Match {
		fields = append(fields, f.Name)
	}
	c.mu.Lock()
	known := c.tables[l.Entity.TypeID]
	c.mu.Unlock()
	switch {
	case known == nil:
		return nil, false, nil
	case time.Since(known.seen) < c.governor.limits.Request/4 && known.has(fields):
		return known.items, true, nil
	case len(l.Keys) <= pageSize:
		return nil, false, nil
	}
	fields = append(fields, known.fields...)
	slices.Sort(fields)
	read := &table{seen: time.Now(), fields: slices.Compact(fields)}
	pages, err := c.listAll(ctx, []listing{{entity: l.Entity, fields: read.fields, whole: true}})
	if err != nil {
		return nil, false, err
	}
	read.items = pages[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.tables[l.Entity.TypeID] != known: // written to meanwhile
		return nil, false, nil
	case len(read.items) >= pageSize:
		delete(c.tables, l.Entity.TypeID)
		return nil, false, nil
	}
	c.tables[l.Entity.TypeID] = read
	return read.items, true, nil
}

// has says whether the items were read with these fields.
func (t *table) has(fields []string) bool {
	return len(t.items) == 0 || !slices.ContainsFunc(fields, func(name string) bool { return !slices.Contains(t.fields, name) })
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
