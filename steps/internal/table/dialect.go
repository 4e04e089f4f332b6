package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// trialRecords is how many records are parsed to tell the delimiter.
const trialRecords = 20

// candidates are the delimiters that are detected. Of equals the first wins;
// semicolon leads because spreadsheets write it where the comma is decimal.
const candidates = ";,\t|"

// parseDelimiter returns 0 for an empty string, which asks for detection.
func parseDelimiter(s string) (rune, error) {
	switch strings.ToLower(s) {
	case "":
		return 0, nil
	case "comma":
		return ',', nil
	case "semicolon":
		return ';', nil
	case "tab", `\t`:
		return '\t', nil
	case "pipe":
		return '|', nil
	}
	r, size := utf8.DecodeRuneInString(s)
	if size != len(s) || !usableDelimiter(r) {
		return 0, fmt.Errorf(`delimiter: %q is not one character that can separate fields; write ",", ";", "tab" or "|"`, shorten(s))
	}
	return r, nil
}

func usableDelimiter(r rune) bool {
	return r != 0 && r != '"' && r != '\r' && r != '\n' && r != utf8.RuneError
}

// separatorLine reads the first line by which a spreadsheet is told the
// delimiter, sep=; and returns its length, 0 if the text has none.
func separatorLine(text []byte) (length int, sep rune) {
	line, _, found := bytes.Cut(text, []byte{'\n'})
	length = len(line)
	if found {
		length++
	}
	bare := bytes.TrimRight(line, "\r")
	if len(bare) > 2 && bare[0] == '"' && bare[len(bare)-1] == '"' {
		bare = bare[1 : len(bare)-1]
	}
	const prefix = "sep="
	if len(bare) <= len(prefix) || !strings.EqualFold(string(bare[:len(prefix)]), prefix) {
		return 0, 0
	}
	r, size := utf8.DecodeRune(bare[len(prefix):])
	if size != len(bare)-len(prefix) || !usableDelimiter(r) {
		return 0, 0
	}
	return length, r
}

// trial is what parsing a sample with one delimiter came to.
type trial struct {
	columns int // of the header
	records int // read
	agree   int // records as wide as the header
}

// betterThan prefers a table in which every record agrees, then the share of
// those that do, then the number of columns.
func (t trial) betterThan(u trial) bool {
	if left, right := t.agree*u.records, u.agree*t.records; left != right {
		return left > right
	}
	return t.columns > u.columns
}

// detectDelimiter returns the candidate that makes the best table of sample.
// Only one that splits the header counts; where none does, the table has one
// column and the delimiter is one that does not split its rows.
func detectDelimiter(sample []byte, whole bool) rune {
	best, bestTrial := rune(0), trial{}
	single, singleTrial := rune(candidates[0]), trial{}
	for _, c := range candidates {
		t := try(sample, whole, c)
		switch {
		case t.columns > 1 && (best == 0 || t.betterThan(bestTrial)):
			best, bestTrial = c, t
		case t.columns == 1 && (singleTrial.records == 0 || t.betterThan(singleTrial)):
			single, singleTrial = c, t
		}
	}
	if best == 0 {
		return single
	}
	return best
}

// try parses the first records of sample. The last record of a sample that was
// cut off does not count.
func try(sample []byte, whole bool, delimiter rune) trial {
	r := csv.NewReader(bytes.NewReader(sample))
	r.Comma = delimiter
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	var t trial
	for t.records < trialRecords {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) || (!whole && t.records > 0 && r.InputOffset() >= int64(len(sample))) {
			break
		}
		t.records++
		if t.records == 1 {
			t.columns = len(fields)
		}
		if err == nil && len(fields) == t.columns {
			t.agree++
		}
	}
	return t
}
