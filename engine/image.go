package engine

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// imaged says whether the field is part of an item's image: what people or
// robots set. Left out are what the portal sets itself, links of many to many,
// which change when the other item does, and files, whose addresses change.
func (f *Field) imaged() bool {
	return !f.ReadOnly && !f.IsSet() && f.Type != FieldFile
}

// imageFields are the names of the fields that an item's image is made of.
func (e *Entity) imageFields() []string {
	var names []string
	for _, f := range e.Fields {
		if f.imaged() {
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
		if !f.imaged() || v == nil {
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
