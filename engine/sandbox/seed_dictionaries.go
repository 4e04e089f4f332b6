package sandbox

// The dictionaries of a fresh portal: every status list that CRM fields refer
// to, the people, the departments and the requisite presets. The demo and the
// empty seed both load them, for a portal is never without them.

// seedStatus is one entry of a status list. An empty semantics means that the
// entry is in progress, S that it is won and F that it is lost
// (crm.status.list, SEMANTICS).
type seedStatus struct {
	id, name, color, semantics string
}

// seedList is a status list, addressed by its ENTITY_ID.
type seedList struct {
	entityID, name string
	entries        []seedStatus
}

// seedLists returns the status lists that are neither stages of a deal
// category other than 0 nor stages of a smart process; [stageList] makes those.
func seedLists() []seedList {
	return []seedList{
		{"STATUS", "Lead stages", []seedStatus{
			{"NEW", "Unassigned", "#39A8EF", ""},
			{"IN_PROCESS", "In progress", "#2FC6F6", ""},
			{"PROCESSED", "Processed", "#55D0E0", ""},
			{"CONVERTED", "Good lead", "#7BD500", "S"},
			{"JUNK", "Junk lead", "#FF5752", "F"},
		}},
		{"SOURCE", "Sources", []seedStatus{
			{"CALL", "Call", "", ""},
			{"EMAIL", "E-mail", "", ""},
			{"WEB", "Web site", "", ""},
			{"ADVERTISING", "Advertising", "", ""},
			{"PARTNER", "Existing client", "", ""},
			{"RECOMMENDATION", "By recommendation", "", ""},
			{"TRADE_SHOW", "Exhibition", "", ""},
			{"WEBFORM", "CRM form", "", ""},
			{"CRM_FORM", "Form on a page", "", ""},
			{"CALLBACK", "Callback", "", ""},
			{"OTHER", "Other", "", ""},
		}},
		{"CONTACT_TYPE", "Contact types", []seedStatus{
			{"CLIENT", "Clients", "", ""},
			{"SUPPLIER", "Suppliers", "", ""},
			{"PARTNER", "Partners", "", ""},
			{"SHARE", "General", "", ""},
			{"OTHER", "Other", "", ""},
		}},
		{"COMPANY_TYPE", "Company types", []seedStatus{
			{"CUSTOMER", "Client", "", ""},
			{"SUPPLIER", "Supplier", "", ""},
			{"COMPETITOR", "Competitor", "", ""},
			{"PARTNER", "Partner", "", ""},
			{"OTHER", "Other", "", ""},
		}},
		{"EMPLOYEES", "Number of employees", []seedStatus{
			{"EMPLOYEES_1", "Up to 50", "", ""},
			{"EMPLOYEES_2", "50 to 250", "", ""},
			{"EMPLOYEES_3", "250 to 500", "", ""},
			{"EMPLOYEES_4", "Over 500", "", ""},
		}},
		{"INDUSTRY", "Industries", []seedStatus{
			{"IT", "Information technology", "", ""},
			{"TELECOM", "Telecommunications", "", ""},
			{"MANUFACTURING", "Manufacturing", "", ""},
			{"BANKING", "Banking services", "", ""},
			{"CONSULTING", "Consulting", "", ""},
			{"FINANCE", "Finance", "", ""},
			{"GOVERNMENT", "Government", "", ""},
			{"DELIVERY", "Delivery", "", ""},
			{"ENTERTAINMENT", "Entertainment", "", ""},
			{"NOTPROFIT", "Non-profit", "", ""},
			{"OTHER", "Other", "", ""},
		}},
		{"DEAL_TYPE", "Deal types", []seedStatus{
			{"SALE", "Sale", "", ""},
			{"COMPLEX", "Complex sale", "", ""},
			{"GOODS", "Sale of goods", "", ""},
			{"SERVICES", "Sale of services", "", ""},
			{"SERVICE", "Maintenance", "", ""},
		}},
		{"HONORIFIC", "Salutations", []seedStatus{
			{"HNR_EN_1", "Mr", "", ""},
			{"HNR_EN_2", "Mrs", "", ""},
			{"HNR_EN_3", "Ms", "", ""},
			{"HNR_EN_4", "Dr", "", ""},
		}},
		{"CALL_LIST", "Calling statuses", []seedStatus{
			{"IN_WORK", "In progress", "", ""},
			{"SUCCESS", "Reached", "", ""},
			{"WRONG_NUMBER", "Wrong number", "", ""},
			{"STOP_CALLING", "No more calls", "", ""},
		}},
		{"EVENT_TYPE", "Event types", []seedStatus{
			{"INFO", "Information", "", ""},
			{"PHONE", "Phone call", "", ""},
			{"MESSAGE", "E-mail sent", "", ""},
		}},
		stageList("DEAL_STAGE", "Deal stages", ""),
		{"QUOTE_STATUS", "Estimate stages", []seedStatus{
			{"DRAFT", "New", "#39A8EF", ""},
			{"SENT", "Sent to client", "#2FC6F6", ""},
			{"APPROVED", "Accepted", "#7BD500", "S"},
			{"DECLAINED", "Declined", "#FF5752", "F"},
		}},
	}
}

// stageList returns the usual stages of a deal category: prefix is empty for
// category 0 and C<n>: for the others (crm.status.list, DEAL_STAGE_<n>).
func stageList(entityID, name, prefix string) seedList {
	return seedList{entityID, name, []seedStatus{
		{prefix + "NEW", "New", "#39A8EF", ""},
		{prefix + "PREPARATION", "Document preparation", "#2FC6F6", ""},
		{prefix + "PREPAYMENT_INVOICE", "Prepayment invoice", "#55D0E0", ""},
		{prefix + "EXECUTING", "In progress", "#47E4C2", ""},
		{prefix + "FINAL_INVOICE", "Final invoice", "#FFA900", ""},
		{prefix + "WON", "Deal won", "#7BD500", "S"},
		{prefix + "LOSE", "Deal lost", "#FF5752", "F"},
		{prefix + "APOLOGY", "Analysis of the loss", "#FF5752", "F"},
	}}
}

// invoiceStageList returns the stages of a category of smart invoices, whose
// prefix is DT31_<category>.
func invoiceStageList(entityID, prefix string) seedList {
	return seedList{entityID, "Invoice stages", []seedStatus{
		{prefix + ":N", "New", "#39A8EF", ""},
		{prefix + ":S", "Sent to client", "#2FC6F6", ""},
		{prefix + ":P", "Paid", "#7BD500", "S"},
		{prefix + ":D", "Unpaid", "#FF5752", "F"},
	}}
}

// processStageList returns the stages that a category of a smart process is
// born with; prefix is DT<entityTypeId>_<category>.
func processStageList(entityID, name, prefix string) seedList {
	return seedList{entityID, name, []seedStatus{
		{prefix + ":NEW", "New", "#22B9FF", ""},
		{prefix + ":PREPARATION", "In progress", "#88B9FF", ""},
		{prefix + ":CLIENT", "Waiting", "#10E5FC", ""},
		{prefix + ":SUCCESS", "Won", "#7BD500", "S"},
		{prefix + ":FAIL", "Lost", "#FF5752", "F"},
	}}
}

// seedUser is one person of the portal.
type seedUser struct {
	id                              int
	active, admin                   bool
	name, lastName, email, position string
	gender, phone, city, kind       string
	departments                     []int
}

// seedUsers returns the owner of the webhook (user 1, an administrator), five
// employees, a dismissed one and an extranet guest.
func seedUsers() []seedUser {
	return []seedUser{
		{1, true, true, "Alex", "Moreira", "admin@example.com", "Director", "", "", "", "employee", []int{1}},
		{2, true, false, "Ana", "Lima", "ana@example.com", "Account manager", "F", "+551140000002", "São Paulo", "employee", []int{2}},
		{3, true, false, "Bruno", "Costa", "bruno@example.com", "Account manager", "M", "+551140000003", "São Paulo", "employee", []int{2}},
		{4, true, false, "Clara", "Dias", "clara@example.com", "Support engineer", "F", "+551140000004", "Recife", "employee", []int{3}},
		{5, true, false, "Daniel", "Rocha", "daniel@example.com", "Support engineer", "M", "+551140000005", "Recife", "employee", []int{3}},
		{6, true, false, "Elisa", "Prado", "elisa@example.com", "Head of sales", "F", "+551140000006", "São Paulo", "employee", []int{2}},
		{7, false, false, "Fabio", "Nunes", "fabio@example.com", "Account manager", "M", "", "", "employee", []int{2}},
		{8, true, false, "Gloria", "Teles", "gloria@example.com", "", "F", "", "", "extranet", nil},
	}
}

// seedDepartment is one node of the company structure; parent 0 is the root.
type seedDepartment struct {
	id     int
	name   string
	parent int
	head   int
}

// seedDepartments returns the company structure of the seed.
func seedDepartments() []seedDepartment {
	return []seedDepartment{
		{1, "Sandbox Inc.", 0, 1},
		{2, "Sales", 1, 6},
		{3, "Support", 1, 4},
	}
}

// seedPreset is a template of requisites; country 1 is the one that the
// portal's own templates are made for.
type seedPreset struct {
	id            int
	name, xmlID   string
	entityTypeID  int
	country, sort int
}

// seedPresets returns the requisite templates of the seed, which all belong to
// requisites (ENTITY_TYPE_ID 8; crm.requisite.preset.list).
func seedPresets() []seedPreset {
	return []seedPreset{
		{1, "Organization", "#CRM_REQUISITE_PRESET_DEF_COMPANY#", 8, 1, 500},
		{2, "Sole proprietor", "#CRM_REQUISITE_PRESET_DEF_INDIVIDUAL#", 8, 1, 510},
		{3, "Person", "#CRM_REQUISITE_PRESET_DEF_PERSON#", 8, 1, 520},
	}
}
