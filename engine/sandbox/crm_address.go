package sandbox

import (
	"maps"
	"slices"
	"strconv"
)

// Addresses (crm.address.*). An address has no id: it is known by its type, the
// type of its owner and the owner, which is a requisite or a lead. A contact or
// a company has addresses through its requisites.

const (
	addressTable  = "address"
	requisiteType = 8
)

// addressMethods are the methods of addresses.
func addressMethods() []method {
	return []method{
		{"crm.address.add", "crm", true, addressAdd},
		{"crm.address.update", "crm", true, addressUpdate},
		{"crm.address.delete", "crm", true, addressDelete},
		{"crm.address.list", "crm", false, addressList},
		{"crm.address.fields", "crm", false, addressFields},
	}
}

// addressParts are the fields of an address that are not part of its identity.
func addressParts() []string {
	return []string{"ADDRESS_1", "ADDRESS_2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE"}
}

// addressNames are all fields of an address in the order of crm.address.list.
func addressNames() []string {
	return slices.Concat([]string{"TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID"}, addressParts(),
		[]string{"LOC_ADDR_ID", "ANCHOR_TYPE_ID", "ANCHOR_ID"})
}

// addressKey is what an address is known by.
type addressKey struct{ typeID, ownerType, owner int64 }

// rowID packs the key into the id of the address's record.
func (k addressKey) rowID() int64 { return k.owner<<16 | k.ownerType<<8 | k.typeID }

// addressFieldsOf reads fields and the identity within it. The owner must
// exist.
func addressFieldsOf(c *call) (*array, addressKey, *apiError) {
	fields, err := givenFields(c)
	if err != nil {
		return nil, addressKey{}, err
	}
	k := addressKey{
		intOf(memberText(fields, "TYPE_ID")), intOf(memberText(fields, "ENTITY_TYPE_ID")), intOf(memberText(fields, "ENTITY_ID")),
	}
	switch {
	case !slices.Contains([]int64{1, 4, 6, 8, 9, 11}, k.typeID):
		return nil, k, oldError("TYPE_ID is not defined or invalid.")
	case k.ownerType != requisiteType && k.ownerType != leadType:
		return nil, k, oldError("ENTITY_TYPE_ID is not defined or invalid.")
	}
	if _, _, ok := c.store.addressAnchor(k); !ok {
		return nil, k, oldError("ENTITY_ID is not defined or invalid.")
	}
	return fields, k, nil
}

// addressAnchor returns the item that the address belongs to in the end: the
// owner of the requisite, or the lead.
func (s *store) addressAnchor(k addressKey) (anchorType, anchor int64, ok bool) {
	if k.ownerType == leadType {
		return leadType, k.owner, s.entities[leadType].item(k.owner) != nil
	}
	rec, ok := s.existing(requisiteTable).get(k.owner)
	if !ok {
		return 0, 0, false
	}
	return intOf((*rec)["ENTITY_TYPE_ID"]), intOf((*rec)["ENTITY_ID"]), true
}

func addressAdd(c *call) (any, *apiError) {
	fields, k, err := addressFieldsOf(c)
	if err != nil {
		return nil, err
	}
	table := c.store.rows(addressTable)
	if _, ok := table.get(k.rowID()); ok {
		return nil, oldError("TypeAddress exists.")
	}
	rec := row{"TYPE_ID": k.typeID, "ENTITY_TYPE_ID": k.ownerType, "ENTITY_ID": k.owner}
	setAddressParts(rec, fields)
	table.put(k.rowID(), &rec)
	return true, nil
}

// setAddressParts copies what fields holds; what it does not mention stays.
func setAddressParts(rec row, fields *array) {
	for _, name := range addressParts() {
		if raw, ok := fields.get(name); ok {
			rec[name] = textOf(raw)
		}
	}
	if raw, ok := fields.get("LOC_ADDR_ID"); ok {
		rec["LOC_ADDR_ID"] = intOf(raw)
	}
}

// storedAddress returns the record that fields is about.
func storedAddress(c *call) (fields *array, id int64, rec row, err *apiError) {
	fields, k, err := addressFieldsOf(c)
	if err != nil {
		return nil, 0, nil, err
	}
	old, ok := c.store.existing(addressTable).get(k.rowID())
	if !ok {
		return nil, 0, nil, oldError("TypeAddress not found.")
	}
	return fields, k.rowID(), *old, nil
}

func addressUpdate(c *call) (any, *apiError) {
	fields, id, old, err := storedAddress(c)
	if err != nil {
		return nil, err
	}
	rec := maps.Clone(old)
	setAddressParts(rec, fields)
	c.store.rows(addressTable).put(id, &rec)
	return true, nil
}

func addressDelete(c *call) (any, *apiError) {
	_, id, _, err := storedAddress(c)
	if err != nil {
		return nil, err
	}
	return c.store.rows(addressTable).remove(id), nil
}

// dropAddresses deletes the addresses of a requisite that is being deleted.
func (s *store) dropAddresses(requisite int64) {
	for _, typeID := range []int64{1, 4, 6, 8, 9, 11} {
		s.rows(addressTable).remove(addressKey{typeID, requisiteType, requisite}.rowID())
	}
}

// addressList is crm.address.list. All values are texts; parts that were never
// given are null.
func addressList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	known := func(name string) bool { return slices.Contains(addressNames(), name) }
	conditions := rowConditions(q.filter, known)
	rows := []object{}
	for _, rec := range c.store.addressRecords(conditions) {
		row := c.store.addressRow(rec)
		if meetAll(conditions, row.get) {
			rows = append(rows, row)
		}
	}
	q.filter = nil
	return q.answer(c, rows, known), nil
}

// addressRecords returns the records that may meet the conditions: those of
// the owners that are asked for, where any are.
func (s *store) addressRecords(conditions []rowCondition) []row {
	table := s.existing(addressTable)
	at := slices.IndexFunc(conditions, func(c rowCondition) bool {
		return c.field == "ENTITY_ID" && slices.Contains([]string{"", "=", "@"}, c.operator)
	})
	var records []row
	if at < 0 {
		for _, rec := range table.all() {
			records = append(records, *rec)
		}
		return records
	}
	for _, owner := range conditions[at].values {
		for _, ownerType := range []int64{leadType, requisiteType} {
			for _, typeID := range []int64{1, 4, 6, 8, 9, 11} {
				if rec, ok := table.get(addressKey{typeID, ownerType, intOf(owner)}.rowID()); ok {
					records = append(records, *rec)
				}
			}
		}
	}
	return records
}

func (s *store) addressRow(rec row) object {
	k := addressKey{intOf(rec["TYPE_ID"]), intOf(rec["ENTITY_TYPE_ID"]), intOf(rec["ENTITY_ID"])}
	anchorType, anchor, _ := s.addressAnchor(k)
	out := object{
		{"TYPE_ID", strconv.FormatInt(k.typeID, 10)},
		{"ENTITY_TYPE_ID", strconv.FormatInt(k.ownerType, 10)},
		{"ENTITY_ID", strconv.FormatInt(k.owner, 10)},
	}
	for _, name := range addressParts() {
		out = append(out, pair{name, rec[name]})
	}
	return append(out,
		pair{"LOC_ADDR_ID", strconv.FormatInt(intOf(rec["LOC_ADDR_ID"]), 10)},
		pair{"ANCHOR_TYPE_ID", strconv.FormatInt(anchorType, 10)},
		pair{"ANCHOR_ID", strconv.FormatInt(anchor, 10)},
	)
}

func addressFields(*call) (any, *apiError) {
	var fields []metaField
	for _, name := range addressNames() {
		f := metaField{name: name, kind: "string"}
		switch name {
		case "TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID":
			f.kind, f.required, f.immutable = "integer", true, true
		case "LOC_ADDR_ID":
			f.kind = "integer"
		case "ANCHOR_TYPE_ID", "ANCHOR_ID":
			f.kind, f.readOnly = "integer", true
		}
		fields = append(fields, f)
	}
	return descriptors(fields, fieldTitle), nil
}
