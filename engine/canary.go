package engine

// canary lets the changes of the first records through, and counts the others.
type canary struct {
	records int // 0: all
	sources map[string]bool
	refs    map[string]bool // planned items that these changes make or delete
	left    int
}

// pick keeps the changes that may be done. Those that need an item of a record
// which has to wait wait, too.
func (c *canary) pick(page []*Change, made map[string]Made) []*Change {
	if c.records == 0 {
		return page
	}
	var picked []*Change
	for _, change := range page {
		if !c.takes(change, made) {
			c.left++
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
	for _, ref := range change.Needs {
		if m, known := made[ref]; known && !m.State.Final() && !c.refs[ref] {
			return false
		}
	}
	return true
}

// stopped is the error of a run that has more to do.
func (c *canary) stopped() error {
	if c.left == 0 {
		return nil
	}
	return &CanaryError{Records: len(c.sources), Left: c.left}
}
