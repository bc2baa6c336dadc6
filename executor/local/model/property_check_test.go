package model

import (
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// checkStart checks that a child that starts waits for nothing, that it is placed where
// there is room, and that what it takes was there.
func (s *story) checkStart(e Effect) {
	if e.Request.Undispatchable != "" {
		s.Fatalf("%s started though it cannot", e.ID())
	}
	if v, ok := s.m.Describe(e.ID()); ok && (v.Try != e.Attempt || v.Environment != e.Environment) || e.Attempt > max(e.Request.Attempts, 1) {
		s.Fatalf("%s started attempt %d of %d", e.ID(), e.Attempt, e.Request.Attempts)
	}
	for _, d := range e.Request.DependsOn {
		id := d.Job
		switch {
		case d.Type == engine.DependNToN:
			id = d.Job.Child(e.Index)
		case d.Type == engine.DependSequential && e.Index == 0:
			continue
		case d.Type == engine.DependSequential:
			id = e.Job.Child(e.Index - 1)
		}
		if v, ok := s.m.Describe(id); ok && v.Status != engine.JobSucceeded || !ok && !s.mayBeUnknown(id) {
			s.Fatalf("%s started though %s is %v", e.ID(), id, v.Status)
		}
	}
	if !s.cfg.Declared {
		return
	}
	on, _, _ := s.m.Environment(e.Environment)
	var vcpus float64
	for _, l := range s.live {
		if l.Environment == e.Environment {
			vcpus += l.Request.VCPUs
		}
	}
	if on.Disabled || on.Fargate != e.Request.Fargate || vcpus > on.MaxVCPUs || !e.Request.want().within(on.Largest.limit()) {
		s.Fatalf("%s was placed on %+v, of which %v vCPUs are in use", e.ID(), on, vcpus)
	}
	for _, n := range e.Request.Consumables {
		if c, _ := s.m.Consumable(n.Consumable); n.Quantity > 0 && e.Attempt == 1 && c.Replenishes && c.InUse > c.Total || c.Total < 0 {
			s.Fatalf("%s started though there is %+v", e.ID(), c)
		}
	}
}

// mayBeUnknown reports whether a job may have been forgotten.
func (s *story) mayBeUnknown(id engine.JobID) bool {
	parent, _ := id.Split()
	return s.gone[parent] || s.cfg.KeepEnded > 0
}

func (s *story) checkStop(e Effect) {
	once := s.stopped
	if e.Lost {
		once = s.lost
	}
	if once[e.ID()] || !e.Lost && s.lost[e.ID()] {
		s.Fatalf("%s was stopped twice", e.ID())
	}
	once[e.ID()] = true
	if !slices.ContainsFunc(s.live, func(l Effect) bool { return l.ID() == e.ID() && l.Attempt == e.Attempt }) {
		s.Fatalf("%s attempt %d was stopped though it does not run", e.ID(), e.Attempt)
	}
}

// check checks what holds after every Tick.
func (s *story) check() {
	var cpu float64
	var memory, gpus int
	for _, e := range s.live {
		cpu, memory, gpus = cpu+e.Granted.VCPUs, memory+e.Granted.MemoryMiB, gpus+e.Granted.GPUs
	}
	over := func(used, of float64) bool { return used > of && (of > 0 || !s.cfg.Declared) }
	if c := s.m.cfg.Capacity; over(cpu, c.VCPUs) || over(float64(memory), float64(c.MemoryMiB)) || over(float64(gpus), float64(c.GPUs)) {
		s.Fatalf("%v vCPUs, %d MiB, %d GPUs run on %+v", cpu, memory, gpus, c)
	}
	if s.m.Active() != len(s.live) {
		s.Fatalf("%d are active, want %d", s.m.Active(), len(s.live))
	}
	live := map[engine.JobID]bool{}
	for e := range s.m.Live() {
		live[e.ID()] = true
	}
	if len(live) != len(s.live) {
		s.Fatalf("Live has %v, want %v", live, s.live)
	}
	for _, id := range s.order {
		s.checkJob(id)
	}
	for q := range s.m.JobQueues() {
		s.checkQueue(q.Name)
	}
	s.checkConsumables()
	if s.twin != nil {
		s.same(s.twin, "what was restored")
	}
}

// checkQueue checks that nothing waits that would fit, and that listings and sums are what
// a look at every job finds.
func (s *story) checkQueue(name string) {
	q := s.m.byQueue[name]
	var head ref
	if l, _ := q.next(s.m.now); l != nil {
		var ok bool
		if head, ok = l.head(); ok {
			if e, _ := s.m.choose(q, head); e != nil {
				s.Fatalf("%s:%d waits though it fits on %s", head.job.id, head.index, e.Name)
			}
		}
	}
	lists := map[engine.JobStatus][]engine.JobID{}
	var named, all, waiting []engine.JobID
	open := 0
	for _, id := range slices.Backward(s.order) {
		v, ok := s.m.Describe(id)
		if !ok || v.Queue != name || s.m.jobs[id].queue != q {
			continue
		}
		all = append(all, id)
		lists[v.Status] = append(lists[v.Status], id)
		if v.Name != "y" {
			named = append(named, id)
		}
		if !v.Status.Ended() {
			open++
		}
		for _, c := range s.tasks(id) {
			if c.Status == engine.JobRunnable {
				waiting = append(waiting, c.ID)
			}
		}
	}
	for status := range engine.JobStatus(engine.NumJobStatuses) {
		if got := ids(s.m.Jobs(name, status, 0)); !slices.Equal(got, lists[status]) {
			s.Fatalf("in %s %v is %v, listed is %v", name, status, lists[status], got)
		}
	}
	if got := ids(s.m.JobsNamed(name, "x", 0)); !slices.Equal(got, named) {
		s.Fatalf("in %s %v have the name x, listed is %v", name, named, got)
	}
	if got := ids(s.m.JobsWhere(name, 0, func(time.Time, *Request) bool { return true })); !slices.Equal(got, all) {
		s.Fatalf("in %s is %v, listed is %v", name, all, got)
	}
	if hidden := slices.ContainsFunc(s.m.vanished, func(j *job) bool { return j.queue == q }); q.open != open && !hidden {
		s.Fatalf("%d jobs of %s have not ended, counted are %d", open, name, q.open)
	}
	s.checkWaiting(q, head, waiting)
}

func (s *story) checkWaiting(q *queue, head ref, want []engine.JobID) {
	var got []engine.JobID
	for _, w := range s.m.Waiting(q.Name, 10_000) {
		got = append(got, w.ID)
	}
	if len(got) > 0 && got[0] != head.waiter().ID {
		s.Fatalf("%s is the first of %s, want %s", got[0], q.Name, head.waiter().ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Fatalf("%v wait in %s, want %v", got, q.Name, want)
	}
	ready := q.line.ready
	for _, l := range q.shares {
		ready += l.ready
	}
	var vcpus float64
	shares := map[string]float64{}
	for _, e := range s.live {
		if e.Request.Queue == q.Name && s.m.jobs[e.Job].queue == q {
			vcpus += e.Request.VCPUs
			shares[e.Request.ShareID] += e.Request.VCPUs
		}
	}
	used, byShare := s.m.Use(q.Name)
	if ready != len(want) || used != vcpus {
		s.Fatalf("%d are ready in %s, want %d; %v vCPUs are in use, want %v", ready, q.Name, len(want), used, vcpus)
	}
	for _, u := range byShare {
		if u.VCPUs != shares[u.Share] {
			s.Fatalf("%s has %v vCPUs in use, want %v", u.Share, u.VCPUs, shares[u.Share])
		}
	}
}

// tasks returns the children of a job, or itself.
func (s *story) tasks(id engine.JobID) []View {
	n := s.requests[id].ArraySize
	if n == 0 {
		v, _ := s.m.Describe(id)
		return []View{v}
	}
	var out []View
	for i := range n {
		if v, ok := s.m.Describe(id.Child(i)); ok {
			out = append(out, v)
		}
	}
	return out
}

// checkConsumables checks that what was taken is in use until the end of who took it.
func (s *story) checkConsumables() {
	inUse := map[string]int64{}
	take := func(r *Request) {
		for _, n := range r.Consumables {
			inUse[n.Consumable] += n.Quantity
		}
	}
	for _, id := range s.order {
		if _, ok := s.m.Describe(id); !ok {
			continue
		}
		for _, v := range s.tasks(id) {
			if v.Try > 0 && !v.Status.Ended() {
				take(v.Request)
			}
		}
	}
	for _, e := range s.live {
		if _, ok := s.m.Describe(e.Job); !ok { // vanished, but not gone
			take(e.Request)
		}
	}
	for c := range s.m.Consumables() {
		if c.InUse != inUse[c.Name] {
			s.Fatalf("%d of %s is in use, want %d", c.InUse, c.Name, inUse[c.Name])
		}
	}
}

func (s *story) checkJob(id engine.JobID) {
	r := s.requests[id]
	parent, ok := s.m.Describe(id)
	if s.gone[id] && ok {
		s.Fatalf("%s is known", id)
	}
	if !ok {
		if !s.mayBeUnknown(id) {
			s.Fatalf("%s is unknown", id)
		}
		s.gone[id] = true // for good
		return
	}
	s.checkFinal(id, parent)
	if r.ArraySize == 0 {
		s.checkChild(parent)
		return
	}
	if parent.Status == engine.JobSubmitted {
		if parent.Summary[engine.JobSubmitted] != r.ArraySize {
			s.Fatalf("summary of %s is %v", id, parent.Summary)
		}
		return
	}
	var count [engine.NumJobStatuses]int
	children := s.tasks(id)
	if len(children) != r.ArraySize {
		s.Fatalf("%s has %d children", id, len(children))
	}
	for _, v := range children {
		count[v.Status]++
		s.checkFinal(v.ID, v)
		s.checkChild(v)
	}
	if count != parent.Summary {
		s.Fatalf("summary of %s is %v, its children are %v", id, parent.Summary, count)
	}
	want := engine.JobPending
	if count[engine.JobFailed]+count[engine.JobSucceeded] == r.ArraySize {
		want = engine.JobSucceeded
		if count[engine.JobFailed] > 0 {
			want = engine.JobFailed
		}
	}
	if parent.Status != want {
		s.Fatalf("%s is %v with children %v", id, parent.Status, count)
	}
	for status := range engine.JobStatus(engine.NumJobStatuses) {
		buf, next := s.m.Children(make([]View, 0, r.ArraySize), id, status, 0)
		if len(buf) != count[status] || next >= 0 {
			s.Fatalf("%s lists %d children in %v, want %d", id, len(buf), status, count[status])
		}
	}
}

// checkChild checks that what is known of a task fits together.
func (s *story) checkChild(v View) {
	running := v.Status == engine.JobStarting || v.Status == engine.JobRunning
	want := v.Try
	if running {
		want--
	}
	if len(v.Attempts) != want {
		s.Fatalf("%s is %v with %d attempts ended of %d begun", v.ID, v.Status, len(v.Attempts), v.Try)
	}
	if v.Status.Ended() == v.Stopped.IsZero() || v.Status == engine.JobRunning && v.Started.IsZero() {
		s.Fatalf("%s is %v, started %v, stopped %v", v.ID, v.Status, v.Started, v.Stopped)
	}
	if v.Status == engine.JobSucceeded && (v.ExitCode == nil || *v.ExitCode != 0 || v.Terminated) {
		s.Fatalf("%s succeeded: %+v", v.ID, v)
	}
	if v.Status == engine.JobFailed && v.StatusReason == "" {
		s.Fatalf("%s failed for no reason: %+v", v.ID, v)
	}
}

// checkFinal checks that an ended job does not change.
func (s *story) checkFinal(id engine.JobID, v View) {
	if before, ok := s.final[id]; ok && !reflect.DeepEqual(before, v) {
		s.Fatalf("%s had ended, and has changed: %s", id, cmp.Diff(before, v))
	}
	if v.Status.Ended() {
		s.final[id] = v
	}
}
