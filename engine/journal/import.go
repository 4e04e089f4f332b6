package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/bxflow/bxflow/engine"
)

const (
	// maxLine is the length of a line of a saved plan, in bytes. A row of a
	// file with its changes is far below it.
	maxLine = 16 << 20
	// importRows is how many changes are stored at a time.
	importRows = 500
)

// Import takes a saved plan, which [Journal.Export] wrote, into the journal.
// It refuses with a [SavedError] a file that is cut, altered, of another format
// or no plan at all. Taken twice, the same plan is the same plan, and if a run
// applied it in this journal, [Plan.Unused] says so.
func (j *Journal) Import(ctx context.Context, r io.Reader) (*Plan, error) {
	in := &saved{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	if err := in.header(); err != nil {
		return nil, err
	}
	d, err := j.newDraft(ctx)
	if err != nil {
		return nil, err
	}
	file, err := in.changes(ctx, d)
	if err == nil {
		err = j.settle(ctx, d, in, file)
	}
	if err != nil {
		// The draft is of no use; if it cannot be removed now, the next Open does.
		return nil, errors.Join(err, d.Discard(context.WithoutCancel(ctx)))
	}
	return j.plan(ctx, in.head.ID)
}

// settle makes the draft the plan that the file says, unless it is there.
func (j *Journal) settle(ctx context.Context, d *draft, in *saved, file string) error {
	known, err := j.plan(ctx, in.head.ID)
	var unknown *UnknownError
	switch {
	case errors.As(err, &unknown):
		err := d.seal(ctx, in.head, file)
		if isUnique(err) {
			return fmt.Errorf("plan %s: another process is taking it in; try again: %w", in.head.ID, err)
		}
		return err
	case err != nil:
		return err
	case known.file == file, known.file == "" && known.text == in.text:
		return d.Discard(ctx)
	}
	return &SavedError{Line: 1, Fault: fmt.Sprintf("another plan has the id %q", in.head.ID)}
}

// saved reads a saved plan.
type saved struct {
	r    *bufio.Reader
	sum  hash.Hash // over all lines before the present one
	line int       // number of the present line
	text string    // of the header
	head *engine.Header
}

// next returns the next line without its end. The caller adds it to the sum,
// unless it is the seal.
func (s *saved) next() ([]byte, error) {
	s.line++
	var line []byte
	for {
		part, err := s.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, s.fault(fmt.Sprintf("is longer than %d MiB", maxLine>>20), nil)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, s.fault("the plan ends without its seal: it was cut", nil)
		case errors.Is(err, io.EOF):
			return nil, s.fault("the plan ends within a line: it was cut", nil)
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", s.line, err)
		}
		return line[:len(line)-1], nil
	}
}

// accept adds a line to what the seal covers.
func (s *saved) accept(line []byte) {
	s.sum.Write(line)
	s.sum.Write([]byte("\n"))
}

func (s *saved) fault(text string, err error) error {
	return &SavedError{Line: s.line, Fault: text, Err: err}
}

// header reads the first line.
func (s *saved) header() error {
	line, err := s.next()
	if err != nil {
		return err
	}
	var is struct {
		Format int    `json:"format"`
		ID     string `json:"plan"`
	}
	if err := json.Unmarshal(line, &is); err != nil || is.Format == 0 || !isID(is.ID) {
		return s.fault("this is no saved plan", err)
	}
	if is.Format != engine.PlanFormat {
		return s.fault(fmt.Sprintf("the plan has format %d, and this bxflow knows format %d",
			is.Format, engine.PlanFormat), nil)
	}
	if err := strict(line, &s.head); err != nil {
		return s.fault("the header of the plan is damaged", err)
	}
	// It is stored as this bxflow writes it; a header that reads otherwise was
	// not written by this format.
	text, err := appendJSON(nil, s.head)
	if err != nil || !bytes.Equal(text, line) {
		return s.fault("the header of the plan is damaged", err)
	}
	s.text = string(line)
	s.accept(line)
	return nil
}

// changes reads all other lines into a draft and returns the seal.
func (s *saved) changes(ctx context.Context, d *draft) (string, error) {
	batch := make([]*engine.Change, 0, importRows)
	for {
		line, err := s.next()
		if err != nil {
			return "", err
		}
		if bytes.HasPrefix(line, []byte(`{"seal":`)) {
			if err := s.store(ctx, d, batch); err != nil {
				return "", err
			}
			return s.end(line, d.last)
		}
		c, err := s.change(line, d.last+int64(len(batch))+1)
		if err != nil {
			return "", err
		}
		s.accept(line)
		if batch = append(batch, c); len(batch) < importRows {
			continue
		}
		if err := s.store(ctx, d, batch); err != nil {
			return "", err
		}
		batch = batch[:0]
	}
}

// store appends changes, and tells what the plan does wrong from what the
// journal can't do.
func (s *saved) store(ctx context.Context, d *draft, batch []*engine.Change) error {
	err := d.Append(ctx, batch)
	if errors.Is(err, errDoubled) {
		return s.fault("a change before this line is doubled", err)
	}
	return err
}

// change reads the line of one change.
func (s *saved) change(line []byte, seq int64) (*engine.Change, error) {
	var v savedChange
	if err := strict(line, &v); err != nil {
		return nil, s.fault("a change is damaged", err)
	}
	if v.Seq != seq {
		return nil, s.fault(fmt.Sprintf("change %d stands where change %d should", v.Seq, seq), nil)
	}
	if !slices.Contains(kinds(), v.Kind) {
		return nil, s.fault(fmt.Sprintf("change %d has the unknown kind %q", seq, v.Kind), nil)
	}
	fields, err := decodeFields(string(v.Fields))
	if err != nil {
		return nil, s.fault(fmt.Sprintf("change %d is damaged", seq), err)
	}
	c := &engine.Change{
		Seq: v.Seq, Step: v.Step, Index: v.Index, Kind: v.Kind, Entity: v.Entity, TypeID: v.TypeID, ID: v.ID,
		Ref: v.Ref, Source: v.Source, Key: v.Key, ExternalKey: v.ExternalKey, KeyField: v.KeyField, Match: v.Match, Fields: fields,
		Import: v.Import, Needs: v.Needs, Reason: v.Reason, Line: v.Line, Row: v.Row, Image: v.Image,
	}
	// A line that reads otherwise than it would be written, a key twice or in
	// other letters, would be another plan once it is exported again.
	if text, err := encodeChange(c); err != nil || !bytes.Equal(text, line) {
		return nil, s.fault(fmt.Sprintf("change %d is damaged", seq), err)
	}
	return c, nil
}

// end checks the seal against what came before it.
func (s *saved) end(line []byte, n int64) (string, error) {
	var is seal
	if err := strict(line, &is); err != nil {
		return "", s.fault("the seal is damaged", err)
	}
	sum := hex.EncodeToString(s.sum.Sum(nil))
	if text, err := json.Marshal(seal{Seal: sum, Changes: n}); err != nil || !bytes.Equal(text, line) {
		return "", s.fault("the seal does not fit: the plan was altered", err)
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		s.line++
		return "", s.fault("there is more after the seal", err)
	}
	return sum, nil
}

// strict reads a line that holds one object with known keys and nothing else.
func strict(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one object")
	}
	return nil
}

func kinds() []engine.Kind {
	return []engine.Kind{
		engine.KindCreate, engine.KindUpdate, engine.KindMove, engine.KindDelete,
		engine.KindNone, engine.KindSkip, engine.KindInvalid, engine.KindConflict,
	}
}
