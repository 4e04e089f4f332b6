package sandbox

import "slices"

// The system fields of each entity type, as crm.item.fields of a portal lists
// them (crm/universal/object-fields; legacy names that are always null come
// from the answers of crm.item.get).

func systemFields(typeID int, process *processType) []*field {
	switch typeID {
	case leadType:
		return slices.Concat(leadFields(), utmFields(), legacyFields("dateCreateShort", "dateModifyShort",
			"birthdaySort", "dateClosedShort", "searchContent", "isConvert", "hasProducts"))
	case dealType:
		return slices.Concat(dealFields(), utmFields(), legacyFields("dateCreateShort", "dateModifyShort",
			"productId", "begindateShort", "closedateShort", "eventDate", "eventDateShort", "eventId",
			"eventDescription", "locationId", "searchContent", "orderStage", "isWork", "isWon", "isLose",
			"receivedAmount", "lostAmount", "hasProducts"))
	case contactType:
		return slices.Concat(contactFields(), utmFields(), legacyFields("birthdaySort", "searchContent", "faceId"))
	case companyType:
		return slices.Concat(companyFields(), utmFields(), legacyFields("searchContent", "address", "addressLegal"))
	case quoteType:
		return slices.Concat(quoteFields(), utmFields(), legacyFields("searchContent", "hasProducts"))
	case invoiceType:
		return invoiceFields()
	default:
		return processFields(process)
	}
}

func authorship() []*field {
	return []*field{
		{upper: "CREATED_TIME", kind: typeDatetime, title: "Created on", flags: readOnly},
		{upper: "UPDATED_TIME", kind: typeDatetime, title: "Modified on", flags: readOnly},
		{upper: "CREATED_BY", kind: typeUser, title: "Created by", flags: readOnly},
		{upper: "UPDATED_BY", kind: typeUser, title: "Modified by", flags: readOnly},
		{upper: "ASSIGNED_BY_ID", kind: typeUser, title: "Responsible person"},
		{upper: "OPENED", kind: typeBoolean, title: "Available to everyone", flags: required},
	}
}

func activity() []*field {
	return []*field{
		{upper: "LAST_ACTIVITY_BY", kind: typeUser, title: "Last timeline activity by", flags: readOnly},
		{upper: "LAST_ACTIVITY_TIME", kind: typeDatetime, title: "Last updated on", flags: readOnly},
	}
}

func moves() []*field {
	return []*field{
		{upper: "MOVED_TIME", kind: typeDatetime, title: "Stage changed on", flags: readOnly},
		{upper: "MOVED_BY", kind: typeUser, title: "Stage changed by", flags: readOnly},
	}
}

func clients() []*field {
	return []*field{
		{upper: "COMPANY_ID", kind: typeCompany, title: "Company", flags: zeroed, parent: companyType},
		{upper: "CONTACT_ID", kind: typeContact, title: "Contact", flags: deprecated | zeroed, parent: contactType},
		{upper: "CONTACT_IDS", kind: typeContact, title: "Contacts", flags: multiple | unsortable, parent: contactType},
	}
}

func amounts() []*field {
	return []*field{
		{upper: "OPPORTUNITY", kind: typeDouble, title: "Amount", flags: zeroed},
		{upper: "IS_MANUAL_OPPORTUNITY", kind: typeBoolean, title: "Manual amount"},
		{upper: "TAX_VALUE", kind: typeDouble, title: "Tax amount", flags: zeroed},
		{upper: "CURRENCY_ID", kind: typeCurrency, title: "Currency"},
	}
}

func span() []*field {
	return []*field{
		{upper: "BEGINDATE", kind: typeDate, title: "Start date"},
		{upper: "CLOSEDATE", kind: typeDate, title: "End date"},
	}
}

func sources() []*field {
	return []*field{
		{upper: "SOURCE_ID", kind: typeStatus, title: "Source", statusType: "SOURCE"},
		{upper: "SOURCE_DESCRIPTION", kind: typeText, title: "Source details"},
	}
}

func observers() []*field {
	return []*field{{upper: "OBSERVERS", kind: typeUser, title: "Observers", flags: multiple | unsortable}}
}

func origin() []*field {
	return []*field{
		{upper: "ORIGINATOR_ID", kind: typeString, title: "External source"},
		{upper: "ORIGIN_ID", kind: typeString, title: "Item id in the external source"},
	}
}

func utmFields() []*field {
	return []*field{
		{upper: "UTM_SOURCE", kind: typeString, title: "Ad system"},
		{upper: "UTM_MEDIUM", kind: typeString, title: "Medium"},
		{upper: "UTM_CAMPAIGN", kind: typeString, title: "Campaign"},
		{upper: "UTM_CONTENT", kind: typeString, title: "Campaign content"},
		{upper: "UTM_TERM", kind: typeString, title: "Campaign term"},
	}
}

func person() []*field {
	return []*field{
		{upper: "HONORIFIC", kind: typeStatus, title: "Salutation", statusType: "HONORIFIC"},
		{upper: "NAME", kind: typeString, title: "First name"},
		{upper: "SECOND_NAME", kind: typeString, title: "Middle name"},
		{upper: "LAST_NAME", kind: typeString, title: "Last name"},
		{upper: "BIRTHDATE", kind: typeDate, title: "Date of birth"},
		{upper: "POST", kind: typeString, title: "Position"},
	}
}

// communication returns the multifields and the read-only views of them.
func communication() []*field {
	list := []*field{
		{upper: "HAS_PHONE", kind: typeBoolean, title: "Has phone", flags: readOnly, derive: hasComm("PHONE")},
		{upper: "HAS_EMAIL", kind: typeBoolean, title: "Has e-mail", flags: readOnly, derive: hasComm("EMAIL")},
		{upper: "HAS_IMOL", kind: typeBoolean, title: "Has open channel", flags: readOnly},
		{upper: "FM", kind: typeMulti, title: "Communication", flags: multiple | unsortable},
		{upper: "PHONE", kind: typeString, title: "Phone", flags: readOnly | hidden | unseen | multiple, derive: commValues("PHONE")},
		{upper: "EMAIL", kind: typeString, title: "E-mail", flags: readOnly | hidden | unseen | multiple, derive: commValues("EMAIL")},
	}
	for _, view := range []struct{ upper, kind, place string }{
		{"PHONE_MOBILE", "PHONE", "MOBILE"},
		{"PHONE_WORK", "PHONE", "WORK"},
		{"PHONE_MAILING", "PHONE", "MAILING"},
		{"EMAIL_HOME", "EMAIL", "HOME"},
		{"EMAIL_WORK", "EMAIL", "WORK"},
		{"EMAIL_MAILING", "EMAIL", "MAILING"},
	} {
		list = append(list, &field{
			upper: view.upper, kind: typeString, flags: readOnly | hidden | blank,
			derive: firstComm(view.kind, view.place),
		})
	}
	return list
}

// legacyFields are names that items carry from older versions; always null.
func legacyFields(names ...string) []*field {
	list := make([]*field, len(names))
	for i, n := range names {
		list[i] = &field{
			upper: snake(n), kind: typeString, flags: readOnly | hidden | unsortable,
			derive: func(*entity, *item) any { return nil },
		}
	}
	return list
}

func idField() []*field {
	return []*field{{
		upper: "ID", kind: typeInteger, title: "ID", flags: readOnly,
		derive: func(_ *entity, it *item) any { return it.id },
	}}
}

func semanticsField() *field {
	return &field{
		upper: "STAGE_SEMANTIC_ID", kind: typeString, title: "Stage type", flags: readOnly,
		derive: func(e *entity, it *item) any { return e.semantics(it) },
	}
}

// isWhen is a derived yes/no field.
func isWhen(upper, title string, when func(e *entity, it *item) bool) *field {
	return &field{
		upper: upper, kind: typeBoolean, title: title, flags: readOnly,
		derive: func(e *entity, it *item) any { return yesNo(when(e, it)) },
	}
}

func leadFields() []*field {
	return slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Lead name"},
		{upper: "COMPANY_TITLE", kind: typeString, title: "Company name"},
		{upper: "STAGE_ID", kind: typeStatus, title: "Stage", statusType: "STATUS"},
		{upper: "STATUS_DESCRIPTION", kind: typeText, title: "Stage details"},
		semanticsField(),
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form"},
		{upper: "IS_RETURN_CUSTOMER", kind: typeBoolean, title: "Repeat lead", flags: readOnly},
		{upper: "DATE_CLOSED", kind: typeDatetime, title: "Closed on", flags: readOnly},
	}, person(), clients(), amounts(), sources(), observers(), origin(), communication(), moves(), activity())
}

func dealFields() []*field {
	return slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Deal name"},
		{upper: "CATEGORY_ID", kind: typeCategory, title: "Pipeline"},
		{upper: "STAGE_ID", kind: typeStatus, title: "Stage", statusType: "DEAL_STAGE"},
		semanticsField(),
		isWhen("IS_NEW", "New deal", func(e *entity, it *item) bool { return e.isFirstStage(it) }),
		isWhen("CLOSED", "Closed", func(e *entity, it *item) bool { return e.semantics(it) != "P" }),
		{upper: "IS_RECURRING", kind: typeBoolean, title: "Recurring deal"},
		{upper: "IS_RETURN_CUSTOMER", kind: typeBoolean, title: "Repeat deal"},
		{upper: "IS_REPEATED_APPROACH", kind: typeBoolean, title: "Repeat enquiry"},
		{upper: "TYPE_ID", kind: typeStatus, title: "Type", statusType: "DEAL_TYPE"},
		{upper: "PROBABILITY", kind: typeInteger, title: "Probability, %"},
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "ADDITIONAL_INFO", kind: typeText, title: "Additional information"},
		{upper: "LEAD_ID", kind: typeLead, title: "Lead"},
		{upper: "QUOTE_ID", kind: typeQuote, title: "Estimate"},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form"},
	}, clients(), amounts(), span(), sources(), observers(), origin(), moves(), activity())
}

func contactFields() []*field {
	return slices.Concat(idField(), authorship(), person(), []*field{
		{upper: "CATEGORY_ID", kind: typeCategory, title: "Category", flags: zeroed},
		{upper: "PHOTO", kind: typeFile, title: "Photo"},
		{upper: "TYPE_ID", kind: typeStatus, title: "Contact type", statusType: "CONTACT_TYPE"},
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "EXPORT", kind: typeBoolean, title: "Included in export"},
		{upper: "LEAD_ID", kind: typeLead, title: "Lead", flags: readOnly},
		{upper: "COMPANY_ID", kind: typeCompany, title: "Company", flags: deprecated | zeroed, parent: companyType},
		{upper: "COMPANY_IDS", kind: typeCompany, title: "Companies", flags: multiple | unsortable, parent: companyType},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form", flags: zeroed},
		{upper: "FULL_NAME", kind: typeString, title: "Full name", flags: readOnly | hidden, derive: fullName},
	}, sources(), observers(), origin(), []*field{
		{upper: "ORIGIN_VERSION", kind: typeString, title: "Version in the external source"},
	}, communication(), activity())
}

func companyFields() []*field {
	return slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Company name", flags: required},
		{upper: "CATEGORY_ID", kind: typeCategory, title: "Category", flags: zeroed},
		{upper: "LOGO", kind: typeFile, title: "Logo"},
		{upper: "TYPE_ID", kind: typeStatus, title: "Company type", statusType: "COMPANY_TYPE"},
		{upper: "INDUSTRY", kind: typeStatus, title: "Industry", statusType: "INDUSTRY"},
		{upper: "EMPLOYEES", kind: typeStatus, title: "Number of employees", statusType: "EMPLOYEES"},
		{upper: "REVENUE", kind: typeDouble, title: "Annual revenue", flags: zeroed},
		{upper: "CURRENCY_ID", kind: typeCurrency, title: "Currency"},
		{upper: "IS_MY_COMPANY", kind: typeBoolean, title: "My company"},
		{upper: "BANKING_DETAILS", kind: typeText, title: "Bank details"},
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "LEAD_ID", kind: typeLead, title: "Lead", flags: readOnly},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form", flags: zeroed},
		{
			upper: "CONTACT_IDS", kind: typeContact, title: "Contacts", flags: multiple | unsortable, parent: contactType,
			derive: contactsOfCompany,
		},
	}, observers(), origin(), []*field{
		{upper: "ORIGIN_VERSION", kind: typeString, title: "Version in the external source"},
	}, communication(), activity())
}

func quoteFields() []*field {
	return slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Subject"},
		{upper: "QUOTE_NUMBER", kind: typeString, title: "Number"},
		{upper: "STAGE_ID", kind: typeStatus, title: "Stage", statusType: "QUOTE_STATUS"},
		isWhen("CLOSED", "Closed", func(e *entity, it *item) bool { return e.semantics(it) != "P" }),
		{upper: "ACTUAL_DATE", kind: typeDate, title: "Valid until"},
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "CONTENT", kind: typeText, title: "Contents"},
		{upper: "TERMS", kind: typeText, title: "Terms"},
		{upper: "DEAL_ID", kind: typeInteger, title: "Deal"},
		{upper: "LEAD_ID", kind: typeLead, title: "Lead"},
		{upper: "MYCOMPANY_ID", kind: typeCompany, title: "Your company details", flags: zeroed, parent: companyType},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form"},
		{upper: "LOCATION_ID", kind: typeString, title: "Location"},
	}, clients(), amounts(), span(), activity())
}

func invoiceFields() []*field {
	return slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Subject"},
		{upper: "XML_ID", kind: typeString, title: "External code"},
		{upper: "ACCOUNT_NUMBER", kind: typeString, title: "Number"},
		{upper: "CATEGORY_ID", kind: typeCategory, title: "Pipeline"},
		{upper: "STAGE_ID", kind: typeStatus, title: "Stage"},
		{upper: "PREVIOUS_STAGE_ID", kind: typeStatus, title: "Previous stage", flags: readOnly | blank},
		{upper: "COMMENTS", kind: typeText, title: "Comment"},
		{upper: "MYCOMPANY_ID", kind: typeCompany, title: "Your company details", flags: zeroed, parent: companyType},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form", flags: zeroed},
	}, clients(), amounts(), span(), sources(), observers(), moves(), activity())
}

// processFields are the fields of a smart process: which there are depends on
// the features that are switched on for it.
func processFields(p *processType) []*field {
	list := slices.Concat(idField(), authorship(), []*field{
		{upper: "TITLE", kind: typeString, title: "Name"},
		{upper: "XML_ID", kind: typeString, title: "External code"},
		{upper: "WEBFORM_ID", kind: typeInteger, title: "CRM form", flags: zeroed},
		{upper: "CATEGORY_ID", kind: typeCategory, title: "Pipeline"},
	})
	for _, feature := range []struct {
		name   string
		fields []*field
	}{
		{"isStagesEnabled", slices.Concat([]*field{
			{upper: "STAGE_ID", kind: typeStatus, title: "Stage"},
			{upper: "PREVIOUS_STAGE_ID", kind: typeStatus, title: "Previous stage", flags: readOnly | blank},
		}, moves())},
		{"isBeginCloseDatesEnabled", span()},
		{"isClientEnabled", clients()},
		{"isLinkWithProductsEnabled", amounts()},
		{"isMycompanyEnabled", []*field{
			{upper: "MYCOMPANY_ID", kind: typeCompany, title: "Your company details", flags: zeroed, parent: companyType},
		}},
		{"isSourceEnabled", sources()},
		{"isObserversEnabled", observers()},
	} {
		if p.Features[feature.name] {
			list = append(list, feature.fields...)
		}
	}
	return append(list, activity()...)
}
