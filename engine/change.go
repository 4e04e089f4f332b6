package engine

// Kind says what a change does, or why it does nothing.
type Kind string

// The kinds of changes.
const (
	KindCreate   Kind = "create"
	KindUpdate   Kind = "update"
	KindMove     Kind = "move"
	KindDelete   Kind = "delete"
	KindNone     Kind = "unchanged" // the item already is as wanted
	KindSkip     Kind = "skip"      // its condition is false, or it needs an item that there is not
	KindInvalid  Kind = "invalid"   // the row can't become a change
	KindConflict Kind = "conflict"  // the item is not as the plan needs it
)

// Writes says whether a change of the kind sends something.
func (k Kind) Writes() bool {
	switch k {
	case KindCreate, KindUpdate, KindMove, KindDelete:
		return true
	default:
		return false
	}
}

// State is how far a change of a run has come.
type State string

// The states of a change. They move along:
//
//	planned → sent → done | failed
//	sent → unknown → done | planned | quarantined
//
// and to skipped or conflict where an earlier change failed or the item is
// another than planned.
const (
	StatePlanned     State = "planned"
	StateSent        State = "sent"
	StateUnknown     State = "unknown"
	StateDone        State = "done"
	StateUnchanged   State = "unchanged"
	StateFailed      State = "failed"
	StateSkipped     State = "skipped"
	StateConflict    State = "conflict"
	StateQuarantined State = "quarantined"
)

// Final says whether a change in this state is finished with.
func (s State) Final() bool {
	return s != StatePlanned && !s.inDoubt()
}

// inDoubt says whether a change in this state may have been done or not.
func (s State) inDoubt() bool { return s == StateSent || s == StateUnknown }

// FieldChange is the change of one field: what the portal has and what it is
// to have. Values are canonical; a planned item's id stands as a
// [expression.Ref], which prints as {"ref": "client@clients.csv:12"}.
type FieldChange struct {
	Before any `json:"before"`
	After  any `json:"after"`
	// Add and Remove are the rows of a multifield that go and come, so that
	// all others stay. Remove holds row ids.
	Add    []MultiValue `json:"add,omitempty"`
	Remove []MultiValue `json:"remove,omitempty"`
	// Drifted says that the portal holds something else than Before, namely
	// Now: the change is in conflict.
	Drifted bool `json:"drifted,omitempty"`
	Now     any  `json:"now,omitempty"`
}

// Change is one intended write of a plan, or a record of a step that writes
// nothing.
type Change struct {
	Seq    int64  // order in the plan, from 1
	Step   string // id of the step
	Index  int    // position of the step in the job
	Kind   Kind
	Entity string // name, as in the catalog
	TypeID int    // entityTypeId
	// ID is the item's id on the portal; 0 while the item is only planned,
	// and then Ref tells which it is: STEP@SOURCE of the change that makes it.
	ID     int64
	Ref    string
	Source string // file:line or entity:id of the record
	Key    string // record key
	// ExternalKey is the key that a created item carries, so that it is found
	// again when an answer is lost.
	ExternalKey string
	KeyField    string // REST name of the field that carries it
	// Match names the fields by which an import looked for the item before it
	// planned to make it.
	Match  []string
	Fields map[string]FieldChange // by REST name
	Import bool                   // make the item without automation
	Needs  []string               // refs of planned items that must be made first
	Reason string                 // why: of a skip, a conflict or an invalid row
	Line   int                    // of the record in its file, 0 if none
	Row    []string               // the cells of the record, so that it can be written out if it fails
	// Image is the digest of the item ([Entity.Image]) that a deletion expects,
	// and the one that another change has left.
	Image string

	// The rest is the journal's, once the change belongs to a run.

	State    State
	Attempt  int
	SentAt   int64 // Unix milliseconds of the last send, 0 if never
	Error    string
	Warnings string
}

// doneInPart says whether a change failed since the portal kept some of its fields as
// they were, and took the others.
func (c *Change) doneInPart() bool {
	return c.State == StateFailed && c.Image != "" && (c.Kind == KindUpdate || c.Kind == KindMove)
}

// Counts sums changes by kind. The JSON keys are the contract's.
type Counts struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Move      int `json:"move"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	Skip      int `json:"skip"`
	Invalid   int `json:"invalid"`
	Conflict  int `json:"conflict"`
}

// Add counts n changes of a kind.
func (c *Counts) Add(k Kind, n int) {
	switch k {
	case KindCreate:
		c.Create += n
	case KindUpdate:
		c.Update += n
	case KindMove:
		c.Move += n
	case KindDelete:
		c.Delete += n
	case KindNone:
		c.Unchanged += n
	case KindSkip:
		c.Skip += n
	case KindInvalid:
		c.Invalid += n
	case KindConflict:
		c.Conflict += n
	}
}

// Writes is the number of changes that send something.
func (c Counts) Writes() int { return c.Create + c.Update + c.Move + c.Delete }
