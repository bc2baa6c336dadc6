package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"flow/engine"
	"flow/engine/schedule"
)

// mostExpression is how long an expression may be (API reference of EventBridge Scheduler,
// CreateSchedule).
const mostExpression = 256

// Wakes returns the schedules of EventBridge Scheduler for a schedule of a workflow: for each
// cron expression one, or two, where it names days of the month as well as days of the week:
// either matches then, and EventBridge Scheduler takes only one of both. An error says which
// expression cannot be had exactly.
func Wakes(s *engine.Schedule) ([]Wake, error) {
	times, err := schedule.Parse(s)
	if err != nil {
		return nil, err
	}
	var out []Wake
	for i, f := range times.Fields() {
		expressions, err := translate(f)
		if err != nil {
			return nil, fmt.Errorf("schedule %q: cron %q: %w", s.Name, s.Cron[i], err)
		}
		for _, e := range expressions {
			out = append(out, Wake{
				Schedule: s.Name, Expression: e, TimeZone: cmp.Or(s.TimeZone, "UTC"), Cron: s.Cron[i],
				Window: s.Jitter, MaxAge: s.StartWithin, Disabled: s.Disabled,
			})
		}
	}
	return out, nil
}

// translate returns the expressions of EventBridge Scheduler for one of five fields: minutes,
// hours, days of the month, months, days of the week, years (its User Guide, "Schedule types").
func translate(f schedule.Fields) ([]string, error) {
	dom, dow := field(f.Dom, 1, 31), field(weekdays(f.Dow), 1, 7)
	days := [][2]string{}
	switch {
	case f.Either && (dom == "*" || dow == "*"):
		days = append(days, [2]string{"*", "?"})
	case dow == "*":
		days = append(days, [2]string{dom, "?"})
	case dom == "*":
		days = append(days, [2]string{"?", dow})
	case !f.Either:
		return nil, errors.New("a day has to be both of those of the month and of those of the week, since one field begins with *; EventBridge Scheduler takes only one of them")
	default:
		days = append(days, [2]string{dom, "?"}, [2]string{"?", dow})
	}
	var out []string
	for _, d := range days {
		e := fmt.Sprintf("cron(%s %s %s %s %s *)", field(f.Minute, 0, 59), field(f.Hour, 0, 23), d[0], field(f.Month, 1, 12), d[1])
		if len(e) > mostExpression {
			return nil, fmt.Errorf("it is %d characters for EventBridge Scheduler, which takes %d: divide it into several", len(e), mostExpression)
		}
		out = append(out, e)
	}
	return out, nil
}

// weekdays moves days of the week, of which Sunday is 0 or 7 in cron, to where Sunday is 1.
func weekdays(set uint64) uint64 {
	return (set&0x7f | set>>7&1) << 1
}

// field writes the members of a set from low to high: all, every nth to the end, or a list of
// numbers and ranges.
func field(set uint64, low, high int) string {
	var members []int
	for i := low; i <= high; i++ {
		if set>>i&1 == 1 {
			members = append(members, i)
		}
	}
	switch {
	case len(members) == high-low+1:
		return "*"
	case len(members) > 2:
		step := members[1] - members[0]
		if step > 1 && evenly(members, step) && members[len(members)-1]+step > high {
			return fmt.Sprintf("%d/%d", members[0], step)
		}
	}
	var parts []string
	for i := 0; i < len(members); {
		n := bits.TrailingZeros64(^(set >> members[i])) // how many follow one another
		n = min(n, high-members[i]+1)
		if n > 2 {
			parts = append(parts, fmt.Sprintf("%d-%d", members[i], members[i+n-1]))
			i += n
			continue
		}
		parts = append(parts, strconv.Itoa(members[i]))
		i++
	}
	return strings.Join(parts, ",")
}

func evenly(members []int, step int) bool {
	for i := 1; i < len(members); i++ {
		if members[i]-members[i-1] != step {
			return false
		}
	}
	return true
}
