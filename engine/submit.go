package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of AWS Batch (Batch User Guide, service_limits).
const (
	MaxArraySize    = 10_000
	MaxDependencies = 20
	MaxJobName      = 128
)

// JobName is the name of the n-th job of a run: deterministic, since it is how a job
// is found again whose submission was cut off, and lower case, since Batch's filter by
// name ignores case. The token tells runs apart whose files were copied.
func JobName(run RunID, step StepName, n int) string {
	token := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", run, step, n))
	tail := "-" + strconv.Itoa(n) + "-" + hex.EncodeToString(token[:3])
	name := RunPrefix(run) + strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
			return c
		}
		return '-'
	}, string(step))
	return name[:min(len(name), MaxJobName-len(tail))] + tail
}

// RunPrefix is what the names of all jobs of a run begin with, and of no other run. With a
// "*" behind it, it is what [Executor.Find] finds them by.
func RunPrefix(run RunID) string { return "flow-" + strings.ToLower(string(run)) + "-" }

// limit is how many tasks may be in flight over the whole run; 0: any number.
func (r *Run) limit() int {
	if r.info.Limits.MaxParallel > 0 {
		return r.info.Limits.MaxParallel
	}
	return r.wf.MaxParallel
}

// free returns how many more tasks of s may be in flight; -1: any number.
func (d *decision) free(s *stepState) int {
	free := -1
	if m := d.limit(); m > 0 {
		free = m - d.flight - d.added
		for _, j := range d.liveJobs() {
			if j.stray {
				free -= j.tasks.Len() // some of it may still run
			}
		}
		free = max(free, 0)
	}
	if s.MaxParallel > 0 {
		mine := s.counts[Pending] + s.counts[Running] - s.waiting
		if f := max(s.MaxParallel-mine, 0); free < 0 || f < free {
			free = f
		}
	}
	return free
}

// waitingStep decides what becomes of the tasks of s that are in no job: they are
// skipped, planned as jobs, or left until more is known.
func (d *decision) waitingStep(s *stepState) {
	for _, j := range s.live {
		if j.stray {
			return // two tries of a task must not run side by side
		}
	}
	w := wave{d: d, s: s}
	for k := range s.deps {
		dep := &s.deps[k]
		if dep.Kind == Element {
			if dep.exp == nil && !dep.status.Ended() {
				return // it was reset
			}
			w.elements = append(w.elements, dep)
			continue
		}
		switch ended := dep.status.Ended(); {
		case ended && !dep.status.OK() && !dep.benign():
			d.event(Event{Kind: TasksSkipped, Step: s.Name, Tasks: s.waitingTasks(), Status: skipOf(dep.status),
				Reason: "needs " + string(dep.Name), Cause: dep.rootCause()})
			return
		case ended:
		case d.hold(s, dep) != (Hold{}):
			return
		default:
			for _, j := range dep.live {
				w.whole = append(w.whole, PlannedDep{Job: j.n})
			}
		}
	}
	if len(w.whole) > MaxDependencies-min(len(w.elements), 1) {
		return // held until fewer are left
	}
	w.gather()
	w.plan()
}

// A wave is the tasks of one step that can be planned now, parted into jobs.
type wave struct {
	d        *decision
	s        *stepState
	whole    []PlannedDep
	elements []*depState

	parts []*part
	index map[partKey]*part
	last  *part
	skips []skip
}

// A part is tasks that can be one job: they share what they run, their attempt, and
// what they wait for.
type part struct {
	partKey
	tasks Ranges
	jobs  []*jobState // of the element-wise dependencies that have not ended
	prev  *jobState   // sequential: the job before
}

type partKey struct {
	group, tries, rule int
	batch              batchRetries
	jobs               string // the numbers of jobs, or ""
}

type skip struct {
	tasks  Ranges
	status Status
	reason string
	cause  string
}

// gather looks at each waiting task of the step, in order.
func (w *wave) gather() {
	s := w.s
	left := s.waiting
	for i := 0; i < len(s.task) && left > 0; i++ {
		if s.task[i] != Pending || s.inJob[i] {
			continue
		}
		left--
		if w.skipped(i) {
			continue
		}
		if at, ok := w.notBefore(i); ok && w.d.now.Before(at) {
			w.d.wake(at)
			if s.Sequential {
				return
			}
			continue
		}
		jobs, ok := w.upstream(i)
		if !ok {
			if s.Sequential {
				return
			}
			continue
		}
		p := w.part(partKey{group: s.group(i), tries: int(s.tries[i]), rule: s.rule[i], batch: w.d.batchRetries(s, i), jobs: jobNumbers(jobs)}, jobs)
		if s.Sequential && !w.chain(p, i) {
			return
		}
		p.tasks = p.tasks.Add(i)
	}
}

// notBefore returns until when task i is to wait, if it is: as its retry rule says, or for
// others of its last job that may fail as well. Tasks that fail one by one are sent again
// together, when none of the job is left or some time after the first: an array costs what
// a plain job does.
func (w *wave) notBefore(i int) (time.Time, bool) {
	s := w.s
	if at, ok := s.after[i]; ok {
		return at, true
	}
	if w.d.gather == 0 || s.job[i] == 0 {
		return time.Time{}, false
	}
	j := w.d.jobs[s.job[i]-1]
	return j.failed.Add(w.d.gather), j.open > 0 && !j.failed.IsZero()
}

// skipped decides whether task i will not run, since it is absent or something it
// needs of another task is.
func (w *wave) skipped(i int) bool {
	s := w.s
	absent := ""
	if s.exp.Absent.Contains(i) {
		absent = s.item(i).Absent
	}
	if absent == ReasonWhen {
		w.skip(i, Skipped, ReasonWhen, "")
		return true
	}
	for _, dep := range w.elements {
		if i >= len(dep.task) {
			continue
		}
		switch t := dep.task[i]; {
		case t == Failed || t == Cancelled || (t == Skipped && !dep.benignTask(i)):
			w.skip(i, skipOf(t), "needs "+dep.taskName(i), dep.taskCause(i))
			return true
		case t == Skipped:
			if bad, _ := dep.ground(i); bad != nil {
				w.skip(i, skipOf(bad.status), "needs "+string(bad.Name), bad.rootCause())
				return true
			}
		}
	}
	if absent != "" { // what it lacks was skipped by its own `when`
		w.skip(i, Skipped, ReasonWhen, absent)
		return true
	}
	if s.Sequential && i > 0 {
		switch t := s.task[i-1]; t {
		case Failed, Cancelled:
			w.skip(i, skipOf(t), "comes after "+s.taskName(i-1), s.taskCause(i-1))
			return true
		case Skipped:
			if !s.benignTask(i - 1) {
				w.skip(i, Skipped, "comes after "+s.taskName(i-1), s.taskCause(i-1))
				return true
			}
		}
	}
	return false
}

// ground looks at what task i of s, which was skipped as its `when` says, would have
// waited for: a task skipped is still a barrier. It returns what of it did not succeed,
// or that it has not all ended.
func (s *stepState) ground(i int) (bad *stepState, open bool) {
	for _, dep := range s.deps {
		b, o := dep.stepState, false
		switch {
		case dep.Kind == Element && i < len(dep.task):
			switch t := dep.task[i]; {
			case t.OK():
				b = nil
			case t == Skipped && dep.benignTask(i):
				b, o = dep.ground(i)
			case !t.Ended():
				b, o = nil, true
			}
		case !dep.status.Ended():
			b, o = nil, true
		case dep.status.OK() || dep.benign():
			b = nil
		}
		if b != nil {
			return b, false
		}
		open = open || o
	}
	return nil, open
}

func (s *stepState) benignTask(i int) bool {
	det := s.detail[i]
	return det != nil && det.Reason == ReasonWhen
}

// skip notes that task i is to be skipped. One event tells of many tasks: of those with
// one cause, or with too many to name.
func (w *wave) skip(i int, st Status, reason, cause string) {
	if n := len(w.skips); n > 0 {
		k := &w.skips[n-1]
		if k.status == st && (k.cause == cause && k.reason == reason || n >= maxSkips) {
			k.tasks = k.tasks.Add(i)
			return
		}
	}
	w.skips = append(w.skips, skip{RangesOf(i), st, reason, cause})
}

const maxSkips = 200

// upstream returns the live jobs whose same element task i waits for. It is not ok if
// the task must be held until they have ended.
func (w *wave) upstream(i int) (jobs []*jobState, ok bool) {
	for _, dep := range w.elements {
		if i >= len(dep.task) {
			continue
		}
		hold := w.d.undecidable(w.s, dep) != (Hold{})
		if dep.task[i] == Skipped {
			if _, open := dep.ground(i); open {
				return nil, false
			}
		}
		if dep.task[i].Ended() {
			// Its job may still run other children; then the whole part depends on it.
			if j := dep.job[i]; !hold && j > 0 && w.d.jobs[j-1].state != jobOver {
				jobs = append(jobs, w.d.jobs[j-1])
			}
			continue
		}
		if hold || !dep.inJob[i] {
			return nil, false
		}
		jobs = append(jobs, w.d.jobs[dep.job[i]-1])
	}
	return jobs, true
}

func jobNumbers(jobs []*jobState) string {
	switch len(jobs) {
	case 0:
		return ""
	case 1:
		return strconv.Itoa(jobs[0].n)
	}
	var b strings.Builder
	for _, j := range jobs {
		b.WriteString(strconv.Itoa(j.n))
		b.WriteByte(' ')
	}
	return b.String()
}

func (w *wave) part(k partKey, jobs []*jobState) *part {
	if w.last != nil && w.last.partKey == k {
		return w.last
	}
	p := w.index[k]
	if p == nil {
		p = &part{partKey: k, jobs: jobs}
		if w.index == nil {
			w.index = map[partKey]*part{}
		}
		w.index[k] = p
		w.parts = append(w.parts, p)
	}
	w.last = p
	return p
}

// chain decides whether task i of a sequential step can join part p: only as the next
// of the first part; what follows is planned once that is a job.
func (w *wave) chain(p *part, i int) bool {
	if len(w.parts) > 1 {
		w.parts = w.parts[:1]
		return false
	}
	if len(p.tasks) > 0 {
		return p.tasks[len(p.tasks)-1].To == i-1
	}
	if i == 0 || w.s.task[i-1].Ended() {
		if len(w.s.live) > 0 { // one before that is, which was lost and runs again, or one behind it
			w.parts = nil
			return false
		}
		return true
	}
	if !w.s.inJob[i-1] || w.s.EngineRetries {
		w.parts = nil
		return false
	}
	p.prev = w.d.jobs[w.s.job[i-1]-1]
	return true
}

// plan turns the gathered parts into JobPlanned events.
func (w *wave) plan() {
	d, s := w.d, w.s
	for _, k := range w.skips {
		d.event(Event{Kind: TasksSkipped, Step: s.Name, Tasks: k.tasks, Status: k.status, Reason: k.reason, Cause: k.cause})
	}
	if len(w.parts) == 0 || d.frugal() || w.refetch() {
		return
	}
	free := d.free(s)
	for _, p := range w.parts {
		tasks := p.tasks
		if free >= 0 {
			if s.Sequential {
				free = min(free, 1)
			}
			tasks = tasks.First(free)
			free -= tasks.Len()
		}
		for len(tasks) > 0 {
			chunk := tasks.First(MaxArraySize)
			deps, ok := w.depends(p, chunk)
			if !ok { // only those that need not wait any more
				if chunk, deps = w.released(tasks), w.whole; len(chunk) == 0 {
					break
				}
				d.planJob(s, p, chunk, deps)
				break
			}
			d.planJob(s, p, chunk, deps)
			if s.Sequential {
				break
			}
			tasks = tasks.After(chunk[len(chunk)-1].To)
		}
	}
}

// depends returns what a job of these tasks depends on. It is not ok if Batch cannot
// express it: its children would not stand beside those of the job they wait for.
func (w *wave) depends(p *part, tasks Ranges) ([]PlannedDep, bool) {
	deps := w.whole[:len(w.whole):len(w.whole)]
	for _, j := range p.jobs {
		if !j.tasks.Equal(tasks) {
			return nil, false
		}
		kind := DependNToN
		if tasks.Len() == 1 {
			kind = DependAll
		}
		deps = append(deps, PlannedDep{Job: j.n, Type: kind})
	}
	if p.prev != nil {
		deps = append(deps, PlannedDep{Job: p.prev.n})
	}
	if w.s.Sequential && tasks.Len() > 1 {
		deps = append(deps, PlannedDep{Type: DependSequential})
	}
	return deps, len(deps) <= MaxDependencies
}

// released returns those of tasks, at most an array of them, whose element-wise
// dependencies have all ended.
func (w *wave) released(tasks Ranges) (out Ranges) {
	if w.s.Sequential {
		return nil
	}
next:
	for i := range tasks.All() {
		for _, dep := range w.elements {
			if i < len(dep.task) && !dep.task[i].Ended() {
				continue next
			}
		}
		out = out.Add(i)
	}
	return out.First(MaxArraySize)
}

func (d *decision) planJob(s *stepState, p *part, tasks Ranges, deps []PlannedDep) {
	d.nJobs++
	n := len(d.jobs) + d.nJobs
	spec := s.exp.Groups[p.group]
	queue := spec.Queue
	if p.rule > 0 {
		if q := spec.Retry.Rules[p.rule-1].Queue; q != "" {
			queue = q
		}
	}
	d.added += tasks.Len()
	plan := &JobPlan{
		Name: JobName(d.info.Run, s.Name, d.jobBase()+n), Queue: queue, Group: p.group, DependsOn: deps,
		Attempt: p.tries + 1, Attempts: p.batch.attempts, Losses: p.batch.losses, Rule: p.rule,
	}
	if d.price != nil {
		plan.Rate = d.price(spec, queue, s.resources(plan))
	}
	d.event(Event{Kind: JobPlanned, Step: s.Name, Job: n, Tasks: tasks, Plan: plan})
}

// batchRetries returns what Batch may do by itself about failures of task i's next job.
func (r *Run) batchRetries(s *stepState, i int) batchRetries {
	retry := s.exp.Groups[s.group(i)].Retry
	return batchRetriesOf(s.Step, retry, s.rule[i], max(retry.Attempts, 1)-s.userTries(i), s.infra[i], r.near())
}
