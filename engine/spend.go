package engine

import (
	"fmt"
	"math/bits"
	"strconv"
	"time"
)

// String writes an amount for people: $1.23, and with more digits what is less than a cent.
func (m Money) String() string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	const cent = USD / 100
	if m >= cent || m == 0 {
		cents := (m + cent/2) / cent
		return fmt.Sprintf("%s$%d.%02d", sign, cents/100, cents%100)
	}
	digits := 4
	if m < 100 { // $0.000042
		digits = 6
	} else {
		m = (m + 50) / 100 * 100
	}
	return sign + "$" + strconv.FormatFloat(float64(m)/float64(USD), 'f', digits, 64)
}

// exact writes an amount with all its digits.
func (m Money) exact() string {
	return "$" + strconv.FormatFloat(float64(m)/float64(USD), 'f', 6, 64)
}

// A Rate is what tries of a job's tasks cost, as it was reckoned when the job was planned.
type Rate struct {
	Hour  Money  `json:"hour"`            // of an hour of one task
	Least int    `json:"least,omitempty"` // seconds that a try is billed for at least
	Of    string `json:"of,omitempty"`    // what is billed, for people
	Date  string `json:"date,omitempty"`  // of the list of prices: 2006-01-02
}

// hour is an hour in milliseconds.
const hour = int64(time.Hour / time.Millisecond)

// Cost returns the price of a time, in milliseconds, rounded to the millionth.
func (r *Rate) Cost(ms int64) Money {
	if r == nil || ms <= 0 || r.Hour <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(r.Hour), uint64(ms))
	low, carry := bits.Add64(low, uint64(hour/2), 0)
	if high += carry; high >= uint64(hour) {
		return 1<<63 - 1
	}
	quotient, _ := bits.Div64(high, low, uint64(hour))
	return Money(min(quotient, 1<<63-1))
}

// billed returns how many milliseconds of a try are billed.
func (r *Rate) billed(started, stopped int64) int64 {
	if started == 0 || stopped == 0 {
		return 0
	}
	d := max(stopped-started, 0)
	if r != nil {
		d = max(d, int64(r.Least)*1000)
	}
	return d
}

// A Usage is the time that tries of tasks took, as it is billed, in milliseconds.
type Usage struct {
	Work    int64 `json:"work,omitempty"`    // last tries of their tasks
	Retried int64 `json:"retried,omitempty"` // tries that failed, and that others followed
	Lost    int64 `json:"lost,omitempty"`    // tries that ended since their host went away
	Unknown int   `json:"unknown,omitempty"` // how many tries nobody knows the time of
}

func (u *Usage) add(o Usage) {
	u.Work += o.Work
	u.Retried += o.Retried
	u.Lost += o.Lost
	u.Unknown += o.Unknown
}

// Time returns the time of all tries.
func (u *Usage) Time() time.Duration { return time.Duration(u.ms()) * time.Millisecond }

func (u *Usage) ms() int64 { return u.Work + u.Retried + u.Lost }

// before returns what the tries took that a job made before its last one; nil: there were
// none, or it does not matter.
func (g *gathered) before(attempts []JobAttempt) *Usage {
	if !g.d.far || len(attempts) < 2 {
		return nil
	}
	u := &Usage{}
	for i := range attempts[:len(attempts)-1] {
		a := &attempts[i]
		took := g.j.plan.Rate.billed(ms(a.Started), ms(a.Stopped))
		if isInfra(a.StatusReason) {
			u.Lost += took
		} else {
			u.Retried += took
		}
	}
	return u
}

// plus returns the sum of two usages, either of which may be nil.
func (u *Usage) plus(o *Usage) *Usage {
	if u == nil || o == nil {
		if u == nil {
			return o
		}
		return u
	}
	sum := *u
	sum.add(*o)
	return &sum
}

// usageOf returns what a TasksEnded of a job with that rate tells of the time of tries.
func usageOf(e *Event, rate *Rate) (u Usage) {
	if e.Before != nil {
		u = *e.Before
	}
	switch e.Outcome {
	case TaskUnstarted:
		return u
	case TaskLost:
		u.Unknown += e.Tasks.Len()
		return u
	}
	took := int64(0)
	for k := range e.Started {
		if k < len(e.Stopped) {
			took += rate.billed(e.Started[k], e.Stopped[k])
		}
		if e.Started[k] == 0 && e.Outcome == TaskSucceeded {
			u.Unknown++ // what it left is known, and nothing of its job
		}
	}
	switch {
	case e.TryLost:
		u.Lost += took
	case e.Outcome == TaskRetrying:
		u.Retried += took
	default:
		u.Work += took
	}
	return u
}

// burn notes how many tasks of the job run at a time, so that what they cost is known
// before they have ended. It is no part of the log.
func (j *jobState) burn(running int, now time.Time) {
	if !j.burnedAt.IsZero() && now.After(j.burnedAt) {
		// Those that run no more have told, or will, how long they ran.
		j.burned += int64(min(j.burning, running)) * now.Sub(j.burnedAt).Milliseconds()
	}
	j.burning, j.burnedAt = running, now
}

// running returns the time so far of tries that have not ended, as far as it is known.
func (j *jobState) running() int64 {
	if j.state == jobOver {
		return 0
	}
	return max(j.burned-j.used.ms(), 0)
}

// spent returns what the tries of the job have cost so far.
func (j *jobState) spent() Money { return j.plan.Rate.Cost(j.used.ms() + j.running()) }

// Spent returns what the run has cost so far, as far as its jobs have a rate: all tries that
// have ended, and those that run for the time that this process has seen them run.
func (r *Run) Spent() Money {
	sum := r.settled
	for _, j := range r.liveJobs() {
		if j.state != jobOver {
			sum += j.spent()
		}
	}
	return sum
}

// A StepUsage is what a step of a run has used and cost so far.
type StepUsage struct {
	Step     StepName
	Tasks    int // that were in a job
	Usage        // of ended tries
	Running  int64
	Cost     Money // all of it
	Retried  Money // of Cost, for Usage.Retried
	Lost     Money // of Cost, for Usage.Lost
	Unpriced int64 // milliseconds, of Usage and Running, of jobs without a rate
	Rates    []Rate
}

// Usage returns what each step has used and cost so far, in source order.
func (r *Run) Usage() []StepUsage {
	out := make([]StepUsage, len(r.steps))
	for i, s := range r.steps {
		out[i].Step = s.Name
	}
	for _, j := range r.jobs {
		u := &out[j.step.at]
		running := j.running()
		u.Usage.add(j.used)
		u.Running += running
		if j.used.ms()+running == 0 {
			continue
		}
		rate := j.plan.Rate
		if rate == nil {
			u.Unpriced += j.used.ms() + running
			continue
		}
		u.Retried += rate.Cost(j.used.Retried)
		u.Lost += rate.Cost(j.used.Lost)
		u.Cost += j.spent()
		u.addRate(*rate)
	}
	for i, s := range r.steps {
		for _, n := range s.job {
			if n > 0 {
				out[i].Tasks++
			}
		}
	}
	return out
}

func (u *StepUsage) addRate(rate Rate) {
	for _, known := range u.Rates {
		if known == rate {
			return
		}
	}
	u.Rates = append(u.Rates, rate)
}

// Took returns how many tasks of a step have succeeded by running, as far as it is known how
// long their last tries took, and how long in all. There need not be such a step.
func (r *Run) Took(name StepName) (tasks int, total time.Duration) {
	s := r.step(name)
	if s == nil {
		return 0, 0
	}
	for i, t := range s.task {
		if t == Succeeded && s.begun[i] > 0 && s.stopped[i] >= s.begun[i] {
			tasks++
			total += time.Duration(s.stopped[i]-s.begun[i]) * time.Millisecond
		}
	}
	return tasks, total
}
