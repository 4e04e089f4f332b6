package engine

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// imaged says whether a field is part of an item's image: what people or robots
// set. Left out are what the portal sets itself, links of many to many, files,
// whose addresses change, and a contact's company: it changes when a company gets
// or loses the contact.
func (e *Entity) imaged(f *Field) bool {
	to, links := f.linkedType()
	others := links && e.TypeID == TypeContact && to == TypeCompany
	return !f.ReadOnly && !f.IsSet() && f.Type != FieldFile && !others
}

// imageFields are the names of the fields that an item's image is made of.
func (e *Entity) imageFields() []string {
	var names []string
	for _, f := range e.Fields {
		if e.imaged(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Image is a digest of what an item holds, equal as long as nobody has changed
// it. The item must have been read with all of its fields.
func (e *Entity) Image(item Item) string {
	held := map[string]any{}
	for _, f := range e.Fields {
		v := plain(item.Fields[f.Name])
		if !e.imaged(f) || v == nil {
			continue
		}
		if rows := multiRows(v); rows != nil {
			values := make([]string, len(rows))
			for i, m := range rows {
				values[i] = m.Type + " " + m.Value
			}
			slices.Sort(values)
			v = strings.Join(values, "\n")
		}
		held[f.Name] = v
	}
	hash := HashOf(e.TypeID, item.ID, held)
	return hex.EncodeToString(hash[:])
}

// hashed is the digest of one value, for comparing it later.
func hashed(f *Field, v any) string {
	if f.Type == FieldFile {
		v = fileIDs(v)
	}
	text, err := json.Marshal(f.Fold(plain(v)))
	if err != nil {
		panic(err) // canonical values are all expressible
	}
	hash := HashOf(string(text))
	return hex.EncodeToString(hash[:])
}

// The fields of an item's own times.
const (
	fieldCreated = "createdTime"
	fieldUpdated = "updatedTime"
)

// atOnce is how far apart the two times of an item may be that nobody has edited.
const atOnce = 2 * time.Second

// editedLater says whether somebody has edited an item after it was made by an
// import, whose answer does not tell the whole item: by the portal's own times,
// which are the same for a new item. Where the import set the first of them, the
// other is compared with when it was sent, by this machine's clock.
func editedLater(c *Change, item Item, fence time.Duration) bool {
	updated, known := instant(item.Fields[fieldUpdated])
	if _, set := c.Fields[fieldUpdated]; set || !known {
		return false // what was set has been compared
	}
	if _, set := c.Fields[fieldCreated]; set {
		return updated.After(time.UnixMilli(c.SentAt).Add(fence))
	}
	created, known := instant(item.Fields[fieldCreated])
	return known && updated.Sub(created) > atOnce
}

// instant reads a canonical date with time.
func instant(v any) (time.Time, bool) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}
