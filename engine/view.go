package engine

import (
	"strconv"
	"time"
)

// scope lets a Template look at a run.
type scope struct {
	r        *Run
	attempts map[string]int // by task directory: what TaskView.Attempt is to be
	// far, unless nil, gets the task directories on S3 of results that were looked at.
	far map[string]bool
}

func (s scope) RunID() RunID       { return s.r.info.Run }
func (s scope) RunTime() time.Time { return s.r.created }

func (s scope) Step(name StepName) *StepView {
	st := s.r.step(name)
	if st == nil || st.exp == nil {
		if st != nil && st.benign() { // what it waited for did not come: its tasks are not known
			return &StepView{FanOut: st.FanOut, Size: 1, Task: func(int) TaskView { return TaskView{Status: Skipped} }}
		}
		return nil
	}
	return &StepView{FanOut: st.FanOut, Keys: st.exp.Keys, Size: st.exp.Size, Task: func(i int) TaskView {
		dir := s.r.dir(st, i)
		v := TaskView{Status: st.task[i], Dir: dir, Attempt: s.attempts[dir], Values: st.values[i]}
		if s.far != nil && v.Status.OK() && isURI(dir) {
			s.far[dir] = true
		}
		if h := st.hits[i]; h != nil && len(h.Gone) > 0 {
			v.Gone, v.Again = h.Gone, s.r.ownDir(st, i)
		}
		if spec := st.spec(i); spec != nil {
			for _, o := range spec.Outputs {
				if o.Kind.Static() {
					if v.Static == nil {
						v.Static = map[string]string{}
					}
					v.Static[o.Name] = o.Path
				}
			}
		}
		return v
	}}
}

// A StepStatus is what can be seen of a step of a run.
type StepStatus struct {
	Step    *Step
	Status  Status
	Reason  string
	Cause   string
	Size    int       // -1: not known yet
	Counts  [7]int    // tasks by Status
	Started time.Time // when its first task ran; zero: none did
	Ended   time.Time
}

// Steps returns what can be seen of the run's steps, in source order.
func (r *Run) Steps() []StepStatus {
	out := make([]StepStatus, len(r.steps))
	for i, s := range r.steps {
		out[i] = s.view()
	}
	return out
}

// StepStatus returns what can be seen of one step. It panics if there is no such step.
func (r *Run) StepStatus(name StepName) StepStatus { return r.step(name).view() }

func (s *stepState) view() StepStatus {
	v := StepStatus{Step: s.Step, Status: s.status, Reason: s.reason, Cause: s.cause, Size: -1, Counts: s.shownCounts(), Started: s.started, Ended: s.ended}
	if s.exp != nil {
		v.Size = s.exp.Size
		if !v.Status.Ended() && v.Counts[Running]+v.Counts[Succeeded]+v.Counts[Failed] == 0 {
			v.Status = Pending
		}
	}
	return v
}

// A TaskStatus is what can be seen of a task of a run.
type TaskStatus struct {
	Step       StepName
	Index      int
	Key        string
	Name       string // see TaskName
	Status     Status
	Attempts   int  // ended tries
	Infra      int  // tries among them that infrastructure spoiled
	ExitCode   *int // of the last try, if not 0
	Reason     string
	Cause      string
	Job        JobID // of the last try; "" if it has no job
	Child      int   // in that job; -1: a plain job
	Started    time.Time
	Stopped    time.Time
	PeakMemory int64  // bytes, of the last try that ended; 0: not known
	PeakAtMost bool   // PeakMemory is no peak, but what it did not exceed, see Used
	CPUMillis  int64  // likewise, milliseconds of CPU
	Dir        string // its task directory, or that of the result it was CACHED from
	Hit        *Hit   // where a CACHED result is from
	Values     Values
	Again      string // why it ran again, or is to, though its result was known; "": it did not
}

// Task returns what can be seen of task i of a step. It panics if there is none.
func (r *Run) Task(name StepName, i int) TaskStatus {
	s := r.step(name)
	t := TaskStatus{
		Step: name, Index: i, Key: s.key(i), Name: s.taskName(i), Status: s.task[i], Attempts: int(s.tries[i]), Infra: s.infra[i],
		Child: -1, Dir: r.dir(s, i), Hit: s.hit(i), Values: s.values[i],
		Started: millis(s.begun[i]), Stopped: millis(s.stopped[i]), Again: s.whyAgain(i),
	}
	used := s.used(i)
	t.PeakMemory, t.PeakAtMost, t.CPUMillis = used.PeakMemory, used.AtMost, used.CPUMillis
	if d := s.detail[i]; d != nil {
		t.ExitCode, t.Reason, t.Cause = d.ExitCode, d.Reason, d.Cause
	}
	if n := s.job[i]; n > 0 {
		j := r.jobs[n-1]
		t.Job = j.id
		if j.tasks.Len() > 1 {
			t.Child = j.tasks.Rank(i)
		}
	}
	return t
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Spec returns what task i of a step runs; nil if it is absent.
func (r *Run) Spec(name StepName, i int) *TaskSpec { return r.step(name).spec(i) }

// KeyParts returns what the result of task i of a step depends on; nil if it is absent
// or not cached.
func (r *Run) KeyParts(name StepName, i int) []KeyPart {
	s := r.step(name)
	spec := s.spec(i)
	if spec == nil || spec.NoCache {
		return nil
	}
	if s.exp.KeyName != "" {
		name = s.exp.KeyName
	}
	return KeyParts(spec, name, s.key(i), i)
}

// FindTask returns the index of the task of a step with that key. For a step without
// fan-out the key is "".
func (r *Run) FindTask(name StepName, key string) (int, bool) {
	s := r.step(name)
	if s == nil || s.exp == nil || s.exp.Size == 0 {
		return 0, false
	}
	if !s.FanOut {
		return 0, key == ""
	}
	if s.exp.Keys == nil {
		i, err := strconv.Atoi(key)
		return i, err == nil && i >= 0 && i < s.exp.Size
	}
	if s.byKey == nil {
		s.byKey = make(map[string]int, len(s.exp.Keys))
		for i, k := range s.exp.Keys {
			s.byKey[k] = i
		}
	}
	i, ok := s.byKey[key]
	return i, ok
}

// Select returns the indices of the tasks of a step in one of these states.
func (r *Run) Select(name StepName, states ...Status) (out Ranges) {
	s := r.step(name)
	if s == nil {
		return nil
	}
	var want [7]bool
	for _, st := range states {
		want[st] = true
	}
	for i, t := range s.task {
		if want[t] {
			out = out.Add(i)
		}
	}
	return out
}

// A JobView is what can be seen of a job of a run.
type JobView struct {
	N     int
	Step  StepName
	Name  string
	ID    JobID // "": not accepted
	Tasks Ranges
	Plan  *JobPlan
	Over  bool

	// When it was planned, accepted, seen STARTING the first time and over; zero: not yet, or
	// not seen.
	Planned, Accepted, Starting, Ended time.Time
}

// Jobs returns what can be seen of the run's jobs, in the order they were planned.
func (r *Run) Jobs() []JobView {
	out := make([]JobView, len(r.jobs))
	for i, j := range r.jobs {
		out[i] = JobView{N: j.n, Step: j.step.Name, Name: j.plan.Name, ID: j.id, Tasks: j.tasks, Plan: j.plan, Over: j.state == jobOver,
			Planned: millis(j.planned), Accepted: millis(j.accepted), Starting: millis(j.starting), Ended: millis(j.ended)}
	}
	return out
}
