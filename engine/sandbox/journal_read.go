package sandbox

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// maxRecord is the largest record that a data file may hold.
const maxRecord = 2 * maxBody

var errDamaged = errors.New("damaged; restore the file, or delete it to begin anew")

// reader puts back what a data file holds.
type reader struct {
	s       *store
	names   []fieldKey
	rec     []byte // what is left of the record
	records int
	bad     bool
	texts   map[string]any // texts that repeat, in memory once
}

// load reads a data file into an empty store and returns where its whole
// records end: what follows was cut short by a crash, and never answered.
func (r *reader) load(f *os.File) (end int64, err error) {
	in := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic {
		return 0, fmt.Errorf("not a data file of the sandbox: %w", errDamaged)
	}
	end = int64(len(magic))
	var buf []byte
	for {
		var frame [headBytes]byte
		if _, err := io.ReadFull(in, frame[:]); err != nil {
			return end, notEOF(err)
		}
		size := binary.LittleEndian.Uint32(frame[:4])
		if size == 0 || size > maxRecord {
			return end, fmt.Errorf("byte %d: %w", end, errDamaged)
		}
		if int(size) > cap(buf) {
			buf = make([]byte, size)
		}
		buf = buf[:size]
		if _, err := io.ReadFull(in, buf); err != nil {
			return end, notEOF(err)
		}
		if checksum(buf) != binary.LittleEndian.Uint32(frame[4:]) {
			if _, err := in.Peek(1); errors.Is(err, io.EOF) {
				return end, nil
			}
			return end, fmt.Errorf("byte %d: %w", end, errDamaged)
		}
		if err := r.record(buf); err != nil {
			return end, fmt.Errorf("byte %d: %w", end, err)
		}
		end += headBytes + int64(size)
		r.records++
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (r *reader) record(rec []byte) error {
	op := rec[0]
	r.rec, r.bad = rec[1:], false
	switch op {
	case opIdentity:
		r.s.id = r.text()
		r.s.lastComm = max(r.s.lastComm, r.int())
		r.s.lastFile = max(r.s.lastFile, r.int())
	case opRow:
		return r.row()
	case opName:
		if r.int() != int64(len(r.names)) {
			return errDamaged
		}
		r.names = append(r.names, fieldKey{int(r.int()), r.text()})
	case opItem, opSnapshot:
		return r.item(op)
	case opDelete:
		if e := r.entity(); e != nil {
			id := r.int()
			e.drop(id)
			e.last = max(e.last, id)
		}
	case opHistory:
		if e := r.entity(); e != nil {
			h := stageEvent{id: r.int(), owner: r.int(), at: r.int(), category: r.int(), kind: int(r.int())}
			h.stage, h.semantics = r.shared(), r.shared()
			e.history = append(e.history, h)
			e.lastHistory = max(e.lastHistory, h.id)
		}
	case opLast:
		if e := r.entity(); e != nil {
			e.last, e.lastHistory = max(e.last, r.int()), max(e.lastHistory, r.int())
		}
	default:
		return errDamaged
	}
	if r.bad {
		return errDamaged
	}
	return nil
}

func (r *reader) row() error {
	name, id := r.text(), r.int()
	if r.bad {
		return errDamaged
	}
	t, ok := r.s.tables[name]
	if !ok {
		t = newTable[row](r.s, name, nil)
	}
	return t.load(id, r.rec)
}

func (r *reader) item(op byte) error {
	e := r.entity()
	it := &item{id: r.int()}
	n := r.int()
	if r.bad || n < 0 || n > int64(len(r.rec)) {
		return errDamaged
	}
	it.cells = make([]cell, 0, n)
	for range n {
		name := r.int()
		if r.bad || name < 0 || name >= int64(len(r.names)) {
			return errDamaged
		}
		f, ok := e.byUpper[r.names[name].upper]
		if !ok {
			return fmt.Errorf("field %q: %w", r.names[name].upper, errDamaged)
		}
		val := r.value(f)
		if r.bad {
			return errDamaged
		}
		it.set(f, val)
	}
	old := e.keep(it)
	if op == opItem {
		e.record(old, it)
	}
	return nil
}

func (r *reader) entity() *entity {
	e, ok := r.s.entities[int(r.int())]
	r.bad = r.bad || !ok
	return e
}

func (r *reader) value(f *field) any {
	if len(r.rec) == 0 {
		r.bad = true
		return nil
	}
	kind := r.rec[0]
	r.rec = r.rec[1:]
	switch kind {
	case valInt:
		n := r.int()
		if f.kind == typeFile {
			r.s.lastFile = max(r.s.lastFile, n)
		}
		return n
	case valFloat:
		if len(r.rec) < 8 {
			r.bad = true
			return nil
		}
		bits := binary.LittleEndian.Uint64(r.rec)
		r.rec = r.rec[8:]
		return math.Float64frombits(bits)
	case valText:
		if f.kind == typeStatus || f.kind == typeBoolean || f.kind == typeCurrency {
			return r.boxed()
		}
		return r.text()
	case valInts:
		return many(r, r.int)
	case valTexts:
		return many(r, r.text)
	case valComms:
		return many(r, func() comm {
			return comm{id: r.int(), kind: r.shared(), valueType: r.shared(), value: r.text()}
		})
	default:
		r.bad = true
		return nil
	}
}

func many[T any](r *reader, one func() T) []T {
	n := r.int()
	if n < 0 || n > int64(len(r.rec)) {
		r.bad = true
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = one()
	}
	return list
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.rec)
	if size <= 0 {
		r.bad, r.rec = true, nil
		return 0
	}
	r.rec = r.rec[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.int()
	if n < 0 || n > int64(len(r.rec)) {
		r.bad, r.rec = true, nil
		return nil
	}
	b := r.rec[:n]
	r.rec = r.rec[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes()) }

// boxed is text for values that many items share.
func (r *reader) boxed() any {
	b := r.bytes()
	if v, ok := r.texts[string(b)]; ok {
		return v
	}
	v := any(string(b))
	r.texts[string(b)] = v
	return v
}

func (r *reader) shared() string {
	s, _ := r.boxed().(string) // it always is one
	return s
}
