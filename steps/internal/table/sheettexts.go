package table

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
)

const (
	// textsHeld is how many bytes of a workbook's shared texts are held in
	// memory before they go to a temporary file.
	textsHeld = 4 << 20
	// maxTexts is how many shared texts a workbook may have: as many as fill
	// 16 columns of a sheet.
	maxTexts = 16 << 20
)

// texts are the texts that cells of a workbook share. They are read as far as
// they are asked for.
type texts struct {
	xml   *tokens  // nil: there are none
	ends  []uint32 // where each ends
	file  *os.File // of those before held; it has no name any more
	saved int64    // bytes in it
	held  []byte
}

// at is the text of a number, from 0.
func (t *texts) at(i int) (string, error) {
	for i >= len(t.ends) {
		err := t.next()
		if errors.Is(err, io.EOF) {
			return "", damaged("a cell names shared text %d of %d", i, len(t.ends))
		}
		if err != nil {
			return "", err
		}
	}
	begin, end := int64(0), int64(t.ends[i])
	if i > 0 {
		begin = int64(t.ends[i-1])
	}
	if begin >= t.saved {
		return string(t.held[begin-t.saved : end-t.saved]), nil
	}
	text := make([]byte, end-begin)
	if _, err := t.file.ReadAt(text, begin); err != nil {
		return "", err
	}
	return string(text), nil
}

// next reads one more text.
func (t *texts) next() error {
	if t.xml == nil {
		return io.EOF
	}
	for {
		token, err := t.xml.next()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "sst" {
				if err := t.xml.drain(); err != nil {
					return err
				}
				t.xml = nil
				return io.EOF
			}
		case xml.StartElement:
			if e.Name.Local != "si" {
				continue
			}
			text, err := t.xml.richText("si")
			if err != nil {
				return err
			}
			return t.add(text)
		}
	}
}

// add notes a text.
func (t *texts) add(text string) (err error) {
	if len(t.ends) == maxTexts {
		return damaged("it has more than %d shared texts", maxTexts)
	}
	if len(t.held) > textsHeld {
		if err := t.save(); err != nil {
			return err
		}
	}
	t.held = append(t.held, text...)
	t.ends = append(t.ends, uint32(t.saved)+uint32(len(t.held))) //nolint:gosec // maxUnpacked is less than 4 GiB
	return nil
}

// save moves what is held to the file.
func (t *texts) save() (err error) {
	if t.file == nil {
		if t.file, err = os.CreateTemp("", "bxflow-texts-"); err != nil {
			return err
		}
		_ = os.Remove(t.file.Name()) // where open files can't be removed, it stays in the temporary folder
	}
	n, err := t.file.Write(t.held)
	t.saved += int64(n)
	t.held = t.held[:0]
	return err
}

func (t *texts) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
