package portal

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// Decode turns a value as crm.item.* prints it into the engine's canonical
// form ("Data types" of the CRM reference):
//
//	empty                          nil; also "", [], and 0 where it means "none"
//	text, url, address, crm        string
//	integer                        int64
//	double                         float64
//	boolean                        bool; the wire has Y and N
//	date                           string "2006-01-02"
//	datetime                       string, RFC 3339 as printed
//	money                          string "300|EUR"
//	enumeration                    int64, the option's id
//	crm_status                     string, the status id
//	user, employee, crm_contact, … int64
//	crm_category                   int64; 0 is a category
//	file                           engine.File with its id and address
//	several of these               []any; nil when there are none
//
// A value that is not of its field's type comes back as the text that it is:
// the portal stores what it was once given.
func Decode(f *engine.Field, raw json.RawMessage) any {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil
	}
	if !f.Multiple {
		return decodeOne(f.Type, raw)
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' || (raw[0] == '{' && (f.Type != engine.FieldFile || member(raw, "id") == nil)) {
		list = objectOf(raw).values()
	}
	var values []any
	for _, one := range list {
		if v := decodeOne(f.Type, bytes.TrimSpace(one)); v != nil {
			values = append(values, v)
		}
	}
	if values == nil {
		return nil
	}
	return values
}

func decodeOne(kind engine.FieldType, raw json.RawMessage) any {
	if kind == engine.FieldFile {
		return fileOf(raw)
	}
	s, scalar := scalar(raw)
	if !scalar {
		return compound(kind, raw)
	}
	return decodeScalar(kind, s)
}

func decodeScalar(kind engine.FieldType, s string) any {
	if s == "" && kind != engine.FieldBoolean {
		return nil
	}
	switch kind {
	case engine.FieldInteger, engine.FieldCategory:
		return integer(s, true)
	case engine.FieldEnum, engine.FieldUser, engine.FieldEmployee, engine.FieldContact, engine.FieldCompany,
		engine.FieldLead, engine.FieldDeal, engine.FieldCRMEntity:
		return integer(s, false)
	case engine.FieldDouble:
		if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
		return s
	case engine.FieldBoolean:
		return boolean(s)
	case engine.FieldDate:
		return day(s)
	default:
		if isReference(kind) {
			return integer(s, false)
		}
		return s
	}
}

// isReference knows the ids of other CRM objects by their type: crm_quote,
// crm_smart_invoice, crm_dynamic_128.
func isReference(kind engine.FieldType) bool {
	switch kind {
	case engine.FieldStatus, engine.FieldMulti, "crm_currency":
		return false
	default:
		return strings.HasPrefix(string(kind), "crm_")
	}
}

// scalar is the text of a string, number or boolean; null is the empty text.
func scalar(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 {
		return "", true
	}
	if raw[0] == '{' || raw[0] == '[' {
		return "", false
	}
	var t text
	if t.UnmarshalJSON(raw) != nil {
		return "", true
	}
	return string(t), true
}

// fileOf reads a file of the portal: {"id", "url", "urlMachine"}, or its bare id. The
// last address is never kept: it holds the secret of the webhook that asked. No file
// is nil.
func fileOf(raw json.RawMessage) any {
	if len(raw) > 0 && raw[0] == '[' { // of a field that was once multiple
		list := objectOf(raw).values()
		if len(list) == 0 {
			return nil
		}
		raw = bytes.TrimSpace(list[0])
	}
	var f engine.File
	id, bare := scalar(raw)
	if !bare {
		id, _ = scalar(member(raw, "id"))
		f.URL, _ = scalar(member(raw, "url"))
	}
	f.ID, _ = integer(id, false).(int64)
	if strings.Contains(f.URL, "/rest/") { // as one for programs is
		f.URL = ""
	}
	if f.ID <= 0 {
		return nil
	}
	return f
}

// compound is a list or object where one value is expected: a field that was
// once multiple. An empty one is nil, a list of one is its entry.
func compound(kind engine.FieldType, raw json.RawMessage) any {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		if len(list) == 0 {
			return nil
		}
		if s, ok := scalar(bytes.TrimSpace(list[0])); ok && len(list) == 1 {
			return decodeScalar(kind, s)
		}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil || compact.String() == "{}" {
		return nil
	}
	return strings.ToValidUTF8(compact.String(), "\ufffd")
}

// integer reads a whole number; zero is a value, or means none.
func integer(s string, zero bool) any {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return s
		}
		n = int64(f)
	}
	if n == 0 && !zero {
		return nil
	}
	return n
}

func boolean(s string) any {
	switch s {
	case "Y", "y", "1", "true":
		return true
	case "N", "n", "0", "false":
		return false
	case "":
		return nil
	}
	return s
}

// day reads a date. The portal prints one as the midnight of its own zone, but
// in the offset of today, so that it is about midnight UTC and may be the day
// before by its digits: 2024-06-17T19:00:00-05:00 is the 18th.
func day(s string) any {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if _, err := time.Parse(time.DateOnly, s); err == nil {
			return s
		}
		return s
	}
	return at.UTC().Add(12 * time.Hour).Truncate(24 * time.Hour).Format(time.DateOnly)
}

// itemDecoder reads items of one entity, as crm.item.* prints them.
type itemDecoder struct {
	entity *engine.Entity
	fields map[string]*engine.Field // by their names, and by their original ones
	size   int                      // how many fields the last item had
}

func newItemDecoder(e *engine.Entity) *itemDecoder {
	d := &itemDecoder{entity: e, fields: make(map[string]*engine.Field, 2*len(e.Fields))}
	for _, f := range e.Fields {
		if f.Type == engine.FieldMulti {
			continue
		}
		d.fields[f.Name] = f
		if _, taken := d.fields[f.Upper]; !taken && f.Upper != "" {
			d.fields[f.Upper] = f
		}
	}
	return d
}

// item reads one. Fields that the entity has not are left out, empty ones too
// unless they are to be kept as nil; ok is false if there is no id, which only a
// damaged answer lacks.
func (d *itemDecoder) item(raw json.RawMessage, keepEmpty bool) (item engine.Item, ok bool) {
	item.Fields = make(map[string]any, d.size)
	for key, value := range members(raw) {
		switch string(key) {
		case "id":
			item.ID = idOf(value)
		case "fm":
			decodeMulti(d.entity, value, item.Fields, keepEmpty)
		}
		f := d.fields[string(key)]
		if f == nil {
			continue
		}
		if v := Decode(f, value); v != nil || keepEmpty {
			item.Fields[f.Name] = v
		}
	}
	d.size = len(item.Fields)
	return item, item.ID > 0
}

// decodeItem reads a single item.
func decodeItem(e *engine.Entity, raw json.RawMessage, keepEmpty bool) (item engine.Item, ok bool) {
	return newItemDecoder(e).item(raw, keepEmpty)
}

// decodeItems reads the items of a page.
func decodeItems(e *engine.Entity, r reply) ([]engine.Item, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	list := member(r.Result.Value, "items")
	if list == nil || list[0] != '[' {
		return nil, &Error{Method: methodList, Verdict: Unknown, Message: "the answer is not a list of items"}
	}
	d := newItemDecoder(e)
	items := make([]engine.Item, 0, pageSize)
	for _, raw := range members(list) {
		item, ok := d.item(raw, false)
		if !ok {
			return nil, &Error{Method: methodList, Verdict: Unknown, Message: "an item of the answer has no id"}
		}
		items = append(items, item)
	}
	return items, nil
}

// decodeMulti spreads the rows of fm over phone, email, web and im.
func decodeMulti(e *engine.Entity, raw json.RawMessage, fields map[string]any, keepEmpty bool) {
	byName := map[string][]engine.MultiValue{}
	for _, one := range objectOf(raw).values() {
		name, row := multiRow(one)
		if row.Value != "" {
			byName[name] = append(byName[name], row)
		}
	}
	for _, f := range e.Fields {
		if f.Type != engine.FieldMulti {
			continue
		}
		if values := byName[f.Name]; values != nil {
			fields[f.Name] = values
		} else if keepEmpty {
			fields[f.Name] = nil
		}
	}
}

// multiRow reads a row of fm and says which field it belongs to ("Fields of CRM
// objects", multifields).
func multiRow(raw json.RawMessage) (field string, row engine.MultiValue) {
	for key, value := range members(raw) {
		s, _ := scalar(value)
		switch string(key) {
		case "id":
			row.ID = idOf(value)
		case "valueType":
			row.Type = s
		case "value":
			row.Value = s
		case "typeId":
			field = strings.ToLower(s)
		}
	}
	return field, row
}
