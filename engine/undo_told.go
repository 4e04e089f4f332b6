package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Whether somebody has changed an item since the run made it: what the run left of
// it is told by its last changes, which come first.

// told is what is known of an item that the run made, from its later changes.
type told struct {
	Image  string            `json:"image,omitempty"`
	Fields map[string]string `json:"fields,omitempty"` // digests of the values last written
	// Rows says what somebody has made of the product rows that the run gave it,
	// which its amount follows; "" if there is none, rowsKept if they are the same.
	Rows string `json:"rows,omitempty"`
}

func toldKey(typeID int, id int64) Hash { return HashOf("told", typeID, id) }

// recall notes how a change left an item that the run had made.
func (u *undoing) recall(ctx context.Context, entity *Entity, c *Change) error {
	known, err := u.toldOf(ctx, c)
	if err != nil {
		return err
	}
	if known.Image == "" && known.Fields == nil { // changes come in reverse: the first one tells
		known.Image = c.Image
	}
	if known.Fields == nil {
		known.Fields = map[string]string{}
	}
	for name, f := range c.Fields {
		field := entity.FieldByName(name)
		if _, later := known.Fields[name]; later || field == nil {
			continue
		}
		known.Fields[name] = ""
		if !unknownYet(f.After) && !hasLocal(f.After) && field.Type != FieldMulti && !c.doneInPart() {
			known.Fields[name] = hashed(field, f.After)
		}
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	u.index.put(toldKey(c.TypeID, c.ID), text)
	return nil
}

const rowsKept = "kept"

// recallRows notes that an item which the run had made was given product rows, and
// whether it still has them.
func (u *undoing) recallRows(ctx context.Context, products *Entity, c *Change, now *Item) error {
	owner := &Change{TypeID: products.ProductsOwner(), ID: c.ID}
	known, err := u.toldOf(ctx, owner)
	if err != nil || known.Rows != "" { // changes come in reverse: the first one tells
		return err
	}
	known.Rows = rowsKept
	given, field := c.Fields[ProductRows].After, products.FieldByName(ProductRows)
	if now != nil && !field.Equal(now.Fields[ProductRows], given) {
		known.Rows = fmt.Sprintf("its product rows are %s now, and were %s", shown(now.Fields[ProductRows]), shown(given))
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	u.index.put(toldKey(owner.TypeID, owner.ID), text)
	return nil
}

// amounts are the fields that follow an item's product rows.
func amounts() []string { return []string{"opportunity", "taxValue"} }

// unsold is an item as it was before it was given product rows.
func unsold(c *Change, item Item) Item {
	fields := maps.Clone(item.Fields)
	for _, name := range amounts() {
		switch given := c.Fields[name].After; fields[name].(type) {
		case nil:
		case float64:
			fields[name] = float64(0)
			if given != nil {
				fields[name] = given
			}
		default:
			fields[name] = int64(0)
			if given != nil {
				fields[name] = given
			}
		}
	}
	return Item{ID: item.ID, Fields: fields}
}

func (u *undoing) toldOf(ctx context.Context, c *Change) (told, error) {
	key := toldKey(c.TypeID, c.ID)
	entries, err := u.index.get(ctx, []Hash{key})
	var known told
	if text, ok := entries[key]; ok && err == nil {
		err = json.Unmarshal(text, &known)
	}
	return known, err
}

// changedSince says what of an item is not as the run left it, "" if all is.
func (u *undoing) changedSince(entity *Entity, c *Change, known told, item Item) string {
	image := known.Image
	if known.Fields == nil {
		image = c.Image
	}
	var other []string
	if known.Rows != "" && known.Rows != rowsKept {
		other = append(other, known.Rows)
	}
	if other == nil && image != "" && (entity.Image(item) == image || known.Rows != "" && entity.Image(unsold(c, item)) == image) {
		return ""
	}
	for name, f := range c.Fields {
		field := entity.FieldByName(name)
		if field == nil || unknownYet(f.After) || hasLocal(f.After) || known.Rows != "" && slices.Contains(amounts(), name) {
			continue // nobody told what it came to, or its product rows did
		}
		now := plain(item.Fields[name])
		want, later := known.Fields[name]
		switch {
		case later && (want == "" || want == hashed(field, now)), !later && taken(field, f.After, now):
		case later:
			other = append(other, fmt.Sprintf("%s is %s now", name, shown(now)))
		default:
			other = append(other, fmt.Sprintf("%s is %s now, and was %s", name, shown(now), shown(f.After)))
		}
	}
	slices.Sort(other)
	switch {
	case other != nil:
		return "changed since: " + strings.Join(other, "; ")
	case image != "":
		return "changed since, in a field that the run did not write"
	}
	if known.Fields == nil && known.Rows == "" && editedLater(c, item, u.o.Fence) {
		return "changed since, at " + fmt.Sprint(item.Fields[fieldUpdated])
	}
	return ""
}
