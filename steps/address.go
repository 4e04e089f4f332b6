package steps

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// Address gives a held contact, company or lead an address of one kind, or changes
// the one that it has. A lead has it itself; the others have it through a
// requisite, which is made where there is none (crm.address.add).
type Address struct {
	Step   engine.Word         `object:"step"`
	Type   *engine.Value       `key:"type" doc:"physical (default), registered, legal, mailing, beneficiary or shipping."`
	Fields []engine.FieldValue `key:"fields" required:"true" doc:"address1, address2, city, postalCode, region, province, country, countryCode. What is not given stays."`
	Preset *engine.Value       `key:"preset" doc:"Preset of the requisite that is made for the address, by name or id. Default: the portal's first."`

	owner, addresses, requisites *engine.Entity
	fields                       mapping
	preset                       *engine.Field
}

// Verb implements [engine.Step].
func (*Address) Verb() string { return "address" }

// Makes implements [engine.Step].
func (*Address) Makes() string { return "" }

// Target implements [engine.Step].
func (s *Address) Target() string { return s.Step.Text }

// Plans implements [engine.Step].
func (*Address) Plans() bool { return false }

// Needs implements [engine.Needer].
func (*Address) Needs() engine.Needs { return engine.Needs{Beside: []string{engine.BesideAddresses}} }

// Prepare implements [engine.Step].
func (s *Address) Prepare(p *engine.Prepare) {
	s.addresses, s.requisites = p.Catalog.EntityByType(engine.TypeAddress), p.Catalog.EntityByType(engine.TypeRequisite)
	s.preset = s.requisites.FieldByName("presetId")
	s.owner = p.HeldEntity(s.Step.Text)
	if s.owner == nil {
		return
	}
	switch s.owner.TypeID {
	case engine.TypeLead:
	case engine.TypeContact, engine.TypeCompany:
		if len(s.preset.Options) == 0 {
			p.Problem(s.Step.Pos, "make one in the portal's CRM settings, or let the webhook read them", "the portal has no preset for requisites, which addresses need")
		}
	default:
		p.Problem(s.Step.Pos, "put it on the contact or company that the item links to", "%s has no addresses", s.owner.Name)
		return
	}
	for _, v := range []struct {
		value *engine.Value
		field *engine.Field
	}{{s.Type, s.addresses.FieldByName("type")}, {s.Preset, s.preset}} {
		if v.value == nil {
			continue
		}
		if text, literal := v.value.Literal(); literal {
			if _, err := v.field.Canonical(text, p.Catalog); err != nil {
				p.Fail(v.value.Pos, err)
			}
		}
	}
	for _, fv := range s.Fields {
		switch strings.ToLower(fv.Field.Text) {
		case "ownerid", "ownertype", "type":
			p.Problem(fv.Field.Pos, "the step's own keys say it", "%s is no part of an address", fv.Field.Text)
			return
		}
	}
	s.fields = newMapping(p, s.addresses, s.Fields, onEither)
}

// askedAddress is an address that a record asks for.
type askedAddress struct {
	record *engine.Record
	kind   any
	preset any
	wants  []want
}

// Plan implements [engine.Step].
func (s *Address) Plan(ctx context.Context, p *engine.Planning, chunk []*engine.Record) error {
	var asked []askedAddress
	for _, r := range chunk {
		a, err := s.evaluate(p, r)
		switch {
		case err != nil:
			p.Invalid(r, err.Error())
		case len(a.wants) == 0:
			p.Skip(r, "every part of the address is blank")
		default:
			asked = append(asked, a)
		}
	}
	owners, err := s.owners(ctx, p, asked)
	if err != nil {
		return err
	}
	keys := make([][]any, len(asked))
	for i, a := range asked {
		keys[i] = []any{s.ownerType(), owners[i], a.kind}
	}
	addresses, err := findBeside(ctx, p, s.addresses, keys)
	if err != nil {
		return err
	}
	for i, a := range asked {
		if h := addresses.of(i); h != nil {
			fields, err := forUpdate(ctx, p, h, a.wants, false)
			if err != nil {
				return err
			}
			p.Change(a.record, engine.KindUpdate, h, fields)
			continue
		}
		addresses.create(p, a.record, i, forCreate(a.wants), engine.ExternalKey{})
	}
	return nil
}

// ownerType is the type of what addresses belong to.
func (s *Address) ownerType() any {
	if s.owner.TypeID == engine.TypeLead {
		return int64(engine.TypeLead)
	}
	return int64(engine.TypeRequisite)
}

func (s *Address) evaluate(p *engine.Planning, r *engine.Record) (a askedAddress, err error) {
	a.record = r
	env := p.Env(r)
	if a.kind, err = option(s.Type, s.addresses.FieldByName("type"), env, p); err != nil {
		return a, err
	}
	if a.preset, err = option(s.Preset, s.preset, env, p); err != nil {
		return a, err
	}
	a.wants, err = s.fields.eval(p, env, false)
	return a, err
}

// option is the chosen option of a field, by default its first one.
func option(v *engine.Value, f *engine.Field, env expression.Env, p *engine.Planning) (any, error) {
	name, err := evalName(v, env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if name == "" && len(f.Options) > 0 {
		name = f.Options[0].ID
	}
	return f.Canonical(name, p.Catalog)
}

// owners are the ids of what the addresses belong to: leads, or the requisites of
// the others, of which those that are missing are planned.
func (s *Address) owners(ctx context.Context, p *engine.Planning, asked []askedAddress) ([]any, error) {
	owners := make([]any, len(asked))
	if s.owner.TypeID == engine.TypeLead {
		for i, a := range asked {
			owners[i] = ownerID(a.record.Held(s.Step.Text))
		}
		return owners, nil
	}
	keys := make([][]any, len(asked))
	for i, a := range asked {
		keys[i] = []any{int64(s.owner.TypeID), ownerID(a.record.Held(s.Step.Text))}
	}
	requisites, err := findBeside(ctx, p, s.requisites, keys)
	if err != nil {
		return nil, err
	}
	for i, a := range asked {
		h := requisites.of(i)
		if h == nil {
			h = s.requisite(p, a, requisites, i)
		}
		owners[i] = ownerID(h)
	}
	return owners, nil
}

// requisite plans one that does nothing but hold addresses.
func (s *Address) requisite(p *engine.Planning, a askedAddress, requisites *beside, i int) *engine.Held {
	name := "Address"
	for _, o := range s.preset.Options {
		if id, err := strconv.ParseInt(o.ID, 10, 64); err == nil && id == a.preset {
			name = o.Name
		}
	}
	key := engine.ExternalKeyOf(p.Job.Name, p.ID(), a.record.Key)
	return requisites.create(p, a.record, i, map[string]engine.FieldChange{
		"name": {After: name}, "presetId": {After: a.preset}, "addressOnly": {After: true}, "xmlId": {After: key},
	}, engine.ExternalKey{Field: "xmlId", Key: key})
}
