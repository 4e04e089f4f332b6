package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
)

// magic begins every data file.
const magic = "bxflow sandbox 1\n"

// The kinds of records in a data file.
const (
	opIdentity = 'I' // the contents' id, the highest ids of phones and files
	opRow      = 'R' // a record of a table, or its deletion
	opName     = 'N' // a number for a field, used by items from here on
	opItem     = 'P' // an item as it was put
	opSnapshot = 'S' // an item as it is; its stage history has records of its own
	opDelete   = 'D' // an item is gone
	opHistory  = 'H' // a line of the stage history
	opLast     = 'L' // the highest ids that an entity has given out
)

// The kinds of values in an item's record.
const (
	valInt    = 'i'
	valFloat  = 'f'
	valText   = 's'
	valInts   = 'I'
	valTexts  = 'S'
	valComms  = 'C'
	headBytes = 8 // length and checksum before each record
)

// journal is the data file: every change of the contents, in order. Changes
// gather in buf until flush. A nil journal keeps nothing.
//
// A record is its length and its CRC-32C, four bytes each, and its bytes.
type journal struct {
	file  *os.File
	path  string
	buf   []byte
	rec   []byte // the record being built
	names map[fieldKey]int64
	muted bool // while contents are loaded or seeded
	err   error
	locks interface{ Unlock() error }
}

type fieldKey struct {
	typeID int
	upper  string
}

func (j *journal) off() bool { return j == nil || j.muted }

// identity notes what the contents are called.
func (j *journal) identity(s *store) {
	if j.off() {
		return
	}
	j.begin(opIdentity)
	j.text(s.id)
	j.int(s.lastComm)
	j.int(s.lastFile)
	j.end()
}

// row notes a record of a table; nil is its deletion.
func (j *journal) row(table string, id int64, rec any) {
	if j.off() {
		return
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		j.err = fmt.Errorf("table %s: record %d: %w", table, id, err)
		return
	}
	j.begin(opRow)
	j.text(table)
	j.int(id)
	j.rec = append(j.rec, raw...)
	j.end()
}

// item notes an item that was put.
func (j *journal) item(e *entity, it *item) { j.anItem(opItem, e, it) }

func (j *journal) anItem(op byte, e *entity, it *item) {
	if j.off() {
		return
	}
	for _, c := range it.cells {
		j.name(e, e.fields[c.slot])
	}
	j.begin(op)
	j.int(int64(e.typeID))
	j.int(it.id)
	j.int(int64(len(it.cells)))
	for _, c := range it.cells {
		j.int(j.names[fieldKey{e.typeID, e.fields[c.slot].upper}])
		j.value(c.val)
	}
	j.end()
}

// removed notes that an item is gone.
func (j *journal) removed(e *entity, id int64) {
	if j.off() {
		return
	}
	j.begin(opDelete)
	j.int(int64(e.typeID))
	j.int(id)
	j.end()
}

// history notes a line of the stage history.
func (j *journal) history(e *entity, h stageEvent) {
	if j.off() {
		return
	}
	j.begin(opHistory)
	j.int(int64(e.typeID))
	for _, n := range []int64{h.id, h.owner, h.at, h.category, int64(h.kind)} {
		j.int(n)
	}
	j.text(h.stage)
	j.text(h.semantics)
	j.end()
}

// lasts notes the highest ids that an entity has given out.
func (j *journal) lasts(e *entity) {
	if j.off() {
		return
	}
	j.begin(opLast)
	j.int(int64(e.typeID))
	j.int(e.last)
	j.int(e.lastHistory)
	j.end()
}

// name gives a field its number, once.
func (j *journal) name(e *entity, f *field) {
	key := fieldKey{e.typeID, f.upper}
	if _, ok := j.names[key]; ok {
		return
	}
	n := int64(len(j.names))
	j.names[key] = n
	j.begin(opName)
	j.int(n)
	j.int(int64(e.typeID))
	j.text(f.upper)
	j.end()
}

func (j *journal) value(val any) {
	switch v := val.(type) {
	case int64:
		j.rec = append(j.rec, valInt)
		j.int(v)
	case float64:
		j.rec = append(j.rec, valFloat)
		j.rec = binary.LittleEndian.AppendUint64(j.rec, math.Float64bits(v))
	case string:
		j.rec = append(j.rec, valText)
		j.text(v)
	case []int64:
		j.rec = append(j.rec, valInts)
		j.int(int64(len(v)))
		for _, n := range v {
			j.int(n)
		}
	case []string:
		j.rec = append(j.rec, valTexts)
		j.int(int64(len(v)))
		for _, s := range v {
			j.text(s)
		}
	case []comm:
		j.rec = append(j.rec, valComms)
		j.int(int64(len(v)))
		for _, c := range v {
			j.int(c.id)
			j.text(c.kind)
			j.text(c.valueType)
			j.text(c.value)
		}
	default:
		panic(fmt.Sprintf("sandbox: an item can't hold a %T", val))
	}
}

func (j *journal) begin(op byte) { j.rec = append(j.rec[:0], op) }

func (j *journal) int(n int64) { j.rec = binary.AppendVarint(j.rec, n) }

func (j *journal) text(s string) {
	j.int(int64(len(s)))
	j.rec = append(j.rec, s...)
}

// end frames the record that was built. While a file is written as a whole the
// buffer is emptied now and then.
func (j *journal) end() {
	j.buf = binary.LittleEndian.AppendUint32(j.buf, uint32(len(j.rec))) //nolint:gosec // a record is smaller than a request
	j.buf = binary.LittleEndian.AppendUint32(j.buf, checksum(j.rec))
	j.buf = append(j.buf, j.rec...)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// flush hands all changes to the operating system: they outlive the process
// from here on. After an error nothing more is written, so that the file keeps
// an unbroken beginning of what happened, and every write is refused.
func (j *journal) flush() error {
	if j.off() || len(j.buf) == 0 && j.err == nil {
		return nil
	}
	if j.err == nil {
		_, j.err = j.file.Write(j.buf)
	}
	j.buf = j.buf[:0]
	return j.err
}

// close ends the use of the file.
func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.flush()
	if e := j.file.Close(); err == nil {
		err = e
	}
	j.file = nil
	if e := j.locks.Unlock(); err == nil {
		err = e
	}
	return err
}
