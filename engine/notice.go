package engine

import (
	"net/url"
	"slices"
)

// Notice is an entry of a job's notify: who is told of which ends of its runs.
// Of Webhook, Email and Person one is set; none, where its variable is blank.
type Notice struct {
	Pos     Pos
	On      []End
	Webhook *url.URL // as secret as a password
	Email   *Email
	Person  string // of the portal: an id, an e-mail address or a name
}

// Email is how a notice is sent by mail.
type Email struct {
	To     []string
	From   string
	Server *url.URL // smtp or smtps, perhaps with a user and a password
}

// End is how a run ended, as notices see it.
type End string

// The ends of which somebody can be told.
const (
	EndSuccess End = "success"
	EndPartial End = "partial" // finished, but some rows failed or conflicted
	EndFailure End = "failure" // could not be finished, or not even begun
	EndPlan    End = "plan"    // a scheduled job of mode plan would change something
)

// Ends are all of them.
func Ends() []End { return []End{EndSuccess, EndPartial, EndFailure, EndPlan} }

// Noticed are the notices for an end.
func (j *Job) Noticed(end End) []*Notice {
	var notices []*Notice
	for _, n := range j.Notify {
		if slices.Contains(n.On, end) {
			notices = append(notices, n)
		}
	}
	return notices
}

// checkNotices reports the people to be told whom the portal doesn't have.
func checkNotices(job *Job, catalog *Catalog) (problems Problems) {
	for _, n := range job.Notify {
		if n.Person == "" {
			continue
		}
		if _, err := catalog.User(n.Person); err != nil {
			problems = append(problems, Problem{File: job.File, Pos: n.Pos, Msg: "notify: " + err.Error()})
		}
	}
	return problems
}
