package engine

// canary lets the changes of the first records through, and counts the others.
type canary struct {
	records int // 0: all
	sources map[string]bool
	refs    map[string]bool // planned items that these changes make or delete
	left    int
	behind  map[ItemKey]bool // items of which a change has to wait
}

func newCanary(records int) canary {
	return canary{records: records, sources: map[string]bool{}, refs: map[string]bool{}, behind: map[ItemKey]bool{}}
}

// pick keeps the changes that may be done. Those that need an item of a record
// which has to wait wait, too, and so do the later changes of an item of which one
// has to.
func (c *canary) pick(page []*Change, made map[string]Made) []*Change {
	if c.records == 0 {
		return page
	}
	var picked []*Change
	for _, change := range page {
		if !c.takes(change, made) {
			c.left++
			for _, key := range canaryKeys(change) {
				c.behind[key] = true
			}
			continue
		}
		c.sources[change.Source] = true
		if change.Ref != "" {
			c.refs[change.Ref] = true
		}
		picked = append(picked, change)
	}
	return picked
}

func (c *canary) takes(change *Change, made map[string]Made) bool {
	if !c.sources[change.Source] && len(c.sources) >= c.records {
		return false
	}
	for _, key := range canaryKeys(change) {
		if c.behind[key] {
			return false
		}
	}
	for _, ref := range change.Needs {
		if c.behind[ItemKey{Ref: ref}] {
			return false
		}
		if m, known := made[ref]; known && !m.State.Final() && !c.refs[ref] {
			return false
		}
	}
	return true
}

// canaryKeys are the items that a change is about, by their ids, and by the refs under
// which others need them.
func canaryKeys(c *Change) []ItemKey {
	var keys []ItemKey
	for _, id := range []int64{c.ID, c.MergedInto()} {
		if id != 0 {
			keys = append(keys, ItemKey{TypeID: c.TypeID, ID: id})
		}
	}
	if c.Ref != "" {
		keys = append(keys, ItemKey{Ref: c.Ref})
	}
	return keys
}

// stopped is the error of a run that has more to do.
func (c *canary) stopped() error {
	if c.left == 0 {
		return nil
	}
	return &CanaryError{Records: len(c.sources), Left: c.left}
}
