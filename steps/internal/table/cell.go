package table

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// stored is a cell as it is written.
type stored struct {
	kind    string // what type the text is of
	style   string // the index of its format
	text    string
	valued  bool // there is a text, even if it is empty
	formula bool
}

// valued is what a cell comes to.
type valued struct{ text, fault, remedy string }

// cell reads a cell to its end.
func (s *Sheet) cell(start xml.StartElement) (stored, error) {
	c := stored{kind: attribute(start, "t"), style: attribute(start, "s")}
	for {
		token, err := s.xml.next()
		if err != nil {
			return c, err
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "f":
				c.formula = true
			case "v":
				c.valued = true
				c.text, err = s.xml.text("v")
			case "is":
				c.valued = true
				c.text, err = s.xml.richText("is")
			}
			if err != nil {
				return c, err
			}
		case xml.EndElement:
			if e.Name.Local == "c" {
				return c, nil
			}
		}
	}
}

// value is a cell's value. An error is final.
func (s *Sheet) value(c stored) (valued, error) {
	if c.text == "" {
		if c.formula && (!c.valued || c.kind != "str") {
			return valued{fault: "the formula has no value stored with it", remedy: "open the workbook in a spreadsheet and save it, or put the value in the place of the formula"}, nil
		}
		return valued{}, nil
	}
	switch c.kind {
	case "", "n":
		return s.numeric(c), nil
	case "s":
		text, err := s.sharedText(c.text)
		return valued{text: unescape(text)}, err
	case "str", "inlineStr":
		return valued{text: unescape(c.text)}, nil
	case "b":
		return valued{text: strconv.FormatBool(c.text != "0" && !strings.EqualFold(c.text, "false"))}, nil
	case "d":
		return valued{text: c.text}, nil
	case "e":
		return valued{text: c.text, fault: "the cell holds an error", remedy: "correct its formula or put a value there"}, nil
	}
	return valued{text: c.text, fault: fmt.Sprintf("the cell is of the unknown type %q", shorten(c.kind)), remedy: "save the workbook again in a spreadsheet"}, nil
}

// sharedText is the text that a cell names by its number.
func (s *Sheet) sharedText(number string) (string, error) {
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 {
		return "", damaged("a cell names the shared text %q", shorten(number))
	}
	return s.book.texts.at(i)
}

// numeric is a number, or the date that it is shown as.
func (s *Sheet) numeric(c stored) valued {
	n, err := strconv.ParseFloat(c.text, 64)
	if err != nil || strings.Trim(c.text, "+-.0123456789eE") != "" {
		return valued{text: c.text, fault: "the cell is stored as a number and is none", remedy: "correct the cell and save the workbook again"}
	}
	switch f := s.book.format(c.style); {
	case f < plain:
		text := number(c.text, n)
		if strings.Trim(text, "0123456789") == "" {
			text = strings.Repeat("0", max(0, -int(f)-len(text))) + text
		}
		return valued{text: text}
	case f > plain:
		text, ok := dateText(n, f, s.book.from1904)
		if !ok {
			return valued{text: number(c.text, n), fault: "the cell is shown as a date, and its number is none", remedy: "put a date there, or give the cell the format of a number"}
		}
		return valued{text: text}
	}
	return valued{text: number(c.text, n)}
}

// number is a number with its digits, but without what binary fractions add
// behind the 15 that spreadsheets keep.
func number(text string, n float64) string {
	if strings.Trim(text, "0123456789") == "" {
		return text
	}
	const digits = 15
	if rounded, err := strconv.ParseFloat(strconv.FormatFloat(n, 'g', digits, 64), 64); err == nil {
		n = rounded
	}
	if n == 0 {
		return "0" // also for -0
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// unescape resolves characters that XML has no place for, written as _x000D_,
// and ends lines with LF.
func unescape(text string) string {
	const length = len("_x000D_")
	if !strings.Contains(text, "_x") && !strings.Contains(text, "\r") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if i+length <= len(text) && text[i] == '_' && text[i+1] == 'x' && text[i+length-1] == '_' {
			r, err := strconv.ParseUint(text[i+2:i+length-1], 16, 16)
			if err == nil && !utf16.IsSurrogate(rune(r)) {
				b.WriteRune(rune(r))
				i += length - 1
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}
