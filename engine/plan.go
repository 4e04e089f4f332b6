package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"iter"
	"time"
)

// PlanFormat is the version of saved plans and of the JSON that describes them.
const PlanFormat = 1

// Header is what a plan says of itself, apart from its changes. It holds no
// secret.
type Header struct {
	Format    int                `json:"format"`
	ID        string             `json:"plan"`
	Job       string             `json:"job"`
	JobFile   string             `json:"job_file"`
	JobHash   string             `json:"job_hash"`
	Includes  []FileInfo         `json:"includes,omitempty"` // files that the job includes
	Params    map[string]string  `json:"params,omitempty"`
	Portal    PortalInfo         `json:"portal"`
	PortalRef string             `json:"portal_ref,omitempty"` // the portal's name in the job or on the command line; never a URL
	LastRun   time.Time          `json:"last_run,omitzero"`    // last_run in expressions; zero: null
	Read      []PortalInfo       `json:"read,omitempty"`       // other portals that the plan's records come from
	Created   time.Time          `json:"created"`
	Expires   time.Time          `json:"expires"`
	Files     []FileInfo         `json:"files,omitempty"`
	Needs     Needs              `json:"needs"`
	Catalog   string             `json:"catalog"`         // the catalog's fingerprint
	Parts     []Part             `json:"parts,omitempty"` // and what it consists of; plans of old have none
	Rows      int                `json:"rows"`
	Cleared   int                `json:"cleared,omitempty"` // fields that become empty
	Fused     int                `json:"fused,omitempty"`   // changes that go with another one of their item
	Summary   Counts             `json:"summary"`
	Steps     []StepSummary      `json:"steps"`
	Estimate  Estimate           `json:"estimate"`
	Imports   int                `json:"imports,omitempty"` // of the creates, those without automation
	Searches  []Search           `json:"searches,omitempty"`
	OnError   OnError            `json:"on_error"`
	StepError map[string]OnError `json:"step_on_error,omitempty"`
	Warnings  []string           `json:"warnings,omitempty"`
	Undoes    string             `json:"undoes,omitempty"`  // the run that this plan takes back
	Retries   string             `json:"retries,omitempty"` // the run whose failures this plan tries again
	// Lasting is what of the run that this plan takes back no plan can.
	Lasting []string `json:"lasting,omitempty"`
	// Content is a digest over the changes without times and ids of plans:
	// equal inputs have equal content.
	Content string `json:"content"`
}

// lastRunAs is last_run as expressions see it. Portals note the time of a change in
// whole seconds: those of the second in which that plan was made come again,
// also where a condition says > and not >=.
func lastRunAs(planned time.Time, zone *time.Location) any {
	if planned.IsZero() {
		return nil
	}
	return planned.In(zone).Truncate(time.Second).Add(-time.Second)
}

// FileInfo fixes an input file of a plan.
type FileInfo struct {
	Path string `json:"path"`
	// Name is what the sources of the file's rows begin with.
	Name   string `json:"name,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Database is what a query was put to, host and name, and SHA256 is then the
	// query's: Path is what its rows are said to come from.
	Database string `json:"database,omitempty"`
	// Columns, Delimiter and Encoding are what the file was read with, so that
	// its failed rows can be written as it was.
	Columns   []string `json:"columns,omitempty"`
	Delimiter string   `json:"delimiter,omitempty"`
	Encoding  string   `json:"encoding,omitempty"`
	// Filing says where the file is moved to in the end; nil: it stays.
	Filing *Filing `json:"filing,omitempty"`
}

// StepSummary counts what a step does.
type StepSummary struct {
	ID     string `json:"id"`
	Verb   string `json:"verb"`
	Entity string `json:"entity"`
	Counts
}

// Estimate is what applying a plan will take, from the governor's model.
type Estimate struct {
	Requests  int     `json:"requests"`
	Seconds   float64 `json:"seconds"`
	LimitedBy string  `json:"limited_by"` // none, bucket or execution_time
	Limit     string  `json:"limit,omitempty"`
	// Reads are the requests among them that come before the first write: to plan
	// again, or to look at the portal again.
	Reads int `json:"reads,omitempty"`
}

// Hash is a key of a draft's index.
type Hash [16]byte

// HashOf digests values into an index key. The values must be expressible in
// JSON.
func HashOf(values ...any) Hash {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // canonical values are all expressible
	}
	sum := sha256.Sum256(text)
	return Hash(sum[:16])
}

// ItemKey names an item inside a plan: by its id, or by the ref of the change
// that makes it.
type ItemKey struct {
	TypeID int
	ID     int64
	Ref    string
}

// Draft is a plan in the making, on disk: neither its changes nor its index
// live in memory.
type Draft interface {
	// Append adds changes and numbers them on from the last.
	Append(ctx context.Context, changes []*Change) error
	// Put sets entries of the draft's index, a map on disk.
	Put(ctx context.Context, entries map[Hash][]byte) error
	// Get returns the entries that there are.
	Get(ctx context.Context, keys []Hash) (map[Hash][]byte, error)
	// ByItem returns the changes that write to these items, in order.
	ByItem(ctx context.Context, items []ItemKey) ([]*Change, error)
	// Rewrite calls revise with each change in order and stores those for
	// which it returns true. It may change kind, fields, reason and needs.
	Rewrite(ctx context.Context, revise func(*Change) bool) error
	// Repeats returns when the newest of the creates was sent that the draft
	// repeats: what runs on the portal with this id have made since a time, of
	// the same external keys, and not deleted. It is zero if there are none.
	Repeats(ctx context.Context, portal string, since time.Time) (time.Time, error)
	// Seal completes the plan: after it, changes no more.
	Seal(ctx context.Context, h *Header) error
	// Discard forgets the draft.
	Discard(ctx context.Context) error

	Changes
}

// History is what earlier runs have done.
type History interface {
	// LastRun returns when the last run of a job that succeeded on the portal
	// with this id was planned, zero if none did.
	LastRun(ctx context.Context, job, portal string) (time.Time, error)
	// Called says whether a run on the portal with this id has made the call of a
	// key, and none has taken it back since; with lost also whether one may have,
	// whose answer was lost or never came.
	Called(ctx context.Context, portal, key string, lost bool) (bool, error)
	// Files are the files that runs on the portal with this id have put into a
	// field of an item: those of which the portal's answer told no id without one.
	Files(ctx context.Context, portal string, typeID int, item int64, field string) ([]File, error)
}

// Changes reads the changes of a plan or run.
type Changes interface {
	// Changes yields the changes that the filter lets through, in order.
	Changes(ctx context.Context, f Filter) iter.Seq2[*Change, error]
}

// Filter chooses changes. Its zero value is all of them.
type Filter struct {
	Kinds  []Kind
	States []State
	Step   string
	After  int64 // only those with a higher Seq
	Before int64 // only those with a lower Seq; 0: no limit
	Limit  int   // 0: no limit
	// Reverse yields the last one first.
	Reverse bool
}

// Log is the journal of one run. Each method is durable when it returns: what
// it says is on disk, whatever happens next.
type Log interface {
	Changes
	// Sent records that the changes are about to leave, at that time: it sets
	// their State, Attempt and SentAt. It must return before the first byte
	// leaves.
	Sent(ctx context.Context, changes []*Change, at time.Time) error
	// Settle records what became of changes: their State, ID, Error, Warnings
	// and After fields.
	Settle(ctx context.Context, changes []*Change) error
	// Made returns what became of the items that these refs name, which changes
	// of the run make or delete.
	Made(ctx context.Context, refs []string) (map[string]Made, error)
	// Repeats returns when the newest item was sent, since then, that another run
	// on the portal made with the external key of a create that is left; zero if
	// none was.
	Repeats(ctx context.Context, since time.Time) (time.Time, error)
	// Called is [History]'s, of the runs on the portal.
	Called(ctx context.Context, key string, lost bool) (bool, error)
	// Deleted returns which of some items runs on the portal have deleted since
	// then.
	Deleted(ctx context.Context, typeID int, ids []int64, since time.Time) (map[int64]bool, error)
	// Totals sums the changes of the run by step, kind and state.
	Totals(ctx context.Context) ([]Total, error)
	// Finish records the result.
	Finish(ctx context.Context, r *Result) error
}

// Made is what became of an item that a change makes or deletes.
type Made struct {
	Kind  Kind
	State State
	ID    int64
}

// Total counts the changes of one step that share kind and state.
type Total struct {
	Step  string
	Kind  Kind
	State State
	N     int
}

// Status is how a run ended.
type Status string

// The statuses of a run. StatusRunning is one that has not ended, or died.
const (
	StatusRunning     Status = "running"
	StatusSucceeded   Status = "succeeded"
	StatusPartial     Status = "partial"
	StatusFailed      Status = "failed"
	StatusInterrupted Status = "interrupted"
	StatusRefused     Status = "refused"
)

// Result is what a run did. The JSON keys are the contract's.
type Result struct {
	Format   int          `json:"format"`
	Run      string       `json:"run"`
	Plan     string       `json:"plan"`
	Job      string       `json:"job"`
	Portal   string       `json:"portal"`
	Undoes   string       `json:"undoes,omitempty"`  // the run that this one takes back
	Retries  string       `json:"retries,omitempty"` // the run whose failures this one tries again
	Status   Status       `json:"status"`
	Started  time.Time    `json:"started"`
	Finished time.Time    `json:"finished,omitzero"`
	Steps    []StepResult `json:"steps"`
	Usage
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error"`
	Told    []End   `json:"told,omitempty"`  // the ends that people were told of
	Moved   []Moved `json:"moved,omitempty"` // what became of the files that were read, where the job says what is to
}

// StepResult counts what a step did in a run. Failed holds failed, invalid and
// quarantined changes together.
type StepResult struct {
	ID        string `json:"id"`
	Verb      string `json:"verb"`
	Entity    string `json:"entity"`
	Created   int    `json:"created"`
	Updated   int    `json:"updated"`
	Moved     int    `json:"moved"`
	Deleted   int    `json:"deleted"`
	Unchanged int    `json:"unchanged"`
	Skipped   int    `json:"skipped"`
	Failed    int    `json:"failed"`
	Conflicts int    `json:"conflicts"`
}

// Progress is how far a plan or run is, for progress bars and logs.
type Progress struct {
	Phase    string // plan, apply or export
	Done     int    // records planned or exported, or changes settled
	Total    int    // 0 while unknown
	Failed   int
	Requests int     // sent to the portal so far, by [Gauge]
	Load     Load    // of the portal's limits
	Left     float64 // seconds that the limits need for the rest, as [Gauge] foresees; 0 while unknown
}
