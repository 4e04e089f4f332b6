package table

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// format is what a number is shown as. One below zero is that of a whole number
// with so many digits at least, zeros before it, as numbers of documents have.
type format int

const (
	plain    format = iota // a number
	asDate                 // a date, with a time only where there is one
	asMoment               // a date with a time, also at midnight
	asTime                 // a time of the day
	asSpan                 // hours, minutes or seconds, of which there may be any number
)

// formatOf reads the code of a format, such as dd/mm/yyyy or "R$" #,##0.00.
// Letters that are not quoted stand for parts of a date.
func formatOf(code string) format {
	if strings.HasPrefix(strings.ToLower(code), "general") {
		return plain
	}
	var date, clock, month, span bool
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case '"':
			i += 1 + strings.IndexByte(code[i+1:]+`"`, '"')
		case '\\', '_', '*': // what is shown as it is, left free, or repeated
			i++
		case '[':
			inside := code[i+1 : i+1+strings.IndexByte(code[i+1:]+"]", ']')]
			span = span || inside != "" && strings.Trim(inside, "hH")+strings.Trim(inside, "mM")+strings.Trim(inside, "sS") == inside+inside
			i += 1 + len(inside)
		case ';': // after it stands how numbers below zero are shown
			i = len(code)
		case 'y', 'Y', 'd', 'D':
			date = true
		case 'h', 'H', 's', 'S':
			clock = true
		case 'm', 'M':
			month = true
		}
	}
	switch {
	case span && !date:
		return asSpan
	case date && clock:
		return asMoment
	case date, month && !clock:
		return asDate
	case clock:
		return asTime
	}
	return -format(zeros(code))
}

// zeros is how many digits a format shows at least, such as eleven for
// 000\.000\.000\-00; 0 where it is not for whole numbers alone.
func zeros(code string) int {
	code, _, _ = strings.Cut(code, ";")
	n := 0
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case '0':
			n++
		case '"':
			i += 1 + strings.IndexByte(code[i+1:]+`"`, '"')
		case '\\', '_', '*':
			i++
		case '#', ' ', '-', '(', ')', '+':
		default:
			return 0
		}
	}
	// One digit every number has, and so many no number of a document.
	const most = 30
	if n == 1 || n > most {
		return 0
	}
	return n
}

// builtIn is the format of a number that need not be described in a workbook;
// from 27 on they are those of East Asia.
func builtIn(id int) format {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 36, id >= 50 && id <= 58:
		return asDate
	case id >= 18 && id <= 21, id == 45, id == 47:
		return asTime
	case id == 22:
		return asMoment
	case id == 46:
		return asSpan
	}
	return plain
}

const millisecondsOfDay = 24 * 60 * 60 * 1000

// dateText is the date that stands so many days after the beginning of time,
// rounded to milliseconds: what is below is the noise of fractions.
func dateText(n float64, f format, from1904 bool) (text string, ok bool) {
	const lastDay = 2_958_465 // 31 December 9999
	if !(n >= 0 && n < lastDay+1) {
		return "", false
	}
	days := math.Floor(n)
	clock := time.Duration(math.Round((n-days)*millisecondsOfDay)) * time.Millisecond
	if f == asSpan {
		return spanText(time.Duration(days)*24*time.Hour + clock), true
	}
	layout := "15:04:05"
	if clock%time.Second != 0 {
		layout = "15:04:05.000"
	}
	if f == asTime && days == 0 && clock < 24*time.Hour {
		return time.Time{}.Add(clock).Format(layout), true
	}
	day, ok := dayOf(int(days), from1904)
	if !ok {
		return "", false
	}
	if clock == 0 && f == asDate {
		return day.Format(time.DateOnly), true
	}
	moment := day.Add(clock)
	if moment.Year() > 9999 {
		return "", false
	}
	return moment.Format(time.DateOnly + "T" + layout), true
}

// dayOf is the day of a number. Counted from 1900 there is a 29 February of that
// year, which never was, and a day 0, which is what blank cells come to.
func dayOf(n int, from1904 bool) (time.Time, bool) {
	switch {
	case from1904:
		return time.Date(1904, time.January, 1+n, 0, 0, 0, 0, time.UTC), true
	case n == 0 || n == 60:
		return time.Time{}, false
	case n < 60:
		return time.Date(1899, time.December, 31+n, 0, 0, 0, 0, time.UTC), true
	}
	return time.Date(1899, time.December, 30+n, 0, 0, 0, 0, time.UTC), true
}

// spanText is a length of time as hours, minutes and seconds.
func spanText(d time.Duration) string {
	text := fmt.Sprintf("%d:%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60)
	if rest := d % time.Second; rest != 0 {
		text += strings.TrimPrefix(strconv.FormatFloat(rest.Seconds(), 'f', 3, 64), "0")
	}
	return text
}
