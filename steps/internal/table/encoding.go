package table

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const utf8Name = "utf-8"

// charset is an encoding that a table can be written in.
type charset struct {
	name    string
	aliases string            // separated by spaces
	decoder encoding.Encoding // nil for UTF-8
	mark    string            // its byte order mark
}

// charsets lists what can be read. UTF-32 cannot be told from UTF-16 by its
// mark alone and no program writes tables in it.
func charsets() []charset {
	return []charset{
		{name: utf8Name, aliases: "utf8", mark: "\xEF\xBB\xBF"},
		{name: "utf-16le", aliases: "utf16le", decoder: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), mark: "\xFF\xFE"},
		{name: "utf-16be", aliases: "utf16be", decoder: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), mark: "\xFE\xFF"},
		{name: "windows-1252", aliases: "cp1252 1252 latin1 iso-8859-1", decoder: charmap.Windows1252},
		{name: "windows-1251", aliases: "cp1251 1251 win1251", decoder: charmap.Windows1251},
		{name: "windows-1250", aliases: "cp1250 1250", decoder: charmap.Windows1250},
		{name: "koi8-r", aliases: "koi8r", decoder: charmap.KOI8R},
		{name: "cp866", aliases: "ibm866 866", decoder: charmap.CodePage866},
		{name: "cp850", aliases: "ibm850 850", decoder: charmap.CodePage850},
	}
}

// Encodings returns the names that [Options] takes. Each is also known by its
// usual short forms, such as cp1252 or latin1, in any case.
func Encodings() []string {
	all := charsets()
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	return names
}

// reader returns the text of r as UTF-8.
func (c charset) reader(r io.Reader) io.Reader {
	if c.decoder == nil {
		return r
	}
	return transform.NewReader(r, c.decoder.NewDecoder())
}

func charsetNamed(name string) (charset, error) {
	folded := strings.ToLower(strings.TrimSpace(name))
	for _, c := range charsets() {
		if folded == c.name {
			return c, nil
		}
		for alias := range strings.FieldsSeq(c.aliases) {
			if folded == alias {
				return c, nil
			}
		}
	}
	return charset{}, fmt.Errorf("encoding: %q is not known; write one of %s", shorten(name), strings.Join(Encodings(), ", "))
}

// found is the encoding of a file and how it came to be known.
type found struct {
	encoding charset
	mark     int  // length of the byte order mark
	detected bool // told from the text
}

// findEncoding returns the encoding of a file that begins with sample: by its
// byte order mark, else the one asked for, else by what the bytes look like.
func findEncoding(sample []byte, whole bool, asked string) (found, error) {
	given := found{}
	if asked != "" {
		c, err := charsetNamed(asked)
		if err != nil {
			return found{}, err
		}
		given.encoding = c
	}
	for _, c := range charsets() {
		if c.mark != "" && bytes.HasPrefix(sample, []byte(c.mark)) {
			return found{encoding: c, mark: len(c.mark)}, nil
		}
	}
	if asked != "" {
		return given, nil
	}
	name, err := detectEncoding(sample, whole)
	if err != nil {
		return found{}, err
	}
	c, err := charsetNamed(name)
	return found{encoding: c, detected: true}, err
}

// detectEncoding tells the encoding of text without a byte order mark.
func detectEncoding(sample []byte, whole bool) (string, error) {
	if name := looksUTF16(sample); name != "" {
		return name, nil
	}
	if looksUTF8(sample, whole) {
		return utf8Name, nil
	}
	return detectCodePage(sample)
}

// looksUTF8 also accepts text with a few damaged bytes among many sound
// characters: those rows are reported, where guessing a code page would turn
// every other row into rubbish.
func looksUTF8(sample []byte, whole bool) bool {
	sound, damaged := 0, 0
	for len(sample) > 0 {
		r, size := utf8.DecodeRune(sample)
		switch {
		case r != utf8.RuneError || size > 1:
			if size > 1 {
				sound++
			}
		case !whole && !utf8.FullRune(sample):
			// The sample ends inside a character.
		default:
			damaged++
		}
		sample = sample[size:]
	}
	return damaged == 0 || damaged*4 <= sound
}

// looksUTF16 recognises text in which nearly every second byte is the high
// half of a Latin, Greek, Cyrillic or punctuation character, with enough NULs
// among them that it cannot be anything else.
func looksUTF16(sample []byte) string {
	pairs := len(sample) / 2
	if pairs == 0 {
		return ""
	}
	var high, null [2]int
	for i, b := range sample[:2*pairs] {
		if b <= 0x06 || b >= 0x1E && b <= 0x22 {
			high[i%2]++
		}
		if b == 0 {
			null[i%2]++
		}
	}
	for side, name := range []string{"utf-16be", "utf-16le"} {
		if high[side]*10 >= pairs*9 && null[side]*20 >= pairs && null[1-side]*20 <= null[side] {
			return name
		}
	}
	return ""
}
