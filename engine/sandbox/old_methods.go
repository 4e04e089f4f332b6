package sandbox

import "strings"

// The methods of one kind of item that crm.item.* replaced: crm.lead.*,
// crm.deal.*, crm.contact.*, crm.company.*. They work on the same items.

// oldMethods are the old methods of items.
func oldMethods() []method {
	var list []method
	for _, o := range []oldEntity{{leadType, "Lead"}, {dealType, "Deal"}, {contactType, "Contact"}, {companyType, "Company"}} {
		prefix := "crm." + strings.ToLower(o.title) + "."
		list = append(list,
			method{prefix + "add", "crm", true, o.add},
			method{prefix + "get", "crm", false, o.get},
			method{prefix + "list", "crm", false, o.list},
			method{prefix + "update", "crm", true, o.update},
			method{prefix + "delete", "crm", true, o.delete},
			method{prefix + "fields", "crm", false, o.fields},
		)
	}
	return list
}

// oldEntity is a type of items that has old methods.
type oldEntity struct {
	typeID int
	title  string // as it stands in messages
}

// find returns the item that the parameter id names, or the refusal with the
// given text.
func (o oldEntity) find(c *call, absent *apiError) (oldView, *item, *apiError) {
	id, err := oldID(c)
	if err != nil {
		return oldView{}, nil, err
	}
	v := c.store.viewOf(o.typeID)
	it := v.e.item(id)
	if it == nil {
		return oldView{}, nil, absent
	}
	return v, it, nil
}

func (o oldEntity) get(c *call) (any, *apiError) {
	v, it, err := o.find(c, oldError("Not found"))
	if err != nil {
		return nil, err
	}
	return v.render(it), nil
}

func (o oldEntity) fields(c *call) (any, *apiError) { return c.store.viewOf(o.typeID).describe(), nil }

// add answers with the bare id. With params.IMPORT no robots run and the caller
// may say who made the item and when.
func (o oldEntity) add(c *call) (any, *apiError) {
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	params, err := oldParams(c)
	if err != nil {
		return nil, err
	}
	v := c.store.viewOf(o.typeID)
	d := c.store.newDraft(v.e, c.user)
	imported, _ := params.get("IMPORT")
	d.imported = truthy(imported)
	if err := v.assign(d, fields); err != nil {
		return nil, err
	}
	it, _, err := d.save()
	if err != nil {
		return nil, asOld(err)
	}
	c.created(v.e, it)
	return it.id, nil
}

func (o oldEntity) update(c *call) (any, *apiError) {
	v, it, err := o.find(c, oldError(o.title+" is not found"))
	if err != nil {
		return nil, err
	}
	fields, err := givenFields(c)
	if err != nil {
		return nil, err
	}
	if _, err := oldParams(c); err != nil {
		return nil, err
	}
	d := c.store.draft(v.e, it, c.user)
	if err := v.assign(d, fields); err != nil {
		return nil, err
	}
	if _, _, err := d.save(); err != nil {
		return nil, asOld(err)
	}
	return true, nil
}

func (o oldEntity) delete(c *call) (any, *apiError) {
	v, it, err := o.find(c, fault(400, "ERROR_CORE", "Element not found"))
	if err != nil {
		return nil, err
	}
	c.store.removeItem(v.e, it.id)
	return true, nil
}

// oldParams reads the parameter params, which may be left out.
func oldParams(c *call) (*array, *apiError) {
	raw, ok := c.old("params")
	if !ok || isBlank(raw) {
		return nil, nil //nolint:nilnil // a nil array is an empty one
	}
	params, ok := raw.(*array)
	if !ok {
		return nil, oldError("Parameter 'params' must be array.")
	}
	return params, nil
}

// asOld words a refusal as the old methods do, without a code of its own.
func asOld(err *apiError) *apiError {
	if strings.HasPrefix(err.code, "CRM_FIELD_ERROR") || err.code == "100" {
		return oldError(err.text)
	}
	return err
}

// assign gives a draft what fields holds under the old names. Unknown names and
// read-only fields are dropped without a word.
func (v oldView) assign(d *draft, fields *array) *apiError {
	for name, raw := range fields.all() {
		if v.e.known.fm != nil {
			if _, ok := defaultValueType(name); ok {
				if err := assignComms(d, name, raw); err != nil {
					return err
				}
				continue
			}
		}
		f, ok := v.field(name)
		if !ok {
			continue
		}
		if err := d.assign(f, oldInput(f, raw)); err != nil {
			return asOld(err)
		}
	}
	return nil
}

// oldInput adapts a value to what crm.item.* takes: custom yes/no fields are 1
// and 0 in the old methods, a file is {"fileData": [name, base64]}, and a lone
// value of a multiple field is a list of one.
func oldInput(f *field, raw any) any {
	list, isArray := raw.(*array)
	switch {
	case f.custom() && f.kind == typeBoolean:
		return truthy(raw) && raw != "N"
	case f.kind == typeFile && isArray:
		if data, ok := list.get("fileData"); ok {
			return data
		}
	case f.is(multiple) && !isArray && !isBlank(raw):
		return listOf(raw)
	}
	return raw
}

// assignComms reads the rows of a multifield. With an ID a row is changed, or
// deleted where DELETE is Y or no value is given; without one it is added.
func assignComms(d *draft, kind string, raw any) *apiError {
	rows, ok := raw.(*array)
	if !ok {
		return nil
	}
	for _, val := range rows.all() {
		m, ok := val.(*array)
		if !ok {
			continue
		}
		r := comm{
			id: intOf(memberText(m, "ID")), kind: kind,
			valueType: strings.ToUpper(memberText(m, "VALUE_TYPE")),
			value:     strings.TrimSpace(memberText(m, "VALUE")),
		}
		if strings.EqualFold(memberText(m, "DELETE"), "Y") {
			r.value = ""
		}
		if kind == "EMAIL" && r.value != "" && !plausibleEmail(r.value) {
			return fault(400, "ERROR_CORE", `The field "E-mail" contains an invalid address`)
		}
		d.comms = append(d.comms, r)
	}
	return nil
}

// plausibleEmail reports whether a text has the shape of an e-mail address.
func plausibleEmail(text string) bool {
	name, host, ok := strings.Cut(text, "@")
	return ok && name != "" && host != "" && !strings.ContainsAny(text, " \t\r\n,;<>") && !strings.Contains(host, "@")
}
