package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cronlib "github.com/netresearch/go-cron"
)

// A cron is an expression of five fields, as times of a wall clock.
type cron struct {
	walls *cronlib.SpecSchedule // as if the clock on the wall showed UTC
	// wild: it begins in each minute that the clock shows and it matches, as jobs do whose field
	// of minutes or hours begins with "*". The others, of fixed times, begin once for each
	// matching minute of the calendar, whatever the clock does (see next).
	wild  bool
	never bool // no day is like that
}

// searchYears is how far ahead a time is looked for: February 29 comes after 8 years at most, and
// on each day of the week within 40.
const searchYears = 50

// starBit is what the library marks a field with that has a star in it.
const starBit = 1 << 63

// nicknames are the times that have names, as crontab(5) has them.
var nicknames = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// fieldNames are those of the five fields, and valid what can stand in each.
var (
	fieldNames = [5]string{"minute", "hour", "day of the month", "month", "day of the week"}
	valid      = [5]string{"0", "0", "1", "1", "0"}
)

// fieldPattern is a field: elements with commas between, each "*", a value or a range, and maybe
// a step.
var fieldPattern = sync.OnceValue(func() *regexp.Regexp {
	const element = `(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?`
	return regexp.MustCompile(`^` + element + `(,` + element + `)*$`)
})

func parseCron(text string) (*cron, error) {
	fields, err := splitCron(text)
	if err != nil {
		return nil, err
	}
	for i, field := range fields {
		if err := checkField(i, field); err != nil {
			return nil, err
		}
	}
	// A star in one of the fields of days, with a step or not, and a day must match both.
	var options cronlib.ParseOption
	if !strings.HasPrefix(fields[2], "*") && !strings.HasPrefix(fields[4], "*") {
		options = cronlib.DowOrDom
	}
	fields[4] = unwrapDays(fields[4])
	walls, err := parseFields(fields, options)
	if err != nil {
		return nil, err
	}
	return &cron{
		walls: walls,
		wild:  strings.HasPrefix(fields[0], "*") || strings.HasPrefix(fields[1], "*"),
		never: walls.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero(),
	}, nil
}

// splitCron returns the five fields.
func splitCron(text string) ([]string, error) {
	fields := strings.Fields(text)
	switch {
	case len(fields) == 0:
		return nil, errors.New("it is empty; write five fields, such as \"30 2 * * *\" for 02:30 each day")
	case strings.HasPrefix(fields[0], "TZ="), strings.HasPrefix(fields[0], "CRON_TZ="):
		return nil, errors.New("the time zone has an argument of its own: time_zone")
	case strings.HasPrefix(fields[0], "@"):
		spelled, ok := nicknames[strings.ToLower(strings.Join(fields, " "))]
		if !ok {
			return nil, errors.New("of the times with names, there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually")
		}
		return strings.Fields(spelled), nil
	case len(fields) == 6:
		return nil, errors.New("it has six fields; there are five: minute, hour, day of the month, month, day of the week, and none for seconds or years")
	case len(fields) != 5:
		return nil, fmt.Errorf("it has %d of the five fields minute, hour, day of the month, month, day of the week", len(fields))
	}
	return fields, nil
}

// checkField reports whether the field at i can be read.
func checkField(i int, field string) error {
	if field == "?" {
		return fmt.Errorf("%s: \"?\" is of another kind of cron; write \"*\"", fieldNames[i])
	}
	if !fieldPattern().MatchString(field) {
		return fmt.Errorf("%s: %q cannot be read; write * or a value, 1-5 for a range, */10 or 8-18/2 for a step, and commas between several", fieldNames[i], field)
	}
	fields := slices.Clone(valid[:])
	fields[i] = field
	if _, err := parseFields(fields, 0); err != nil {
		return fmt.Errorf("%s: %w", fieldNames[i], err)
	}
	return nil
}

// parseFields has the library read five fields.
func parseFields(fields []string, options cronlib.ParseOption) (*cronlib.SpecSchedule, error) {
	parser, err := cronlib.TryNewParser(options | cronlib.Minute | cronlib.Hour | cronlib.Dom | cronlib.Month | cronlib.Dow)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.WithMaxSearchYears(searchYears).Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, err
	}
	walls, ok := parsed.(*cronlib.SpecSchedule)
	if !ok {
		return nil, errors.New("it cannot be read")
	}
	walls.Location = time.UTC
	// The library notes a star wherever it stands in a field, and then has a day match both. The
	// caller has seen to that: a star counts where a field begins with it.
	walls.Dom &^= starBit
	walls.Dow &^= starBit
	return walls, nil
}

// dayNames are the days of the week, from 0.
var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// unwrapDays writes ranges over the end of the week, with a step, as single days: the library
// counts Sunday twice, as 7 and as 0.
func unwrapDays(field string) string {
	elements := strings.Split(field, ",")
	for i, element := range elements {
		span, by, _ := strings.Cut(element, "/")
		low, high, ranged := strings.Cut(span, "-")
		from, to := dayNumber(low), dayNumber(high)
		step, err := strconv.Atoi(by)
		if err != nil || step < 1 || !ranged || from <= to {
			continue
		}
		var days []string
		for day := from; day <= to+7; day += step {
			days = append(days, strconv.Itoa(day%7))
		}
		elements[i] = strings.Join(days, ",")
	}
	return strings.Join(elements, ",")
}

func dayNumber(text string) int {
	if i := slices.Index(dayNames, strings.ToLower(text)); i >= 0 {
		return i
	}
	n, _ := strconv.Atoi(text) // it was read before
	return n
}
