package journal

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// row is a change as the table has it: texts and numbers only.
type row struct {
	Seq         int64
	Step        string
	Index       int64
	Kind        string
	Alters      int64
	Entity      string
	TypeID      int64
	Ref         string
	Source      string
	Key         string
	ExternalKey string
	KeyField    string
	Match       string
	Import      int64
	Needs       string
	Reason      string
	Line        int64
	Row         string

	ItemID   int64
	Fields   string
	State    string
	Open     int64
	Attempt  int64
	SentAt   int64
	Error    string
	Warnings string
	Image    string
}

// planColumns are what the plan fixes, stateColumns what the run writes; each
// group ends with its checksum. The methods below keep to this order.
const (
	planColumns = `seq, step, step_idx, kind, alters, entity, type_id, ref, source, record_key, external_key, key_field, match_fields,
		import, needs, reason, line, row, plan_crc`
	stateColumns = `item_id, fields, state, open, attempt, sent_at, error, warnings, image, state_crc`

	reviseRow = `UPDATE changes SET (` + planColumns + `, ` + stateColumns + `) =
		(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE plan = ? AND seq = ?`
	saveState = `UPDATE changes SET (` + stateColumns + `) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		WHERE plan = ? AND seq = ? AND `
	saveSent    = saveState + `state IN ('planned', 'sent')`
	saveOutcome = saveState + `(open = 1 OR state = ?3)`
	selectRow   = `SELECT ` + planColumns + `, ` + stateColumns + ` FROM changes `
)

// insertRows is the statement that inserts n rows.
func insertRows(n int) string {
	columns := strings.Count(planColumns+","+stateColumns, ",") + 2 // and the plan
	values := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return `INSERT INTO changes (plan, ` + planColumns + `, ` + stateColumns + `) VALUES ` +
		values + strings.Repeat(", "+values, n-1)
}

// planPart points to the values of planColumns but the checksum.
func (r *row) planPart() []any {
	return []any{
		&r.Seq, &r.Step, &r.Index, &r.Kind, &r.Alters, &r.Entity, &r.TypeID, &r.Ref, &r.Source, &r.Key, &r.ExternalKey, &r.KeyField, &r.Match,
		&r.Import, &r.Needs, &r.Reason, &r.Line, &r.Row,
	}
}

// statePart points to the values of stateColumns but the checksum.
func (r *row) statePart() []any {
	return []any{&r.ItemID, &r.Fields, &r.State, &r.Open, &r.Attempt, &r.SentAt, &r.Error, &r.Warnings, &r.Image}
}

// stateSum is the checksum of statePart. It begins with the number of the change,
// so that the state of one is not taken for that of another. Rows of format 1 have
// no image, and keep theirs.
func (r *row) stateSum() int64 {
	part := append([]any{&r.Seq}, r.statePart()...)
	if r.Image == "" {
		part = part[:len(part)-1]
	}
	return checksum(part)
}

// planValues are the values of planColumns.
func (r *row) planValues() []any {
	part := r.planPart()
	return append(values(part), checksum(part))
}

// stateValues are the values of stateColumns.
func (r *row) stateValues() []any {
	return append(values(r.statePart()), r.stateSum())
}

// values are what a row's pointers point to.
func values(part []any) []any {
	out := make([]any, len(part), len(part)+1)
	for i, p := range part {
		switch p := p.(type) {
		case *string:
			out[i] = *p
		case *int64:
			out[i] = *p
		}
	}
	return out
}

// checksum is the CRC-32 of texts and numbers, each with its length.
func checksum(values []any) int64 {
	b := make([]byte, 0, 512)
	for _, v := range values {
		switch v := v.(type) {
		case string:
			b = append(binary.AppendVarint(b, int64(len(v))), v...)
		case *string:
			b = append(binary.AppendVarint(b, int64(len(*v))), *v...)
		case int64:
			b = binary.AppendVarint(b, v)
		case *int64:
			b = binary.AppendVarint(b, *v)
		default:
			panic(fmt.Sprintf("checksum of %T", v))
		}
	}
	return int64(crc32.ChecksumIEEE(b))
}

// rowOf writes a change as a row.
func rowOf(c *engine.Change) (*row, error) {
	r := &row{
		Seq: c.Seq, Step: c.Step, Index: int64(c.Index), Kind: string(c.Kind), Entity: c.Entity,
		TypeID: int64(c.TypeID), Ref: c.Ref, Source: c.Source, Key: c.Key, ExternalKey: c.ExternalKey, KeyField: c.KeyField,
		Reason: c.Reason, Line: int64(c.Line), ItemID: c.ID, State: string(c.State),
		Attempt: int64(c.Attempt), SentAt: c.SentAt, Error: c.Error, Warnings: c.Warnings, Image: c.Image,
	}
	r.Import, r.Open = flag(c.Import), flag(!c.State.Final())
	r.Alters = flag(c.Kind.Writes() && c.Kind != engine.KindCreate)
	var err error
	if r.Fields, err = encodeFields(c.Fields); err != nil {
		return nil, changeError(c, err)
	}
	if r.Needs, err = encodeTexts(c.Needs); err != nil {
		return nil, changeError(c, err)
	}
	if r.Row, err = encodeTexts(c.Row); err != nil {
		return nil, changeError(c, err)
	}
	if r.Match, err = encodeTexts(c.Match); err != nil {
		return nil, changeError(c, err)
	}
	return r, nil
}

// change reads a row back.
func (r *row) change(v valueReader) (*engine.Change, error) {
	c := &engine.Change{
		Seq: r.Seq, Step: r.Step, Index: int(r.Index), Kind: engine.Kind(r.Kind), Entity: r.Entity,
		TypeID: int(r.TypeID), ID: r.ItemID, Ref: r.Ref, Source: r.Source, Key: r.Key,
		ExternalKey: r.ExternalKey, KeyField: r.KeyField, Import: r.Import != 0, Reason: r.Reason, Line: int(r.Line),
		State: engine.State(r.State), Attempt: int(r.Attempt), SentAt: r.SentAt,
		Error: r.Error, Warnings: r.Warnings, Image: r.Image,
	}
	var err error
	if c.Fields, err = v.fields(r.Fields); err != nil {
		return nil, changeError(c, err)
	}
	if c.Needs, err = v.texts(r.Needs); err != nil {
		return nil, changeError(c, err)
	}
	if c.Row, err = v.texts(r.Row); err != nil {
		return nil, changeError(c, err)
	}
	if c.Match, err = v.texts(r.Match); err != nil {
		return nil, changeError(c, err)
	}
	return c, nil
}

// rowReader reads one row after the other into the same place.
type rowReader struct {
	at                row
	planned           []any // of at
	planSum, stateSum int64
	columns           []any
}

func newRowReader() *rowReader {
	s := &rowReader{}
	s.planned = s.at.planPart()
	s.columns = append(slices.Clone(s.planned), &s.planSum)
	s.columns = append(append(s.columns, s.at.statePart()...), &s.stateSum)
	return s
}

// read reads the row that rows stand at and checks that it is as it was written.
func (s *rowReader) read(rows *sql.Rows) (*row, error) {
	if err := rows.Scan(s.columns...); err != nil {
		return nil, fmt.Errorf("a change cannot be read: %w", err)
	}
	if checksum(s.planned) != s.planSum || s.at.stateSum() != s.stateSum {
		return nil, fmt.Errorf("change %d does not fit its checksum", s.at.Seq)
	}
	r := s.at
	return &r, nil
}

// initial is the state of a change that nothing has happened to.
func initial(k engine.Kind) engine.State {
	switch k {
	case engine.KindNone:
		return engine.StateUnchanged
	case engine.KindSkip:
		return engine.StateSkipped
	case engine.KindInvalid:
		return engine.StateFailed
	case engine.KindConflict:
		return engine.StateConflict
	case engine.KindCreate, engine.KindUpdate, engine.KindMove, engine.KindDelete:
	}
	return engine.StatePlanned
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// changeError says which change an error is about.
func changeError(c *engine.Change, err error) error {
	if c.Source == "" {
		return fmt.Errorf("change %d (step %s): %w", c.Seq, c.Step, err)
	}
	return fmt.Errorf("change %d (step %s, %s): %w", c.Seq, c.Step, c.Source, err)
}

func encodeTexts(texts []string) (string, error) {
	if len(texts) == 0 {
		return "", nil
	}
	b, err := appendJSON(nil, texts)
	return string(b), err
}
