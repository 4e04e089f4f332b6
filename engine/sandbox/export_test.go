package sandbox

import (
	"fmt"
	"time"
)

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

// Figures are what a fault was told, in a form that tells it again.
func (f Fault) Figures() (spec string, p, done float64, nth, after, count int, delay time.Duration) {
	spec = fmt.Sprintf("%s:p=%v,done=%v,after=%d,delay=%s", f.kind, f.p, f.done, f.after, f.delay)
	if f.nth > 0 {
		spec += fmt.Sprintf(",nth=%d", f.nth)
	}
	if f.count > 0 {
		spec += fmt.Sprintf(",count=%d", f.count)
	}
	return spec + ",method=" + f.method, f.p, f.done, f.nth, f.after, f.count, f.delay
}
