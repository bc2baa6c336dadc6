package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flow/engine"
	"flow/engine/schedule"
)

func parse(t interface {
	Helper()
	Fatal(...any)
}, s *engine.Schedule) *schedule.Times {
	t.Helper()
	times, err := schedule.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// unix returns the slots as Unix seconds.
func unix(times *schedule.Times, after, upto time.Time) (out []int64) {
	for slot := range times.Upto(after, upto) {
		out = append(out, slot.Unix())
	}
	return out
}

// differ says where two lists first differ; "": nowhere.
func differ(got, want []int64, zone *time.Location) string {
	show := func(list []int64, i int) string {
		if i >= len(list) {
			return "nothing"
		}
		return time.Unix(list[i], 0).In(zone).Format(time.RFC3339)
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("slot %d is %s, want %s", i, show(got, i), show(want, i))
		}
	}
	return ""
}

// zones are those of the walk: each has something that another has not.
var zones = []string{
	"America/New_York",    // the usual
	"Australia/Lord_Howe", // half an hour
	"Europe/Dublin",       // winter time is the one that saves
	"Pacific/Apia",        // 2011-12-30 is missing
	"America/Sao_Paulo",   // midnight is missing; no more changes since 2019
	"Africa/Casablanca",   // four changes a year
	"Antarctica/Casey",    // changes of three hours
}

// TestTimesAgainstCron walks through 40 years of minutes, as cron does, and compares.
func TestTimesAgainstCron(t *testing.T) {
	t.Parallel()
	lines := []string{
		"30 2 * * *", "30 1 * * *", "0 0 * * *", "15,45 0-3/3 * * sun", "0 0 13 * 5", "59 23 29 2 *",
		"*/30 1-3 * * 6-1", "7 */4 * * *", "5 22-2 30-2 oct,nov,mar,Apr *", "0 12 */9 * mon-fri", "0 3 * 12 7",
	}
	from := time.Date(2003, 1, 1, 0, 0, 0, 0, time.UTC) // past 2040, whose end Go misplaces (see spanAt)
	to := from.AddDate(40, 0, 0)
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := schedule.Zone(name)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range oracle(t, zone, lines, from, to) {
				times := parse(t, &engine.Schedule{Cron: lines[i : i+1], TimeZone: name})
				got := unix(times, from.Add(-1), to.Add(-1))
				if d := differ(got, want, zone); d != "" {
					t.Errorf("%s: of %d slots, %s", lines[i], len(want), d)
				}
				if len(want) == 0 {
					t.Errorf("%s: no slot in 40 years", lines[i])
				}
			}
		})
	}
}

// drawField draws a field of a line that a crontab can have.
func drawField(t *rapid.T, i int) string {
	f := fields[i]
	element := rapid.Custom(func(t *rapid.T) string {
		low, high := rapid.IntRange(f.min, f.max).Draw(t, "low"), rapid.IntRange(f.min, f.max).Draw(t, "high")
		size := high - low
		if size < 0 {
			size += f.max - f.min + 1
		}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return fmt.Sprintf("%d-%d", low, high)
		case 1:
			if size > 1 {
				return fmt.Sprintf("%d-%d/%d", low, high, rapid.IntRange(1, size).Draw(t, "step"))
			}
		case 2:
			return fmt.Sprintf("*/%d", rapid.IntRange(1, f.max-f.min).Draw(t, "step"))
		}
		return fmt.Sprint(low)
	})
	if rapid.IntRange(0, 2).Draw(t, "any") == 0 {
		return "*"
	}
	return strings.Join(rapid.SliceOfN(element, 1, 3).Draw(t, "elements"), ",")
}

// TestTimesOfAnyCron compares random lines with cron's loop, around changes of clocks.
func TestTimesOfAnyCron(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := schedule.Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(883612800, 2145916800).Draw(t, "at"), 0).In(zone)
		if _, end := at.ZoneBounds(); !end.IsZero() {
			at = end
		}
		lines := make([]string, rapid.IntRange(1, 3).Draw(t, "lines"))
		for i := range lines {
			parts := make([]string, 5)
			for k := range parts {
				parts[k] = drawField(t, k)
			}
			lines[i] = strings.Join(parts, " ")
		}
		from, to := at.Add(-8*24*time.Hour), at.Add(3*24*time.Hour)
		var want []int64
		for _, begun := range oracle(t, zone, lines, from, to) {
			want = append(want, begun...)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		after := at.Add(time.Duration(rapid.Int64Range(-2*86400, 86400).Draw(t, "after")) * time.Second)
		want = slices.DeleteFunc(want, func(s int64) bool { return s <= after.Unix() })
		times := parse(t, &engine.Schedule{Cron: lines, TimeZone: name})
		if d := differ(unix(times, after, to.Add(-1)), want, zone); d != "" {
			t.Fatalf("%v in %s after %s: %s", lines, name, after.In(zone), d)
		}
	})
}

// TestNext has the cases that people ask for.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cron, zone, after, want string
	}{
		{"30 2 * * *", "America/New_York", "2027-03-13T12:00:00-05:00", "2027-03-14T03:00:00-04:00"}, // left out: right after
		{"30 2 * * *", "America/New_York", "2027-03-14T03:00:00-04:00", "2027-03-15T02:30:00-04:00"},
		{"30 1 * * *", "America/New_York", "2027-11-07T01:30:00-04:00", "2027-11-08T01:30:00-05:00"}, // shown twice: once
		{"30 * * * *", "America/New_York", "2027-11-07T01:30:00-04:00", "2027-11-07T01:30:00-05:00"}, // each hour
		{"0 0 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"},      // no such day: nothing is made up for
		{"0 0 1 * 1-2,*/3", "", "2027-02-02T00:00:00Z", "2027-02-03T00:00:00Z"},                      // it does not begin with a star: or
		{"0 0 1 * */3", "", "2027-02-02T00:00:00Z", "2027-05-01T00:00:00Z"},                          // it does: and
		{"0 0 29 2 *", "", "2097-01-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 31 2 *", "", "2027-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"0 0 29 2 */7", "Europe/Berlin", "2033-01-01T00:00:00Z", "2060-02-29T00:00:00+01:00"}, // a Sunday
		{"30 2 * * *", "Europe/Berlin", "2040-12-31T00:00:00+01:00", "2040-12-31T02:30:00+01:00"},
		{"30 2 * * *", "Europe/Berlin", "2040-12-31T02:30:00+01:00", "2041-01-01T02:30:00+01:00"},
		{"@Daily", "Asia/Kolkata", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00+05:30"},
		{"0 0 * * fri-mon/2", "", "2027-01-04T00:00:00Z", "2027-01-08T00:00:00Z"}, // Friday and Sunday
		{"0 0 * * fri-mon/2", "", "2027-01-10T00:00:00Z", "2027-01-15T00:00:00Z"},
		{"* * * * *", "", "2027-01-04T00:00:00.5Z", "2027-01-04T00:01:00Z"},
	} {
		after, err := time.Parse(time.RFC3339Nano, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		times := parse(t, &engine.Schedule{Cron: []string{tt.cron}, TimeZone: tt.zone})
		if got := times.Next(after).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s in %q after %s: %s, want %s", tt.cron, tt.zone, tt.after, got, tt.want)
		}
	}
}

// TestSeveralLines has a time that several name once.
func TestSeveralLines(t *testing.T) {
	t.Parallel()
	times := parse(t, &engine.Schedule{Cron: []string{"0 */6 * * *", "0 6,7 * * *"}})
	from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var got []int
	for slot := range times.Upto(from, from.Add(12*time.Hour)) {
		got = append(got, slot.Hour())
	}
	if want := []int{6, 7, 12}; !slices.Equal(got, want) {
		t.Errorf("hours %v, want %v", got, want)
	}
}

// TestParseRefuses has errors that say what is wrong.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ cron, zone, want string }{
		{"", "", "it is empty"},
		{"30 2 * *", "", "it has 4 of the five fields"},
		{"0 30 2 * * *", "", "none for seconds or years"},
		{"TZ=Europe/Berlin 0 2 * * *", "", "time_zone"},
		{"CRON_TZ=UTC 0 2 * * *", "", "time_zone"},
		{"@every 1h", "", "there are @hourly"},
		{"@reboot", "", "there are @hourly"},
		{"60 2 * * *", "", "minute: end of range (60) above maximum (59)"},
		{"0 24 * * *", "", "hour: "},
		{"0 0 0 * *", "", "day of the month: "},
		{"0 0 * 13 *", "", "month: "},
		{"0 0 * * 8", "", "day of the week: "},
		{"0 0 * * funday", "", "day of the week: "},
		{"0 0 ? * 1", "", `write "*"`},
		{"0 0 L * *", "", "day of the month: "},
		{"0 0 * * 5#3", "", "day of the week: "},
		{"H 0 * * *", "", "minute: "},
		{"0,,1 0 * * *", "", "minute: "},
		{", 0 * * *", "", "minute: "},
		{"*-5 0 * * *", "", "minute: "},
		{"*/0 0 * * *", "", "minute: step of range must be a positive number"},
		{"+5 0 * * *", "", "minute: "},
		{"99999999999999999999 0 * * *", "", "minute: "},
		{"0 2 * * *", "Europe/Berln", "there is no time zone"},
		{"0 2 * * *", "Local", "there is no time zone"},
		{"0 2 * * *", "../etc/passwd", "there is no time zone"},
	} {
		_, err := schedule.Parse(&engine.Schedule{Cron: []string{tt.cron}, TimeZone: tt.zone})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q in %q: %v, want %q", tt.cron, tt.zone, err, tt.want)
		}
	}
	if _, err := schedule.Parse(&engine.Schedule{}); err == nil {
		t.Error("a schedule without times is read")
	}
}

// TestJitter is the same for the same slot, less than the most, and not the same for all.
func TestJitter(t *testing.T) {
	t.Parallel()
	times := parse(t, &engine.Schedule{Cron: []string{"@hourly"}, Jitter: 10 * time.Minute})
	from := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := map[time.Duration]bool{}
	for slot := range times.Upto(from, from.AddDate(0, 0, 10)) {
		j := times.Jitter("nightly/daily", slot)
		if j < 0 || j >= 10*time.Minute || j != times.Jitter("nightly/daily", slot.UTC()) {
			t.Fatalf("the jitter of %s is %s", slot, j)
		}
		seen[j] = true
	}
	if len(seen) < 100 {
		t.Errorf("240 slots have %d jitters", len(seen))
	}
	// What was decided stays so over versions of flow.
	if got, want := times.Jitter("nightly/daily", from.Add(time.Hour)), 2*time.Minute+42*time.Second; got != want {
		t.Errorf("the jitter of 01:00 is %s, want %s", got, want)
	}
	if times.Jitter("nightly/daily", from) == times.Jitter("nightly/hourly", from) {
		t.Error("two schedules have the same jitter")
	}
}
