package table

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/encoding/charmap"
)

// evidence counts what speaks for Cyrillic and what for Latin text in a single
// byte encoding. Cyrillic words consist of high bytes; Latin ones of ASCII
// letters with a high byte here and there. So the neighbours of a high byte
// tell more than the byte itself.
type evidence struct {
	cyrillic int // high letters side by side
	latin    int // a high letter beside an ASCII one
	alien    int // inside an ASCII word, what windows-1252 would not have there
}

// detectCodePage tells windows-1251 from windows-1252. Text that fits neither,
// or both, is an error that asks for the encoding: a wrong guess would write
// rubbish into the portal.
func detectCodePage(sample []byte) (string, error) {
	e := weigh(sample)
	switch {
	case e.latin > 3*e.cyrillic && e.alien*10 <= e.latin:
		return "windows-1252", nil
	case e.cyrillic > 3*e.latin:
		return detectCyrillic(sample)
	}
	return "", undecided("windows-1252 or windows-1251")
}

func undecided(perhaps string) error {
	return fmt.Errorf("the encoding cannot be told from the text, perhaps %s; set encoding: to one of %s",
		perhaps, strings.Join(Encodings(), ", "))
}

func weigh(sample []byte) evidence {
	var e evidence
	for i, b := range sample[:max(0, len(sample)-1)] {
		next := sample[i+1]
		switch {
		case highLetter(b) && highLetter(next):
			if !latinPair(b, next) {
				e.cyrillic++
			}
		case b >= 'a' && b <= 'z' && next >= 0xC0 && next <= 0xDE:
			e.alien++ // a capital inside a word
		case highLetter(b) && asciiLetter(next), asciiLetter(b) && highLetter(next):
			e.latin++
		case ordinal(sample[i:]):
			e.latin++
		case asciiLetter(b) && alien(next) && i+2 < len(sample) && asciiLetter(sample[i+2]):
			e.alien++
		}
	}
	return e
}

// highLetter reports bytes that are letters in windows-1251, nearly all of
// which are letters in windows-1252 too. The two besides the block from 0xC0
// are Ё and ё.
func highLetter(b byte) bool { return b >= 0xC0 || b == 0xA8 || b == 0xB8 }

func asciiLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// ordinal reports nº, 1º or 2ª. In windows-1251 these are letters, which do not
// end a number.
func ordinal(text []byte) bool {
	if b := text[0]; b|0x20 != 'n' && (b < '0' || b > '9') {
		return false
	}
	return (text[1] == 0xBA || text[1] == 0xAA) && (len(text) == 2 || !asciiLetter(text[2]) && text[2] < 0x80)
}

// alien reports bytes that windows-1252 has signs for which never stand inside
// a word; older code pages have accented letters there. Apostrophes, dashes,
// the middle dot, soft hyphen and hard space do stand inside words.
func alien(b byte) bool {
	switch b {
	case 0x8A, 0x8C, 0x8E, 0x91, 0x92, 0x95, 0x96, 0x97, 0x9A, 0x9C, 0x9E, 0x9F, 0xA0, 0xAD, 0xB4, 0xB7:
		return false
	}
	return b >= 0x80 && b < 0xC0
}

// latinPair reports pairs that Portuguese has all the time: çã and çõ.
func latinPair(a, b byte) bool {
	return a|0x20 == 0xE7 && (b|0x20 == 0xE3 || b|0x20 == 0xF5)
}

// frequentLetters are the ten most frequent letters of Russian, two thirds of
// any text; any other ten make up about a third.
const frequentLetters = "оеаинтсрвл"

// detectCyrillic makes sure that text in Cyrillic bytes is windows-1251: read
// as the encoding it is in, it has the most frequent letters.
func detectCyrillic(sample []byte) (string, error) {
	pages := []struct {
		name string
		page *charmap.Charmap
	}{
		{"windows-1251", charmap.Windows1251},
		{"koi8-r", charmap.KOI8R},
		{"cp866", charmap.CodePage866},
	}
	best, bestScore, score1251 := "", 0.0, 0.0
	for _, p := range pages {
		score := russian(sample, p.page)
		if p.page == charmap.Windows1251 {
			score1251 = score
		}
		if score > bestScore {
			best, bestScore = p.name, score
		}
	}
	if best == "" {
		return "", undecided("one that is older than windows-1251")
	}
	if best != "windows-1251" && bestScore > score1251*1.1 {
		return "", undecided(best)
	}
	return "windows-1251", nil
}

// russian says how much sample reads like Russian: the share of frequent
// letters among the high bytes, less the words that turn to capitals half-way.
func russian(sample []byte, page *charmap.Charmap) float64 {
	high, frequent, flips := 0, 0, 0
	lower := false
	for _, b := range sample {
		r := page.DecodeByte(b)
		if b >= 0x80 {
			high++
			if strings.ContainsRune(frequentLetters, unicode.ToLower(r)) {
				frequent++
			}
			if lower && unicode.IsUpper(r) {
				flips++
			}
		}
		lower = unicode.IsLower(r)
	}
	if high == 0 {
		return 0
	}
	return max(0, float64(frequent-2*flips)/float64(high))
}
