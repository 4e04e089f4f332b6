package sandbox

import (
	"slices"
	"strings"
)

// oldField describes a field as the old methods (crm.contact.*, crm.company.*,
// crm.deal.*, crm.lead.*) name it. They keep the upper-case names of the
// database where crm.item.* renamed some of them (DATE_CREATE is createdTime
// there, a lead's STATUS_ID is stageId).
type oldField struct {
	name     string // as the old methods spell it
	kind     string // "type" in the answer of *.fields
	item     string // the same field in crm.item.*, upper case; empty when it is spelled alike
	status   string // the status list of a crm_status
	readOnly bool
	multiple bool
}

// itemName returns the upper-case name that crm.item.* gives to the field.
func (f oldField) itemName() string {
	if f.item != "" {
		return f.item
	}
	return f.name
}

// oldFields returns the system fields of a lead (1), deal (2), contact (3) or
// company (4) in the order of *.fields.
func oldFields(entityTypeID int) []oldField {
	switch entityTypeID {
	case 1:
		return oldLeadFields()
	case 2:
		return oldDealFields()
	case 3:
		return oldContactFields()
	default:
		return oldCompanyFields()
	}
}

func oldContactFields() []oldField {
	return slices.Concat(
		[]oldField{
			{name: "ID", kind: "integer", readOnly: true},
			{name: "HONORIFIC", kind: "crm_status", status: "HONORIFIC"},
			{name: "NAME", kind: "string"},
			{name: "SECOND_NAME", kind: "string"},
			{name: "LAST_NAME", kind: "string"},
			{name: "PHOTO", kind: "file"},
			{name: "BIRTHDATE", kind: "date"},
			{name: "TYPE_ID", kind: "crm_status", status: "CONTACT_TYPE"},
			{name: "SOURCE_ID", kind: "crm_status", status: "SOURCE"},
			{name: "SOURCE_DESCRIPTION", kind: "string"},
			{name: "POST", kind: "string"},
		},
		oldAddressFields("ADDRESS"),
		[]oldField{
			{name: "COMMENTS", kind: "string"},
			{name: "OPENED", kind: "char"},
			{name: "EXPORT", kind: "char"},
		},
		oldReachFields(),
		oldTrailFields(false),
		[]oldField{
			{name: "COMPANY_ID", kind: "crm_company"},
			{name: "COMPANY_IDS", kind: "crm_company", multiple: true},
			{name: "LEAD_ID", kind: "crm_lead", readOnly: true},
		},
		oldOriginFields(true),
		oldMarketingFields(),
		oldActivityFields(),
		oldMultiFields(),
	)
}

func oldCompanyFields() []oldField {
	return slices.Concat(
		[]oldField{
			{name: "ID", kind: "integer", readOnly: true},
			{name: "TITLE", kind: "string"},
			{name: "COMPANY_TYPE", kind: "crm_status", item: "TYPE_ID", status: "COMPANY_TYPE"},
			{name: "LOGO", kind: "file"},
		},
		oldAddressFields("ADDRESS"),
		[]oldField{{name: "ADDRESS_LEGAL", kind: "string"}},
		oldAddressFields("REG_ADDRESS"),
		[]oldField{
			{name: "BANKING_DETAILS", kind: "string"},
			{name: "INDUSTRY", kind: "crm_status", status: "INDUSTRY"},
			{name: "EMPLOYEES", kind: "crm_status", status: "EMPLOYEES"},
			{name: "CURRENCY_ID", kind: "crm_currency"},
			{name: "REVENUE", kind: "double"},
			{name: "OPENED", kind: "char"},
			{name: "COMMENTS", kind: "string"},
			{name: "IS_MY_COMPANY", kind: "char"},
		},
		oldReachFields(),
		oldTrailFields(false),
		[]oldField{
			{name: "CONTACT_ID", kind: "crm_contact", item: "CONTACT_IDS", multiple: true},
			{name: "LEAD_ID", kind: "crm_lead", readOnly: true},
		},
		oldOriginFields(true),
		oldMarketingFields(),
		oldActivityFields(),
		[]oldField{{name: "LAST_COMMUNICATION_TIME", kind: "string", readOnly: true}},
		oldMultiFields(),
	)
}

func oldDealFields() []oldField {
	return slices.Concat(
		[]oldField{
			{name: "ID", kind: "integer", readOnly: true},
			{name: "TITLE", kind: "string"},
			{name: "TYPE_ID", kind: "crm_status", status: "DEAL_TYPE"},
			{name: "CATEGORY_ID", kind: "crm_category"},
			{name: "STAGE_ID", kind: "crm_status", status: "DEAL_STAGE"},
			{name: "STAGE_SEMANTIC_ID", kind: "string", readOnly: true},
			{name: "IS_NEW", kind: "char", readOnly: true},
			{name: "IS_RECURRING", kind: "char"},
			{name: "IS_RETURN_CUSTOMER", kind: "char", readOnly: true},
			{name: "IS_REPEATED_APPROACH", kind: "char", readOnly: true},
			{name: "PROBABILITY", kind: "integer"},
			{name: "CURRENCY_ID", kind: "crm_currency"},
			{name: "OPPORTUNITY", kind: "double"},
			{name: "IS_MANUAL_OPPORTUNITY", kind: "char"},
			{name: "TAX_VALUE", kind: "double"},
			{name: "COMPANY_ID", kind: "crm_company"},
			{name: "CONTACT_ID", kind: "crm_contact"},
			{name: "CONTACT_IDS", kind: "crm_contact", multiple: true},
			{name: "QUOTE_ID", kind: "crm_quote", readOnly: true},
			{name: "BEGINDATE", kind: "date"},
			{name: "CLOSEDATE", kind: "date"},
			{name: "OPENED", kind: "char"},
			{name: "CLOSED", kind: "char", readOnly: true},
			{name: "COMMENTS", kind: "string"},
		},
		oldTrailFields(true),
		[]oldField{
			{name: "SOURCE_ID", kind: "crm_status", status: "SOURCE"},
			{name: "SOURCE_DESCRIPTION", kind: "string"},
			{name: "LEAD_ID", kind: "crm_lead", readOnly: true},
			{name: "ADDITIONAL_INFO", kind: "string"},
			{name: "LOCATION_ID", kind: "location"},
		},
		oldOriginFields(false),
		oldMarketingFields(),
		oldActivityFields(),
	)
}

func oldLeadFields() []oldField {
	return slices.Concat(
		[]oldField{
			{name: "ID", kind: "integer", readOnly: true},
			{name: "TITLE", kind: "string"},
			{name: "HONORIFIC", kind: "crm_status", status: "HONORIFIC"},
			{name: "NAME", kind: "string"},
			{name: "SECOND_NAME", kind: "string"},
			{name: "LAST_NAME", kind: "string"},
			{name: "BIRTHDATE", kind: "date"},
			{name: "COMPANY_TITLE", kind: "string"},
			{name: "SOURCE_ID", kind: "crm_status", status: "SOURCE"},
			{name: "SOURCE_DESCRIPTION", kind: "string"},
			{name: "STATUS_ID", kind: "crm_status", item: "STAGE_ID", status: "STATUS"},
			{name: "STATUS_DESCRIPTION", kind: "string"},
			{name: "STATUS_SEMANTIC_ID", kind: "string", item: "STAGE_SEMANTIC_ID", readOnly: true},
			{name: "POST", kind: "string"},
		},
		oldAddressFields("ADDRESS"),
		[]oldField{
			{name: "CURRENCY_ID", kind: "crm_currency"},
			{name: "OPPORTUNITY", kind: "double"},
			{name: "IS_MANUAL_OPPORTUNITY", kind: "char"},
			{name: "OPENED", kind: "char"},
			{name: "COMMENTS", kind: "string"},
		},
		oldReachFields(),
		oldTrailFields(true),
		[]oldField{
			{name: "COMPANY_ID", kind: "crm_company"},
			{name: "CONTACT_ID", kind: "crm_contact"},
			{name: "CONTACT_IDS", kind: "crm_contact", multiple: true},
			{name: "IS_RETURN_CUSTOMER", kind: "char", readOnly: true},
			{name: "DATE_CLOSED", kind: "datetime", readOnly: true},
		},
		oldOriginFields(false),
		oldMarketingFields(),
		oldActivityFields(),
		oldMultiFields(),
	)
}

// oldAddressFields returns the address columns that are kept for compatibility
// only; crm.address.* has taken their place.
func oldAddressFields(prefix string) []oldField {
	return []oldField{
		{name: prefix, kind: "string"},
		{name: prefix + "_2", kind: "string"},
		{name: prefix + "_CITY", kind: "string"},
		{name: prefix + "_POSTAL_CODE", kind: "string"},
		{name: prefix + "_REGION", kind: "string"},
		{name: prefix + "_PROVINCE", kind: "string"},
		{name: prefix + "_COUNTRY", kind: "string"},
		{name: prefix + "_COUNTRY_CODE", kind: "string"},
		{name: prefix + "_LOC_ADDR_ID", kind: "integer"},
	}
}

func oldReachFields() []oldField {
	return []oldField{
		{name: "HAS_PHONE", kind: "char", readOnly: true},
		{name: "HAS_EMAIL", kind: "char", readOnly: true},
		{name: "HAS_IMOL", kind: "char", readOnly: true},
	}
}

// oldTrailFields returns who did what and when; only entities with stages have
// been moved.
func oldTrailFields(staged bool) []oldField {
	fields := []oldField{
		{name: "ASSIGNED_BY_ID", kind: "user"},
		{name: "CREATED_BY_ID", kind: "user", item: "CREATED_BY", readOnly: true},
		{name: "MODIFY_BY_ID", kind: "user", item: "UPDATED_BY", readOnly: true},
	}
	if staged {
		fields = append(fields, oldField{name: "MOVED_BY_ID", kind: "user", item: "MOVED_BY", readOnly: true})
	}
	fields = append(fields,
		oldField{name: "DATE_CREATE", kind: "datetime", item: "CREATED_TIME", readOnly: true},
		oldField{name: "DATE_MODIFY", kind: "datetime", item: "UPDATED_TIME", readOnly: true},
	)
	if staged {
		fields = append(fields, oldField{name: "MOVED_TIME", kind: "datetime", readOnly: true})
	}
	return fields
}

func oldOriginFields(versioned bool) []oldField {
	fields := []oldField{
		{name: "ORIGINATOR_ID", kind: "string"},
		{name: "ORIGIN_ID", kind: "string"},
	}
	if versioned {
		fields = append(fields, oldField{name: "ORIGIN_VERSION", kind: "string"})
	}
	return fields
}

func oldMarketingFields() []oldField {
	return []oldField{
		{name: "UTM_SOURCE", kind: "string"},
		{name: "UTM_MEDIUM", kind: "string"},
		{name: "UTM_CAMPAIGN", kind: "string"},
		{name: "UTM_CONTENT", kind: "string"},
		{name: "UTM_TERM", kind: "string"},
	}
}

func oldActivityFields() []oldField {
	return []oldField{
		{name: "LAST_ACTIVITY_TIME", kind: "datetime", readOnly: true},
		{name: "LAST_ACTIVITY_BY", kind: "user", readOnly: true},
	}
}

// multiFieldTypes are the kinds of multifield, in the order of *.fields.
func multiFieldTypes() []string {
	return []string{"PHONE", "EMAIL", "WEB", "IM", "LINK"}
}

func oldMultiFields() []oldField {
	var fields []oldField
	for _, name := range multiFieldTypes() {
		fields = append(fields, oldField{name: name, kind: "crm_multifield", multiple: true})
	}
	return fields
}

// fieldTitle makes a heading out of a field name: "LAST_NAME" is "Last name".
func fieldTitle(name string) string {
	words := strings.ToLower(strings.ReplaceAll(name, "_", " "))
	if words == "id" {
		return "ID"
	}
	words = strings.TrimSuffix(words, " id")
	return strings.ToUpper(words[:1]) + words[1:]
}
