package proof_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// verb is a job that does one thing to a hundred and more items, in several
// requests.
type verb struct {
	name   string
	seed   string
	method string // by which it writes first
	job    string
	rows   func(tb testing.TB) string // nil: none
	hits   int                        // of a point that come before those that are tried
	undo   bool                       // the job is done, and then taken back
}

// verbs are all that write.
func verbs() []verb {
	return []verb{
		{
			name: "import", seed: "demo,contacts=30,items=1", method: "crm.item.add", rows: importRows,
			job: `  - read: rows.csv
  - import: contact
    match: CPF
    fields:
      CPF: ${{ row.cpf }}
      name: ${{ row.nome }}
      phone: ${{ row.celular }}
`,
		},
		{
			name: "import without automation", seed: "demo,contacts=30,items=1", method: "crm.item.batchimport", rows: importRows,
			job: `  - read: rows.csv
  - import: contact
    match: CPF
    automation: off
    fields:
      CPF: ${{ row.cpf }}
      name: ${{ row.nome }}
      phone: ${{ row.celular }}
`,
		},
		{
			name: "create", seed: "demo,contacts=2,items=1", method: "crm.item.add",
			rows: func(testing.TB) string {
				var b strings.Builder
				b.WriteString("n;nome\n")
				for n := range 120 {
					fmt.Fprintf(&b, "%d;Cliente %d\n", n, n)
				}
				return b.String()
			},
			job: `  - read: rows.csv
    key: n
  - create: Onboarding
    category: Clients
    fields: {title: "Onboarding of ${{ row.nome }}"}
`,
		},
		{
			name: "create linked", seed: "demo,contacts=2,items=1", method: "crm.item.add", hits: 2, rows: linkedRows, job: linked,
		},
		{name: "update", seed: "demo,contacts=2,items=120", method: "crm.item.update", job: updated},
		{
			name: "move", seed: "demo,contacts=2,items=160", method: "crm.item.update",
			job: `  - select: Onboarding
    id: card
    where: {category: Clients}
  - move: card
    to: Lost
`,
		},
		{
			name: "delete", seed: "demo,contacts=2,items=1", method: "crm.item.delete", rows: linkedRows, job: linked, undo: true,
		},
		{
			name: "delete with cascade", seed: "demo,contacts=120,items=120", method: "crm.item.delete",
			job: `  - select: Onboarding
    id: card
    where: {category: Clients}
  - delete: card
    cascade: [contact]
`,
		},
		{ // groups of eight, whose numbers, which differ, go before
			name: "merge", seed: "demo,contacts=120,items=1", method: "crm.entity.mergebatch", hits: 2,
			job: `  - select: contact
  - clear: contact
    fields: [CPF]
  - merge: contact
    by: [UF_CRM_1737980412001, assignedById]
`,
		},
		{
			name: "comment", seed: "demo,contacts=2,items=120", method: "crm.timeline.comment.add",
			job: `  - select: Onboarding
    id: card
  - comment: card
    text: Seen ${{ card.title }}
`,
		},
		{
			name: "address", seed: "demo,contacts=120,items=1", method: "crm.requisite.add",
			job: `  - select: contact
  - address: contact
    fields: {address1: "Rua ${{ contact.name }}", city: Recife}
`,
		},
		{name: "products", seed: "demo,contacts=2,items=120", method: "crm.item.productrow.set", job: products},
		{name: "products, undone", seed: "demo,contacts=2,items=120", method: "crm.item.productrow.set", job: products, undo: true},
		{name: "restore", seed: "demo,contacts=2,items=120", method: "crm.item.update", job: updated, undo: true},
	}
}

// products gives items product rows.
const products = `  - select: Onboarding
    id: card
  - products: card
    rows:
      - {name: "For ${{ card.title }}", price: 99.5, quantity: 2, discount: 10}
      - {name: Glue, price: 7.25, tax: 20, tax included: Y}
`

// linked makes items that link to others that it makes.
const linked = `  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.nome }}"}
  - create: Onboarding
    category: Clients
    fields: {title: "Onboarding of ${{ row.nome }}", contactId: "${{ client.id }}"}
`

func linkedRows(testing.TB) string { return onboardingRows(100) }

// updated changes two fields of items.
const updated = `  - select: Onboarding
    id: card
    where: {">id": 0}
  - update: card
    set: {Notes: "Seen as ${{ card.title }}", Priority: High}
`

// importRows are new people, and some that the portal knows under other names.
func importRows(tb testing.TB) string {
	tb.Helper()
	p, err := sandbox.New(sandbox.Options{Seed: "demo,contacts=30,items=1"})
	if err != nil {
		tb.Fatal(err)
	}
	defer p.Close()
	var dump struct {
		Contact []struct {
			CPF string `json:"UF_CRM_1737980095947"`
		} `json:"contact"`
	}
	if err := json.Unmarshal(p.Dump(), &dump); err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("cpf;nome;celular\n")
	for n, c := range dump.Contact {
		fmt.Fprintf(&b, "%s;Renomeado %d;+551190000%04d\n", c.CPF, n, n)
	}
	for n := range 100 {
		fmt.Fprintf(&b, "%011d;Novo %d;+551198000%04d\n", 50_000_000_000+n, n, n)
	}
	return b.String()
}
