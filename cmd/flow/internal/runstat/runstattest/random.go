// Package runstattest makes runs at random, for tests of what is said about runs.
package runstattest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"flow/engine"
)

// Start is when runs begin.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A Try is a try that has ended.
type Try struct {
	Step             engine.StepName
	Index, Job       int
	Attempt          int
	Outcome          engine.Outcome
	Started, Stopped int64 // ms; 0: not known
	Memory, CPU      int64 // as events have them
}

// A Task is how things are with a task, found out one by one.
type Task struct {
	Status           engine.Status
	Job              int // the last one; 0: none
	Attempts         int
	Started, Stopped int64
	Memory, CPU      int64
}

// A Run is what happened, and what came of it.
type Run struct {
	Workflow *engine.Workflow
	Events   []engine.Event
	Tasks    map[engine.StepName][]Task
	Asked    map[int]engine.Resources // by job
	Tries    []Try
	Ended    bool

	t    *rapid.T
	now  time.Time
	jobs int
	live map[engine.StepName]map[int]int // the job of each task that is in one
	base map[engine.StepName]int         // tries before the step was expanded anew
}

// Draw makes a run: steps of tasks that ask for different things, jobs that are refused, lost or
// accepted, tries of all outcomes, with times and amounts known or not; and steps and tasks that
// run again.
func Draw(t *rapid.T) *Run {
	r := &Run{
		Workflow: &engine.Workflow{Name: "w"}, Tasks: map[engine.StepName][]Task{}, Asked: map[int]engine.Resources{},
		t: t, now: Start, live: map[engine.StepName]map[int]int{}, base: map[engine.StepName]int{},
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "steps") {
		r.Workflow.Steps = append(r.Workflow.Steps, &engine.Step{Name: engine.StepName(fmt.Sprintf("s%d", i)), FanOut: true})
	}
	r.add(engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01run", Workflow: "w", Executor: engine.ExecutorBatch}})
	for _, s := range r.Workflow.Steps {
		r.expand(s.Name)
	}
	for range rapid.IntRange(0, 12).Draw(t, "rounds") {
		s := rapid.SampledFrom(r.Workflow.Steps).Draw(t, "step").Name
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			r.resetTasks(s)
		case 1:
			if rapid.Bool().Draw(t, "whole step") {
				r.add(engine.Event{Kind: engine.StepReset, Step: s})
				r.expand(s)
			}
		default:
			r.job(s)
		}
	}
	r.end()
	return r
}

func (r *Run) add(e engine.Event) {
	r.now = r.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(r.t, "ms")) * time.Millisecond)
	e.At, e.Seq = r.now, int64(len(r.Events)+1)
	r.Events = append(r.Events, e)
}

func (r *Run) expand(s engine.StepName) {
	n := rapid.IntRange(1, 8).Draw(r.t, "size")
	spec := &engine.TaskSpec{Command: []string{"true"}, Resources: []engine.Resources{}}
	for range rapid.IntRange(1, 2).Draw(r.t, "sizes") { // the second try may ask for other things
		spec.Resources = append(spec.Resources, engine.Resources{VCPUs: float64(rapid.IntRange(1, 8).Draw(r.t, "vcpus")), MemoryMiB: 1 << rapid.IntRange(5, 13).Draw(r.t, "memory")})
	}
	r.add(engine.Event{Kind: engine.StepExpanded, Step: s, Expanded: &engine.Expanded{Size: n, Groups: []*engine.TaskSpec{spec}}})
	for _, v := range r.Tasks[s] {
		r.base[s] = max(r.base[s], v.Attempts)
	}
	for _, job := range r.live[s] { // nobody looks at what becomes of its try
		r.base[s] = max(r.base[s], r.Events[r.planned(job)].Plan.Attempt)
	}
	r.Tasks[s], r.live[s] = make([]Task, n), map[int]int{}
	for job := range r.Asked {
		if r.Events[r.planned(job)].Step == s {
			delete(r.Asked, job) // nobody knows any more
		}
	}
}

// planned returns where the event is that planned a job.
func (r *Run) planned(job int) int {
	for i := range r.Events {
		if r.Events[i].Kind == engine.JobPlanned && r.Events[i].Job == job {
			return i
		}
	}
	return -1
}

// some draws some of the tasks of a step that can be taken.
func (r *Run) some(s engine.StepName, can func(i int) bool) (out engine.Ranges) {
	for i := range r.Tasks[s] {
		if can(i) && rapid.IntRange(0, 3).Draw(r.t, "task") > 0 {
			out = out.Add(i)
		}
	}
	return out
}

// job has some tasks of a step tried.
func (r *Run) job(s engine.StepName) {
	tasks := r.some(s, func(i int) bool { return !r.Tasks[s][i].Status.Ended() && r.live[s][i] == 0 })
	if tasks == nil {
		return
	}
	r.jobs++
	n := r.jobs
	attempt := r.base[s]
	for i := range tasks.All() {
		attempt = max(attempt, r.Tasks[s][i].Attempts)
	}
	attempt++ // they are numbered on
	try := attempt - r.base[s]
	r.add(engine.Event{Kind: engine.JobPlanned, Step: s, Job: n, Tasks: tasks, Plan: &engine.JobPlan{Name: fmt.Sprint("j", n), Attempt: attempt}})
	spec := r.spec(s)
	r.Asked[n] = spec.ResourcesFor(try)
	for i := range tasks.All() {
		r.Tasks[s][i].Job, r.live[s][i] = n, n
	}
	if rapid.IntRange(0, 7).Draw(r.t, "refused") == 0 {
		r.add(engine.Event{Kind: engine.JobRefused, Job: n, Reason: "no queue"})
		for i := range tasks.All() {
			r.Tasks[s][i].Status = engine.Failed
			delete(r.live[s], i)
		}
		return
	}
	r.add(engine.Event{Kind: engine.JobAccepted, Job: n, JobID: engine.JobID(fmt.Sprint("id", n))})
	if rapid.Bool().Draw(r.t, "seen starting") {
		r.add(engine.Event{Kind: engine.JobStarts, Job: n, Started: []int64{r.now.UnixMilli()}})
	}
	inJob := func(i int) bool { return r.live[s][i] == n }
	for range rapid.IntRange(0, 4).Draw(r.t, "news") {
		if some := r.some(s, inJob); some != nil {
			if rapid.Bool().Draw(r.t, "run") {
				r.add(engine.Event{Kind: engine.TasksRunning, Step: s, Job: n, Tasks: some})
				for i := range some.All() {
					v := &r.Tasks[s][i]
					v.Status, v.Started, v.Stopped = engine.Running, r.now.UnixMilli(), 0
				}
				continue
			}
			r.tries(s, n, attempt, some)
		}
	}
	if rapid.IntRange(0, 3).Draw(r.t, "goes on") == 0 {
		return
	}
	if rest := r.some(s, inJob); rest != nil {
		r.tries(s, n, attempt, rest)
	}
	for i := range r.Tasks[s] { // whatever is left
		if inJob(i) {
			r.tries(s, n, attempt, engine.RangesOf(i))
		}
	}
	r.add(engine.Event{Kind: engine.JobEnded, Job: n})
}

func (r *Run) spec(s engine.StepName) *engine.TaskSpec {
	for i := len(r.Events) - 1; ; i-- {
		if e := &r.Events[i]; e.Kind == engine.StepExpanded && e.Step == s {
			return e.Expanded.Groups[0]
		}
	}
}

// tries has tasks end that are in job n.
func (r *Run) tries(s engine.StepName, n, attempt int, tasks engine.Ranges) {
	outcome := rapid.SampledFrom([]engine.Outcome{engine.TaskSucceeded, engine.TaskSucceeded, engine.TaskFailed, engine.TaskRetrying, engine.TaskCancelled}).Draw(r.t, "outcome")
	e := engine.Event{Kind: engine.TasksEnded, Step: s, Job: n, Tasks: tasks, Outcome: outcome, Attempts: []int{attempt}}
	timed, used := rapid.Bool().Draw(r.t, "timed"), rapid.Bool().Draw(r.t, "used")
	end := r.now.UnixMilli()
	for i := range tasks.All() {
		v := &r.Tasks[s][i]
		try := Try{Step: s, Index: i, Job: n, Attempt: attempt, Outcome: outcome}
		if timed {
			if try.Stopped = end - rapid.Int64Range(0, 2000).Draw(r.t, "before"); rapid.IntRange(0, 5).Draw(r.t, "known") > 0 {
				try.Started = try.Stopped - rapid.Int64Range(0, 4000).Draw(r.t, "took")
			}
			e.Started, e.Stopped = append(e.Started, try.Started), append(e.Stopped, try.Stopped)
			v.Started, v.Stopped = try.Started, try.Stopped
			v.Memory, v.CPU = 0, 0
			if used {
				try.Memory, try.CPU = 4096*rapid.Int64Range(-10000, 1<<21).Draw(r.t, "peak"), rapid.Int64Range(0, 9000).Draw(r.t, "cpu")
				e.Memory, e.CPU = append(e.Memory, try.Memory), append(e.CPU, try.CPU)
				v.Memory, v.CPU = try.Memory, try.CPU
			}
		}
		v.Attempts = attempt
		v.Status = map[engine.Outcome]engine.Status{engine.TaskSucceeded: engine.Succeeded, engine.TaskFailed: engine.Failed, engine.TaskRetrying: engine.Pending, engine.TaskCancelled: engine.Cancelled}[outcome]
		delete(r.live[s], i)
		r.Tries = append(r.Tries, try)
	}
	r.add(e)
}

// resetTasks has some tasks that have ended run again.
func (r *Run) resetTasks(s engine.StepName) {
	tasks := r.some(s, func(i int) bool { return r.Tasks[s][i].Status.Ended() })
	if tasks == nil {
		return
	}
	r.add(engine.Event{Kind: engine.TasksReset, Step: s, Tasks: tasks})
	for i := range tasks.All() {
		old := r.Tasks[s][i]
		r.Tasks[s][i] = Task{Job: old.Job, Attempts: old.Attempts}
	}
}

// end ends the steps that can be, and perhaps the run.
func (r *Run) end() {
	r.Ended = true
	for _, s := range r.Workflow.Steps {
		over, status := true, engine.Succeeded
		for _, v := range r.Tasks[s.Name] {
			over = over && v.Status.Ended()
			if !v.Status.OK() {
				status = engine.Failed
			}
		}
		if r.Ended = r.Ended && over; over {
			r.add(engine.Event{Kind: engine.StepEnded, Step: s.Name, Status: status})
		}
	}
	if r.Ended {
		r.add(engine.Event{Kind: engine.RunEnded, Status: engine.Failed})
	}
}

// InJob returns the tasks of a job, in the order of its children.
func (r *Run) InJob(job int) []int { return slices.Collect(r.Events[r.planned(job)].Tasks.All()) }

// Alive reports whether a task is in a job that is not over.
func (r *Run) Alive(s engine.StepName, i int) bool { return r.live[s][i] != 0 }

// Fold returns the run as the engine has it.
func (r *Run) Fold() *engine.Run {
	run, err := engine.NewRun(r.Workflow)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range r.Events {
		if err := run.Apply(e); err != nil {
			r.t.Fatal(err)
		}
	}
	return run
}
