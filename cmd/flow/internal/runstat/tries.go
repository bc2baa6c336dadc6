package runstat

import (
	"iter"

	"flow/engine"
)

// A Try is one try of a task, as far as it is recorded: of the tries that AWS Batch makes in
// a job by itself, the last one is. Times are in milliseconds since 1970, 0 if not known.
type Try struct {
	Step     engine.StepName
	Index    int // of the task in its step
	Job      int // number in the run
	Attempt  int // from 1; of several that are told as one, the last
	Outcome  engine.Outcome
	ExitCode *int
	Reason   string
	Rule     string // the retry rule that said it is tried again
	Started  int64
	Stopped  int64
	Memory   int64 // peak, in bytes; 0: not known
	AtMost   bool  // Memory is no peak, but what it did not exceed
	CPU      int64 // milliseconds of processor time; 0: not known
}

// Tries yields the tries that an event says ended; none of most events.
func Tries(e *engine.Event) iter.Seq[Try] {
	return func(yield func(Try) bool) {
		if e.Kind != engine.TasksEnded || e.Outcome == engine.TaskUnstarted || e.Outcome == engine.TaskRecovered {
			return
		}
		k := 0
		for i := range e.Tasks.All() {
			t := Try{
				Step: e.Step, Index: i, Job: e.Job, Attempt: pick(e.Attempts, k, 1), Outcome: e.Outcome, ExitCode: e.ExitCode,
				Reason: e.Reason, Rule: e.Rule, Started: pick(e.Started, k, 0), Stopped: pick(e.Stopped, k, 0),
			}
			used := e.Used(k)
			t.Memory, t.AtMost, t.CPU = used.PeakMemory, used.AtMost, used.CPUMillis
			if !yield(t) {
				return
			}
			k++
		}
	}
}

// pick returns the value of the task at place at: of a list with one element, that one.
func pick[T any](list []T, at int, none T) T {
	switch {
	case len(list) == 1:
		return list[0]
	case at < len(list):
		return list[at]
	}
	return none
}
