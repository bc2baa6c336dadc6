package scheduler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/engine/schedule"
)

func expressions(t *testing.T, cron ...string) ([]string, error) {
	t.Helper()
	wakes, err := Wakes(&engine.Schedule{Name: "s", Cron: cron})
	var out []string
	for _, w := range wakes {
		out = append(out, w.Expression)
	}
	return out, err
}

func TestWakes(t *testing.T) {
	t.Parallel()
	for cron, want := range map[string][]string{
		"30 4 * * *":                {"cron(30 4 * * ? *)"},
		"@hourly":                   {"cron(0 * * * ? *)"},
		"@weekly":                   {"cron(0 0 ? * 1 *)"},
		"0 0 * * 7":                 {"cron(0 0 ? * 1 *)"},
		"0 0 * * 0,6":               {"cron(0 0 ? * 1,7 *)"},
		"0 0 * * fri-mon":           {"cron(0 0 ? * 1,2,6,7 *)"},
		"*/5 * * * *":               {"cron(0/5 * * * ? *)"},
		"3-59/7 * * * *":            {"cron(3/7 * * * ? *)"},
		"1-9/4 22-2 * * *":          {"cron(1,5,9 0-2,22,23 * * ? *)"},
		"0 0 1,15 jan,jul *":        {"cron(0 0 1,15 1,7 ? *)"},
		"0 0 */2 * *":               {"cron(0 0 1/2 * ? *)"},
		"0 6 1 * mon-fri":           {"cron(0 6 1 * ? *)", "cron(0 6 ? * 2-6 *)"},
		"0 6 1-31 * mon":            {"cron(0 6 * * ? *)"},
		"0 6 13 * 0-6":              {"cron(0 6 * * ? *)"},
		"0-29,31-59 0-3,5-8 31 2 *": {"cron(0-29,31-59 0-3,5-8 31 2 ? *)"},
	} {
		got, err := expressions(t, cron)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", cron, err, d)
		}
	}
}

func TestWakesRefused(t *testing.T) {
	t.Parallel()
	for cron, want := range map[string]string{
		"0 0 */2 * mon": "EventBridge Scheduler takes only one of them",
		"0 0 * *":       "it has 4 of the five fields",
	} {
		_, err := expressions(t, cron)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", cron, err, want)
		}
	}
}

// awsField reports whether a value is in a field of an expression, as the documentation of
// EventBridge Scheduler has it: *, ?, a, a-b, a/step, and lists of them.
func awsField(text string, value, high int) bool {
	if text == "*" {
		return true
	}
	for part := range strings.SplitSeq(text, ",") {
		low, rest, ranged := strings.Cut(part, "-")
		from, step, stepped := strings.Cut(part, "/")
		switch {
		case ranged:
			if number(low) <= value && value <= number(rest) {
				return true
			}
		case stepped:
			if value >= number(from) && value <= high && (value-number(from))%number(step) == 0 {
				return true
			}
		case number(part) == value:
			return true
		}
	}
	return false
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// awsFires reports whether an expression names a minute of a calendar.
func awsFires(expression string, at time.Time) bool {
	f := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expression, "cron("), ")"))
	if !awsField(f[0], at.Minute(), 59) || !awsField(f[1], at.Hour(), 23) || !awsField(f[3], int(at.Month()), 12) {
		return false
	}
	switch {
	case f[4] == "?":
		return awsField(f[2], at.Day(), 31)
	case f[2] == "?":
		return awsField(f[4], int(at.Weekday())+1, 7)
	}
	panic(expression + " has days of the month and of the week")
}

// What EventBridge Scheduler fires for a schedule are the slots of the schedule.
func TestWakesAreSlots(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, low, high int) string {
			n := rapid.IntRange(low, high)
			return rapid.OneOf(
				rapid.Just("*"), rapid.Just("*"),
				rapid.Map(n, strconv.Itoa),
				rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%d-%d", n.Draw(t, "from"), n.Draw(t, "to")) }),
				rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("*/%d", rapid.IntRange(1, high-low).Draw(t, "step")) }),
				rapid.Map(rapid.SliceOfN(n, 1, 6), func(all []int) string {
					var parts []string
					for _, v := range all {
						parts = append(parts, strconv.Itoa(v))
					}
					return strings.Join(parts, ",")
				}),
			).Draw(t, name)
		}
		cron := strings.Join([]string{field("minute", 0, 59), field("hour", 0, 23), field("dom", 1, 31), field("month", 1, 12), field("dow", 0, 7)}, " ")
		s := &engine.Schedule{Name: "s", Cron: []string{cron}}
		times, err := schedule.Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", cron, err)
		}
		wakes, err := Wakes(s)
		if err != nil {
			if dom, dow := strings.Fields(cron)[2], strings.Fields(cron)[4]; !strings.HasPrefix(dom, "*") && !strings.HasPrefix(dow, "*") {
				t.Fatalf("%s: %v", cron, err)
			}
			return
		}
		begin := time.Date(2027, time.Month(rapid.IntRange(1, 12).Draw(t, "in")), rapid.IntRange(1, 28).Draw(t, "on"), 0, 0, 0, 0, time.UTC)
		slots := slices.Collect(times.Upto(begin.Add(-time.Second), begin.AddDate(0, 0, 2)))
		var fired []time.Time
		for at := begin; !at.After(begin.AddDate(0, 0, 2)); at = at.Add(time.Minute) {
			if slices.ContainsFunc(wakes, func(w Wake) bool { return awsFires(w.Expression, at) }) {
				fired = append(fired, at)
			}
		}
		if d := cmp.Diff(slots, fired); d != "" {
			t.Fatalf("%s is %v (-slots +fired)\n%s", cron, wakes, d)
		}
	})
}
