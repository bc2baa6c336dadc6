package state

import (
	"fmt"
	"strings"

	"flow/engine"
)

// A projection is what the tables say about a run: the fold of its events, kept in
// memory while the run is appended to, so that counting costs nothing and of each row
// only the last change of a transaction is written. engine.Run folds the same events
// to decide; the rules here are those of its Apply, for what tables show.
type projection struct {
	num   int64 // runs.num
	id    engine.RunID
	seq   int64 // of the last event folded
	run   runState
	steps []*stepState // steps.step is the index plus 1
	names map[engine.StepName]*stepState
	jobs  []*jobState // job n is jobs[n-1]

	rows    int                // tasks that have rows
	maxRows int                // see packs; -1: any number
	stored  map[int]storedStep // while events are replayed: what is stored of a step

	// to be written
	dirtyJobs []*jobState
	uses      []use
	results   []result
	families  []familyRow
	answered  bool // requests are
	over      bool // the run ended, so nobody needs to drive it
}

type runState struct {
	info                    engine.RunInfo // but Variables and Limits
	status                  engine.Status
	reason, cause           string
	created, started, ended int64
	counts                  Counts
	schedule                string // what started it, in the workflow; "": none did
	slot                    int64
	cancelling              bool
	lateAt                  int64 // by when it should be over; 0: nothing says so
	late                    int64 // since when it is late, once that was told
}

type stepState struct {
	n        int
	name     engine.StepName
	fanOut   bool
	size     int   // -1: not known
	expanded int64 // seq of its StepExpanded
	base     int32
	status   engine.Status // as the events say; shown is what is stored
	reason   string
	cause    string
	started  int64 // of its first task
	ended    int64
	counts   Counts
	packed   bool
	tasks    []taskState  // nil: packed
	small    []packedTask // nil: not packed

	keys      []string         // nil with keysRead: the indices
	cacheKeys *engine.TaskKeys // nil with keysRead: none
	family    *engine.CacheKey // its results are kept together, in cache_ranges; nil: they are not
	keysRead  bool

	dirty      bool
	wipe       bool // delete the rows of its tasks first
	fresh      bool // its tasks have no rows yet
	dirtyTasks []int
}

type taskState struct {
	taskRow
	was   engine.Status // in the table
	dirty bool
}

// taskRow is what is stored of a task and can change.
type taskRow struct {
	status           engine.Status
	exited           bool // exit is set
	exit             int32
	attempts         int32
	job              int32
	started, stopped int64
	memory, cpu      int64 // of the last try, as events have them; 0: not known
	reason, cause    string
}

type jobState struct {
	n                         int
	step                      *stepState
	name, reason              string
	id                        engine.JobID
	status                    JobStatus
	group, attempt            int
	tasks                     engine.Ranges
	planned, submitted, ended int64
	starting                  int64 // when it was seen STARTING; 0: it was not
	dirty                     bool
}

// use is that results of a run are used.
type use struct {
	run engine.RunID
	far bool // they are on S3: the run may be that of another state file, and is marked there
}

// familyRow is a row of cache_ranges.
type familyRow struct {
	family engine.CacheKey
	seq    int64
	step   int
	tasks  engine.Ranges
}

// result is a row of the cache.
type result struct {
	key     engine.CacheKey
	step    int
	idx     int
	task    any // its key, as it is stored: the step may be reset before this is
	outputs engine.Values
	at      int64
}

// shown is the status of a step that is stored: it is RUNNING once a task of it is or was.
func (s *stepState) shown() engine.Status {
	switch {
	case s.status.Ended():
		return s.status
	case s.counts[engine.Running]+s.counts[engine.Succeeded]+s.counts[engine.Failed] > 0:
		return engine.Running
	}
	return engine.Pending
}

// begins notes that a task of the step ran at a time.
func (s *stepState) begins(at int64) {
	if at != 0 && (s.started == 0 || at < s.started) {
		s.started = at
	}
}

func (p *projection) addStep(name engine.StepName, fanOut bool) *stepState {
	s := &stepState{n: len(p.steps) + 1, name: name, fanOut: fanOut, size: -1, dirty: true, keysRead: true}
	p.steps = append(p.steps, s)
	p.names[name] = s
	return s
}

// apply folds an event. An error means that it cannot follow the ones before it.
func (p *projection) apply(t *tx, seq int64, e *engine.Event) error {
	at := e.At.UnixMilli()
	if p.seq == 0 && e.Kind != engine.RunStarted {
		return fmt.Errorf("comes before %s", engine.RunStarted)
	}
	p.seq = seq
	switch e.Kind {
	case engine.RunStarted:
		if e.Info == nil || seq != 1 || e.Info.Run != p.id {
			return fmt.Errorf("has no info, is not the first, or is of another run")
		}
		p.run = runState{info: *e.Info, created: at, counts: p.run.counts}
		if s := e.Info.Slot; s != nil {
			p.run.schedule, p.run.slot = s.Schedule, s.Time.UnixMilli()
		}
		if !e.Info.LateAt.IsZero() {
			p.run.lateAt = e.Info.LateAt.UnixMilli()
		}
		return nil
	case engine.CancelRequested:
		p.answered, p.run.cancelling, p.run.reason = true, true, "" // a run that is being cancelled is not paused
		return nil
	case engine.RunEnded:
		if !e.Status.Ended() {
			return fmt.Errorf("a run cannot end %s", e.Status)
		}
		p.run.status, p.run.reason, p.run.cause, p.run.ended = e.Status, e.Reason, e.Cause, at
		p.answered, p.run.cancelling, p.over = true, false, true
		return nil
	case engine.RunLate:
		if p.run.late = p.run.lateAt; p.run.late == 0 {
			p.run.late = at
		}
		return nil
	case engine.RunReopened:
		p.over = false
		p.run.status, p.run.reason, p.run.cause, p.run.ended = engine.Running, "", "", 0
	}
	if p.run.status == engine.Pending {
		p.run.status = engine.Running
	}
	if p.run.started == 0 {
		p.run.started = at
	}
	switch e.Kind {
	case engine.RunPaused:
		p.run.reason = "paused: " + e.Reason
		return nil
	case engine.RunResumed:
		if e.Allowance > 0 {
			p.run.reason = ""
		}
		return nil
	case engine.RunReopened:
		return nil
	case engine.JobAccepted, engine.JobStarts, engine.JobRefused, engine.JobInDoubt, engine.JobEnded, engine.JobLost:
		return p.applyJob(e, at)
	}
	return p.applyStep(t, e, at)
}

func (p *projection) applyStep(t *tx, e *engine.Event, at int64) error {
	if e.Step == "" {
		return nil // a kind of event that shows in no table
	}
	s := p.names[e.Step]
	if s == nil {
		x := e.Expanded
		s = p.addStep(e.Step, x != nil && (x.Keys != nil || x.Size != 1))
	}
	s.dirty = true
	if n := len(e.Tasks); n > 0 && e.Tasks[n-1].To >= max(s.size, 0) {
		return fmt.Errorf("task %d of step %s, which has %d", e.Tasks[n-1].To, s.name, max(s.size, 0))
	}
	switch e.Kind {
	case engine.StepExpanded:
		return p.applyExpanded(s, e)
	case engine.StepReset:
		p.resetStep(s, e)
	case engine.StepEnded:
		if !e.Status.Ended() {
			return fmt.Errorf("a step cannot end %s", e.Status)
		}
		s.status, s.reason, s.cause, s.ended = e.Status, e.Reason, e.Cause, at
	case engine.JobPlanned:
		return p.applyPlanned(s, e, at)
	case engine.TasksRunning:
		s.begins(at)
		for i := range e.Tasks.All() {
			if row := s.row(i); !row.status.Ended() {
				row.status, row.started, row.stopped = engine.Running, at, 0
				p.set(s, i, row)
			}
		}
	case engine.TasksEnded:
		return p.applyEnded(t, s, e, at)
	case engine.TasksSkipped:
		for i := range e.Tasks.All() {
			row := s.row(i)
			row.status, row.reason, row.cause, row.exited, row.exit = e.Status, e.Reason, e.Cause, false, 0
			p.set(s, i, row)
		}
	case engine.TasksReset:
		if n := len(e.Attempts); n > 1 && n != e.Tasks.Len() {
			return fmt.Errorf("the lists of a reset do not fit its tasks")
		}
		k := 0
		for i := range e.Tasks.All() {
			old := s.row(i)
			row := taskRow{attempts: old.attempts, job: old.job}
			if n := len(e.Attempts); n > 0 {
				row.attempts = max(row.attempts, int32(e.Attempts[min(k, n-1)]))
			}
			p.set(s, i, row)
			k++
		}
		s.status, s.reason, s.cause, s.ended = engine.Running, "", "", 0
	}
	return nil
}

// set changes a task.
func (p *projection) set(s *stepState, i int, row taskRow) {
	was := s.row(i).status
	if !s.put(i, row) {
		return
	}
	s.dirty = true
	if row.status != was {
		s.counts[was]--
		p.run.counts[was]--
		s.counts[row.status]++
		p.run.counts[row.status]++
	}
}

func (p *projection) applyExpanded(s *stepState, e *engine.Event) error {
	x := e.Expanded
	if x == nil || s.size >= 0 || !x.Fits() {
		return fmt.Errorf("the expansion of step %s does not fit together", s.name)
	}
	s.expanded, s.status = p.seq, engine.Running
	p.makeTasks(s, x.Size)
	s.readKeys(x)
	s.counts[engine.Pending] += x.Size
	p.run.counts[engine.Pending] += x.Size
	cached := []engine.Ranges{x.Cached}
	for k := range x.HitRanges {
		cached = append(cached, x.HitRanges[k].Tasks)
	}
	for _, tasks := range cached {
		for i := range tasks.All() {
			row := s.row(i)
			row.status = engine.Cached
			p.set(s, i, row)
		}
	}
	var last engine.RunID
	for i := range x.Hits {
		if from := x.Hits[i].Run; from != last && from != p.id {
			p.uses = append(p.uses, use{from, strings.HasPrefix(x.Hits[i].Dir, "s3://")})
			last = from
		}
	}
	for k := range x.HitRanges {
		if from := x.HitRanges[k].Run; from != p.id {
			p.uses = append(p.uses, use{run: from})
		}
	}
	return nil
}

// readKeys takes over how tasks are named and which keys their results have.
func (s *stepState) readKeys(x *engine.Expanded) {
	s.keys, s.keysRead = x.Keys, true
	s.cacheKeys = engine.NewTaskKeys(&engine.Step{Name: s.name, FanOut: s.fanOut}, x)
	if family, ok := s.cacheKeys.Family(); ok && s.packed {
		s.family = &family
	}
}

func (p *projection) resetStep(s *stepState, e *engine.Event) {
	for _, n := range e.Attempts {
		s.base = max(s.base, int32(n))
	}
	for i := range max(s.size, 0) {
		s.base = max(s.base, s.row(i).attempts)
	}
	p.rows -= len(s.tasks)
	for status, n := range s.counts {
		p.run.counts[status] -= n
	}
	*s = stepState{n: s.n, name: s.name, fanOut: s.fanOut, base: s.base, size: -1, keysRead: true, dirty: true, wipe: true}
}

func (p *projection) applyPlanned(s *stepState, e *engine.Event, at int64) error {
	if e.Plan == nil || e.Job != len(p.jobs)+1 || len(e.Tasks) == 0 {
		return fmt.Errorf("job %d of step %s is out of order, or has no plan", e.Job, s.name)
	}
	j := &jobState{n: e.Job, step: s, name: e.Plan.Name, status: JobPlanned, group: e.Plan.Group, attempt: e.Plan.Attempt, tasks: e.Tasks, planned: at}
	p.jobs = append(p.jobs, j)
	p.touch(j)
	for i := range e.Tasks.All() {
		row := s.row(i)
		if row.status.Ended() {
			return fmt.Errorf("%s has ended already", s.taskName(i))
		}
		row.job = int32(e.Job)
		p.set(s, i, row)
	}
	return nil
}

func (p *projection) touch(j *jobState) {
	if !j.dirty {
		j.dirty = true
		p.dirtyJobs = append(p.dirtyJobs, j)
	}
}

func (p *projection) applyJob(e *engine.Event, at int64) error {
	if e.Job < 1 || e.Job > len(p.jobs) {
		return fmt.Errorf("unknown job %d", e.Job)
	}
	j := p.jobs[e.Job-1]
	if j.status.Ended() {
		return fmt.Errorf("job %d is over already", e.Job)
	}
	p.touch(j)
	switch e.Kind {
	case engine.JobAccepted:
		j.status, j.id, j.submitted = JobSubmitted, e.JobID, at
		return nil
	case engine.JobStarts:
		if j.starting = at; len(e.Started) > 0 {
			j.starting = e.Started[0]
		}
		return nil
	case engine.JobInDoubt:
		j.status = JobInDoubt
		return nil
	case engine.JobRefused:
		j.status = JobRefused
	case engine.JobLost:
		j.status = JobLost
	default:
		switch e.Status {
		case engine.Succeeded:
			j.status = JobSucceeded
		case engine.Failed:
			j.status = JobFailed
		default:
			j.status = JobCancelled
		}
	}
	j.reason, j.ended = e.Reason, at
	s := j.step
	for i := range j.tasks.All() {
		if i >= s.size {
			break
		}
		row := s.row(i)
		if int(row.job) != j.n || row.status.Ended() {
			continue
		}
		switch {
		case e.Kind == engine.JobRefused:
			row.status, row.reason, row.cause, row.exited, row.exit = engine.Failed, e.Reason, "", false, 0
		case e.Kind == engine.JobLost && len(e.Attempts) > 0: // nobody knows which tries were made
			row.status, row.attempts = engine.Pending, max(row.attempts, int32(e.Attempts[0]))
		case row.status == engine.Running: // its end is not known
			row.status = engine.Pending
			row.attempts++
		}
		p.set(s, i, row)
	}
	return nil
}

// readKeys makes the keys of a step known that was expanded before this process took
// the run up: its event has them.
func (p *projection) readKeys(t *tx, s *stepState) error {
	if s.keysRead {
		return nil
	}
	e, err := p.event(t, s.expanded)
	if err != nil {
		return err
	}
	if e.Expanded == nil || e.Expanded.Size != s.size {
		return fmt.Errorf("event %d does not expand step %s to %d tasks", s.expanded, s.name, s.size)
	}
	s.readKeys(e.Expanded)
	return nil
}

// key returns a task's key as it is stored: nil for the index.
func (s *stepState) key(i int) any {
	if s.keys == nil || !s.fanOut {
		return nil
	}
	return s.keys[i]
}

func (s *stepState) taskName(i int) string {
	return engine.TaskName(s.name, s.fanOut, fmt.Sprint(i))
}
