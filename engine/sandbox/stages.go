package sandbox

// settleCategory finds the pipeline of the item: the given one, which must
// exist, else the one it is in, else the default one.
func (d *draft) settleCategory() *apiError {
	k := &d.e.known
	if k.category == nil {
		return nil
	}
	if d.e.typeID == contactType || d.e.typeID == companyType {
		if d.given[k.category] && intOf(d.category) != 0 {
			return invalid(k.category)
		}
		return nil
	}
	if d.given[k.category] {
		id := intOf(d.category)
		if d.e.store.category(d.e.typeID, id) == nil {
			return invalid(k.category)
		}
		d.it.set(k.category, id)
		return nil
	}
	if d.old == nil {
		if c := d.e.store.defaultCategory(d.e.typeID); c != nil {
			d.it.set(k.category, c.ID)
		}
	}
	return nil
}

// settleStage finds the stage of the item. A stage that the pipeline doesn't
// have is no error: within a pipeline the old stage stays, and a new item or one
// that changes its pipeline gets the first stage of the same meaning
// (crm.item.update, observed).
func (d *draft) settleStage() {
	s, k := d.e.store, &d.e.known
	if k.stage == nil {
		return
	}
	list := s.lists[stageListID(d.e.typeID, d.it.int(k.category))]
	if len(list) == 0 {
		return
	}
	want := pick(list, func(st *status) bool { return d.given[k.stage] && st.StatusID == d.stage })
	switch {
	case d.old == nil:
		if want == nil {
			want = list[0]
		}
	case want == nil && d.it.int(k.category) == d.old.int(k.category):
		return
	case want == nil:
		meaning := d.e.semantics(d.old)
		want = pick(list, func(st *status) bool { return st.meaning() == meaning })
		if want == nil {
			want = list[0]
		}
	}
	d.enter(want)
}

// enter moves the item to a stage. Entering a final one ends it today.
func (d *draft) enter(st *status) {
	k := &d.e.known
	if d.old != nil && d.old.text(k.stage) == st.StatusID {
		return
	}
	if d.old != nil {
		d.it.set(k.previousStage, d.old.text(k.stage))
	}
	d.it.set(k.stage, st.StatusID)
	if st.meaning() == "P" {
		return
	}
	if d.old != nil {
		d.it.set(k.close, d.e.store.today())
	}
	d.it.set(d.e.byUpper["DATE_CLOSED"], nowUnix())
}

// meaning is P for a stage in progress, S for won, F for lost.
func (st *status) meaning() string {
	if st.Semantics == "" {
		return "P"
	}
	return st.Semantics
}

func pick(list []*status, ok func(*status) bool) *status {
	for _, st := range list {
		if ok(st) {
			return st
		}
	}
	return nil
}

// isFirstStage reports whether an item is where its pipeline begins.
func (e *entity) isFirstStage(it *item) bool {
	list := e.store.lists[stageListID(e.typeID, it.int(e.known.category))]
	return len(list) > 0 && list[0].StatusID == it.text(e.known.stage)
}
