package engine

import "maps"

// fuse has an item's changes that follow each other go in one command, where the
// job asks for it: the portal then sees one change, and runs its robots once. The
// first one does it all; the others are unchanged.
func (p *Planning) fuse() {
	for _, h := range p.items {
		var first *Change
		for _, c := range h.changes {
			switch {
			case c.Kind == KindNone:
			case c.Kind != KindUpdate && c.Kind != KindMove:
				first = nil
			case first == nil || !first.takes(c):
				first = c
			default:
				first.take(c)
				p.header.Fused++
			}
		}
	}
}

// takes says whether a change may do another one's, too: they set different
// fields, and need the same planned items.
func (c *Change) takes(next *Change) bool {
	for name := range next.Fields {
		if _, both := c.Fields[name]; both {
			return false
		}
	}
	known := map[string]bool{}
	for _, ref := range c.Needs {
		known[ref] = true
	}
	for _, ref := range next.Needs {
		if !known[ref] {
			return false
		}
	}
	return true
}

func (c *Change) take(next *Change) {
	maps.Copy(c.Fields, next.Fields)
	next.Kind, next.Fields, next.Needs = KindNone, nil, nil
	next.Reason = "it goes with " + c.Step + ", in one command"
}
