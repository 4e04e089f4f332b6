package sandbox

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxControl is how large the body of a control request may be.
const maxControl = 1 << 20

// control answers what stands outside of REST: figures, reset, faults, limits
// and a dump of all items. It answers on loopback only, and never a browser's
// page from elsewhere.
func (p *Portal) control(r *http.Request, body io.Reader) *answer {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" {
		return plainAnswer(http.StatusForbidden, object{{"error", "only on loopback"}})
	}
	data, err := io.ReadAll(io.LimitReader(body, maxControl))
	if err != nil {
		return plainAnswer(http.StatusBadRequest, object{{"error", "body: cut short"}})
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_sandbox/") {
	case "GET stats":
		return jsonAnswer(p.Stats())
	case "GET dump":
		return &answer{status: http.StatusOK, body: p.Dump()}
	case "GET history":
		return jsonAnswer(p.History())
	case "GET requests":
		return jsonAnswer(p.Requests())
	case "POST reset":
		if err := p.Reset(); err != nil {
			return plainAnswer(http.StatusInternalServerError, object{{"error", err.Error()}})
		}
		return plainAnswer(http.StatusOK, object{{"ok", true}})
	case "POST authorize", "POST expire":
		return p.controlTokens(strings.TrimPrefix(r.URL.Path, "/_sandbox/"), data)
	case "POST faults":
		return p.setFaults(data)
	case "POST limits":
		return p.setLimits(data)
	default:
		return plainAnswer(http.StatusNotFound, object{{
			"error",
			"no such control; there are GET stats, GET dump, GET history, GET requests, POST reset, POST faults, POST limits, POST authorize, POST expire",
		}})
	}
}

func plainAnswer(status int, o object) *answer {
	return &answer{status: status, body: append(appendJSON(nil, o), '\n')}
}

func jsonAnswer(v any) *answer {
	b, err := json.Marshal(v)
	if err != nil {
		return plainAnswer(http.StatusInternalServerError, object{{"error", err.Error()}})
	}
	return &answer{status: http.StatusOK, body: append(b, '\n')}
}

func (p *Portal) setFaults(data []byte) *answer {
	var specs []string
	if err := json.Unmarshal(data, &specs); err != nil {
		return plainAnswer(http.StatusBadRequest, object{{"error", "faults: want a JSON list of texts such as [\"drop-after:p=0.1\"]"}})
	}
	if err := p.SetFaults(specs...); err != nil {
		return plainAnswer(http.StatusBadRequest, object{{"error", err.Error()}})
	}
	return plainAnswer(http.StatusOK, object{{"ok", true}})
}

func (p *Portal) setLimits(data []byte) *answer {
	l := struct {
		Rate  *float64 `json:"rate"`
		Burst *int     `json:"burst"`
	}{}
	if err := json.Unmarshal(data, &l); err != nil {
		return plainAnswer(http.StatusBadRequest, object{{"error", "limits: want {\"rate\":2,\"burst\":50}; rate 0 is none"}})
	}
	if !p.limits.change(l.Rate, l.Burst) {
		return plainAnswer(http.StatusBadRequest, object{{"error", "limits: rate is negative, or burst under 1"}})
	}
	return plainAnswer(http.StatusOK, object{{"ok", true}})
}

// SetFaults replaces the faults that are on. It changes nothing if one of them
// can't be parsed.
func (p *Portal) SetFaults(specs ...string) error { return p.faults.replace(specs) }

// SetLimits changes the bucket; rate 0 switches it off.
func (p *Portal) SetLimits(rate float64, burst int) { p.limits.change(&rate, &burst) }

// Reset puts the contents back to the seed, under a new id, and the figures,
// buckets and execution times to nothing.
func (p *Portal) Reset() error {
	p.limits.reset()
	p.stats.reset()
	p.requests.reset()
	return p.store.reset(p.options.Seed)
}

// Dump writes all items as JSON, by entity and in the order of their ids, with
// neither times nor counters.
func (p *Portal) Dump() []byte {
	s := p.store
	s.mu.RLock()
	defer s.mu.RUnlock()

	b := []byte{'{'}
	for i, e := range s.sortedEntities() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(append(b, '\n'), e.name), ":["...)
		for j, it := range e.items {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(b, '\n', ' '), e.dumped(it))
		}
		b = append(b, ']')
	}
	for _, beside := range s.dumpedBeside() {
		b = append(appendText(append(b, ",\n"...), beside.name), ":["...)
		for j, o := range beside.rows {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(b, '\n', ' '), o)
		}
		b = append(b, ']')
	}
	return append(b, "\n}\n"...)
}

// dumpedRows are the rows of one kind of what stands beside items.
type dumpedRows struct {
	name string
	rows []object
}

// dumpedBeside are the comments, requisites, addresses, product rows and
// notifications, where there are any, without what only tells when they were written.
func (s *store) dumpedBeside() []dumpedRows {
	kinds := []struct {
		name, table string
		fields      []string
	}{
		{"comment", commentTable, []string{"ENTITY_TYPE", "ENTITY_ID", "COMMENT"}},
		{"requisite", requisiteTable, []string{"ENTITY_TYPE_ID", "ENTITY_ID", "PRESET_ID", "NAME", "XML_ID"}},
		{"notification", notificationTable, []string{"USER_ID", "MESSAGE"}},
		{"product row", productRowTable, productRowParts()},
		{"address", addressTable, append([]string{"TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID"}, addressParts()...)},
	}
	var dumped []dumpedRows
	for _, kind := range kinds {
		table := s.existing(kind.table)
		rows := make([]object, 0, len(table.ids))
		for _, id := range table.ids {
			rec, _ := table.get(id)
			out := object{{"id", id}}
			for _, name := range kind.fields {
				if v := (*rec)[name]; v != nil {
					out = append(out, pair{name, textOf(v)})
				}
			}
			rows = append(rows, out)
		}
		if len(rows) > 0 {
			dumped = append(dumped, dumpedRows{kind.name, rows})
		}
	}
	return dumped
}

// dumped is an item without what only tells when it was written: times, dates
// that the portal filled in, and the ids of phone rows.
func (e *entity) dumped(it *item) object {
	k := &e.known
	made := dayOf(time.Unix(it.int(k.created), 0).In(e.store.zone))
	var out object
	for _, f := range e.fields {
		val := e.value(it, f)
		switch {
		case val == nil || f.is(unseen|hidden) || f.kind == typeDatetime && !f.custom():
			continue
		case f == k.begin && val == any(made), f == k.close && (val == any(made+7) || e.semantics(it) != "P"):
			continue
		}
		if list, ok := val.([]comm); ok {
			rows := make([]object, len(list))
			for i, c := range list {
				rows[i] = object{{"typeId", c.kind}, {"valueType", c.valueType}, {"value", c.value}}
			}
			out = append(out, pair{f.rest, rows})
			continue
		}
		if f.kind == typeFile {
			out = append(out, pair{f.name(true), e.store.dumpedFiles(val)})
			continue
		}
		out = append(out, pair{f.name(true), f.render(e, val)})
	}
	return out
}
