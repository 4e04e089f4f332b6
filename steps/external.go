package steps

import (
	"github.com/bxflow/bxflow/engine"
)

// originator marks the items that bxflow made in originatorId.
const originator = "bxflow"

// keyField returns the field that carries an entity's external key: xmlId of
// smart processes and invoices, originId of leads, deals, contacts and
// companies (crm.item object fields); a quote has neither, so the job names one.
func keyField(p *engine.Prepare, e *engine.Entity, named engine.Word) *engine.Field {
	if named.Text != "" {
		f := p.Field(e, named)
		if f != nil && (f.ReadOnly || f.Multiple || (f.Type != engine.FieldString && f.Type != engine.FieldText)) {
			p.Problem(named.Pos, "name a text field that holds one value", "external_key: field %s can't carry a key", f.Name)
			return nil
		}
		return f
	}
	name := "xmlId"
	switch e.TypeID {
	case engine.TypeLead, engine.TypeDeal, engine.TypeContact, engine.TypeCompany:
		name = "originId"
	}
	f := e.FieldByName(name)
	if f == nil {
		p.Problem(p.Pos(), "add external_key: and a text field made for it", "%s has no field for an external key", e.Name)
	}
	return f
}

// stamp puts the external key into the fields of an item that is made, and
// returns the key that it carries: a value that the job maps to the field wins.
func stamp(p *engine.Planning, r *engine.Record, f *engine.Field, fields map[string]engine.FieldChange) engine.ExternalKey {
	if own, ok := fields[f.Name].After.(string); ok {
		return engine.ExternalKey{Field: f.Name, Key: own}
	}
	key := engine.ExternalKeyOf(p.Job.Name, p.ID(), r.Key)
	fields[f.Name] = engine.FieldChange{After: key}
	if f.Name == "originId" {
		if _, mapped := fields["originatorId"]; !mapped {
			fields["originatorId"] = engine.FieldChange{After: originator}
		}
	}
	return engine.ExternalKey{Field: f.Name, Key: key}
}
