package sandbox

// DecodeJSON, ParseQuery and EncodeJSON open the wire formats to tests.
func DecodeJSON(body []byte) ([]byte, bool) {
	v, ok := decodeJSON(body)
	return appendJSON(nil, v), ok
}

// ParseQuery returns the JSON form of what PHP makes of a query.
func ParseQuery(query string) string { return string(appendJSON(nil, parseQuery(query))) }

// RestName is the camelCase form of a field's name.
func RestName(upper string) string { return restName(upper) }

// Like is SQL's LIKE.
func Like(text, pattern string) bool { return like(text, pattern) }

// LoadRecord reads one record of a data file into a portal's contents.
func (p *Portal) LoadRecord(rec []byte) error {
	r := &reader{s: p.store, texts: map[string]any{}}
	for _, e := range p.store.sortedEntities() {
		for _, f := range e.fields {
			r.names = append(r.names, fieldKey{e.typeID, f.upper})
		}
	}
	return r.record(rec)
}
