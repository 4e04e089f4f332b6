package sandbox

import (
	"fmt"
	"strconv"

	"github.com/brianvoe/gofakeit/v7"
)

// seedEpoch is when the first seeded item was made, in Unix seconds; each
// further one of an entity is made a second later.
const seedEpoch = 1736150400 // 2025-01-06T08:00:00Z

// seeder makes items from a fixed seed: equal sizes, equal contents.
type seeder struct {
	s     *store
	faker *gofakeit.Faker
}

func (s *store) seedItems(spec seedSpec) {
	g := &seeder{s, gofakeit.New(41)}
	for i := range spec.companies {
		g.company(i)
	}
	for i := range spec.contacts {
		g.contact(i, spec.companies)
	}
	stages := []string{"NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "WON"}
	for i := range spec.records {
		g.lead(i)
		g.deal(i, stages[i%int64(len(stages))], spec.contacts)
	}
	g.paper(quoteType, "Estimate for ", spec.contacts)
	g.paper(invoiceType, "Invoice for ", spec.contacts)
	for i := range spec.cards {
		g.card(i, spec.contacts)
	}
	s.robots = 0
}

// values are the fields of a seeded item, by upper-case name.
type values map[string]any

func (g *seeder) put(typeID int, n int64, vals values) {
	e := g.s.entities[typeID]
	d := g.s.newDraft(e, webhookUser)
	d.imported = true
	for name, val := range vals {
		f, ok := e.byUpper[name]
		if !ok {
			panic(fmt.Sprintf("sandbox: the seed sets %s, which a %s has not", name, e.name))
		}
		if err := d.assign(f, val); err != nil {
			panic(fmt.Sprintf("sandbox: the seed sets %s of a %s: %v", name, e.name, err))
		}
	}
	if rows, ok := vals["FM"].(*array); ok {
		d.comms = fmRows(rows)
	}
	at := int64(seedEpoch) + n
	d.created, d.updated, d.movedAt = at, at, at
	day := at/86400 - seedEpoch/86400
	if k := &e.known; k.begin != nil {
		d.it.set(k.begin, seedEpoch/86400+day)
		d.it.set(k.close, seedEpoch/86400+day+7)
	}
	if _, _, err := d.saveAt(at); err != nil {
		panic(fmt.Sprintf("sandbox: the seed makes a %s: %v", e.name, err))
	}
}

func commRow(kind, value string) *array {
	a := &array{}
	a.set("typeId", kind)
	a.set("valueType", "WORK")
	a.set("value", value)
	return a
}

func (g *seeder) company(n int64) {
	name := g.faker.Company()
	g.put(companyType, n, values{
		"TITLE": name, "TYPE_ID": "CUSTOMER", "INDUSTRY": "IT", "UF_CRM_1737980095950": cnpj(n + 1),
		"ASSIGNED_BY_ID": 2 + n%5,
		"FM":             listOf(commRow("PHONE", fmt.Sprintf("+5511300%05d", n))),
	})
}

func (g *seeder) contact(n, companies int64) {
	first, last := g.faker.FirstName(), g.faker.LastName()
	vals := values{
		"NAME": first, "LAST_NAME": last, "TYPE_ID": "CLIENT", "UF_CRM_1737980095947": cpf(n + 1),
		"UF_CRM_1737980412001": 81 + n%3, "ASSIGNED_BY_ID": 2 + n%5, "POST": g.faker.JobTitle(),
		"FM": listOf(
			commRow("PHONE", fmt.Sprintf("+55119%08d", 50_000_000+n)),
			commRow("EMAIL", "contact"+strconv.FormatInt(n+1, 10)+"@example.org"),
		),
	}
	if companies > 0 && n%2 == 0 {
		vals["COMPANY_IDS"] = listOf(1 + n/2%companies)
	}
	g.put(contactType, n, vals)
}

func (g *seeder) lead(n int64) {
	phone := n
	if n == 4 {
		phone = 0 // whoever asked first asks again
	}
	g.put(leadType, n, values{
		"TITLE": "Enquiry about " + g.faker.ProductName(), "NAME": g.faker.FirstName(), "LAST_NAME": g.faker.LastName(),
		"SOURCE_ID": "WEB", "OPPORTUNITY": float64(100 * (n + 1)), "ASSIGNED_BY_ID": 2 + n%5,
		"FM": listOf(
			commRow("PHONE", fmt.Sprintf("+55219%08d", 80_000_000+phone)),
			commRow("EMAIL", "lead"+strconv.FormatInt(n+1, 10)+"@example.org"),
		),
	})
}

func (g *seeder) deal(n int64, stage string, contacts int64) {
	vals := values{
		"TITLE": "Supply of " + g.faker.ProductName(), "STAGE_ID": stage, "OPPORTUNITY": float64(1000 * (n + 1)),
		"TYPE_ID": "SALE", "ASSIGNED_BY_ID": 2 + n%5,
	}
	if contacts > 0 {
		vals["CONTACT_IDS"] = listOf(1 + n%contacts)
	}
	g.put(dealType, n, vals)
}

func (g *seeder) paper(typeID int, title string, contacts int64) {
	vals := values{"TITLE": title + g.faker.ProductName(), "OPPORTUNITY": 250.5}
	if contacts > 0 {
		vals["CONTACT_IDS"] = listOf(int64(1))
	}
	g.put(typeID, 0, vals)
}

func (g *seeder) card(n, contacts int64) {
	stages := []string{"NEW", "PREPARATION", "CLIENT", "NEW"}
	vals := values{
		"TITLE": "Onboarding of " + g.faker.Company(), "CATEGORY_ID": int64(clientsCategory),
		"STAGE_ID":                "DT128_42:" + stages[n%int64(len(stages))],
		"UF_CRM_41_1737980412420": 84 + n%3, "ASSIGNED_BY_ID": 2 + n%5,
	}
	if n%4 == 3 {
		vals["CATEGORY_ID"], vals["STAGE_ID"] = int64(partnersCategory), "DT128_43:NEW"
	}
	if contacts > 0 {
		vals["CONTACT_IDS"] = listOf(1 + n%contacts)
	}
	g.put(onboardingEntity, n, vals)
}

// cpf is the nth taxpayer number of a person, with its two check digits.
func cpf(n int64) string {
	return withCheckDigits(fmt.Sprintf("%09d", 100_000_000+n), []int{11, 12})
}

// cnpj is the nth taxpayer number of a company, with its two check digits.
func cnpj(n int64) string {
	return withCheckDigits(fmt.Sprintf("%08d0001", 10_000_000+n), []int{9, 9})
}

// withCheckDigits appends two digits modulo 11, whose weights run from 2 up to
// the given one and start over.
func withCheckDigits(digits string, top []int) string {
	for _, highest := range top {
		sum, weight := 0, 2
		for i := len(digits) - 1; i >= 0; i-- {
			sum += int(digits[i]-'0') * weight
			if weight++; weight > highest {
				weight = 2
			}
		}
		digit := 11 - sum%11
		if digit >= 10 {
			digit = 0
		}
		digits += strconv.Itoa(digit)
	}
	return digits
}
