package sandbox

import (
	"slices"
	"strings"
)

const (
	maxCommValues = 20 // values of one search; the rest is ignored (crm.duplicate.findbycomm)
	maxCommHits   = 20 // hits of one entity type
)

// duplicateMethods are the methods that look for the same person twice.
func duplicateMethods() []method {
	return []method{{"crm.duplicate.findbycomm", "crm", false, duplicateFindByComm}}
}

// duplicateFindByComm is crm.duplicate.findbycomm: who has one of the phones or
// e-mails. Values that are no texts are skipped, and nothing found is [].
func duplicateFindByComm(c *call) (any, *apiError) {
	raw, _ := c.old("type")
	kind := strings.ToUpper(textOf(raw))
	switch kind {
	case "":
		return nil, oldError("Communication type is not defined.")
	case "PHONE", "EMAIL":
	default:
		return nil, oldError("Communication type '" + kind + "' is not supported in current context.")
	}
	raw, _ = c.old("values")
	values := valuesOf(raw)
	if raw == nil || len(values) == 0 {
		return nil, oldError("Communication values is not defined.")
	}
	raw, _ = c.old("entity_type")
	wanted := strings.ToUpper(textOf(raw))
	answer := object{}
	for _, one := range []struct {
		name   string
		typeID int
	}{{"LEAD", leadType}, {"CONTACT", contactType}, {"COMPANY", companyType}} {
		if wanted != "" && wanted != one.name {
			continue
		}
		ids := c.store.entities[one.typeID].withComms(kind, values[:min(len(values), maxCommValues)])
		if len(ids) > 0 {
			answer = append(answer, pair{one.name, ids})
		}
	}
	return answer, nil
}

// withComms returns the ids of the items that have one of the values.
func (e *entity) withComms(kind string, values []any) []int64 {
	var ids []int64
	for _, val := range values {
		if text, ok := val.(string); ok {
			ids = append(ids, e.withComm(kind, text)...)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), maxCommHits)]
}
