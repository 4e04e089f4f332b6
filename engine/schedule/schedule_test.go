package schedule_test

import (
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones must not depend on the machine that tests

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/schedule"
)

func parse(tb testing.TB, spec schedule.Spec) *schedule.Schedule {
	tb.Helper()
	s, err := schedule.Parse(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// dues lists the next n due times, as the clocks on the wall show them.
func dues(tb testing.TB, s *schedule.Schedule, after string, n int) []string {
	tb.Helper()
	from, err := time.Parse(time.RFC3339, after)
	if err != nil {
		tb.Fatal(err)
	}
	var list []string
	for range n {
		from = s.Next(from)
		list = append(list, from.Format("Mon 2006-01-02 15:04:05 -07"))
	}
	return list
}

func TestSchedule_Next(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		spec  schedule.Spec
		after string
		want  []string
	}{
		"weekdays at six": {
			spec:  schedule.Spec{Cron: "0 6 * * 1-5", Timezone: "America/Sao_Paulo"},
			after: "2026-11-20T12:00:00Z",
			want:  []string{"Mon 2026-11-23 06:00:00 -03", "Tue 2026-11-24 06:00:00 -03"},
		},
		"a time is not its own successor": {
			spec:  schedule.Spec{Cron: "0 6 * * *", Timezone: "UTC"},
			after: "2026-11-20T06:00:00Z",
			want:  []string{"Sat 2026-11-21 06:00:00 +00"},
		},
		"7 is Sunday": {
			spec:  schedule.Spec{Cron: "0 0 * * 7", Timezone: "UTC"},
			after: "2026-11-20T00:00:00Z",
			want:  []string{"Sun 2026-11-22 00:00:00 +00", "Sun 2026-11-29 00:00:00 +00"},
		},
		"a week that is left at its end": {
			spec:  schedule.Spec{Cron: "0 0 * * FRI-sun", Timezone: "UTC"},
			after: "2026-11-19T00:00:00Z",
			want:  []string{"Fri 2026-11-20 00:00:00 +00", "Sat 2026-11-21 00:00:00 +00", "Sun 2026-11-22 00:00:00 +00", "Fri 2026-11-27 00:00:00 +00"},
		},
		"steps up to 7": {
			spec:  schedule.Spec{Cron: "0 0 * * 1-7/3", Timezone: "UTC"},
			after: "2026-11-22T00:00:00Z",
			want:  []string{"Mon 2026-11-23 00:00:00 +00", "Thu 2026-11-26 00:00:00 +00", "Sun 2026-11-29 00:00:00 +00"},
		},
		"lists, ranges and steps": {
			spec:  schedule.Spec{Cron: "5,50-59/4 8-9 1 feb ?", Timezone: "UTC"},
			after: "2026-11-22T00:00:00Z",
			want:  []string{"Mon 2027-02-01 08:05:00 +00", "Mon 2027-02-01 08:50:00 +00", "Mon 2027-02-01 08:54:00 +00", "Mon 2027-02-01 08:58:00 +00", "Mon 2027-02-01 09:05:00 +00"},
		},
		"leap day": {
			spec:  schedule.Spec{Cron: "0 12 29 2 *", Timezone: "UTC"},
			after: "2026-01-01T00:00:00Z",
			want:  []string{"Tue 2028-02-29 12:00:00 +00", "Sun 2032-02-29 12:00:00 +00"},
		},
		"a nickname": {
			spec:  schedule.Spec{Cron: "  @Daily ", Timezone: "Asia/Tokyo"},
			after: "2026-11-20T16:00:00Z",
			want:  []string{"Sun 2026-11-22 00:00:00 +09"},
		},
		"every is counted from the epoch": {
			spec:  schedule.Spec{Cron: "@every 7m", Timezone: "UTC"},
			after: "1970-01-01T00:06:59.5Z",
			want:  []string{"Thu 1970-01-01 00:07:00 +00", "Thu 1970-01-01 00:14:00 +00"},
		},
		"every, before the epoch": {
			spec:  schedule.Spec{Cron: "@every 90s", Timezone: "UTC"},
			after: "1969-12-31T23:58:00Z",
			want:  []string{"Wed 1969-12-31 23:58:30 +00", "Thu 1970-01-01 00:00:00 +00", "Thu 1970-01-01 00:01:30 +00"},
		},

		// Europe/Berlin 2026: 29 March 02:00 → 03:00, 25 October 03:00 → 02:00.
		"the gap of Berlin is due at its end": {
			spec:  schedule.Spec{Cron: "30 2 * * *", Timezone: "Europe/Berlin"},
			after: "2026-03-28T00:00:00+01:00",
			want:  []string{"Sat 2026-03-28 02:30:00 +01", "Sun 2026-03-29 03:00:00 +02", "Mon 2026-03-30 02:30:00 +02"},
		},
		"the beginning of the gap": {
			spec:  schedule.Spec{Cron: "0 2 * * *", Timezone: "Europe/Berlin"},
			after: "2026-03-28T03:00:00+01:00",
			want:  []string{"Sun 2026-03-29 03:00:00 +02", "Mon 2026-03-30 02:00:00 +02"},
		},
		"several times in the gap are due once": {
			spec:  schedule.Spec{Cron: "*/20 * * * *", Timezone: "Europe/Berlin"},
			after: "2026-03-29T01:30:00+01:00",
			want:  []string{"Sun 2026-03-29 01:40:00 +01", "Sun 2026-03-29 03:00:00 +02", "Sun 2026-03-29 03:20:00 +02"},
		},
		"the doubled hour of Berlin counts once": {
			spec:  schedule.Spec{Cron: "30 2 * * *", Timezone: "Europe/Berlin"},
			after: "2026-10-24T12:00:00+02:00",
			want:  []string{"Sun 2026-10-25 02:30:00 +02", "Mon 2026-10-26 02:30:00 +01"},
		},
		"several times in the doubled hour": {
			spec:  schedule.Spec{Cron: "*/30 * * * *", Timezone: "Europe/Berlin"},
			after: "2026-10-25T01:45:00+02:00",
			want:  []string{"Sun 2026-10-25 02:00:00 +02", "Sun 2026-10-25 02:30:00 +02", "Sun 2026-10-25 03:00:00 +01"},
		},
		"asked in the second pass of the doubled hour": {
			spec:  schedule.Spec{Cron: "*/30 * * * *", Timezone: "Europe/Berlin"},
			after: "2026-10-25T02:10:00+01:00",
			want:  []string{"Sun 2026-10-25 03:00:00 +01"},
		},
		"every does not mind the clocks": {
			spec:  schedule.Spec{Cron: "@every 30m", Timezone: "Europe/Berlin"},
			after: "2026-10-25T02:15:00+02:00",
			want:  []string{"Sun 2026-10-25 02:30:00 +02", "Sun 2026-10-25 02:00:00 +01", "Sun 2026-10-25 02:30:00 +01", "Sun 2026-10-25 03:00:00 +01"},
		},

		// America/Sao_Paulo 2018: 4 November has no midnight, and in the
		// night of 18 February the hour before midnight came twice.
		"the missing midnight of São Paulo": {
			spec:  schedule.Spec{Cron: "0 0 * * *", Timezone: "America/Sao_Paulo"},
			after: "2018-11-03T12:00:00-03:00",
			want:  []string{"Sun 2018-11-04 01:00:00 -02", "Mon 2018-11-05 00:00:00 -02"},
		},
		"the doubled hour of São Paulo": {
			spec:  schedule.Spec{Cron: "30 23 * * *", Timezone: "America/Sao_Paulo"},
			after: "2018-02-17T12:00:00-02:00",
			want:  []string{"Sat 2018-02-17 23:30:00 -02", "Sun 2018-02-18 23:30:00 -03"},
		},
		"a change of half an hour": {
			spec:  schedule.Spec{Cron: "15 2 * * *", Timezone: "Australia/Lord_Howe"},
			after: "2026-10-03T12:00:00+10:30",
			want:  []string{"Sun 2026-10-04 02:30:00 +11", "Mon 2026-10-05 02:15:00 +11"},
		},
		"a day that never was": {
			spec:  schedule.Spec{Cron: "0 9 * * *", Timezone: "Pacific/Apia"},
			after: "2011-12-29T12:00:00-10:00",
			want:  []string{"Sat 2011-12-31 00:00:00 +14", "Sat 2011-12-31 09:00:00 +14"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := dues(t, parse(t, tt.spec), tt.after, len(tt.want))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("due times (-want +got):\n%s", diff)
			}
		})
	}
}

// Through both changes of a year, a daily job is due once on every day.
func TestSchedule_Next_onceADay(t *testing.T) {
	t.Parallel()

	for _, zone := range []string{"Europe/Berlin", "America/Sao_Paulo", "America/New_York", "Asia/Tehran", "Africa/Casablanca", "UTC"} {
		for _, cron := range []string{"0 0 * * *", "30 0 * * *", "0 2 * * *", "30 2 * * *", "59 23 * * *"} {
			s := parse(t, schedule.Spec{Cron: cron, Timezone: zone})
			due := time.Date(2017, 12, 31, 23, 59, 30, 0, s.Zone())
			for day := range 366 {
				due = s.Next(due)
				if want := time.Date(2018, 1, 1+day, 12, 0, 0, 0, time.UTC).YearDay(); due.YearDay() != want {
					t.Fatalf("%s %s: due at %v, want day %d of the year", zone, cron, due, want)
				}
			}
		}
	}
}

func TestSchedule_Next_machinesZone(t *testing.T) {
	t.Parallel()

	s := parse(t, schedule.Spec{Cron: "0 6 * * *"})
	got := s.Next(time.Date(2026, 11, 23, 0, 0, 0, 0, time.Local))
	if want := time.Date(2026, 11, 23, 6, 0, 0, 0, time.Local); !got.Equal(want) || s.Zone() != time.Local {
		t.Errorf("due at %v in %v, want %v", got, s.Zone(), want)
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		spec schedule.Spec
		want string
	}{
		"nothing":            {schedule.Spec{}, "cron: it is empty; write five fields, such as 0 6 * * 1-5"},
		"a zone":             {schedule.Spec{Cron: "TZ=Europe/Berlin 0 6 * * *"}, `cron: "TZ=Europe/Berlin" does not belong here; use the key timezone`},
		"a zone alone":       {schedule.Spec{Cron: "CRON_TZ=Europe/Moscow"}, `cron: "CRON_TZ=Europe/Moscow" does not belong here; use the key timezone`},
		"seconds":            {schedule.Spec{Cron: "0 0 6 * * *"}, `cron: "0 0 6 * * *" has 6 fields; write five: minute, hour, day of month, month, day of week`},
		"a date there isn't": {schedule.Spec{Cron: "0 0 30 2 *"}, `cron: "0 0 30 2 *" is never due; see whether the month has that day`},
		"an empty member":    {schedule.Spec{Cron: "1,,2 * * * *"}, `cron: minute: "": "" is not a number from 0 to 59`},
		"a comma alone":      {schedule.Spec{Cron: ", * * * *"}, `cron: minute: "": "" is not a number from 0 to 59`},
		"a sign":             {schedule.Spec{Cron: "+5 * * * *"}, `cron: minute: "+5": "+5" is not a number from 0 to 59`},
		"a minute of 60":     {schedule.Spec{Cron: "60 * * * *"}, `cron: minute: "60": "60" is not a number from 0 to 59`},
		"a word":             {schedule.Spec{Cron: "0 6 * * Monday"}, `cron: day of week: "Monday": "Monday" is not a number from 0 to 7 or a name such as MON`},
		"a month of 13":      {schedule.Spec{Cron: "0 6 1 13 *"}, `cron: month: "13": "13" is not a number from 1 to 12 or a name such as FEB`},
		"a turned range":     {schedule.Spec{Cron: "0 22-2 * * *"}, `cron: hour: "22-2": "22" comes after "2"; write 22-23,0-2`},
		"a turned week":      {schedule.Spec{Cron: "0 2 * * SAT-MON"}, `cron: day of week: "SAT-MON": the range ends before it begins; list the days, such as SAT,SUN,MON`},
		"a step of 0":        {schedule.Spec{Cron: "*/0 * * * *"}, `cron: minute: "*/0": the step "0" is not a number from 1 to 59; use @every for other intervals`},
		"a step too far":     {schedule.Spec{Cron: "*/90 * * * *"}, `cron: minute: "*/90": the step "90" is not a number from 1 to 59; use @every for other intervals`},
		"a huge step":        {schedule.Spec{Cron: "0 0 * * 1-7/9223372036854775807"}, `cron: day of week: "1-7/9223372036854775807": the step "9223372036854775807" is not a number from 1 to 7; use @every for other intervals`},
		"two hyphens":        {schedule.Spec{Cron: "1-2-3 * * * *"}, `cron: minute: "1-2-3": "2-3" is not a number from 0 to 59`},
		"two slashes":        {schedule.Spec{Cron: "*/2/3 * * * *"}, `cron: minute: "*/2/3": the step "2/3" is not a number from 1 to 59; use @every for other intervals`},
		"no such nickname":   {schedule.Spec{Cron: "@reboot"}, `cron: "@reboot" is not known; write @hourly, @daily, @weekly, @monthly, @yearly, @every 15m or five fields`},
		"every what":         {schedule.Spec{Cron: "@every"}, "cron: @every needs one duration, such as @every 15m"},
		"every word":         {schedule.Spec{Cron: "@every hour"}, `cron: "hour" is not a duration; write @every 15m or @every 1h30m`},
		"every nothing":      {schedule.Spec{Cron: "@every 0s"}, `cron: "0s" is not a number of whole seconds, one at the least`},
		"every back":         {schedule.Spec{Cron: "@every -5m"}, `cron: "-5m" is not a number of whole seconds, one at the least`},
		"every half second":  {schedule.Spec{Cron: "@every 1500ms"}, `cron: "1500ms" is not a number of whole seconds, one at the least`},
		"endless":            {schedule.Spec{Cron: strings.Repeat("1,", 500) + "1 * * * *"}, "cron: it is 1009 characters long, more than 500"},
		"no such zone":       {schedule.Spec{Cron: "0 6 * * *", Timezone: "Sao Paulo"}, `timezone: "Sao Paulo" is not known; write a name such as America/Sao_Paulo or Europe/Lisbon`},
		"a path":             {schedule.Spec{Cron: "0 6 * * *", Timezone: "../../etc/passwd"}, `timezone: "../../etc/passwd" is not known; write a name such as America/Sao_Paulo or Europe/Lisbon`},
		"no such overlap":    {schedule.Spec{Cron: "0 6 * * *", Overlap: "cancel"}, `overlap: "cancel" is not skip or queue`},
		"no such catch_up":   {schedule.Spec{Cron: "0 6 * * *", CatchUp: "all"}, `catch_up: "all" is not none or once`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := schedule.Parse(tt.spec)
			if err == nil {
				t.Fatal("parsed")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchedule_Warnings(t *testing.T) {
	t.Parallel()

	for cron, warned := range map[string]bool{
		"0 0 31 * 1": true, "0 0 */2 * 1": true, "0 0 31 * *": false, "0 0 * * 1": false, "0 0 ? * 1": false, "@every 1m": false, "@weekly": false,
	} {
		if got := parse(t, schedule.Spec{Cron: cron}).Warnings(); (len(got) > 0) != warned {
			t.Errorf("%s: warnings %q", cron, got)
		}
	}
}

func TestParse_fillsInDefaults(t *testing.T) {
	t.Parallel()

	got := parse(t, schedule.Spec{Cron: "@daily"}).Spec()
	want := schedule.Spec{Cron: "@daily", Overlap: schedule.Skip, CatchUp: schedule.None}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

// FuzzParse checks that what parses comes due, later each time and whenever one
// asks, and that all else is refused in words.
func FuzzParse(f *testing.F) {
	for _, cron := range []string{
		"0 6 * * 1-5", "*/5 * * * *", "0 0 29 2 *", "0 0 * * FRI-SUN", "@every 90s", "@daily", "TZ=0", "1,,2 * * * *", "0 0 31 * 7/2", "30 2 * * *", "@every 2562047h47m16s",
		"59-0 * * * *", "0 0 30 2 *", "*/90 * * * *", "\x1b[2J * * * *", "@every 1ns", "0 0 1 1 ?", "+5 * * * *", "0-59/59 0-23/23 1-31/30 1-12/11 0-7/7",
	} {
		f.Add(cron, "Europe/Berlin", "skip", "once", int64(1774746000))
	}
	f.Add("30 2 * * *", "", "", "none", int64(-62135596800))
	f.Add("@every 7s", "", "", "", int64(-62135596800))
	f.Add("30 2 * * *", "Australia/Lord_Howe", "queue", "", int64(1_743_865_200))
	f.Add("0 0 * * *", "America/Sao_Paulo", "", "", int64(1_541_300_400))
	f.Add("15 * * * *", "../../etc/passwd", "x", "\u202e", int64(0))
	f.Fuzz(func(t *testing.T, cron, zone, overlap, catchUp string, unix int64) {
		s, err := schedule.Parse(schedule.Spec{Cron: cron, Timezone: zone, Overlap: schedule.Overlap(overlap), CatchUp: schedule.CatchUp(catchUp)})
		if err != nil {
			if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !strconv.IsPrint(r) }); i >= 0 {
				t.Fatalf("%q has a control character at %d", err, i)
			}
			return
		}
		if again := parse(t, s.Spec()); again.Spec() != s.Spec() || again.Spec().Cron != cron {
			t.Fatalf("%+v is %+v", s.Spec(), again.Spec())
		}
		const century = 100 * 365 * 24 * 3600
		due := time.Unix(1_700_000_000+unix%century, 0)
		for range 3 {
			next := s.Next(due)
			if next.IsZero() {
				if strings.Contains(cron, "29") { // no leap day in 1900 and 2100
					return
				}
				t.Fatalf("%q is not due after %v", cron, due)
			}
			if !next.After(due) || next.Nanosecond() != 0 || next.Location() != s.Zone() {
				t.Fatalf("%q is due at %v after %v", cron, next, due)
			}
			for _, meanwhile := range []time.Time{due.Add(next.Sub(due) / 2), next.Add(-time.Second)} {
				if got := s.Next(meanwhile); !got.Equal(next) {
					t.Fatalf("%q in %s is due at %v after %v, but at %v after %v", cron, s.Zone(), next, due, got, meanwhile)
				}
			}
			due = next
		}
	})
}
