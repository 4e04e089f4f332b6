package journal

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/bxflow/bxflow/engine"
)

// A saved plan is text, one JSON object a line: the header, the changes in
// order, and the seal, which holds the SHA-256 of all bytes before its line.

// seal is the last line of a saved plan.
type seal struct {
	Seal    string `json:"seal"`
	Changes int64  `json:"changes"`
}

// savedChange is one line of a saved plan: a change without what a run adds.
type savedChange struct {
	Seq         int64           `json:"seq"`
	Step        string          `json:"step"`
	Index       int             `json:"index"`
	Kind        engine.Kind     `json:"kind"`
	Entity      string          `json:"entity,omitempty"`
	TypeID      int             `json:"type_id,omitempty"`
	ID          int64           `json:"id,omitempty"`
	Ref         string          `json:"ref,omitempty"`
	Source      string          `json:"source,omitempty"`
	Key         string          `json:"key,omitempty"`
	ExternalKey string          `json:"external_key,omitempty"`
	KeyField    string          `json:"key_field,omitempty"`
	Match       []string        `json:"match,omitempty"`
	Fields      json.RawMessage `json:"fields,omitempty"`
	Import      bool            `json:"import,omitempty"`
	Needs       []string        `json:"needs,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Line        int             `json:"line,omitempty"`
	Row         []string        `json:"row,omitempty"`
	Image       string          `json:"image,omitempty"`
}

// encodeChange writes a change's line, without its end.
func encodeChange(c *engine.Change) ([]byte, error) {
	fields, err := encodeFields(c.Fields)
	if err != nil {
		return nil, changeError(c, err)
	}
	return appendJSON(nil, savedChange{
		Seq: c.Seq, Step: c.Step, Index: c.Index, Kind: c.Kind, Entity: c.Entity, TypeID: c.TypeID, ID: c.ID,
		Ref: c.Ref, Source: c.Source, Key: c.Key, ExternalKey: c.ExternalKey, KeyField: c.KeyField, Match: c.Match, Fields: json.RawMessage(fields),
		Import: c.Import, Needs: c.Needs, Reason: c.Reason, Line: c.Line, Row: c.Row, Image: c.Image,
	})
}

// Export writes a plan as a file that [Journal.Import] takes. A plan that a
// run has begun on is refused with a [UsedError]: its file could be applied to
// nothing.
func (j *Journal) Export(ctx context.Context, p *Plan, w io.Writer) error {
	if err := p.Unused(); err != nil {
		return err
	}
	out := &sealing{w: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
	out.line([]byte(p.text))
	var n int64
	for c, err := range p.Changes(ctx, engine.Filter{}) {
		if err != nil {
			return err
		}
		line, err := encodeChange(c)
		if err != nil {
			return err
		}
		out.line(line)
		n++
	}
	end := seal{Seal: hex.EncodeToString(out.sum.Sum(nil)), Changes: n}
	line, err := json.Marshal(end)
	if err != nil {
		return err
	}
	out.line(line)
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return fmt.Errorf("plan %s: write: %w", p.ID(), out.err)
	}
	return j.write(ctx, true, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE plans SET seal = ? WHERE plan = ?", end.Seal, p.plan)
		return err
	})
}

// sealing writes lines and digests them.
type sealing struct {
	w   *bufio.Writer
	sum hash.Hash
	err error // the first
}

func (s *sealing) line(text []byte) {
	for _, part := range [][]byte{text, []byte("\n")} {
		s.sum.Write(part)
		if s.err == nil {
			_, s.err = s.w.Write(part)
		}
	}
}
