package engine

import (
	"fmt"
	"time"
)

// Ready is what a run wants done. The events must be applied, and be durable BEFORE
// any command but Expand is carried out: commands are the effects that the events
// announce. After Wake it is worth asking again though nothing happened; zero: never.
type Ready struct {
	Events   []Event
	Commands []Command
	Wake     time.Time
}

// A Command is a wish, for the driver to carry out.
type Command struct {
	Op   Op
	Step StepName // Expand, Probe, Discard
	Job  int      // Submit, Find, Terminate
	// Last is set in a Find whose answer is final: a job that it does not find was
	// never accepted.
	Last   bool
	Reason string // Terminate
}

// Op is what a Command wants done.
type Op string

const (
	Expand    Op = "expand"    // evaluate the step; reads only. Answer: StepExpanded, StepWaits, or StepEnded with FAILED
	Submit    Op = "submit"    // submit the job. Answer: JobAccepted, JobRefused or JobInDoubt
	Find      Op = "find"      // look whether the job was accepted. Answer: JobAccepted, or none; see Last
	Terminate Op = "terminate" // end the job; asked for again until it has ended
	Probe     Op = "probe"     // look for what the step waits for, when it is time to. Answer: StepGateOpened, StepEnded, or none
	Survey    Op = "survey"    // of a recovered run: end the step's jobs of before, and find out what its tasks did. Answer: TasksEnded, or none
	Sweep     Op = "sweep"     // list the run's jobs and end those it does not know, until nothing is alive. No answer; see unswept
	Discard   Op = "discard"   // remove the temporary outputs of the step. Answer: OutputsDiscarded
	Conclude  Op = "conclude"  // evaluate and publish the workflow's outputs. Answer: RunEnded
)

// Ready decides what is to be done next, from the run's state alone: asking twice
// changes nothing. now is only compared with times that are in the run.
func (r *Run) Ready(now time.Time) Ready {
	d := decision{Run: r, now: now}
	if r.info.Run == "" || r.Ended() {
		return d.Ready
	}
	if d.cancelling() {
		return d.Ready
	}
	d.lates()
	open := false
	for _, s := range r.order {
		if !s.status.Ended() {
			open = true
			d.step(s)
		}
	}
	discarding := d.discarding()
	d.jobsReady()
	d.pauses()
	if !open && !discarding && len(d.Events) == 0 {
		d.end()
	}
	return d.Ready
}

// A decision gathers what Ready answers.
type decision struct {
	*Run
	Ready
	now   time.Time
	added int // tasks in the jobs planned so far
	nJobs int // jobs planned so far

	reckoned  bool   // over and overSpent are known
	over      string // see overBudget
	overSpent Money
	denied    bool // something is not submitted since the run is over its budget
}

func (d *decision) event(e Event) { d.Events = append(d.Events, e) }

func (d *decision) wake(t time.Time) {
	if d.Wake.IsZero() || t.Before(d.Wake) {
		d.Wake = t
	}
}

// cancelling decides whether the run is to be cancelled, by its timeout or its
// on_failure; it reports whether it just did so.
func (d *decision) cancelling() bool {
	if d.cancel != nil {
		return false
	}
	if d.wf.Timeout > 0 && d.paused == nil { // a run that is paused is not late
		deadline := d.opened.Add(d.wf.Timeout)
		if !d.now.Before(deadline) {
			d.event(Event{Kind: CancelRequested, Reason: fmt.Sprintf("timed out after %s", d.wf.Timeout), Cause: CauseTimeout})
			return true
		}
		d.wake(deadline)
	}
	if d.budgetCancels() {
		return true
	}
	if d.wf.OnFailure == CancelOnErr {
		for _, s := range d.steps {
			if s.counts[Failed] > 0 && !s.Tolerate.Allows(s.counts[Failed], s.exp.Size) || s.status == Failed {
				cause := s.rootCause()
				d.event(Event{Kind: CancelRequested, Reason: cause + " failed, and on_failure is \"cancel\"", Cause: cause})
				return true
			}
		}
	}
	return false
}

// Causes that are no task or step.
const (
	CauseUser    = "user"
	CauseTimeout = "timeout"
)

// ReasonWhen is the reason of a step or task skipped since its `when` is false, or
// since it needs a result of one that was: no failure.
const ReasonWhen = "when"

// benign reports whether the step was skipped as its `when` says, or as its `wait_for` does
// when nothing came.
func (s *stepState) benign() bool {
	return s.status == Skipped && (s.reason == ReasonWhen || s.cause == CauseGate)
}

// rootCause names what made the step not succeed.
func (s *stepState) rootCause() string {
	if s.cause != "" {
		return s.cause
	}
	if s.counts[Failed] > 0 {
		for i, t := range s.task {
			if t == Failed {
				return s.taskName(i)
			}
		}
	}
	return string(s.Name)
}

// taskCause names what made task i not succeed.
func (s *stepState) taskCause(i int) string {
	if t := s.detail[i]; t != nil && t.Cause != "" && s.task[i] != Failed {
		return t.Cause
	}
	return s.taskName(i)
}

func (d *decision) step(s *stepState) {
	switch {
	case s.exp == nil:
		d.unexpanded(s)
	case s.exp.Size == 0:
		d.emptyStep(s, Event{Kind: StepEnded, Step: s.Name, Status: Succeeded})
	case s.counts[Pending]+s.counts[Running] == 0:
		d.endStep(s)
	case d.cancel != nil:
		if s.waiting > 0 {
			d.event(Event{Kind: TasksSkipped, Step: s.Name, Tasks: s.waitingTasks(), Status: Cancelled, Reason: d.cancel.Reason, Cause: d.cancel.Cause})
		}
	case s.waiting > 0 && d.unsurveyed(s):
		d.Commands = append(d.Commands, Command{Op: Survey, Step: s.Name})
	case s.waiting > 0:
		d.waitingStep(s)
	}
}

// emptyStep decides on a step none of whose tasks runs, since there are none or their
// `when` is false: it is still a barrier, and ends as e says only when all it depends on
// has ended well.
func (d *decision) emptyStep(s *stepState, e Event) {
	for _, dep := range s.deps {
		switch {
		case !dep.status.Ended():
			return
		case !dep.status.OK() && !dep.benign():
			e = Event{Kind: StepEnded, Step: s.Name, Status: skipOf(dep.status), Reason: "needs " + string(dep.Name), Cause: dep.rootCause()}
			d.event(e)
			return
		}
	}
	d.event(e)
}

// waitingTasks returns the tasks without a job that have not ended.
func (s *stepState) waitingTasks() (w Ranges) {
	for i, t := range s.task {
		if t == Pending && !s.inJob[i] {
			w = w.Add(i)
		}
	}
	return w
}

// unexpanded decides on a step whose tasks are not known.
func (d *decision) unexpanded(s *stepState) {
	if d.cancel != nil {
		d.event(Event{Kind: StepEnded, Step: s.Name, Status: Cancelled, Reason: d.cancel.Reason, Cause: d.cancel.Cause})
		return
	}
	known := true
	for _, dep := range s.deps {
		ended := dep.status.Ended()
		if ended && !dep.status.OK() && !dep.benign() && (dep.Kind == Whole || dep.exp == nil || s.closed() && dep.barren()) {
			d.event(Event{Kind: StepEnded, Step: s.Name, Status: skipOf(dep.status), Reason: "needs " + string(dep.Name), Cause: dep.rootCause()})
			return
		}
		switch {
		case ended:
		case s.closed():
			known = false
		case dep.Need == NeedValues, dep.Need == NeedOrder && s.Reads, dep.exp == nil && dep.Need == NeedTasks:
			known = false
		}
	}
	switch {
	case !known:
	case s.closed():
		d.gated(s)
	default:
		d.Commands = append(d.Commands, Command{Op: Expand, Step: s.Name})
	}
}

// skipOf is the status of what needs something with that status.
func skipOf(s Status) Status {
	if s == Cancelled {
		return Cancelled
	}
	return Skipped
}

// endStep decides how a step ended whose tasks all have.
func (d *decision) endStep(s *stepState) {
	e := Event{Kind: StepEnded, Step: s.Name, Status: Succeeded}
	failed, cancelled := s.counts[Failed], s.counts[Cancelled]
	hurt, benign := 0, 0
	if s.counts[Skipped] > 0 {
		for i, t := range s.task {
			if t != Skipped {
				continue
			}
			if det := s.detail[i]; det != nil && det.Reason == ReasonWhen {
				benign++
			} else if !d.tolerated(s, i) {
				hurt++
				e.Cause = s.taskCause(i)
			}
		}
	}
	switch {
	case failed > 0 && (s.Sequential && hurt > 0 || !s.Tolerate.Allows(failed, s.exp.Size)):
		e.Status, e.Cause = Failed, s.rootCause()
		e.Reason = s.first(Failed, failed)
	case cancelled > 0:
		e.Status, e.Reason = Cancelled, s.first(Cancelled, cancelled) // by somebody else, unless
		if d.cancel != nil {
			e.Reason, e.Cause = d.cancel.Reason, d.cancel.Cause
		}
	case hurt > 0:
		e.Status, e.Reason = Skipped, fmt.Sprintf("%d of %d tasks lack what they need", hurt, s.exp.Size)
		if det := s.detail[0]; hurt == s.exp.Size && det != nil {
			e.Reason = det.Reason
		}
	case s.exp.Size > 0 && benign == s.exp.Size:
		e.Status, e.Reason, e.Cause = Skipped, ReasonWhen, ""
		if det := s.detail[0]; det != nil {
			e.Cause = det.Cause
		}
		d.emptyStep(s, e)
		return
	case s.exp.Size > 0 && s.counts[Cached] == s.exp.Size:
		e.Status = Cached
	}
	d.event(e)
}

// first says why tasks have a status: the reason of the first of them, and how many more
// there are. n is how many have it.
func (s *stepState) first(status Status, n int) string {
	for i, t := range s.task {
		if t != status {
			continue
		}
		reason := ""
		if det := s.detail[i]; det != nil {
			reason = det.Reason
		}
		switch {
		case !s.FanOut:
			return reason
		case n > 1:
			return fmt.Sprintf("%s: %s, and %d more", s.taskName(i), reason, n-1)
		}
		return s.taskName(i) + ": " + reason
	}
	return ""
}

// tolerated reports whether task i was skipped because of a failure, element by
// element, in a step that succeeded all the same.
func (d *decision) tolerated(s *stepState, i int) bool {
	excused := false
	for _, dep := range s.deps {
		if dep.Kind == Element && i < len(dep.task) && !dep.task[i].OK() {
			at := dep.stepState
			if dep.benignTask(i) {
				at, _ = dep.ground(i)
			}
			if at != nil && !at.status.OK() {
				return false
			}
			excused = excused || at != nil
		} else if dep.status.Ended() && !dep.status.OK() && !dep.benign() {
			return false
		}
	}
	return excused // else it comes after one of its own step that did not succeed
}

// jobsReady decides what is to be done for the jobs that are planned already.
func (d *decision) jobsReady() {
	for _, j := range d.liveJobs() {
		unwanted := d.cancel != nil || j.stray
		switch j.state {
		case jobPlanned:
			switch {
			case unwanted:
				d.event(Event{Kind: JobEnded, Job: j.n, Reason: "never submitted"})
			case d.depGone(j):
				d.event(Event{Kind: JobLost, Job: j.n, Reason: "what it depends on is gone"})
			case d.frugal():
				if d.paused != nil {
					d.event(Event{Kind: JobEnded, Job: j.n, Reason: "never submitted"})
				}
			default:
				d.Commands = append(d.Commands, Command{Op: Submit, Job: j.n})
			}
		case jobInDoubt:
			quiet := j.since.Add(d.quiet)
			last := !d.now.Before(quiet)
			d.Commands = append(d.Commands, Command{Op: Find, Job: j.n, Last: last})
			if !last {
				d.wake(quiet)
			}
		case jobAccepted:
			if unwanted {
				reason := "flow: the step runs anew"
				if d.cancel != nil {
					reason = d.cancelText()
				}
				d.Commands = append(d.Commands, Command{Op: Terminate, Job: j.n, Reason: reason})
			}
		}
	}
}

// cancelText is the reason of jobs that are ended since the run is being cancelled.
func (r *Run) cancelText() string { return "flow: " + r.cancel.Reason }

// depGone reports whether a job that j depends on has ended without the success that j
// waits for, or will never have an id: j cannot be submitted so.
func (r *Run) depGone(j *jobState) bool {
	for _, dep := range j.plan.DependsOn {
		if dep.Job == 0 {
			continue
		}
		o := r.jobs[dep.Job-1]
		if o.stray {
			return true
		}
		if o.state == jobOver && !o.ok {
			return true
		}
	}
	return false
}

// end decides how the run ended, once all its steps have.
func (d *decision) end() {
	if d.unswept() {
		d.Commands = append(d.Commands, Command{Op: Sweep})
		return
	}
	e := Event{Kind: RunEnded, Status: Succeeded}
	for _, s := range d.steps {
		switch {
		case s.status == Failed && e.Status != Failed:
			e.Status, e.Cause = Failed, s.rootCause()
			e.Reason = fmt.Sprintf("step %s failed", s.Name)
			if s.reason != "" {
				e.Reason += ": " + s.reason
			}
		case !s.status.OK() && !s.benign() && e.Status == Succeeded:
			e.Status, e.Reason, e.Cause = Cancelled, s.reason, s.cause
		}
	}
	if c := d.cancel; c != nil && e.Status != Succeeded {
		switch c.Cause {
		case CauseUser, CauseBudget:
			e.Status, e.Reason, e.Cause = Cancelled, c.Reason, c.Cause
		case CauseTimeout:
			e.Status, e.Reason, e.Cause = Failed, c.Reason, c.Cause
		}
	}
	if e.Status == Succeeded {
		d.Commands = append(d.Commands, Command{Op: Conclude})
		return
	}
	d.event(e)
}
