//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// figureScenarios are the rows of the table; .ci/figures.md derives their least
// requests.
func figureScenarios(short bool) []scenario {
	of := func(long, few int) int {
		if short {
			return few
		}
		return long
	}
	scenarios := []scenario{updates(of(5000, 500)), listing(of(10_000, 2500))}
	if !short {
		scenarios = append(scenarios, listing(130_000))
	}
	return append(scenarios, contactImport(of(50_000, 5000)), onboarding(of(20_000, 1000)))
}

// updates gives contacts that are there another post.
func updates(rows int) scenario {
	plan := []string{"bxflow", "plan", "job.yaml", "--out", "job.plan"}
	apply := []string{"bxflow", "apply", "job.plan", "--yes"}
	return scenario{
		name:    "updates",
		rows:    rows,
		sandbox: []string{"--seed", fmt.Sprintf("demo,contacts=%d", rows)},
		rate:    2,
		latency: 300 * time.Millisecond,
		least:   rows / 50,
		files: map[string]string{"job.yaml": `version: 1
name: updates
steps:
  - select: contact
    id: who
  - update: who
    set: {post: "Desk ${{ who.id }}"}
`},
		clients: []figureClient{
			{name: "bxflow run", do: [][]string{{"bxflow", "run", "job.yaml", "--yes"}}},
			{name: "bxflow plan and apply", do: [][]string{plan, apply}},
			{name: "bxflow apply alone", before: [][]string{plan}, do: [][]string{apply}},
		},
		right: func(d *dump, _ []byte, rows int) int {
			n := 0
			for _, c := range d.Contacts {
				if c.ID <= int64(rows) && c.Post == fmt.Sprintf("Desk %d", c.ID) {
					n++
				}
			}
			return n
		},
	}
}

// listing reads four fields of all cards of Onboarding.
func listing(rows int) scenario {
	return scenario{
		name:    fmt.Sprintf("list %d", rows),
		rows:    rows,
		sandbox: []string{"--seed", fmt.Sprintf("demo,items=%d", rows)},
		rate:    2,
		latency: 100 * time.Millisecond,
		least:   (rows + 2499) / 2500,
		clients: []figureClient{{name: "bxflow export", do: [][]string{
			{"bxflow", "export", "Onboarding", "--fields", "id,title,stageId,assignedById", "--out", "out.jsonl"},
		}}},
		right: func(d *dump, out []byte, _ int) int {
			held := make(map[int64]dumpedCard, len(d.Cards))
			for _, c := range d.Cards {
				held[c.ID] = dumpedCard{ID: c.ID, Title: c.Title, StageID: c.StageID, AssignedBy: c.AssignedBy}
			}
			n := 0
			for line := range bytes.Lines(out) {
				var c dumpedCard
				if json.Unmarshal(line, &c) == nil && held[c.ID] == c {
					n++
					delete(held, c.ID) // counts once
				}
			}
			return n
		},
	}
}

// contactImport brings contacts into a portal that has a handful of others.
func contactImport(rows int) scenario {
	return scenario{
		name:  "import",
		rows:  rows,
		rate:  2,
		least: (rows + 999) / 1000,
		files: map[string]string{"job.yaml": `version: 1
name: import
steps:
  - read: rows.csv
  - import: contact
    match: CPF
    automation: off
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", post: "${{ row.post }}"}
`},
		csv: func(i int, _ *dump) string {
			if i < 0 {
				return "cpf;name;post"
			}
			return figurePerson(i)
		},
		clients: []figureClient{{name: "bxflow run", do: [][]string{{"bxflow", "run", "job.yaml", "--yes"}}}},
		right: func(d *dump, _ []byte, rows int) int {
			return len(rightPeople(d, rows, func(i int) string { return figureCPF(i) }))
		},
	}
}

// onboarding is for people of whom half are contacts already: each gets a card,
// with a field and another stage.
func onboarding(rows int) scenario {
	there := rows / 2
	cpfs := make([]string, rows) // of the rows; the first half is of the seed
	return scenario{
		name:    "onboarding",
		rows:    rows,
		sandbox: []string{"--seed", fmt.Sprintf("demo,contacts=%d", there)},
		rate:    20,
		least:   leastOnboarding(rows, there),
		files: map[string]string{"job.yaml": `version: 1
name: onboarding
steps:
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", post: "${{ row.post }}"}
  - create: Onboarding
    id: card
    category: Clients
    fields: {title: "Onboarding of ${{ row.name }}", contactId: "${{ client.id }}"}
  - update: card
    set: {Notes: "${{ row.post }}"}
  - move: card
    to: In progress
`},
		csv: func(i int, seeded *dump) string {
			switch {
			case i < 0:
				return "cpf;name;post"
			case i < there:
				cpfs[i] = seeded.Contacts[i].CPF
			default:
				cpfs[i] = figureCPF(i)
			}
			return cpfs[i] + figurePerson(i)[11:]
		},
		clients: []figureClient{{name: "bxflow run", do: [][]string{{"bxflow", "run", "job.yaml", "--yes", "--limits", "rate=20"}}}},
		right: func(d *dump, _ []byte, rows int) int {
			cards := map[int64][]dumpedCard{} // by contact
			for _, c := range d.Cards {
				if c.Notes != "" {
					cards[c.ContactID] = append(cards[c.ContactID], c)
				}
			}
			n := 0
			for i, id := range rightPeople(d, rows, func(i int) string { return cpfs[i] }) {
				mine := cards[id]
				if len(mine) == 1 && mine[0].StageID == "DT128_42:PREPARATION" && mine[0].Notes == fmt.Sprintf("Desk %d", i) {
					n++
				}
			}
			return n
		},
	}
}

// leastOnboarding is derived in .ci/figures.md.
func leastOnboarding(rows, there int) int {
	writes := 4 * rows / 50
	match, recheck := (there+2499)/2500, (there+2499)/2500
	const catalogue, cards = 1, 1
	return writes + match + recheck + catalogue + cards
}

func figureCPF(i int) string { return fmt.Sprintf("%011d", 50_000_000_000+i) }

// figurePerson is a row: CPF, name, post.
func figurePerson(i int) string { return fmt.Sprintf("%s;Cliente %d;Desk %d", figureCPF(i), i, i) }

// rightPeople are the rows that are exactly one contact, as they should be, with
// its id.
func rightPeople(d *dump, rows int, cpf func(i int) string) map[int]int64 {
	row := make(map[string]int, rows)
	for i := range rows {
		row[cpf(i)] = i
	}
	right, times := map[int]int64{}, map[int]int{}
	for _, c := range d.Contacts {
		i, ok := row[c.CPF]
		if !ok {
			continue
		}
		if times[i]++; c.Name == fmt.Sprintf("Cliente %d", i) && c.Post == fmt.Sprintf("Desk %d", i) {
			right[i] = c.ID
		}
		if times[i] > 1 {
			delete(right, i)
		}
	}
	return right
}
