package engine

import (
	"fmt"
	"slices"
	"time"
)

// Apply adds an event to the run. An error means that the log is corrupt, or that the
// event belongs to another run; the run must not be used any further.
func (r *Run) Apply(e Event) error {
	if e.Seq != 0 {
		if e.Seq != r.seq+1 {
			return fmt.Errorf("event %d of run %s follows event %d", e.Seq, r.info.Run, r.seq)
		}
		r.seq = e.Seq
	}
	if err := r.apply(&e); err != nil {
		return fmt.Errorf("event %d (%s) of run %s: %w", e.Seq, e.Kind, r.info.Run, err)
	}
	return nil
}

func (r *Run) apply(e *Event) error {
	if r.info.Run == "" && e.Kind != RunStarted {
		return fmt.Errorf("comes before %s", RunStarted)
	}
	switch e.Kind {
	case RunStarted:
		if e.Info == nil || r.info.Run != "" {
			return fmt.Errorf("has no info, or is not the first")
		}
		r.info, r.created, r.opened, r.status = *e.Info, e.At, e.At, Running
		if r.recovered() {
			r.opened, r.doubted = e.Info.Recovered, true
		}
		return nil
	case RunPaused:
		r.paused = &Pause{Reason: e.Reason, Spent: e.Spent, Allowance: r.Allowance(), At: e.At}
		return nil
	case RunResumed:
		if e.Allowance > 0 {
			r.allow(e)
		}
		for _, j := range r.live {
			// The last driver may have died while it submitted. Before it does so again, that is
			// in the log.
			if j.state == jobPlanned {
				j.state, j.since, r.doubted = jobInDoubt, e.At, true
			}
		}
		return nil
	case RunLate:
		r.late = e.At
		return nil
	case RunReopened:
		r.excused = r.excused || !r.info.LateAt.IsZero() && !e.At.Before(r.info.LateAt)
		r.doubted, r.swept = false, false
		r.status, r.reason, r.cause, r.results, r.cancel, r.paused = Running, "", "", nil, nil, nil
		r.opened, r.ended = e.At, time.Time{}
		return nil
	case CancelRequested:
		r.cancel = e
		return nil
	case RunEnded:
		r.status, r.reason, r.cause, r.results, r.ended = e.Status, e.Reason, e.Cause, e.Results, e.At
		return nil
	case JobAccepted, JobStarts, JobRefused, JobInDoubt, JobEnded, JobLost:
		return r.applyJob(e)
	}
	s := r.step(e.Step)
	if s == nil {
		return fmt.Errorf("unknown step %q", e.Step)
	}
	switch e.Kind {
	case StepWaits, StepGateOpened:
		return s.applyGate(e)
	}
	if e.Kind != StepExpanded && e.Kind != StepReset && e.Kind != StepEnded {
		if s.exp == nil {
			return fmt.Errorf("step %q is not expanded", e.Step)
		}
		if n := len(e.Tasks); n > 0 && e.Tasks[n-1].To >= s.exp.Size {
			return fmt.Errorf("task %d of step %q, which has %d", e.Tasks[n-1].To, e.Step, s.exp.Size)
		}
	}
	switch e.Kind {
	case StepExpanded:
		return r.applyExpanded(s, e)
	case StepReset:
		r.resetStep(s, e)
	case StepEnded:
		s.status, s.reason, s.cause, s.ended = e.Status, e.Reason, e.Cause, s.endedBy(e.At)
	case JobPlanned:
		return r.applyPlanned(s, e)
	case TasksRunning:
		s.begins(e.At)
		if n := e.Job; n > 0 && n <= len(r.jobs) && r.jobs[n-1].tasks.Len() == 1 {
			r.jobs[n-1].burn(1, e.At)
		}
		for i := range e.Tasks.All() {
			if !s.task[i].Ended() {
				s.set(i, Running)
				s.begun[i], s.stopped[i] = e.At.UnixMilli(), 0 // until its end tells it exactly
			}
		}
	case TasksEnded:
		return r.applyEnded(s, e)
	case TasksSkipped:
		for i := range e.Tasks.All() {
			r.leaveJob(s, i)
			s.waiting--
			s.set(i, e.Status)
			if e.Status == Skipped && e.Reason != ReasonWhen {
				s.hurt++
			}
			s.setDetail(i, TaskDetail{Reason: e.Reason, Cause: e.Cause})
		}
	case TasksReset:
		if n := len(e.Attempts); n > 1 && n != e.Tasks.Len() {
			return fmt.Errorf("step %q: its lists do not fit its tasks", s.Name)
		}
		r.resetTasks(s, e.Tasks, e.Attempts)
		if e.Reason != "" {
			s.again = append(s.again, againReason{e.Tasks, e.Reason})
		}
	case OutputsUnneeded:
		s.gone, s.unneeded = s.gone.with(e.Tasks), s.unneeded.with(e.Tasks)
	case OutputsDiscarded:
		s.unneeded = s.unneeded.without(e.Tasks)
	default:
		return fmt.Errorf("unknown kind of event")
	}
	return nil
}

func (r *Run) applyExpanded(s *stepState, e *Event) error {
	x := e.Expanded
	if x == nil || s.exp != nil || !x.Fits() {
		return fmt.Errorf("step %q: the expansion does not fit together", s.Name)
	}
	n := x.Size
	s.exp, s.status = x, Running
	s.task, s.job, s.tries = make([]Status, n), make([]int32, n), make([]uint16, n)
	s.begun, s.stopped, s.inJob = make([]int64, n), make([]int64, n), make([]bool, n)
	s.counts = [7]int{Pending: n}
	s.waiting = n
	if s.base > 0 {
		s.spent = map[int]int{}
		for i := range n {
			s.tries[i], s.spent[i] = uint16(s.base), s.base
		}
	}
	k := 0
	for i := range x.Cached.All() {
		if s.hits == nil {
			s.hits = make(map[int]*Hit, len(x.Hits))
		}
		s.hits[i] = &x.Hits[k]
		k++
		s.waiting--
		s.set(i, Cached)
		s.setValues(i, s.hits[i].Outputs)
		if len(s.hits[i].Gone) > 0 {
			s.gone = s.gone.Add(i)
		}
	}
	for k := range x.HitRanges {
		for i := range x.HitRanges[k].Tasks.All() {
			if s.task[i] == Cached {
				return fmt.Errorf("step %q: task %d is cached twice", s.Name, i)
			}
			s.waiting--
			s.set(i, Cached)
		}
	}
	return nil
}

// begins notes that a task of s ran at a time.
func (s *stepState) begins(at time.Time) {
	if !at.IsZero() && (s.started.IsZero() || at.Before(s.started)) {
		s.started = at
	}
}

func (s *stepState) setValues(i int, v Values) {
	if v == nil {
		return
	}
	if s.values == nil {
		s.values = map[int]Values{}
	}
	s.values[i] = v
}

func (r *Run) applyPlanned(s *stepState, e *Event) error {
	if e.Plan == nil || e.Job != len(r.jobs)+1 || e.Plan.Group >= len(s.exp.Groups) {
		return fmt.Errorf("job %d of step %q is out of order, or has no plan", e.Job, s.Name)
	}
	r.swept = false
	j := &jobState{n: e.Job, step: s, tasks: e.Tasks, plan: e.Plan, open: e.Tasks.Len(), planned: e.At.UnixMilli()}
	r.jobs = append(r.jobs, j)
	r.live = append(r.live, j)
	s.live = append(s.live, j)
	for i := range e.Tasks.All() {
		if s.inJob[i] || s.task[i].Ended() {
			return fmt.Errorf("%s is already in job %d", s.taskName(i), s.job[i])
		}
		if last := s.job[i]; last > 0 {
			r.jobs[last-1].failed = time.Time{}
		}
		s.job[i], s.inJob[i] = int32(j.n), true
		s.waiting--
		r.flight++
		delete(s.after, i)
	}
	return nil
}

func (r *Run) applyJob(e *Event) error {
	if e.Job < 1 || e.Job > len(r.jobs) {
		return fmt.Errorf("unknown job %d", e.Job)
	}
	j := r.jobs[e.Job-1]
	s := j.step
	r.swept = r.swept && e.Kind != JobAccepted && e.Kind != JobInDoubt
	r.doubted = r.doubted || e.Kind == JobInDoubt || e.Kind == JobLost
	switch e.Kind {
	case JobAccepted:
		j.state, j.id, j.accepted = jobAccepted, e.JobID, e.At.UnixMilli()
		return nil
	case JobStarts:
		j.starting = e.startingSince()
		return nil
	case JobInDoubt:
		j.state, j.since = jobInDoubt, e.At
		return nil
	}
	if j.state == jobOver {
		return fmt.Errorf("job %d is over already", j.n)
	}
	j.state, j.ended = jobOver, e.At.UnixMilli()
	r.over++
	r.settled += j.spent()
	s.live = slices.DeleteFunc(s.live, func(l *jobState) bool { return l == j })
	if j.stray {
		return nil
	}
	j.ok = true
	for i := range j.tasks.All() {
		j.ok = j.ok && s.task[i].OK()
		if int(s.job[i]) != j.n || !s.inJob[i] {
			continue
		}
		r.leaveJob(s, i)
		switch {
		case s.task[i].Ended():
		case e.Kind == JobRefused:
			s.waiting--
			s.set(i, Failed)
			s.setDetail(i, TaskDetail{Reason: e.Reason})
		case len(e.Attempts) > 0: // lost: nobody knows which tries were made, and none counts
			j.used.Unknown++
			used := s.userTries(i)
			s.tries[i] = uint16(max(int(s.tries[i]), e.Attempts[0]))
			s.spend(i, int(s.tries[i])-s.infra[i]-used)
			s.set(i, Pending)
		default: // lost, or ended without a word on this task
			if s.task[i] == Running {
				s.tries[i]++
				s.addInfra(i)
			}
			s.set(i, Pending)
		}
	}
	return nil
}

// endedBy is when the last task of s stopped, if that is known: it may have been seen, at
// the time at, long after.
func (s *stepState) endedBy(at time.Time) time.Time {
	if s.started.IsZero() {
		return at
	}
	if last := millis(slices.Max(s.stopped)); !last.Before(s.started) && last.Before(at) {
		return last
	}
	return at
}

// spend notes how many tries of task i that infrastructure did not spoil do not count.
func (s *stepState) spend(i, tries int) {
	if s.spent == nil {
		s.spent = map[int]int{}
	}
	s.spent[i] = tries
}

func (s *stepState) addInfra(i int) {
	if s.infra == nil {
		s.infra = map[int]int{}
	}
	s.infra[i]++
}

// leaveJob takes task i out of its live job, if it is in one: it waits again.
func (r *Run) leaveJob(s *stepState, i int) {
	if s.inJob[i] {
		s.inJob[i] = false
		s.waiting++
		r.flight--
		r.jobs[s.job[i]-1].open--
	}
}

func (r *Run) applyEnded(s *stepState, e *Event) error {
	n := e.Tasks.Len()
	if (len(e.Attempts) > 1 && len(e.Attempts) != n) || (e.Outputs != nil && len(e.Outputs) != n) ||
		(e.Started != nil && len(e.Started) != n) || (e.Stopped != nil && len(e.Stopped) != n) ||
		(e.Memory != nil && len(e.Memory) != n) || (e.CPU != nil && len(e.CPU) != n) {
		return fmt.Errorf("step %q: its lists do not fit its tasks", s.Name)
	}
	if e.Job > 0 && e.Job <= len(r.jobs) {
		j := r.jobs[e.Job-1]
		j.used.add(usageOf(e, j.plan.Rate))
	}
	k := -1
	for i := range e.Tasks.All() {
		k++
		if s.task[i].Ended() {
			return fmt.Errorf("%s had ended already", s.taskName(i))
		}
		r.leaveJob(s, i)
		if len(e.Attempts) > 0 {
			s.tries[i] = uint16(e.Attempts[min(k, len(e.Attempts)-1)])
		}
		if e.Infra > 0 {
			if s.infra == nil {
				s.infra = map[int]int{}
			}
			s.infra[i] = e.Infra
		}
		if e.Started != nil {
			s.begun[i] = e.Started[k]
			s.begins(millis(e.Started[k]))
			s.uses(i, e.Used(k))
		}
		if e.Stopped != nil {
			s.stopped[i] = e.Stopped[k]
		}
		if e.Outputs != nil {
			s.setValues(i, e.Outputs[k])
		}
		s.setDetail(i, TaskDetail{ExitCode: nonZero(e.ExitCode), Reason: e.Reason, Cause: e.Cause})
		r.endTask(s, i, e)
	}
	return nil
}

func nonZero(code *int) *int {
	if code != nil && *code == 0 {
		return nil
	}
	return code
}

func (r *Run) endTask(s *stepState, i int, e *Event) {
	switch e.Outcome {
	case TaskSucceeded:
		s.waiting--
		s.set(i, Succeeded)
	case TaskFailed, TaskLost:
		s.waiting--
		s.set(i, Failed)
	case TaskCancelled:
		s.waiting--
		s.set(i, Cancelled)
	case TaskRetrying:
		s.set(i, Pending)
		if j := r.jobs[max(e.Job, 1)-1]; j.failed.IsZero() {
			j.failed = e.At
		}
		if !e.After.IsZero() {
			if s.after == nil {
				s.after = map[int]time.Time{}
			}
			s.after[i] = e.After
		}
		delete(s.rule, i)
		if at := s.ruleIndex(i, e.Rule); at > 0 {
			if s.rule == nil {
				s.rule = map[int]int{}
			}
			s.rule[i] = at
		}
	default: // TaskUnstarted, TaskRecovered
		s.set(i, Pending)
	}
}

// ruleIndex returns 1 + the index of task i's retry rule class, or 0.
func (s *stepState) ruleIndex(i int, class string) int {
	if class == "" {
		return 0
	}
	for k, rule := range s.exp.Groups[s.group(i)].Retry.Rules {
		if rule.Class == class && rule.Engine() {
			return k + 1
		}
	}
	return 0
}

// resetTasks makes tasks of s run again. tries, if there are any, is what they may have used.
func (r *Run) resetTasks(s *stepState, tasks Ranges, tries []int) {
	s.gone, s.unneeded = s.gone.without(tasks), s.unneeded.without(tasks)
	k := -1
	for i := range tasks.All() {
		k++
		r.leaveJob(s, i)
		if s.task[i].Ended() {
			s.waiting++
		}
		if s.task[i] == Skipped && !s.benignTask(i) {
			s.hurt--
		}
		s.set(i, Pending)
		if len(tries) > 0 {
			s.tries[i] = uint16(max(int(s.tries[i]), tries[min(k, len(tries)-1)]))
		}
		if used := int(s.tries[i]) - s.infra[i]; used > 0 {
			s.spend(i, used)
		}
		delete(s.rule, i)
		delete(s.after, i)
		delete(s.values, i)
		delete(s.hits, i)
		s.begun[i], s.stopped[i] = 0, 0
		s.uses(i, Used{})
		s.setDetail(i, TaskDetail{})
	}
	s.status, s.reason, s.cause, s.ended = Running, "", "", time.Time{}
}

// resetStep forgets the tasks of s: they are to be found out again. Attempts are
// numbered on, so that no directory is used twice.
func (r *Run) resetStep(s *stepState, e *Event) {
	for _, n := range e.Attempts {
		s.base = max(s.base, n)
	}
	for _, j := range s.live {
		if j.state == jobAccepted {
			j.used.Unknown += j.open // nobody looks how long they still run
		}
	}
	for i := range s.task {
		r.leaveJob(s, i)
		s.base = max(s.base, int(s.tries[i]))
	}
	for _, j := range s.live {
		j.stray = true
		// Its tasks may be at any of the tries that it may make.
		s.base = max(s.base, j.plan.Attempt+max(j.plan.Attempts, 1)-1)
	}
	*s = stepState{live: s.live, Step: s.Step, at: s.at, deps: s.deps, next: s.next, base: s.base, noCache: e.NoCache}
}
