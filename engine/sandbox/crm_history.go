package sandbox

import "slices"

// Stage histories (crm.stagehistory.list).

// historyMethods are the methods of stage histories.
func historyMethods() []method {
	return []method{{"crm.stagehistory.list", "crm", false, stageHistoryList}}
}

// historyNames are the fields of an event. Leads call their stage a status.
func historyNames(typeID int) []string {
	if typeID == leadType {
		return []string{"ID", "TYPE_ID", "OWNER_ID", "CREATED_TIME", "STATUS_SEMANTIC_ID", "STATUS_ID"}
	}
	return []string{"ID", "TYPE_ID", "OWNER_ID", "CREATED_TIME", "CATEGORY_ID", "STAGE_SEMANTIC_ID", "STAGE_ID"}
}

// member returns what an event shows under a name. Ids are numbers here.
func (h stageEvent) member(s *store, name string) any {
	switch name {
	case "ID":
		return h.id
	case "TYPE_ID":
		return int64(h.kind)
	case "OWNER_ID":
		return h.owner
	case "CREATED_TIME":
		return s.renderTime(h.at)
	case "CATEGORY_ID":
		return h.category
	case "STAGE_SEMANTIC_ID", "STATUS_SEMANTIC_ID":
		return h.semantics
	default:
		return h.stage
	}
}

// stageHistoryList is crm.stagehistory.list.
func stageHistoryList(c *call) (any, *apiError) {
	e, err := c.entity()
	if err != nil {
		return nil, err
	}
	if e.known.stage == nil {
		return nil, fault(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type "+e.title+" is not supported")
	}
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	names := historyNames(e.typeID)
	known := func(name string) bool { return slices.Contains(names, name) }
	conditions := rowConditions(q.filter, known)
	rows := []object{}
	for _, event := range e.history {
		get := func(name string) (any, bool) { return event.member(c.store, name), true }
		if !meetAll(conditions, get) {
			continue
		}
		row := make(object, 0, len(names))
		for _, name := range names {
			row = append(row, pair{name, event.member(c.store, name)})
		}
		rows = append(rows, row)
	}
	q.filter = nil
	return object{{"items", q.answer(c, rows, known)}}, nil
}
