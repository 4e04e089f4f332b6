package sandbox

import (
	"strconv"
	"strings"
	"time"
)

// parseTime reads the spellings of a time that clients send, of those that
// PHP's strtotime understands, in the portal's time zone where the text has
// none.
func (s *store) parseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 64 {
		return time.Time{}, false
	}
	for _, layout := range []string{
		time.DateOnly, time.DateTime, time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04:05-0700",
		"2006-01-02 15:04:05-07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04",
		"02.01.2006", "02.01.2006 15:04:05", "02.01.2006 15:04", "01/02/2006", "01/02/2006 15:04:05",
		"2 January 2006", "2 Jan 2006", "January 2, 2006", "Jan 2, 2006", "20060102",
	} {
		if t, err := time.ParseInLocation(layout, text, s.zone); err == nil {
			return inRange(t.In(s.zone))
		}
	}
	return s.relativeTime(strings.ToLower(text))
}

// relativeTime reads "now", "today", "tomorrow", "@1700000000" and "+3 days".
func (s *store) relativeTime(text string) (time.Time, bool) {
	now := time.Now().In(s.zone)
	y, m, d := now.Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, s.zone)
	switch text {
	case "now":
		return now, true
	case "today", "midnight":
		return midnight, true
	case "tomorrow":
		return midnight.AddDate(0, 0, 1), true
	case "yesterday":
		return midnight.AddDate(0, 0, -1), true
	}
	if unix, ok := strings.CutPrefix(text, "@"); ok {
		n, err := strconv.ParseInt(unix, 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		return inRange(time.Unix(n, 0).In(s.zone))
	}
	count, unit, ok := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < -100000 || n > 100000 {
		return time.Time{}, false
	}
	switch strings.TrimSuffix(unit, "s") {
	case "day":
		return now.AddDate(0, 0, n), true
	case "week":
		return now.AddDate(0, 0, 7*n), true
	case "month":
		return now.AddDate(0, n, 0), true
	case "year":
		return inRange(now.AddDate(n, 0, 0))
	case "hour":
		return now.Add(time.Duration(n) * time.Hour), true
	default:
		return time.Time{}, false
	}
}

// inRange refuses years that the database has no room for.
func inRange(t time.Time) (time.Time, bool) {
	return t, t.Year() >= 1 && t.Year() <= 9999
}
