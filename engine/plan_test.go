package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/sandbox"
)

// onboarding is the usual shape of a job: contacts by key, a card each, changed
// and moved on conditions.
const onboarding = `
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", phone: "${{ row.phone }}"}
    on_create: {sourceId: Web site}
  - create: Onboarding
    id: card
    category: Clients
    stage: New
    fields: {title: "Card of ${{ row.name }}", contactId: "${{ client.id }}", assignedById: ana@example.com}
  - update: card
    when: row.plan == "gold"
    set: {Priority: High}
  - move: card
    when: row.paid == "yes"
    to: In progress
`

const rows = "cpf,name,phone,plan,paid\n" +
	"501,Cliente Um,+5511990000001,gold,yes\n" +
	"502,Cliente Dois,+5511990000002,basic,no\n" +
	"503,Cliente Tres,,gold,no\n"

func TestSecondRunPlansNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows(rows)
	job := w.job(onboarding)

	h, _ := w.plan(job)
	want := engine.Counts{Create: 6, Update: 2, Move: 1, Skip: 3}
	if diff := cmp.Diff(want, h.Summary); diff != "" {
		t.Fatalf("first plan (-want +got):\n%s", diff)
	}
	if got := w.named("contact", "name", "Cliente Um"); len(got) != 0 {
		t.Fatalf("planning wrote %v", got)
	}
	result := w.apply(h)
	if result.Status != engine.StatusSucceeded {
		t.Fatalf("run: %+v", result)
	}

	contacts := w.named("contact", "name", "Cliente Um")
	cards := w.named("dynamic_128", "title", "Card of Cliente Um")
	if len(contacts) != 1 || len(cards) != 1 {
		t.Fatalf("portal has %d contacts and %d cards, want one each", len(contacts), len(cards))
	}
	card := cards[0]
	if card["contactId"] != contacts[0]["id"] || card["stageId"] != "DT128_42:PREPARATION" || card["UF_CRM_41_1737980412420"] != 86.0 {
		t.Errorf("card is %v", card)
	}
	if contacts[0]["sourceId"] != "WEB" || contacts[0]["originatorId"] != "bxflow" {
		t.Errorf("contact is %v", contacts[0])
	}

	h, changes := w.plan(job)
	if h.Summary.Writes() != 0 || h.Summary.Unchanged != 9 {
		t.Fatalf("second plan: %+v\n%s", h.Summary, show(changes))
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const byTwo = `
  - read: rows.csv
  - import: contact
    id: client
    match: [[CPF], [email]]
    %s
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", email: "${{ row.email }}"}
`
	const client = `
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    %s
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", post: "${{ row.post }}"}
`
	tests := map[string]struct {
		rows  string
		job   string
		want  engine.Counts
		says  []string                 // parts of the reasons
		holds func(*testing.T, *world) // after it was applied
	}{
		"rows of one key and other values are all invalid": {
			rows: "cpf,name,post\n601,Novo A,x\n602,Novo B,y\n601,Novo C,z\n",
			job:  fmt.Sprintf(client, ""),
			want: engine.Counts{Create: 1, Invalid: 2},
			says: []string{"rows.csv:4 has the same key (CPF)", "rows.csv:2 has the same key (CPF)"},
		},
		"rows that share a change of an item are invalid with it": {
			rows: "cpf,name,post\n10000000108,August,Boss\n10000000108,August,Boss\n602,Novo B,y\n10000000108,August,Chief\n",
			job:  fmt.Sprintf(client, "") + "  - comment: client\n    text: ${{ row.post }}\n",
			want: engine.Counts{Create: 2, Invalid: 3, Skip: 3},
			says: []string{"shares the change of contact 1: that row is invalid"},
		},
		"a phone without a digit is nobody's": {
			rows: "name,phone,other\nNovo A,n/a,(sem)\nNovo B,-,ramal\n",
			job: `
  - read: rows.csv
  - import: contact
    match: [[phone], [name]]
    fields: {name: "${{ row.name }}", phone: "${{ row.phone }}"}
  - read: rows.csv
  - find: contact
    id: other
    by: {phone: "${{ row.other }}"}
`,
			want: engine.Counts{Create: 2, Invalid: 2},
			says: []string{"a value to find it by is empty"},
		},
		"equal rows share one change": {
			rows: "cpf,name,post\n601,Novo A,x\n601,Novo A,x\n",
			job:  fmt.Sprintf(client, ""),
			want: engine.Counts{Create: 1, Unchanged: 1},
		},
		"the first of duplicates wins": {
			rows: "cpf,name,post\n601,Novo A,x\n601,Novo C,z\n",
			job:  fmt.Sprintf(client, "duplicates: first"),
			want: engine.Counts{Create: 1, Unchanged: 1},
		},
		"the last of duplicates wins": {
			rows: "cpf,name,post\n601,Novo A,x\n602,Novo B,y\n601,Novo C,z\n",
			job:  fmt.Sprintf(client, "duplicates: last"),
			want: engine.Counts{Create: 2, Unchanged: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("contact", "UF_CRM_1737980095947", "601"); len(got) != 1 || got[0]["name"] != "Novo C" || got[0]["post"] != "z" {
					t.Errorf("contact is %v, want the last row's", got)
				}
			},
		},
		"a row that the step leaves out is none of the duplicates": {
			rows: "cpf,name,post\n601,Novo A,x\n601,Novo C,z\n601,Novo C,\n",
			job:  fmt.Sprintf(client, "duplicates: last\n    when: row.post == \"x\""),
			want: engine.Counts{Create: 1, Skip: 2},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("contact", "UF_CRM_1737980095947", "601"); len(got) != 1 || got[0]["name"] != "Novo A" {
					t.Errorf("contact is %v, want the one row's", got)
				}
			},
		},
		"merge fills what earlier rows left empty": {
			rows: "cpf,name,post\n601,Novo A,\n601,Novo C,z\n",
			job:  fmt.Sprintf(client, "duplicates: merge"),
			want: engine.Counts{Create: 1, Unchanged: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("contact", "UF_CRM_1737980095947", "601"); len(got) != 1 || got[0]["name"] != "Novo A" || got[0]["post"] != "z" {
					t.Errorf("contact is %v, want the rows together", got)
				}
			},
		},
		"a row without its key is invalid": {
			rows: "cpf,name,post\n,Novo A,x\n602,Novo B,y\n",
			job:  fmt.Sprintf(client, ""),
			want: engine.Counts{Create: 1, Invalid: 1},
			says: []string{"nothing to match by: CPF is empty"},
		},
		"steps below an invalid one are skipped": {
			rows: "cpf,name,post\n,Novo A,x\n",
			job: fmt.Sprintf(client, "") + `
  - create: Onboarding
    fields: {title: x, contactId: "${{ client.id }}"}
  - create: deal
    fields: {title: independent}
`,
			want: engine.Counts{Create: 1, Invalid: 1, Skip: 1},
			says: []string{"needs client"},
		},
		"an existing item is matched and changed": {
			rows: "cpf,name,post\n10000000108,August,Boss\n",
			job:  fmt.Sprintf(client, ""),
			want: engine.Counts{Update: 1},
		},
		"an existing item is left alone": {
			rows: "cpf,name,post\n10000000108,August,Boss\n",
			job:  fmt.Sprintf(client, "on_match: skip"),
			want: engine.Counts{Skip: 1},
		},
		"a blank cell says nothing": {
			rows: "cpf,name,post\n10000000108,August,\n",
			job:  fmt.Sprintf(client, ""),
			want: engine.Counts{Unchanged: 1},
		},
		"a blank cell clears on demand": {
			rows: "cpf,name,post\n10000000108,August,\n",
			job:  fmt.Sprintf(client, "blank: clear"),
			want: engine.Counts{Update: 1},
		},
		"a later stream sees what an earlier one makes": {
			rows: "cpf,name,post\n601,Novo A,x\n",
			job: fmt.Sprintf(client, "") + `
  - read: rows.csv
  - find: contact
    id: again
    by: {CPF: "${{ row.cpf }}"}
  - create: Onboarding
    fields: {title: x, contactId: "${{ again.id }}"}
`,
			want: engine.Counts{Create: 2, Unchanged: 1},
		},
		"find without a hit is invalid": {
			rows: "cpf,name,post\n609,Nobody,x\n",
			job:  "  - read: rows.csv\n  - find: contact\n    by: {CPF: \"${{ row.cpf }}\"}\n",
			want: engine.Counts{Invalid: 1},
			says: []string{"no contact has CPF 609"},
		},
		"find without a hit may be allowed": {
			rows: "cpf,name,post\n609,Nobody,x\n",
			job:  "  - read: rows.csv\n  - find: contact\n    by: {CPF: \"${{ row.cpf }}\"}\n    required: false\n  - update: contact\n    set: {post: y}\n",
			want: engine.Counts{Skip: 2},
		},
		"changes that cancel out are none": {
			rows: "cpf,name,post\n10000000108,August,\n",
			job: `
  - read: rows.csv
  - find: contact
    by: {CPF: "${{ row.cpf }}"}
  - update: contact
    set: {post: Boss}
  - update: contact
    set: {post: Camera Operator}
`,
			want: engine.Counts{Unchanged: 3},
		},
		"moving to the present stage is none": {
			job:  "  - select: Onboarding\n    where: {id: 1}\n  - move: onboarding\n    to: New\n",
			want: engine.Counts{Unchanged: 1},
		},
		"moving to another category takes its stage": {
			job:  "  - select: Onboarding\n    where: {id: 1}\n  - move: onboarding\n    category: Partners\n    to: Won\n",
			want: engine.Counts{Move: 1},
		},
		"a blank category leaves an item in its own": {
			rows: "title,category,stage\nOnboarding of ideas42,,Won\n",
			job: `
  - read: rows.csv
  - create: Onboarding
    id: card
    category: Partners
    fields: {title: "${{ row.title }}"}
  - move: card
    category: ${{ row.category }}
    to: ${{ row.stage }}
`,
			want: engine.Counts{Create: 1, Move: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("dynamic_128", "stageId", "DT128_43:SUCCESS"); len(got) != 1 {
					t.Errorf("cards won among the partners: %v, want the one", got)
				}
			},
		},
		"phones are added, not doubled": {
			job:  "  - select: contact\n    where: {id: 1}\n  - update: contact\n    set: {phone: [\"+55 11 95000-0000\", \"+5511999990000\"]}\n",
			want: engine.Counts{Update: 1},
		},
		"observers are added": {
			rows: "title\nOnboarding of ideas42\n",
			job: `
  - read: rows.csv
  - find: Onboarding
    id: card
    by: {title: "${{ row.title }}"}
  - update: card
    set: {observers: [ana@example.com]}
  - update: card
    set: {observers: [3]}
`,
			want: engine.Counts{Update: 2, Unchanged: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("dynamic_128", "title", "Onboarding of ideas42")[0]["observers"]; !cmp.Equal(got, []any{2.0, 3.0}) {
					t.Errorf("observers are %v, want 2 and 3", got)
				}
			},
		},
		"a planned item may be a match value": {
			rows: "company,name\nNovo SA,Novo A\nNovo SA,Novo B\nNovo SA,Novo A\n",
			job: `
  - read: rows.csv
  - import: company
    match: title
    fields: {title: "${{ row.company }}"}
  - import: contact
    match: [name, companyId]
    fields: {name: "${{ row.name }}", companyId: "${{ company.id }}"}
`,
			want: engine.Counts{Create: 3, Unchanged: 3},
		},
		"two rows of one key and other values make nothing": {
			rows: "k,name\n1,A\n1,B\n2,C\n",
			job:  "  - read: rows.csv\n    key: k\n  - create: Onboarding\n    fields: {title: \"${{ row.name }}\"}\n",
			want: engine.Counts{Create: 1, Invalid: 2},
			says: []string{"rows.csv:3 has the same key (key:1)", "rows.csv:2 has the same key (key:1)"},
		},
		"equal rows of one key make one item": {
			rows: "cpf,name,post\n601,Novo A,x\n601,Novo A,y\n601,Novo A,y\n",
			job: "  - read: rows.csv\n  - import: contact\n    id: client\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n" +
				"  - create: Onboarding\n    fields: {title: \"${{ row.post }}\", contactId: \"${{ client.id }}\"}\n",
			want: engine.Counts{Create: 3, Unchanged: 3},
		},
		"two rows that reach one item by other keys are invalid": {
			rows: "cpf,name,email\n10000000108,August,\n,August,contact1@example.org\n",
			job: `
  - read: rows.csv
  - import: contact
    match: [[CPF], [email]]
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", email: "${{ row.email }}"}
`,
			want: engine.Counts{Invalid: 2},
			says: []string{"reaches the same contact by another key"},
		},
		"two rows that reach one new item by other keys are invalid": {
			rows: "cpf,name,email\n601,Novo A,novo@example.org\n602,Novo B,b@example.org\n,Novo A,NOVO@example.org\n",
			job:  fmt.Sprintf(byTwo, ""),
			want: engine.Counts{Create: 1, Invalid: 2},
			says: []string{"rows.csv:2 reaches the same contact by another key", "rows.csv:4 reaches the same contact by another key"},
		},
		"of two rows that reach one new item by other keys the first may win": {
			rows: "cpf,name,email\n601,Novo A,novo@example.org\n,Novo B,novo@example.org\n",
			job:  fmt.Sprintf(byTwo, "duplicates: first"),
			want: engine.Counts{Create: 1, Unchanged: 1},
		},
		"a row reaches the item that another one gives its value": {
			rows: "cpf,name,email\n10000000108,August,novo@example.org\n,August,novo@example.org\n",
			job:  fmt.Sprintf(byTwo, ""),
			want: engine.Counts{Invalid: 2},
			says: []string{"rows.csv:3 reaches the same contact by another key"},
		},
		"a row finds the item that another stream gives its value": {
			rows: "cpf,name,email\n10000000108,August,novo@example.org\n",
			job: fmt.Sprintf(byTwo, "") + `
  - read: rows.csv
  - find: contact
    id: again
    by: {email: "${{ row.email }}", name: August}
  - update: again
    set: {post: "Desk of ${{ again.name }}"}
`,
			want: engine.Counts{Update: 2, Unchanged: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if got := w.named("contact", "UF_CRM_1737980095947", "10000000108"); len(got) != 1 || got[0]["post"] != "Desk of August" {
					t.Errorf("contact is %v, want the post of the later stream", got)
				}
			},
		},
		"of two rows that reach one item by other keys the first may win": {
			rows: "cpf,name,email\n10000000108,First,\n,Second,contact1@example.org\n",
			job: `
  - read: rows.csv
  - import: contact
    match: [[CPF], [email]]
    duplicates: first
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", email: "${{ row.email }}"}
`,
			want: engine.Counts{Update: 1, Unchanged: 1},
			holds: func(t *testing.T, w *world) {
				t.Helper()
				if len(w.named("contact", "name", "First")) != 1 || len(w.named("contact", "name", "Second")) != 0 {
					t.Error("it is not the first that won")
				}
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sandbox.Options{})
			w.rows(tt.rows)
			h, changes := w.plan(w.job(tt.job))
			if diff := cmp.Diff(tt.want, h.Summary); diff != "" {
				t.Errorf("summary (-want +got):\n%s%s", diff, show(changes))
			}
			for _, part := range tt.says {
				said := slices.ContainsFunc(changes, func(c *engine.Change) bool { return strings.Contains(c.Reason, part) })
				if !said {
					t.Errorf("no reason says %q:\n%s", part, show(changes))
				}
			}
			w.apply(h)
			if tt.holds != nil {
				tt.holds(t, w)
			}
			h, changes = w.plan(w.job(tt.job))
			if n := h.Summary.Writes(); n != 0 {
				t.Errorf("after applying it, %d changes are planned again:\n%s", n, show(changes))
			}
		})
	}
}

// What is wrong with where an item is to be made is told, as all else is.
func TestPlan_placesThatAreNone(t *testing.T) {
	t.Parallel()
	for job, want := range map[string]string{
		"  - import: contact\n    match: CPF\n    stage: New\n    fields: {CPF: \"1\"}\n":          "job.yaml:8:12: step contact: contact has no categories or stages",
		"  - create: company\n    stage: ${{ row.name }}\n    fields: {title: x}\n":                "job.yaml:7:12: step company: company has no categories or stages",
		"  - create: contact\n    category: Clients\n    stage: New\n    fields: {name: x}\n":      "job.yaml:7:15: step contact: contact has no categories",
		"  - create: Onboarding\n    category: Clients\n    stage: Gone\n    fields: {title: x}\n": `job.yaml:8:12: step onboarding: there is no stage of category "Clients" "Gone"`,
	} {
		w := newWorld(t, sandbox.Options{})
		w.rows("name\nA\n")
		_, _, err := w.try(w.job("  - read: rows.csv\n    key: name\n" + job))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("planning\n%s\ngives %v, want %s", job, err, want)
		}
	}
}

// Which rows are duplicates must be known before any of them is planned.
func TestPlan_duplicatesThatDependOnItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("name\nA\n")
	_, _, err := w.try(w.job(`
  - read: rows.csv
  - find: company
    id: firm
    by: {title: "${{ row.name }}"}
  - import: contact
    match: name
    duplicates: merge
    when: firm.title != ""
    fields: {name: "${{ row.name }}", post: "${{ firm.title }}"}
`))
	for _, want := range []string{
		"job.yaml:13:46: step contact: duplicates: merge: field post depends on firm; ",
		"job.yaml:12:11: step contact: duplicates: merge: when depends on firm; ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("planning gives %v, want %s", err, want)
		}
	}
}

// A query is put twice where all rows must be known ahead, and may give others
// then: a row that was not there stands for itself.
func TestPlan_rowsThatComeMeanwhile(t *testing.T) {
	t.Parallel()
	for _, duplicates := range []string{"last", "merge"} {
		w := newWorld(t, sandbox.Options{})
		w.rows("") // an empty database
		h, changes := w.plan(w.job(`
  - read: {sql: "select 'Novo ' || abs(random()) as name", dsn: "sqlite:rows.csv"}
  - import: contact
    match: name
    duplicates: ` + duplicates + `
    fields: {name: "${{ row.name }}"}
`))
		if want := (engine.Counts{Create: 1}); h.Summary != want || !strings.HasPrefix(fmt.Sprint(changes[0].Fields["name"].After), "Novo") {
			t.Errorf("%s: %+v\n%s", duplicates, h.Summary, show(changes))
		}
	}
}

// By what the portal can't look for, a job is refused before anything is read.
func TestPlan_fieldsThatNothingIsFoundBy(t *testing.T) {
	t.Parallel()
	const values = `fields: {phone: "${{ row.a }}", email: "${{ row.a }}", web: "${{ row.a }}", observers: [1], photo: '${{ file(row.a) }}'}`
	for step, want := range map[string]string{
		"import: contact\n    match: [phone, email]\n    " + values:                   "job.yaml:6:20: step contact: no item can be found by phone and email together",
		"import: contact\n    match: [[phone], [email, email]]\n    " + values:        "job.yaml:6:30: step contact: field email is there twice",
		"import: contact\n    match: web\n    " + values:                              "job.yaml:6:12: step contact: no item can be found by field web",
		"import: contact\n    match: photo\n    " + values:                            "job.yaml:6:12: step contact: no item can be found by field photo: it holds files",
		"import: contact\n    match: observers\n    " + values:                        "job.yaml:6:12: step contact: no item can be found by field observers: it holds several values",
		"find: contact\n    by: {phone: \"${{ row.a }}\", email: \"${{ row.a }}\"}\n": "job.yaml:6:33: step contact: no item can be found by phone and email together",
		"find: contact\n    by: {web: \"${{ row.a }}\"}\n":                            "job.yaml:6:10: step contact: no item can be found by field web",
		"find: Onboarding\n    by: {Contract: \"${{ row.a }}\"}\n":                    "job.yaml:6:10: step onboarding: no item can be found by field ufCrm41_1737980500011: it holds files",
		"find: Onboarding\n    by: {Tags: \"${{ row.a }}\"}\n":                        "job.yaml:6:10: step onboarding: no item can be found by field ufCrm41_1737980500008: it holds several values",
	} {
		w := newWorld(t, sandbox.Options{})
		w.rows("a\nx\n")
		_, _, err := w.try(w.job("  - read: rows.csv\n  - " + step))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("planning\n%s\ngives %v, want %s", step, err, want)
		}
	}
}

// An item is not missing from the source because the step that its row is for
// could not be done.
func TestPlan_missingOfSkippedRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	job := w.job(`
  - read: rows.csv
  - find: company
    id: firm
    by: {id: "${{ row.firm }}"}
    required: false
  - import: contact
    match: CPF
    missing: delete
    missing_where: {post: Novo}
    missing_most: 100%
    fields: {CPF: "${{ row.cpf }}", post: Novo, companyId: "${{ firm.id }}"}
`)
	w.rows("cpf,firm\n901,1\n902,1\n")
	w.run(job)
	w.rows("cpf,firm\n901,1\n902,99999\n")
	h, changes := w.plan(job)
	if want := (engine.Counts{Unchanged: 2, Skip: 2}); h.Summary != want {
		t.Errorf("plan: %+v, want %+v\n%s", h.Summary, want, show(changes))
	}
	if !slices.ContainsFunc(h.Warnings, func(s string) bool { return strings.Contains(s, "rows that can't be used (1) may be about it") }) {
		t.Errorf("warnings %q don't say why nothing is missing", h.Warnings)
	}
	w.rows("cpf,firm\n901,1\n")
	if h, changes = w.plan(job); h.Summary.Delete != 1 {
		t.Errorf("plan without the row: %+v\n%s", h.Summary, show(changes))
	}
}

// What a job deletes, it does not change or link to further down.
func TestPlan_matchesWhatIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("cpf,name\n10000000108,August\n10000000108,August\n")
	job := w.job(`
  - select: contact
    id: old
    where: {CPF: "10000000108"}
  - delete: old
  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }} II"}
  - create: deal
    fields: {title: "Deal of ${{ row.name }}", contactId: "${{ client.id }}"}
  - read: rows.csv
  - find: contact
    id: found
    by: {CPF: "${{ row.cpf }}"}
  - update: found
    set: {post: Boss}
`)
	h, changes := w.plan(job)
	if want := (engine.Counts{Delete: 1, Unchanged: 2, Skip: 6}); h.Summary != want || !strings.Contains(show(changes), "contact 1 matches and is deleted for contact:1; the next run makes a new one") {
		t.Errorf("plan: %+v, want %+v\n%s", h.Summary, want, show(changes))
	}
	if result := w.apply(h); result.Status != engine.StatusSucceeded {
		t.Errorf("run: %+v", result)
	}
	if h, changes = w.plan(job); h.Summary.Create != 2 {
		t.Errorf("next plan: %+v, want a contact and a deal\n%s", h.Summary, show(changes))
	}
}

// A job may be planned again: where the portal's lists don't show yet what was just
// made, it is.
func TestPlan_sameJobAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("name,price\nA,10\n")
	job := w.job(`
  - read: rows.csv
  - find: deal
    by: {id: 1}
  - products: deal
    rows: [{name: "${{ row.name }}", price: "${{ row.price }}"}]
`)
	first, _ := w.plan(job)
	again, changes := w.plan(job)
	if diff := cmp.Diff(first.Summary, again.Summary); diff != "" || first.Content != again.Content {
		t.Errorf("the second plan of one job is another (-first +again):\n%s%s", diff, show(changes))
	}
}

// show prints changes for a failed test.
func show(changes []*engine.Change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%d %s %s %s:%d %s %v %s\n", c.Seq, c.Step, c.Kind, c.Entity, c.ID, c.Ref, c.Fields, c.Reason)
	}
	return b.String()
}

// Rows that share their match values are told apart by their content, whatever
// their order.
func TestSharedKeysDoNotDependOnOrder(t *testing.T) {
	t.Parallel()
	const job = `
  - read: rows.csv
  - import: company
    match: title
    fields: {title: "${{ row.company }}"}
  - create: Onboarding
    fields: {title: "${{ row.card }}", companyId: "${{ company.id }}"}
`
	w := newWorld(t, sandbox.Options{})
	w.rows("company,card\nNovo SA,one\nNovo SA,two\nOutra SA,three\n")
	h, _ := w.plan(w.job(job))
	if want := (engine.Counts{Create: 5, Unchanged: 1}); h.Summary != want {
		t.Fatalf("first plan: %+v, want %+v", h.Summary, want)
	}
	if !slices.ContainsFunc(h.Warnings, func(s string) bool { return strings.Contains(s, "key:") }) {
		t.Errorf("warnings %q don't name key:", h.Warnings)
	}
	w.apply(h)
	w.rows("company,card\nOutra SA,three\nNovo SA,two\nNovo SA,one\n")
	h, changes := w.plan(w.job(job))
	if h.Summary.Writes() != 0 {
		t.Errorf("rows in another order:\n%s", show(changes))
	}
}

// A row is the same row in whatever case its key is written: its match finds the
// item, and so does its key.
func TestKeysInAnotherCase(t *testing.T) {
	t.Parallel()
	const job = `
  - read: rows.csv
  - import: contact
    match: [[phone], [email]]
    fields: {name: "${{ row.name }}", email: "${{ row.email }}", phone: "${{ row.phone }}"}
  - create: Onboarding
    fields: {title: "${{ row.name }}", contactId: "${{ contact.id }}"}
`
	w := newWorld(t, sandbox.Options{})
	w.rows("name,email,phone\nAna,Ana@Example.org,\nEva,,+55 11 90000-0001\n")
	w.run(w.job(job))
	w.rows("name,email,phone\nAna,ana@example.org,\nEva,,5511900000001\n")
	h, changes := w.plan(w.job(job))
	if want := (engine.Counts{Unchanged: 4}); h.Summary != want {
		t.Errorf("second plan: %+v, want %+v\n%s", h.Summary, want, show(changes))
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows(rows)
	job := w.job("version: 1\nname: guarded\nguard: [plan.create < 5, plan.rows == 3]\nsteps:" + onboarding)
	_, _, err := w.try(job)
	broken, ok := errors.AsType[*engine.GuardError](err)
	if !ok || len(broken.Broken) != 1 || !strings.Contains(err.Error(), "plan.create is 6") {
		t.Fatalf("planning gives %v, want one broken guard that tells the count", err)
	}
}

// An item whose match values a person changed is not made a second time.
func TestMatchValueChangedOnThePortal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.rows("cpf,name\n901,Novo A\n902,Novo B\n")
	job := w.job("  - read: rows.csv\n  - import: contact\n    match: CPF\n    fields: {CPF: \"${{ row.cpf }}\", name: \"${{ row.name }}\"}\n")
	w.run(job)
	contact := w.named("contact", "name", "Novo A")[0]
	w.edit("crm.item.update", map[string]any{"entityTypeId": 3, "id": contact["id"], "fields": map[string]any{"ufCrm_1737980095947": "999"}})
	h, changes := w.plan(job)
	if want := (engine.Counts{Unchanged: 1, Conflict: 1}); h.Summary != want {
		t.Errorf("plan: %+v, want %+v\n%s", h.Summary, want, show(changes))
	}
}
