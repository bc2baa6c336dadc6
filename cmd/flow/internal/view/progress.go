package view

import (
	"time"

	"flow/engine"
)

// A Run is what is shown of a run: a copy, taken at one moment.
type Run struct {
	ID       string
	Workflow string
	Status   engine.Status
	Note     string // "cancelling", ...
	Created  time.Time
	Steps    []engine.StepStatus        // source order
	Waits    map[engine.StepName]string // why steps wait that do, as far as that is known
	Troubles []Trouble                  // the newest first
}

// A Trouble is tasks of a step that failed, or will be tried again, for one cause.
type Trouble struct {
	Step  string
	Task  string // the newest of them, with its step: align["chr1"]
	Tasks int
	Why   string
	Retry bool   // they are tried again
	Log   string // last line that one of them wrote; "": not known
}

// Counts returns the run's tasks by status; of steps whose size is not known, none.
func (r *Run) Counts() Counts {
	var sum Counts
	for i := range r.Steps {
		for st, n := range r.Steps[i].Counts {
			sum[st] += n
		}
	}
	return sum
}

// A Progress draws a run that goes on. It remembers how fast its steps were.
type Progress struct {
	meters map[engine.StepName]*meter
	whole  meter // of the run
}

// NewProgress returns a Progress that has seen nothing.
func NewProgress() *Progress { return &Progress{meters: map[engine.StepName]*meter{}} }

// A meter holds how many tasks of a step had run at some moments of the last minute.
type meter struct {
	at   []time.Time
	done []int
}

// window is the time over which a rate is measured.
const window = time.Minute

// measure notes that done tasks had ended at now, and returns the rate, per second.
func (m *meter) measure(now time.Time, done int) float64 {
	if n := len(m.at); n == 0 || now.Sub(m.at[n-1]) >= time.Second {
		m.at, m.done = append(m.at, now), append(m.done, done)
	}
	for len(m.at) > 2 && now.Sub(m.at[0]) > window {
		m.at, m.done = m.at[1:], m.done[1:]
	}
	if past := now.Sub(m.at[0]); past >= time.Second {
		return float64(done-m.done[0]) / past.Seconds()
	}
	return 0
}

// observe notes how far a step is at now, and returns how many of its tasks run to their
// end in a second; 0 if that is not known.
func (p *Progress) observe(s *engine.StepStatus, now time.Time) (rate float64) {
	if s.Status != engine.Running || s.Size < 2 {
		return 0
	}
	m := p.meters[s.Step.Name]
	if m == nil {
		m = &meter{}
		p.meters[s.Step.Name] = m
	}
	return m.measure(now, ran(Counts(s.Counts)))
}

// ran returns how many tasks have run to their end.
func ran(c Counts) int { return c[engine.Succeeded] + c[engine.Failed] }
