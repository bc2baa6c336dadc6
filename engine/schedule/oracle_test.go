package schedule_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A crontab is a model of cron(8): it looks at each minute, one after the other, as the main loop
// of ISC cron does, and has nothing in common with the code under test.
type crontab struct {
	zone *time.Location
	jobs []*job
	at   [1440]uint32 // which jobs name a minute of the day, as a bit set

	virtual int64 // local minutes up to which jobs of fixed times have begun
	started bool
	end     int64 // seconds: when the offset changes next
	offset  int64 // seconds
}

// A job is a line of a crontab, as bit sets.
type job struct {
	minute, hour, dom, month, dow uint64
	both                          bool // a day must match both fields of days
	wild                          bool
	day                           int64 // of which today says
	today                         bool
	begun                         []int64 // Unix seconds
}

// A field is one of a line: its least and greatest value, and the names of its values.
type field struct {
	min, max int
	names    string
}

var fields = [5]field{{0, 59, ""}, {0, 23, ""}, {1, 31, ""}, {1, 12, " janfebmaraprmayjunjulaugsepoctnovdec"}, {0, 6, "sunmontuewedthufrisat"}}

// value reads a number or a name. Names of months are three letters each after a blank: the first
// is 1.
func (f field) value(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	at := strings.Index(strings.TrimSpace(f.names), strings.ToLower(text))
	return at/3 + f.min
}

// set returns the values that a field allows, walking a circle of them.
func (f field) set(text string) (bits uint64) {
	for element := range strings.SplitSeq(text, ",") {
		span, by, stepped := strings.Cut(element, "/")
		low, high, ranged := strings.Cut(span, "-")
		from, to, step := f.min, f.max, 1
		if stepped {
			step, _ = strconv.Atoi(by)
		}
		if span != "*" {
			from = f.value(low)
			switch {
			case ranged:
				to = f.value(high)
			case !stepped:
				to = from
			case f.max == 6:
				to = 7
			}
		}
		if to < from {
			to += f.max - f.min + 1
		}
		for v := from; v <= to; v += step {
			bits |= 1 << (f.min + (v-f.min)%(f.max-f.min+1))
		}
	}
	return bits
}

func newJob(t interface{ Fatalf(string, ...any) }, line string) *job {
	parts := strings.Fields(line)
	if len(parts) != 5 {
		t.Fatalf("%q is no line of a crontab", line)
	}
	var sets [5]uint64
	for i, p := range parts {
		sets[i] = fields[i].set(p)
	}
	star := func(i int) bool { return parts[i][0] == '*' }
	return &job{
		minute: sets[0], hour: sets[1], dom: sets[2], month: sets[3], dow: sets[4],
		both: star(2) || star(4), wild: star(0) || star(1), day: -1 << 62,
	}
}

// matches reports whether the line names the day of a local minute.
func (j *job) matches(local int64) bool {
	if day := local / 1440; day != j.day {
		j.day, j.today = day, j.onDay(time.Unix(day*86400, 0).UTC())
	}
	return j.today
}

func (j *job) onDay(day time.Time) bool {
	dom, dow := j.dom>>day.Day()&1 == 1, j.dow>>day.Weekday()&1 == 1
	if j.month>>day.Month()&1 == 0 {
		return false
	}
	if j.both {
		return dom && dow
	}
	return dom || dow
}

// find begins the jobs that name a local minute, at an instant. Two beginnings at one instant are
// one slot.
func (c *crontab) find(at, local int64, wild, fixed bool) {
	named := c.at[local%1440]
	if named == 0 {
		return
	}
	for i, j := range c.jobs {
		if named>>i&1 == 0 || (j.wild && !wild) || (!j.wild && !fixed) || !j.matches(local) {
			continue
		}
		if n := len(j.begun); n == 0 || j.begun[n-1] != at {
			j.begun = append(j.begun, at)
		}
	}
}

// tick is one turn of cron's main loop, at an instant in Unix seconds.
func (c *crontab) tick(at int64) {
	if at >= c.end {
		t := time.Unix(at, 0).In(c.zone)
		_, offset := t.Zone()
		c.offset, c.end = int64(offset), 1<<62
		if _, end := t.ZoneBounds(); !end.IsZero() {
			c.end = end.Unix()
		}
	}
	local := (at + c.offset) / 60
	if !c.started {
		c.virtual, c.started = local-1, true
	}
	switch diff := local - c.virtual; {
	case diff == 1:
		c.virtual = local
		c.find(at, local, true, true)
	case diff > 180, diff <= -180: // the clock was moved
		c.virtual = local
		c.find(at, local, true, true)
	case diff > 0: // it was put forward
		c.find(at, local, true, false)
		for c.virtual < local {
			c.virtual++
			c.find(at, c.virtual, false, true)
		}
	default: // it was put back
		c.find(at, local, true, false)
	}
}

// oracle returns when jobs begin from one instant up to another, which is not part of it.
func oracle(t interface{ Fatalf(string, ...any) }, zone *time.Location, lines []string, from, to time.Time) [][]int64 {
	c := &crontab{zone: zone}
	for i, line := range lines {
		j := newJob(t, line)
		c.jobs = append(c.jobs, j)
		for m := range c.at {
			if j.minute>>(m%60)&1 == 1 && j.hour>>(m/60)&1 == 1 {
				c.at[m] |= 1 << i
			}
		}
	}
	for at := from.Truncate(time.Minute).Unix(); at < to.Unix(); at += 60 {
		c.tick(at)
	}
	out := make([][]int64, len(lines))
	for i, j := range c.jobs {
		out[i] = j.begun
	}
	return out
}

// TestOracle has the model say what is known of cron (crontab(5), cron(8)), so that it is not
// wrong in the same way as the code.
func TestOracle(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line, day string
		want      []string
	}{
		{"30 2 * * *", "2027-03-14", []string{"03:00 EDT"}},
		{"30 1 * * *", "2027-11-07", []string{"01:30 EDT"}},
		{"30 * * * 0", "2027-03-14", nil}, // 23, see below
		{"*/30 1-2 * * *", "2027-03-14", []string{"01:00 EST", "01:30 EST"}},
		{"*/30 1-2 * * *", "2027-11-07", []string{"01:00 EDT", "01:30 EDT", "01:00 EST", "01:30 EST", "02:00 EST", "02:30 EST"}},
		{"0 12 13 8 fri", "2027-08-13", []string{"12:00 EDT"}},
		{"0 12 13 8 fri", "2027-08-20", []string{"12:00 EDT"}},
		{"0 12 */2 8 fri", "2027-08-20", nil},
	} {
		from, err := time.ParseInLocation("2006-01-02", tt.day, zone)
		if err != nil {
			t.Fatal(err)
		}
		begun := oracle(t, zone, []string{tt.line}, from.AddDate(0, 0, -1), from.AddDate(0, 0, 1))[0]
		var got []string
		for _, at := range begun {
			if at >= from.Unix() {
				got = append(got, time.Unix(at, 0).In(zone).Format("15:04 MST"))
			}
		}
		if tt.line == "30 * * * 0" {
			if len(got) != 23 {
				t.Errorf("%s on %s: %d times, want 23", tt.line, tt.day, len(got))
			}
			continue
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s on %s: %v, want %v", tt.line, tt.day, got, tt.want)
		}
	}
}
