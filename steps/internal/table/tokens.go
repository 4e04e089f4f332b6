package table

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tokens reads the XML of a workbook's part, piece by piece, none of them
// longer than a record may be. The end of the part is an error: what is read
// ends with its last element.
type tokens struct {
	r    io.Reader
	left int
	xml  *xml.Decoder
}

func newTokens(r io.Reader) *tokens {
	t := &tokens{r: r}
	t.xml = xml.NewDecoder(t)
	return t
}

// Read implements [io.Reader] for the decoder.
func (t *tokens) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, errTooLong
	}
	n, err := t.r.Read(p)
	t.left -= n
	return n, err
}

// next returns the next token. It is valid until the next call.
func (t *tokens) next() (xml.Token, error) {
	t.left = maxRecord
	token, err := t.xml.RawToken()
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, errTooLong):
		return nil, damaged("a text in it is longer than %d MiB", maxRecord>>20)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damaged("it ends before it is complete")
	case errors.As(err, &syntax):
		return nil, damaged("its XML: %q", shorten(syntax.Msg))
	}
	return token, err
}

// drain reads what is left of the part, at whose end damage would show.
func (t *tokens) drain() error {
	_, err := io.Copy(io.Discard, t.r)
	return err
}

// text returns the text up to the end of an element that was begun.
func (t *tokens) text(element string) (string, error) {
	var b strings.Builder
	for {
		token, err := t.next()
		if err != nil {
			return "", err
		}
		switch e := token.(type) {
		case xml.CharData:
			if b.Len()+len(e) > maxRecord {
				return "", damaged("a text in it is longer than %d MiB", maxRecord>>20)
			}
			b.Write(e)
		case xml.EndElement:
			if e.Name.Local == element {
				return b.String(), nil
			}
		}
	}
}

// richText returns the text up to the end of an element that was begun, of all
// its parts, but without the reading aids of East Asian text.
func (t *tokens) richText(element string) (string, error) {
	var whole strings.Builder
	aid := false
	for {
		token, err := t.next()
		if err != nil {
			return "", err
		}
		switch e := token.(type) {
		case xml.StartElement:
			aid = aid || e.Name.Local == "rPh"
			if e.Name.Local != "t" {
				continue
			}
			part, err := t.text("t")
			if err != nil {
				return "", err
			}
			if whole.Len()+len(part) > maxRecord {
				return "", damaged("a text in it is longer than %d MiB", maxRecord>>20)
			}
			if !aid {
				whole.WriteString(part)
			}
		case xml.EndElement:
			if e.Name.Local == "rPh" {
				aid = false
			}
			if e.Name.Local == element {
				return whole.String(), nil
			}
		}
	}
}

// attribute is the value of an element's attribute, whatever its prefix.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// damaged is the error for a workbook that no spreadsheet has written like that.
func damaged(format string, args ...any) error {
	return fmt.Errorf("the workbook is damaged: "+format+"; fetch it again, or save it again in a spreadsheet", args...)
}
