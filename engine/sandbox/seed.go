package sandbox

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// seedSpec is what a portal begins with.
type seedSpec struct {
	items              bool // false: people, lists, types and fields only
	contacts, cards    int64
	companies, records int64
	names              map[string]string // what names are there; those that it lacks stay
}

// word is what a name is on the portal.
func (spec seedSpec) word(name string) string { return cmp.Or(spec.names[name], name) }

// worded is a list as it is called on the portal.
func (spec seedSpec) worded(list seedList) seedList {
	for i := range list.entries {
		list.entries[i].name = spec.word(list.entries[i].name)
	}
	return list
}

// Sizes of the demo seed, and the most that it can be told to make.
const (
	demoContacts = 12
	demoCards    = 8
	demoRecords  = 5
	maxSeed      = 5_000_000
)

// parseSeed reads "demo", "empty", "demo,contacts=10000,items=50000" or, with
// names in another language, "empty,names=pt".
func parseSeed(text string) (seedSpec, error) {
	name, rest, _ := strings.Cut(text, ",")
	spec := seedSpec{items: true, contacts: demoContacts, cards: demoCards, companies: demoRecords, records: demoRecords}
	switch strings.TrimSpace(name) {
	case "empty":
		spec = seedSpec{}
	case "demo", "":
	default:
		return seedSpec{}, fmt.Errorf("seed: %q is neither demo nor empty", name)
	}
	for part := range strings.SplitSeq(rest, ",") {
		key, val, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseInt(val, 10, 64)
		switch {
		case key == "" && val == "":
			continue
		case key == "names" && val == "pt":
			spec.names = portuguese()
		case key == "names":
			return seedSpec{}, fmt.Errorf("seed: names=%q; there is pt", val)
		case !spec.items:
			return seedSpec{}, fmt.Errorf("seed: %q; empty takes no sizes", text)
		case err != nil || n < 0 || n > maxSeed:
			return seedSpec{}, fmt.Errorf("seed: %s=%q is not a number from 0 to %d", key, val, maxSeed)
		case key == "contacts":
			spec.contacts = n
		case key == "items":
			spec.cards = n
		default:
			return seedSpec{}, fmt.Errorf("seed: unknown size %q; there are contacts and items", key)
		}
	}
	return spec, nil
}

// fill gives an empty store its contents.
func (s *store) fill(spec seedSpec) {
	s.id = randomText(16)
	s.log.identity(s)
	s.seedPeople()
	for _, list := range seedLists() {
		s.seedStatuses(spec.worded(list), 0)
	}
	s.seedPipelines(spec)
	s.seedFields(spec)
	if spec.items {
		s.seedItems(spec)
	}
}

func (s *store) seedPeople() {
	for _, u := range seedUsers() {
		rec := &user{
			ID: int64(u.id), Active: u.active, Admin: u.admin, Name: u.name, LastName: u.lastName, Email: u.email,
			Position: u.position, Gender: u.gender, Phone: u.phone, City: u.city, Kind: u.kind,
		}
		for _, d := range u.departments {
			rec.Departments = append(rec.Departments, int64(d))
		}
		s.users.put(rec.ID, rec)
	}
}

func (s *store) seedStatuses(list seedList, categoryID int64) {
	for i, entry := range list.entries {
		rec := &status{
			ID: s.statuses.nextID(), EntityID: list.entityID, StatusID: entry.id, Name: entry.name,
			Sort: int64(i+1) * 10, System: true, CategoryID: categoryID, Color: entry.color, Semantics: entry.semantics,
		}
		s.statuses.put(rec.ID, rec)
	}
}

// The pipelines and the smart process of the demo.
const (
	dealExtraCategory = 1
	invoiceCategory   = 3
	clientsCategory   = 42
	partnersCategory  = 43

	onboardingType   = 41
	onboardingEntity = 128
)

func (s *store) seedPipelines(spec seedSpec) {
	const made = seedEpoch
	features := map[string]bool{}
	for _, name := range processFeatures() {
		features[name] = true
	}
	s.types.put(onboardingType, &processType{
		ID: onboardingType, EntityTypeID: onboardingEntity, Title: "Onboarding", CreatedBy: 1, UpdatedBy: 1,
		Created: made, Updated: made, Features: features, Parents: []int{dealType}, Children: []int{dealType},
	})
	for _, c := range []*category{
		{ID: 0, EntityTypeID: dealType, Name: "General", Sort: 100, Default: true},
		{ID: dealExtraCategory, EntityTypeID: dealType, Name: "Renewals", Sort: 200},
		{ID: invoiceCategory, EntityTypeID: invoiceType, Name: "General", Sort: 100, Default: true},
		{ID: clientsCategory, EntityTypeID: onboardingEntity, Name: "Clients", Sort: 100, Default: true},
		{ID: partnersCategory, EntityTypeID: onboardingEntity, Name: "Partners", Sort: 200},
	} {
		c.Name = spec.word(c.Name)
		s.categories.put(c.ID, c)
	}
	s.seedStatuses(spec.worded(stageList("DEAL_STAGE_1", "Renewals stages", "C1:")), dealExtraCategory)
	s.seedStatuses(spec.worded(invoiceStageList("SMART_INVOICE_STAGE_3", "DT31_3")), invoiceCategory)
	s.seedStatuses(spec.worded(processStageList("DYNAMIC_128_STAGE_42", "Onboarding stages (Clients)", "DT128_42")), clientsCategory)
	s.seedStatuses(spec.worded(processStageList("DYNAMIC_128_STAGE_43", "Onboarding stages (Partners)", "DT128_43")), partnersCategory)
}

// processFeatures are the switches of a smart process (crm.type.list).
func processFeatures() []string {
	return []string{
		"isCategoriesEnabled", "isStagesEnabled", "isBeginCloseDatesEnabled", "isClientEnabled",
		"isUseInUserfieldEnabled", "isLinkWithProductsEnabled", "isMycompanyEnabled", "isDocumentsEnabled",
		"isSourceEnabled", "isObserversEnabled", "isRecyclebinEnabled", "isAutomationEnabled",
		"isBizProcEnabled", "isSetOpenPermissions", "isPaymentsEnabled", "isCountersEnabled",
	}
}

// seedFields makes the custom fields: one of every type on Onboarding, and one
// of every way that a name is turned into camelCase.
func (s *store) seedFields(spec seedSpec) {
	const onboarding = "CRM_41"
	choices := func(names ...string) []fieldOption {
		var list []fieldOption
		for i, n := range names {
			list = append(list, fieldOption{Value: spec.word(n), Sort: int64(i+1) * 100})
		}
		return list
	}
	option := int64(80)
	for _, f := range []*userField{
		{EntityID: "CRM_CONTACT", Name: "UF_CRM_1737980095947", Type: typeString, Label: "CPF"},
		{EntityID: "CRM_CONTACT", Name: "UF_CRM_1737980412001", Type: typeEnum, Label: "Segment", Options: choices("Small", "Medium", "Large")},
		{EntityID: "CRM_CONTACT", Name: "UF_CRM_LEGAL_NAME", Type: typeString, Label: "Legal name"},
		{EntityID: "CRM_COMPANY", Name: "UF_CRM_1737980095950", Type: typeString, Label: "CNPJ"},
		{EntityID: "CRM_LEAD", Name: "UF_CRM_1737980095951", Type: typeString, Label: "External code"},
		{EntityID: "CRM_DEAL", Name: "UF_CRM_1721244707107", Type: typeDouble, Label: "Discount"},
		{EntityID: "CRM_DEAL", Name: "UF_CRM_1737980095952", Type: typeString, Label: "External code"},
		{EntityID: "CRM_QUOTE", Name: "UF_CRM_1737980095953", Type: typeString, Label: "External code"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980095947", Type: typeString, Label: "Notes"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980412420", Type: typeEnum, Label: "Priority", Options: choices("Low", "Normal", "High")},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500001", Type: typeDouble, Label: "Score"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500002", Type: typeMoney, Label: "Budget"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500003", Type: typeDate, Label: "Due date"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500004", Type: typeDatetime, Label: "Kick-off"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500005", Type: typeBoolean, Label: "Urgent"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500006", Type: typeURL, Label: "Website"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500007", Type: typeEmployee, Label: "Account manager"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500008", Type: typeString, Label: "Tags", Multiple: true},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500009", Type: typeInteger, Label: "Seats"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500010", Type: typeEnum, Label: "Channels", Multiple: true, Options: choices("Phone", "E-mail", "Chat")},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500011", Type: typeFile, Label: "Contract"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500012", Type: typeAddress, Label: "Site address"},
		{EntityID: onboarding, Name: "UF_CRM_41_1737980500013", Type: typeBinding, Label: "Related items", Multiple: true, Settings: map[string]string{"CONTACT": "Y", "COMPANY": "Y", "DEAL": "Y"}},
		{EntityID: onboarding, Name: "UF_CRM_41_REGION_CODE", Type: typeString, Label: "Region"},
		{EntityID: onboarding, Name: "UF_CRM_41_ZONE_10", Type: typeString, Label: "Zone"},
	} {
		f.ID = s.userFields.nextID()
		f.Sort = f.ID * 100
		for i := range f.Options {
			option++
			f.Options[i].ID = option
		}
		s.userFields.put(f.ID, f)
	}
}
