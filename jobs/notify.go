package jobs

import (
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// mostNotices bounds what the end of a run sets off, all of it at the same time.
const mostNotices = 50

// notify reads who is told how runs end. Its values are known at once: they may use the environment and parameters, and
// nothing else.
func (d *decoder) notify(n *node) {
	if n == nil || n.faulty {
		return
	}
	if n.shape != list {
		d.fault(n.pos, "begin with `- on: [failure]`", "notify is a list of who is told of what, not %s", n.shape)
		return
	}
	if len(n.items) > mostNotices {
		d.fault(n.pos, "have one receiver pass it on", "notify has %d entries, more than %d", len(n.items), mostNotices)
		return
	}
	for _, item := range n.items {
		if notice := d.notice(item); notice != nil {
			d.job.Notify = append(d.job.Notify, notice)
		}
	}
}

// notice reads one entry: of what, and how.
func (d *decoder) notice(n *node) *engine.Notice {
	ways := []string{"webhook", "email", "person"}
	if n.shape != mapping && !n.faulty { // what it is may be a secret
		d.fault(n.pos, "write `- on: [failure]` and webhook, email or person below it", "an entry of notify is a mapping of keys, not %s", n.shape)
		return nil
	}
	parts, ok := d.entries(n, "an entry of notify", append([]string{"on"}, ways...))
	if !ok {
		return nil
	}
	notice := &engine.Notice{Pos: n.pos, On: d.ends(n, parts["on"])}
	ways = slices.DeleteFunc(ways, func(way string) bool { return parts[way] == nil })
	if len(ways) != 1 {
		d.fault(n.pos, "write one of webhook, email and person; make two entries of two", "an entry of notify tells in one way, this has %d", len(ways))
		return notice
	}
	switch at := parts[ways[0]]; ways[0] {
	case "webhook":
		notice.Webhook = d.webhook(at)
	case "email":
		notice.Email = d.email(at)
	case "person":
		notice.Person, notice.Pos = d.early(at, "person").text, at.pos
	}
	return notice
}

// ends reads of which ends of a run somebody is told.
func (d *decoder) ends(entry, n *node) []engine.End {
	known := make([]string, 0, len(engine.Ends()))
	for _, end := range engine.Ends() {
		known = append(known, string(end))
	}
	remedy := "it is a list of " + strings.Join(known, ", ")
	var ends []engine.End
	words := d.words(n, "on")
	for _, w := range words {
		if !slices.Contains(known, w.Text) {
			d.fault(w.Pos, remedy, "on cannot be %q", w.Text)
		}
		ends = append(ends, engine.End(w.Text))
	}
	switch {
	case n == nil:
		d.fault(entry.pos, "add on:, "+remedy, "the entry of notify has no on")
	case n.shape == list && len(n.items) == 0:
		d.fault(n.pos, remedy, "on is empty")
	}
	return ends
}

// early is a text that is worked out while the job is read.
type early struct {
	text   string
	hidden bool // the environment has a part of it
}

// early works a text out. It is blank where there is none, or where something is wrong with it.
func (d *decoder) early(n *node, key string) early {
	if n.shape != scalar || n.null || n.faulty {
		d.word(n, key) // says so
		return early{}
	}
	value := &engine.Value{Pos: n.pos, Text: n.text}
	before := len(d.problems)
	d.compile(placed{value, n}, d.scope(), "")
	if len(d.problems) > before {
		return early{}
	}
	found, err := value.Eval(expression.Env{"params": d.job.Params, "env": d.job.Env, "now": time.Now()})
	text, ok := found.(string)
	if found == nil {
		text, ok = "", true // a parameter without a value, which is said elsewhere
	}
	if err != nil || !ok {
		// What the expression says may quote a secret.
		d.fault(n.pos, "write text, or a variable: ${{ env.NAME }}", "%s is not a text", key)
	}
	hidden := slices.ContainsFunc(value.Uses(), func(u expression.Use) bool { return u.Name == "env" })
	if text = strings.TrimSpace(text); text == "" && !hidden && ok {
		d.fault(n.pos, "leave the line out, or write a value", "%s is empty", key)
	}
	return early{text, hidden}
}

// webhook reads where a message is posted to. Whoever knows such a URL can post there, so it has no place in the file.
func (d *decoder) webhook(n *node) *url.URL {
	e := d.early(n, "webhook")
	if e.text == "" {
		return nil
	}
	u, err := url.Parse(e.text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		d.fault(n.pos, "it is the URL of a receiver: https://host/path", "webhook is not a URL") // which may be a secret
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		d.fault(n.pos, "use https", "webhook is sent unencrypted, which is for this machine only")
	case !e.hidden && !isLoopback(u.Hostname()):
		d.fault(n.pos, hideIt, "webhook is a secret, and job files are shared")
	default:
		return u
	}
	return nil
}

// hideIt is what to do about a secret in a job file.
const hideIt = "put it into a variable, list that under env:, and write ${{ env.NAME }}"

// email reads who gets a mail, from whom, and which server takes it.
func (d *decoder) email(n *node) *engine.Email {
	parts, ok := d.entries(n, "email", []string{"to", "from", "server"})
	if !ok {
		return nil
	}
	for _, key := range []string{"to", "from", "server"} {
		if parts[key] == nil {
			d.fault(n.pos, "add "+key+":", "email has no %s", key)
			ok = false
		}
	}
	if !ok {
		return nil
	}
	m := &engine.Email{Server: d.mailServer(parts["server"]), From: d.mailbox(parts["from"], "from")}
	to := []*node{parts["to"]}
	if parts["to"].shape == list {
		to = parts["to"].items
	}
	for _, item := range to {
		if address := d.mailbox(item, "to"); address != "" {
			m.To = append(m.To, address)
		}
	}
	if len(to) == 0 {
		d.fault(parts["to"].pos, "write an address", "to is empty")
	}
	if m.Server == nil || m.From == "" || len(m.To) == 0 { // a blank variable, or a fault
		return nil
	}
	return m
}

// mailbox reads an e-mail address.
func (d *decoder) mailbox(n *node, key string) string {
	e := d.early(n, key)
	if e.text == "" {
		return ""
	}
	address, err := mail.ParseAddress(e.text)
	if err != nil || address.Name != "" || strings.ContainsAny(e.text, "\r\n") {
		d.fault(n.pos, "write it like ops@example.com", "%s is not an e-mail address", key)
		return ""
	}
	return address.Address
}

// mailServer reads the address of a mail server, with its password, if it takes one.
func (d *decoder) mailServer(n *node) *url.URL {
	e := d.early(n, "server")
	if e.text == "" {
		return nil
	}
	u, err := url.Parse(e.text)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
		d.fault(n.pos, "it is smtp://user:password@host:587, or smtps://, with %-codes for special characters of the password", "server is not the address of a mail server")
		return nil
	}
	if _, given := u.User.Password(); u.User != nil && !given {
		d.fault(n.pos, "it is smtp://user:password@host:587", "server has a user, but no password")
		return nil
	}
	if u.User != nil && !e.hidden {
		d.fault(n.pos, hideIt, "server has a password in it, and job files are shared")
		return nil
	}
	return u
}

// isLoopback says whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// masked is a line without the secrets that notify may have: messages show lines.
func masked(line string) string {
	return regexp.MustCompile(`((?:webhook|server)["']?\s*:\s*["']?\s*[A-Za-z]+:/*)[^\s"']+`).ReplaceAllString(line, "${1}***")
}
