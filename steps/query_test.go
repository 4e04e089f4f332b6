package steps

import (
	"testing"
	"time"
)

// A day is given to a database as a day, whatever the zone; a moment as the moment
// that it is, also at midnight.
func TestArgumentTime(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", 5*60*60)
	day := time.Date(2026, 11, 27, 0, 0, 0, 0, east)
	tests := map[string]struct {
		at           time.Time
		moment, text bool
		want         any
	}{
		"a day":                   {at: day, want: "2026-11-27"},
		"a day, to SQLite":        {at: day, text: true, want: "2026-11-27"},
		"a moment at midnight":    {at: day, moment: true, want: day.UTC()},
		"a moment, to SQLite":     {at: day, moment: true, text: true, want: "2026-11-26T19:00:00Z"},
		"what is no whole day":    {at: day.Add(time.Hour), want: day.Add(time.Hour).UTC()},
		"and of that text is UTC": {at: day.Add(time.Hour), text: true, want: "2026-11-26T20:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := argumentTime(tt.at, tt.moment, tt.text); got != tt.want {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
		})
	}
}
