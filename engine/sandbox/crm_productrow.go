package sandbox

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Product rows (crm.item.productrow.*): what a deal, an estimate, an invoice or
// a card of a smart process is worth.

const productRowTable = "product_row"

// discountBySum is the discountTypeId of a discount that is an amount for one piece;
// the other, 2, is of one in percent.
const discountBySum = 1

// productRowMethods are the methods of product rows.
func productRowMethods() []method {
	return []method{
		{"crm.item.productrow.set", "crm", true, productRowSet},
		{"crm.item.productrow.add", "crm", true, productRowAdd},
		{"crm.item.productrow.update", "crm", true, productRowUpdate},
		{"crm.item.productrow.delete", "crm", true, productRowDelete},
		{"crm.item.productrow.get", "crm", false, productRowGet},
		{"crm.item.productrow.list", "crm", false, productRowList},
	}
}

// productOwner finds the item that an abbreviation (D, Q, SI, T80, …) and an id
// name.
func (s *store) productOwner(short string, id int64) (*entity, *item, *apiError) {
	for _, e := range s.entities {
		if !strings.EqualFold(abbreviation(e.typeID), short) {
			continue
		}
		if e.byUpper["OPPORTUNITY"] == nil {
			return nil, nil, fault(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type "+e.title+" is not supported")
		}
		it := e.item(id)
		if it == nil {
			return nil, nil, fault(400, "OWNER_NOT_FOUND", "Owner was not found")
		}
		return e, it, nil
	}
	return nil, nil, fault(400, "OWNER_NOT_FOUND", "Owner was not found")
}

// productRowParts are what is stored of a row.
func productRowParts() []string {
	return []string{
		"ownerType", "ownerId", "sort", "productId", "productName", "price", "quantity", "discountTypeId", "discountRate", "discountSum",
		"taxRate", "taxIncluded", "measureCode",
	}
}

// newProductRow reads a row that is to belong to an item.
func newProductRow(e *entity, it *item, fields *array) row {
	rec := row{
		"ownerType": abbreviation(e.typeID), "ownerId": it.id, "productId": int64(0), "productName": "",
		"price": 0.0, "quantity": 1.0, "discountTypeId": int64(2), "discountRate": 0.0, "taxIncluded": "N",
		"measureCode": int64(796), "sort": int64(10),
	}
	setProductRow(rec, fields)
	return rec
}

// setProductRow copies what fields holds; what it does not mention stays.
func setProductRow(rec row, fields *array) {
	for name, raw := range fields.all() {
		switch name {
		case "productId", "discountTypeId", "measureCode", "sort":
			rec[name] = intOf(raw)
		case "price", "quantity", "discountRate", "discountSum":
			rec[name] = floatOf(raw)
		case "taxRate":
			if isBlank(raw) {
				delete(rec, name)
			} else {
				rec[name] = floatOf(raw)
			}
		case "productName":
			rec[name] = textOf(raw)
		case "taxIncluded":
			rec[name] = yesNo(isYes(raw))
		}
	}
}

// productRow is a row as the methods show it. The price is what is paid, with
// tax and after the discount; the others follow from it, each rounded to cents.
func productRow(id int64, rec row) object {
	price, tax := floatOf(rec["price"]), 1+floatOf(rec["taxRate"])/100
	exclusive := cents(price / tax)
	netto := exclusive
	rate := floatOf(rec["discountRate"])
	switch {
	case intOf(rec["discountTypeId"]) == discountBySum:
		if netto = cents(exclusive + floatOf(rec["discountSum"])); netto > 0 {
			rate = cents((netto - exclusive) / netto * 100)
		}
	case rate < 100:
		netto = cents(exclusive / (1 - rate/100))
	}
	var taxRate any
	if given, ok := rec["taxRate"]; ok {
		taxRate = given
	}
	return object{
		{"id", id},
		{"ownerId", rec["ownerId"]},
		{"ownerType", rec["ownerType"]},
		{"productId", rec["productId"]},
		{"productName", rec["productName"]},
		{"price", price},
		{"priceAccount", price},
		{"priceExclusive", exclusive},
		{"priceNetto", netto},
		{"priceBrutto", cents(netto * tax)},
		{"quantity", rec["quantity"]},
		{"discountTypeId", rec["discountTypeId"]},
		{"discountRate", rate},
		{"discountSum", cents(netto - exclusive)},
		{"taxRate", taxRate},
		{"taxIncluded", rec["taxIncluded"]},
		{"customized", "Y"},
		{"measureCode", rec["measureCode"]},
		{"measureName", "pcs"},
		{"sort", rec["sort"]},
		{"xmlId", ""},
		{"type", int64(4)},
	}
}

// cents rounds an amount to two decimals.
func cents(amount float64) float64 { return math.Round(amount*100) / 100 }

// productOwnerKey names the owner of product rows.
func productOwnerKey(short string, id int64) string { return short + " " + strconv.FormatInt(id, 10) }

// noteProductRow keeps the rows of each owner, which never changes, within reach.
func (s *store) noteProductRow(id int64, rec *row) {
	key := productOwnerKey(textOf((*rec)["ownerType"]), intOf((*rec)["ownerId"]))
	if i, known := slices.BinarySearch(s.products[key], id); !known {
		s.products[key] = slices.Insert(s.products[key], i, id)
	}
}

// productRowsOf returns the ids of an item's rows in the order of sort.
func (s *store) productRowsOf(e *entity, it *item) []int64 {
	table := s.existing(productRowTable)
	var ids []int64
	for _, id := range s.products[productOwnerKey(abbreviation(e.typeID), it.id)] {
		if _, there := table.get(id); there {
			ids = append(ids, id)
		}
	}
	slices.SortStableFunc(ids, func(a, b int64) int {
		return cmp.Compare(intOf((*table.rows[a])["sort"]), intOf((*table.rows[b])["sort"]))
	})
	return ids
}

// showProductRows lists an item's rows.
func (s *store) showProductRows(e *entity, it *item) []object {
	rows := []object{}
	for _, id := range s.productRowsOf(e, it) {
		rows = append(rows, productRow(id, *s.existing(productRowTable).rows[id]))
	}
	return rows
}

// recount sets an item's amount to the sum of its rows, unless it is kept by
// hand (isManualOpportunity).
func (s *store) recount(e *entity, it *item, user int64) {
	if it.text(e.byUpper["IS_MANUAL_OPPORTUNITY"]) == "Y" {
		return
	}
	var amount, tax float64
	for _, shown := range s.showProductRows(e, it) {
		price, _ := shown.get("price")
		exclusive, _ := shown.get("priceExclusive")
		quantity, _ := shown.get("quantity")
		amount += floatOf(price) * floatOf(quantity)
		tax += (floatOf(price) - floatOf(exclusive)) * floatOf(quantity)
	}
	changed := it.clone()
	changed.set(e.byUpper["OPPORTUNITY"], cents(amount))
	changed.set(e.byUpper["TAX_VALUE"], cents(tax))
	changed.set(e.known.updated, nowUnix())
	changed.set(e.known.updatedBy, user)
	e.put(changed)
}

// productRowSet is crm.item.productrow.set, which replaces all rows.
func productRowSet(c *call) (any, *apiError) {
	short, err := c.text("ownerType")
	if err != nil {
		return nil, err
	}
	id, err := c.int("ownerId")
	if err != nil {
		return nil, err
	}
	given, err := c.array("productRows")
	if err != nil {
		return nil, err
	}
	e, it, err := c.store.productOwner(short, id)
	if err != nil {
		return nil, err
	}
	table := c.store.rows(productRowTable)
	for _, old := range c.store.productRowsOf(e, it) {
		table.remove(old)
	}
	delete(c.store.products, productOwnerKey(abbreviation(e.typeID), it.id))
	for _, raw := range given.all() {
		if fields, ok := raw.(*array); ok {
			rec := newProductRow(e, it, fields)
			table.add(&rec)
		}
	}
	c.store.recount(e, it, c.user)
	return object{{"productRows", c.store.showProductRows(e, it)}}, nil
}

// productRowAdd is crm.item.productrow.add.
func productRowAdd(c *call) (any, *apiError) {
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	e, it, err := c.store.productOwner(memberText(fields, "ownerType"), intOf(memberText(fields, "ownerId")))
	if err != nil {
		return nil, err
	}
	rec := newProductRow(e, it, fields)
	id := c.store.rows(productRowTable).add(&rec)
	c.store.recount(e, it, c.user)
	return object{{"productRow", productRow(id, rec)}}, nil
}

// storedProductRow returns the row that the parameter id names, and its owner.
func storedProductRow(c *call) (id int64, rec row, e *entity, err *apiError) {
	if id, err = c.int("id"); err != nil {
		return 0, nil, nil, err
	}
	stored, ok := c.store.existing(productRowTable).get(id)
	if !ok {
		return 0, nil, nil, fault(400, "NOT_FOUND", "Element not found")
	}
	e, _, err = c.store.productOwner(textOf((*stored)["ownerType"]), intOf((*stored)["ownerId"]))
	return id, *stored, e, err
}

// productRowUpdate is crm.item.productrow.update.
func productRowUpdate(c *call) (any, *apiError) {
	id, old, e, err := storedProductRow(c)
	if err != nil {
		return nil, err
	}
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	rec := maps.Clone(old)
	setProductRow(rec, fields)
	c.store.rows(productRowTable).put(id, &rec)
	c.store.recount(e, e.item(intOf(rec["ownerId"])), c.user)
	return object{{"productRow", productRow(id, rec)}}, nil
}

// productRowDelete is crm.item.productrow.delete.
func productRowDelete(c *call) (any, *apiError) {
	id, rec, e, err := storedProductRow(c)
	if err != nil {
		return nil, err
	}
	c.store.rows(productRowTable).remove(id)
	c.store.recount(e, e.item(intOf(rec["ownerId"])), c.user)
	return nil, nil //nolint:nilnil // the documented result is null
}

// productRowGet is crm.item.productrow.get.
func productRowGet(c *call) (any, *apiError) {
	id, rec, _, err := storedProductRow(c)
	if err != nil {
		return nil, err
	}
	return object{{"productRow", productRow(id, rec)}}, nil
}

// productRowList is crm.item.productrow.list, whose filter must name the owner.
func productRowList(c *call) (any, *apiError) {
	filter, err := c.array("filter")
	if err != nil {
		return nil, err
	}
	order, err := c.optArray("order")
	if err != nil {
		return nil, err
	}
	offset, count, err := c.start()
	if err != nil {
		return nil, err
	}
	e, it, err := c.store.productOwner(memberText(filter, "=ownerType", "ownerType"), intOf(memberText(filter, "=ownerId", "ownerId")))
	if err != nil {
		return nil, err
	}
	known := func(name string) bool { _, ok := productRow(0, row{}).get(name); return ok && name != "ownerType" }
	rows := filterRows(c.store.showProductRows(e, it), rowConditions(filter, known))
	orderRows(rows, order)
	return object{{"productRows", cutPage(c, rows, offset, count)}}, nil
}
