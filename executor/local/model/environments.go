package model

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"flow/engine"
)

// maxEnvironments is how many compute environments there may be (Batch User Guide,
// service_limits).
const maxEnvironments = 50

// An environment is a compute environment, and what is placed on it.
type environment struct {
	Environment
	life
	number int32 // in Model.places
	max    int64 // MaxVCPUs in thousandths
	most   amount
	used   int64  // thousandths of vCPUs
	live   int    // children STARTING or RUNNING
	fault  string // see Invalidate
}

// addPlace enters an environment, under the number it had if there was one of its name.
func (m *Model) addPlace(name string) *environment {
	n := slices.IndexFunc(m.places, func(e *environment) bool { return e.Name == name })
	if n < 0 {
		n = len(m.places)
		m.places = append(m.places, nil)
	}
	e := &environment{number: int32(n)}
	e.Name = name
	m.places[n] = e
	return e
}

func (e *environment) set(to Environment) {
	e.Environment = to
	e.max = Capacity{VCPUs: to.MaxVCPUs}.amount().cpu
	e.most = to.Largest.limit()
}

// CreateEnvironment creates a compute environment. It is CREATING for Config.Settle and
// then VALID. A refusal is an executor.Refusal, as with all that follow.
func (m *Model) CreateEnvironment(now time.Time, e Environment) error {
	m.begin(now)
	switch {
	case !m.cfg.Declared:
		return errUndeclared
	case !goodName(e.Name):
		return refuse("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", e.Name)
	case m.environments[e.Name] != nil:
		return refuse(objectExists)
	case len(m.environments) >= maxEnvironments:
		return refuse("Cannot have more than %d compute environments", maxEnvironments)
	}
	if err := e.check(); err != nil {
		return err
	}
	env := m.addPlace(e.Name)
	env.set(e)
	env.created = m.now
	m.environments[e.Name] = env
	m.change(&env.life, Creating)
	return nil
}

var errUndeclared = refuse("Compute environments and job queues of this Batch cannot be changed")

func (e *Environment) check() error {
	if !(e.MaxVCPUs >= 0) || e.MaxVCPUs > maxVCPUs {
		return refuse("maxvCpus should be between 0 and %d, got %v", maxVCPUs, e.MaxVCPUs)
	}
	return nil
}

// UpdateEnvironment replaces all fields of a compute environment. It is UPDATING for
// Config.Settle, and takes jobs meanwhile. What makes it INVALID is mended by a change of
// more than its state.
func (m *Model) UpdateEnvironment(now time.Time, e Environment) error {
	m.begin(now)
	env := m.environments[e.Name]
	switch {
	case env == nil:
		return refuse("compute-environment/%s does not exist", e.Name)
	case !env.settled():
		return refuse(beingUpdated)
	case env.Fargate != e.Fargate:
		return refuse("Compute environment %s cannot be changed between EC2 and Fargate", e.Name)
	}
	if err := e.check(); err != nil {
		return err
	}
	if env.changes(e) {
		env.fault = ""
	}
	env.set(e)
	env.trouble = env.fault
	m.change(&env.life, Updating)
	return nil
}

// changes reports whether more than its state is other in to.
func (e *environment) changes(to Environment) bool {
	to.Disabled = e.Disabled
	return !reflect.DeepEqual(e.Environment, to)
}

// Invalidate makes a compute environment INVALID for that reason, as AWS does when its
// roles, its network or its instances are not as they must be: nothing is placed on it,
// what runs goes on. It is so until it is updated with other settings, or until this is
// called without a reason.
func (m *Model) Invalidate(now time.Time, name, reason string) error {
	m.begin(now)
	e := m.environments[name]
	switch {
	case e == nil:
		return refuse("compute-environment/%s does not exist", name)
	case e.health == Deleting:
		return refuse(beingUpdated)
	}
	e.fault, e.trouble, e.until = reason, reason, 0
	if e.health = Valid; reason != "" {
		e.health = Invalid
	}
	m.mature() // it has settled
	return nil
}

// DeleteEnvironment deletes a compute environment that is DISABLED and that no queue
// names (Batch API, DeleteComputeEnvironment). It is DELETING for Config.Settle, and
// until the last try on it has ended. Instances of EC2 are terminated, so what runs on
// them loses its host; an environment of Fargate on which something runs is INVALID
// instead.
func (m *Model) DeleteEnvironment(now time.Time, name string) error {
	m.begin(now)
	e := m.environments[name]
	switch {
	case e == nil:
		return refuse("compute-environment/%s does not exist", name)
	case !e.settled():
		return refuse(beingDeleted)
	case !e.Disabled:
		return refuse("Cannot delete, compute environment %s must be DISABLED", name)
	case m.isNamed(e):
		return refuse("Cannot delete, found existing JobQueue relationship")
	case e.Fargate && e.live > 0:
		e.health, e.trouble = Invalid, "CLIENT_ERROR - Compute environment has active jobs"
		return nil
	}
	for _, j := range m.liveJobs() {
		for i := range j.req.size() {
			if c := j.kid(i); c.live() && c.place == e.number && !c.is(isLost) {
				m.lose(j, i, c)
			}
		}
	}
	m.change(&e.life, Deleting)
	return nil
}

// isNamed reports whether a queue names an environment.
func (m *Model) isNamed(e *environment) bool {
	return slices.ContainsFunc(m.queues, func(q *queue) bool { return slices.Contains(q.on, e) })
}

// removeEnvironment removes one that is DELETING as soon as nothing runs on it.
func (m *Model) removeEnvironment(e *environment) {
	if e.live == 0 {
		e.Detail = nil
		delete(m.environments, e.Name)
	}
}

// Environment returns a compute environment by its name.
func (m *Model) Environment(name string) (Environment, Life, bool) {
	e := m.environments[name]
	if e == nil {
		return Environment{}, Life{}, false
	}
	return e.Environment, e.view("ComputeEnvironment Healthy"), true
}

// Environments yields the compute environments that have been created, by name.
func (m *Model) Environments() iter.Seq2[Environment, Life] {
	return func(yield func(Environment, Life) bool) {
		for _, name := range slices.Sorted(maps.Keys(m.environments)) {
			if e, life, ok := m.Environment(name); ok && !yield(e, life) {
				return
			}
		}
	}
}

// liveJobs returns the jobs with tries that are STARTING or RUNNING, oldest first.
func (m *Model) liveJobs() []*job {
	var out []*job
	live := func(j *job) {
		if a := j.array; a == nil && j.one.live() || a != nil && a.summary[engine.JobStarting]+a.summary[engine.JobRunning] > 0 {
			out = append(out, j)
		}
	}
	for _, q := range m.queues {
		for _, s := range []engine.JobStatus{engine.JobPending, engine.JobStarting, engine.JobRunning} {
			q.each(s, live)
		}
	}
	for _, j := range m.vanished {
		live(j)
	}
	slices.SortFunc(out, bySeq)
	return out
}
