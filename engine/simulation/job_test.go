package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine/portal"
)

// onboarding is a job and its rows, and what the portal is to hold when it is
// done: contacts by key, cards of them, changed and moved on conditions.
type onboarding struct {
	job     string
	clients []client
	cards   []card
	deals   bool // a stream of all deals stands first
	posts   bool // clients with a gold card are given a post
	depth   depth
	leads   leads
}

// leads are what a job does with some leads that are there before it.
type leads int

const (
	leadsAlone  leads = iota // nothing
	leadsMerged              // the two of each title become one
	leadsDeleted
	leadsTold // each is given a comment
)

// someLeads is how many titles the leads have.
const someLeads = 2

func drawLeads(random *rand.Rand) leads {
	if !chance(random, 0.3) {
		return leadsAlone
	}
	return pick(random, leadsMerged, leadsDeleted, leadsTold)
}

// steps are what the job does with the leads.
func (l leads) steps() string {
	begin := "  - select: lead\n    where: {post: Simulated}\n"
	switch l {
	case leadsMerged:
		return begin + "  - merge: lead\n    by: title\n    keep: oldest\n"
	case leadsDeleted:
		return begin + "  - delete: lead\n"
	case leadsTold:
		return begin + "  - comment: lead\n    text: \"${{ lead.title }} is told\"\n"
	default:
		return ""
	}
}

// before is what brings the leads to the portal.
func (l leads) before() []portal.Command {
	if l == leadsAlone {
		return nil
	}
	var commands []portal.Command
	for n := range 2 * someLeads {
		commands = append(commands, portal.Command{Method: "crm.item.add", Params: map[string]any{
			"entityTypeId": 1, "fields": map[string]any{"title": fmt.Sprintf("Lead %d", n%someLeads), "post": "Simulated"},
		}})
	}
	return commands
}

// want is what the portal is to hold of the leads in the end, a line an item.
func (l leads) want() []string {
	var lines []string
	for n := range 2 * someLeads {
		title := fmt.Sprintf("Lead %d", n%someLeads)
		switch {
		case l == leadsMerged && n < someLeads:
			lines = append(lines, fmt.Sprintf("lead %q", title))
		case l == leadsTold:
			lines = append(lines, fmt.Sprintf("lead %q", title), fmt.Sprintf("comment %q", title+" is told"))
		}
	}
	return lines
}

// depth is how far a job goes with its rows.
type depth int

const (
	clientsAlone depth = iota // contacts are made or changed
	cardsMade                 // and cards are made of them
	cardsMoved                // and changed and moved
)

// client is a contact. Some are on the portal before the job, under another
// name.
type client struct {
	cpf, name, phone string
	there            bool
}

// card is a row.
type card struct {
	title      string
	client     int
	gold, paid bool
}

const dealSteps = `  - select: deal
  - update: deal
    set: {title: "Deal ${{ deal.id }}, seen"}
  - move: deal
    to: In progress
`

const clientSteps = `  - read: rows.csv
  - import: contact
    id: client
    match: CPF
    automation: %s
    fields: {CPF: "${{ row.cpf }}", name: "${{ row.name }}", phone: "${{ row.phone }}"}
`

const madeSteps = `  - create: Onboarding
    id: card
    category: Clients
    stage: New
    automation: %s
    fields: {title: "${{ row.title }}", contactId: "${{ client.id }}"}
`

const movedSteps = `  - update: card
    when: row.gold == "yes"
    set: {Priority: High, Notes: "Card of ${{ row.name }}"}
  - move: card
    when: row.paid == "yes"
    to: In progress
`

const postStep = `  - update: client
    when: row.gold == "yes"
    set: {post: Golden}
`

// drawOnboarding draws a job of some rows. share is the portion of rows that
// bring a further card of a client before them, there that of clients who are on
// the portal already.
func drawOnboarding(random *rand.Rand, rows int, share, there float64) *onboarding {
	o := &onboarding{depth: cardsMoved}
	for i := range rows {
		c := card{title: fmt.Sprintf("Card %d", i), gold: i%3 == 0, paid: i%2 == 0}
		if len(o.clients) > 0 && random.Float64() < share {
			c.client = random.IntN(len(o.clients))
		} else {
			c.client = len(o.clients)
			made := client{cpf: strconv.Itoa(7_000_000 + i), name: fmt.Sprintf("Cliente %d", i), there: random.Float64() < there}
			if random.Float64() < 0.8 {
				made.phone = fmt.Sprintf("+55119%08d", i)
			}
			o.clients = append(o.clients, made)
		}
		o.cards = append(o.cards, c)
	}
	return o
}

// write makes the job's text.
func (o *onboarding) write(clientAutomation, cardAutomation string) {
	if o.deals {
		o.job = dealSteps
	}
	o.job += o.leads.steps()
	o.job += fmt.Sprintf(clientSteps, clientAutomation)
	if o.depth >= cardsMade {
		o.job += fmt.Sprintf(madeSteps, cardAutomation)
	}
	if o.depth >= cardsMoved {
		o.job += movedSteps
	}
	if o.posts {
		o.job += postStep
	}
}

// rows are the file that the job reads.
func (o *onboarding) rows() string {
	var b strings.Builder
	b.WriteString("cpf,name,phone,title,gold,paid\n")
	for _, c := range o.cards {
		of := o.clients[c.client]
		fmt.Fprintf(&b, "%s,%s,%s,%s,%s,%s\n", of.cpf, of.name, of.phone, c.title, yes(c.gold), yes(c.paid))
	}
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// before is what brings the clients and leads to the portal that are to be there.
func (o *onboarding) before() []portal.Command {
	commands := o.leads.before()
	for _, c := range o.clients {
		if c.there {
			commands = append(commands, portal.Command{Method: "crm.item.add", Params: map[string]any{
				"entityTypeId": 3, "fields": map[string]any{"name": "Old name", "ufCrm_1737980095947": c.cpf},
			}})
		}
	}
	return commands
}

// want is what the portal is to hold in the end, a line an item.
func (o *onboarding) want() []string {
	var lines []string
	golden := map[int]bool{}
	for _, c := range o.cards {
		stage, priority, notes := "NEW", 0, ""
		if c.paid && o.depth >= cardsMoved {
			stage = "PREPARATION"
		}
		if c.gold {
			golden[c.client] = o.posts
		}
		if c.gold && o.depth >= cardsMoved {
			priority, notes = 86, "Card of "+o.clients[c.client].name
		}
		if o.depth < cardsMade {
			continue
		}
		lines = append(lines, fmt.Sprintf("card %q of %s in DT128_42:%s, priority %d, notes %q", c.title, o.clients[c.client].cpf, stage, priority, notes))
	}
	for i, c := range o.clients {
		post := ""
		if golden[i] {
			post = "Golden"
		}
		lines = append(lines, fmt.Sprintf("contact %s %q, phone %q, post %q", c.cpf, c.name, c.phone, post))
	}
	if o.deals {
		for id := range 5 {
			lines = append(lines, fmt.Sprintf(`deal "Deal %d, seen" in EXECUTING`, id+1))
		}
	}
	lines = append(lines, o.leads.want()...)
	slices.Sort(lines)
	return lines
}

// got is what the portal holds of what the job is about, as [onboarding.want]
// has it.
func (w *world) got(deals bool) []string {
	w.t.Helper()
	items := w.items()
	var lines []string
	cpfs := map[int64]string{}
	for _, c := range items["contact"] {
		cpfs[c.ID] = c.CPF
		if !strings.HasPrefix(c.CPF, "7") {
			continue // of the seed
		}
		phones := make([]string, len(c.Rows))
		for i, row := range c.Rows {
			phones[i] = row.Value
		}
		lines = append(lines, fmt.Sprintf("contact %s %q, phone %q, post %q", c.CPF, c.Name, strings.Join(phones, " "), c.Post))
	}
	for _, c := range items["dynamic_128"] {
		if strings.HasPrefix(c.Title, "Card ") {
			lines = append(lines, fmt.Sprintf("card %q of %s in %s, priority %d, notes %q", c.Title, cpfs[c.Contact], c.Stage, c.Priority, c.Notes))
		}
	}
	for _, l := range items["lead"] {
		if l.Post == "Simulated" {
			lines = append(lines, fmt.Sprintf("lead %q", l.Title))
		}
	}
	for _, c := range items["comment"] {
		lines = append(lines, fmt.Sprintf("comment %q", c.Comment))
	}
	if deals {
		for _, d := range items["deal"] {
			lines = append(lines, fmt.Sprintf("deal %q in %s", d.Title, d.Stage))
		}
	}
	slices.Sort(lines)
	return lines
}

// amiss are the lines of two sorted lists that only one of them has.
func amiss(want, got []string) []string {
	var lines []string
	for len(want)+len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			lines, want = append(lines, "- "+want[0]), want[1:]
		case len(want) == 0 || got[0] < want[0]:
			lines, got = append(lines, "+ "+got[0]), got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	return lines
}
