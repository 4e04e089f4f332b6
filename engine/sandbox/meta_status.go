package sandbox

import (
	"slices"
	"strconv"
	"strings"
)

// Status lists (crm.status.*): the choices of crm_status fields and the stages
// of everything that has stages. All values are texts.

// statusMethods are the methods of the status lists.
func statusMethods() []method {
	return []method{
		{"crm.status.list", "crm", false, crmStatusList},
		{"crm.status.get", "crm", false, crmStatusGet},
		{"crm.status.fields", "crm", false, crmStatusFields},
		{"crm.status.add", "crm", true, crmStatusAdd},
		{"crm.status.update", "crm", true, crmStatusUpdate},
		{"crm.status.entity.types", "crm", false, crmStatusEntityTypes},
		{"crm.status.entity.items", "crm", false, crmStatusEntityItems},
	}
}

// statusRow is a status as crm.status.list shows it.
func (s *store) statusRow(st *status) object {
	initial := ""
	if st.System {
		initial = st.Name
	}
	row := object{
		{"ID", strconv.FormatInt(st.ID, 10)},
		{"ENTITY_ID", st.EntityID},
		{"STATUS_ID", st.StatusID},
		{"NAME", st.Name},
		{"NAME_INIT", initial},
		{"SORT", strconv.FormatInt(st.Sort, 10)},
		{"SYSTEM", yesNo(st.System)},
		{"CATEGORY_ID", idOrNull(st.CategoryID)},
		{"COLOR", textOrNull(st.Color)},
		{"SEMANTICS", textOrNull(st.Semantics)},
	}
	if isStageList(st.EntityID) {
		row = append(row, pair{"EXTRA", object{{"SEMANTICS", s.longSemantics(st)}, {"COLOR", st.Color}}})
	}
	return row
}

// longSemantics words a stage's meaning: the first lost stage of a list is its
// failure, the others are apologies (crm.status.list, EXTRA).
func (s *store) longSemantics(st *status) string {
	switch st.Semantics {
	case "S":
		return "success"
	case "F":
		for _, other := range s.lists[st.EntityID] {
			if other.Semantics == "F" {
				if other.ID == st.ID {
					return "failure"
				}
				break
			}
		}
		return "apology"
	default:
		return "process"
	}
}

// isStageList reports whether a status list holds stages.
func isStageList(entityID string) bool {
	return entityID == "STATUS" || entityID == "QUOTE_STATUS" || strings.HasPrefix(entityID, "DEAL_STAGE") ||
		strings.HasPrefix(entityID, "SMART_INVOICE_STAGE_") || strings.HasPrefix(entityID, "DYNAMIC_")
}

// crmStatusList is crm.status.list, which answers with everything at once.
func crmStatusList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	rows := make([]object, 0, len(c.store.statuses.ids))
	for _, st := range c.store.statuses.all() {
		rows = append(rows, c.store.statusRow(st))
	}
	rows = filterRows(rows, rowConditions(q.filter, knownMeta(statusFields())))
	orderRows(rows, q.order)
	return c.counted(rows), nil
}

// crmStatusGet is crm.status.get.
func crmStatusGet(c *call) (any, *apiError) {
	id, err := oldID(c)
	if err != nil {
		return nil, err
	}
	st, ok := c.store.statuses.get(id)
	if !ok {
		return nil, oldError("Not found.")
	}
	return c.store.statusRow(st), nil
}

// crmStatusAdd is crm.status.add, which answers with the bare id. The prefix of
// a pipeline is put before a stage that comes without it.
func crmStatusAdd(c *call) (any, *apiError) {
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	st := &status{
		EntityID: memberText(fields, "ENTITY_ID"), StatusID: memberText(fields, "STATUS_ID"), Name: memberText(fields, "NAME"),
		Sort: orElse(intOf(memberText(fields, "SORT")), 10), Color: memberText(fields, "COLOR"),
		Semantics: memberText(fields, "SEMANTICS"),
	}
	list := c.store.lists[st.EntityID]
	switch {
	case len(list) == 0:
		return nil, oldError("The field ENTITY_ID is required.")
	case st.StatusID == "":
		return nil, oldError("The field STATUS_ID is required.")
	case st.Name == "":
		return nil, oldError("The field NAME is required.")
	}
	st.CategoryID = list[0].CategoryID
	if prefix, _, ok := strings.Cut(list[0].StatusID, ":"); ok && !strings.HasPrefix(st.StatusID, prefix+":") {
		st.StatusID = prefix + ":" + st.StatusID
	}
	if c.store.status(st.EntityID, st.StatusID) != nil {
		return nil, oldError("The status " + st.StatusID + " already exists.")
	}
	st.ID = c.store.statuses.nextID()
	c.store.statuses.put(st.ID, st)
	return st.ID, nil
}

// crmStatusUpdate is crm.status.update. Where a status belongs and what it
// means can't be changed.
func crmStatusUpdate(c *call) (any, *apiError) {
	id, err := oldID(c)
	if err != nil {
		return nil, err
	}
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	old, ok := c.store.statuses.get(id)
	if !ok {
		return nil, oldError("Status is not found.")
	}
	st := *old
	if name := memberText(fields, "NAME"); name != "" {
		st.Name = name
	}
	if raw, ok := fields.get("SORT"); ok {
		st.Sort = intOf(raw)
	}
	if raw, ok := fields.get("COLOR"); ok {
		st.Color = textOf(raw)
	}
	c.store.statuses.put(id, &st)
	return true, nil
}

// crmStatusEntityItems is crm.status.entity.items.
func crmStatusEntityItems(c *call) (any, *apiError) {
	raw, _ := c.old("entityId")
	entityID := strings.TrimSpace(textOf(raw))
	if entityID == "" {
		return nil, oldError("The parameter entityId is not defined or invalid.")
	}
	rows := []object{}
	for _, st := range c.store.lists[entityID] {
		rows = append(rows, object{{"NAME", st.Name}, {"SORT", st.Sort}, {"STATUS_ID", st.StatusID}})
	}
	return rows, nil
}

// crmStatusFields is crm.status.fields.
func crmStatusFields(*call) (any, *apiError) {
	return descriptors(statusFields(), fieldTitle), nil
}

// crmStatusEntityTypes is crm.status.entity.types: which lists there are.
func crmStatusEntityTypes(c *call) (any, *apiError) {
	var rows []object
	for _, list := range seedLists() {
		if !isStageList(list.entityID) {
			rows = append(rows, object{{"ID", list.entityID}, {"NAME", list.name}, {"SEMANTIC_INFO", object{}}})
		}
	}
	for _, typeID := range c.store.entityIDs() {
		rows = append(rows, c.store.stageListRows(typeID)...)
	}
	return rows, nil
}

// entityIDs returns the entityTypeIds of the portal in ascending order.
func (s *store) entityIDs() []int {
	ids := make([]int, 0, len(s.entities))
	for id := range s.entities {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// stageListRows describes the stage lists of an entity, one for each of its
// pipelines.
func (s *store) stageListRows(typeID int) []object {
	if typeID == leadType || typeID == quoteType {
		return []object{s.stageListRow(typeID, nil)}
	}
	var rows []object
	for _, c := range s.categoriesOf(typeID) {
		if stageListID(typeID, c.ID) != "" {
			rows = append(rows, s.stageListRow(typeID, c))
		}
	}
	return rows
}

func (s *store) stageListRow(typeID int, c *category) object {
	name := s.entities[typeID].title + " stages"
	var categoryID int64
	if c != nil {
		name, categoryID = name+" ("+c.Name+")", c.ID
	}
	entityID := stageListID(typeID, categoryID)
	row := object{
		{"ID", entityID},
		{"NAME", name},
		{"SEMANTIC_INFO", s.semanticInfo(entityID)},
		{"PREFIX", stagePrefix(typeID, categoryID)},
		{"FIELD_ATTRIBUTE_SCOPE", ""},
		{"ENTITY_TYPE_ID", int64(typeID)},
		{"IS_ENABLED", true},
	}
	if c != nil {
		row[4].val = "category_" + strconv.FormatInt(categoryID, 10)
		row = append(row, pair{"CATEGORY_ID", categoryID})
	}
	return row
}

// semanticInfo names the stages at which a list begins and ends.
func (s *store) semanticInfo(entityID string) object {
	var first, won, lost string
	var final int64
	for _, st := range s.lists[entityID] {
		switch {
		case st.Semantics == "S" && won == "":
			won, final = st.StatusID, st.Sort
		case st.Semantics == "F" && lost == "":
			lost = st.StatusID
		case first == "":
			first = st.StatusID
		}
	}
	return object{
		{"START_FIELD", first}, {"FINAL_SUCCESS_FIELD", won}, {"FINAL_UNSUCCESS_FIELD", lost}, {"FINAL_SORT", final},
	}
}

// stagePrefix is what the ids of a pipeline's stages begin with, before the
// colon; the oldest pipelines have none.
func stagePrefix(typeID int, categoryID int64) string {
	id := strconv.FormatInt(categoryID, 10)
	switch {
	case typeID == leadType, typeID == quoteType, typeID == dealType && categoryID == 0:
		return ""
	case typeID == dealType:
		return "C" + id
	default:
		return "DT" + strconv.Itoa(typeID) + "_" + id
	}
}
