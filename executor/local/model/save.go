package model

import (
	"encoding/json"
	"maps"
	"slices"

	"flow/engine"
)

// savedVersion is that of Saved: it grows when what is written changes its meaning.
const savedVersion = 1

// A Saved is all that a Model knows, so that a journal of its inputs can begin there
// instead of at the first of them. It is made to be written as JSON, and is of use to
// [Restore] only. It shares what it holds with its model: it must be encoded before the
// model is changed.
type Saved struct {
	Version  int      `json:"version"`
	Now      int64    `json:"now"`
	Seq      int64    `json:"seq"`
	Capacity Capacity `json:"capacity"`
	Instance string   `json:"instance,omitempty"`

	Places       []string           `json:"places"`
	Environments []savedEnvironment `json:"environments,omitempty"`
	Policies     []savedPolicy      `json:"policies,omitempty"`
	Consumables  []savedConsumable  `json:"consumables,omitempty"`
	Queues       []savedQueue       `json:"queues,omitempty"` // those that are gone last
	Turns        []string           `json:"turns,omitempty"`  // the queues that are next
	Jobs         []savedJob         `json:"jobs,omitempty"`   // in order of submission
	Past         []int              `json:"past,omitempty"`   // which of them have ended, in that order
	Stops        []savedRef         `json:"stops,omitempty"`  // effects that no Tick has returned yet
}

type savedLife struct {
	Health  Health `json:"health"`
	Until   int64  `json:"until,omitempty"`
	Created int64  `json:"created,omitempty"`
	Trouble string `json:"trouble,omitempty"`
}

type savedEnvironment struct {
	Environment
	savedLife
	Detail kept   `json:"detail,omitzero"`
	Fault  string `json:"fault,omitempty"`
}

type savedPolicy struct {
	Policy
	Detail kept `json:"detail,omitzero"`
}

type savedConsumable struct {
	Consumable
	Detail  kept  `json:"detail,omitzero"`
	Created int64 `json:"created"`
	InUse   int64 `json:"in_use,omitempty"`
	Gone    bool  `json:"gone,omitempty"`
}

type savedQueue struct {
	Queue
	savedLife
	Detail  kept         `json:"detail,omitzero"`
	Gone    bool         `json:"gone,omitempty"` // only its jobs are still known
	Blocked string       `json:"blocked,omitempty"`
	Front   []savedRef   `json:"front,omitempty"`
	Shares  []savedShare `json:"shares,omitempty"`
	Stuck   *savedStuck  `json:"stuck,omitempty"`
}

type savedShare struct {
	Name   string     `json:"name"`
	Recent float64    `json:"recent,omitempty"`
	At     int64      `json:"at,omitempty"`
	Front  []savedRef `json:"front,omitempty"`
}

type savedStuck struct {
	savedRef
	Reason string `json:"reason"`
	Since  int64  `json:"since"`
	Was    why    `json:"was,omitempty"`
}

// A savedRef is a child of a job in Saved.Jobs. Attempt and Lost are of a Stop.
type savedRef struct {
	Job     int  `json:"j"`
	Index   int  `json:"i,omitempty"`
	Attempt int  `json:"a,omitempty"`
	Lost    bool `json:"l,omitempty"`
}

type savedJob struct {
	ID      engine.JobID `json:"id"`
	Request savedRequest `json:"req"`
	Queue   int          `json:"q,omitempty"` // in Saved.Queues
	Seq     int64        `json:"n"`
	Created int64        `json:"at"`
	Flags   jobFlags     `json:"f,omitempty"`
	Stop    string       `json:"stop,omitempty"`
	Kids    []savedKid   `json:"kids,omitempty"` // of a plain job, itself; none: SUBMITTED

	Spawned    int64 `json:"spawned,omitempty"` // of an array
	Summarized int64 `json:"summarized,omitempty"`
	Stopped    int64 `json:"stopped,omitempty"`
	Told       int   `json:"told,omitempty"`
}

type savedRequest struct {
	Request
	Payload kept `json:"payload,omitzero"`
}

// A savedKid is a child, or so many alike.
type savedKid struct {
	Count   int        `json:"n,omitempty"` // 0: one
	Status  uint8      `json:"s,omitempty"`
	Why     why        `json:"y,omitempty"`
	Flags   childFlags `json:"f,omitempty"`
	Attempt uint8      `json:"a,omitempty"`
	Waiting uint8      `json:"w,omitempty"`
	Exit    int32      `json:"x,omitempty"`
	Place   int32      `json:"p,omitempty"`
	Started int64      `json:"b,omitempty"`
	Stopped int64      `json:"e,omitempty"`
	Memory  int32      `json:"r,omitempty"`
	CPU     uint32     `json:"u,omitempty"`
	More    *savedMore `json:"m,omitempty"`
}

type savedMore struct {
	Attempts     []savedAttempt           `json:"attempts,omitempty"`
	Reason       string                   `json:"reason,omitempty"`
	StatusReason string                   `json:"status_reason,omitempty"`
	Stop         string                   `json:"stop,omitempty"`
	Containers   []engine.ContainerResult `json:"containers,omitempty"`
}

type savedAttempt struct {
	Started      int64                    `json:"b,omitempty"`
	Stopped      int64                    `json:"e,omitempty"`
	ExitCode     *int                     `json:"x,omitempty"`
	Reason       string                   `json:"r,omitempty"`
	StatusReason string                   `json:"s,omitempty"`
	Containers   []engine.ContainerResult `json:"c,omitempty"`
	Memory       int64                    `json:"m,omitempty"`
	CPU          int64                    `json:"u,omitempty"`
}

// kept is a value that the model only keeps for its caller.
type kept struct {
	value any
	raw   json.RawMessage // as it was read
}

func (k kept) IsZero() bool { return k.value == nil && k.raw == nil }

// MarshalJSON writes the value as encoding/json does.
func (k kept) MarshalJSON() ([]byte, error) { return json.Marshal(k.value) }

// UnmarshalJSON leaves the value to be read by the one who knows its type.
func (k *kept) UnmarshalJSON(b []byte) error {
	k.raw = slices.Clone(b)
	return nil
}

// Save returns all that the model knows. Details and payloads are written by
// encoding/json, and read by [Decoders].
func (m *Model) Save() *Saved {
	s := &saver{m: m, jobs: map[*job]int{}, queues: map[*queue]int{}}
	s.Version, s.Now, s.Seq, s.Capacity, s.Instance = savedVersion, m.now, m.seq, m.cfg.Capacity, m.cfg.Instance
	jobs := slices.SortedFunc(maps.Values(m.jobs), bySeq)
	for i, j := range jobs {
		s.jobs[j] = i
	}
	s.resources()
	queues := slices.Clone(m.queues)
	for i, q := range queues {
		s.queues[q] = i
	}
	for _, j := range jobs {
		if _, ok := s.queues[j.queue]; !ok {
			s.queues[j.queue] = len(queues)
			queues = append(queues, j.queue)
		}
	}
	for i, q := range queues {
		s.queue(q, i >= len(m.queues))
	}
	s.Jobs = make([]savedJob, 0, len(jobs))
	for _, j := range jobs {
		s.job(j)
	}
	for _, j := range m.past {
		if !j.is(forgotten) {
			s.Past = append(s.Past, s.jobs[j])
		}
	}
	for i := range m.effects {
		s.stop(&m.effects[i])
	}
	return &s.Saved
}

type saver struct {
	Saved
	m      *Model
	jobs   map[*job]int
	queues map[*queue]int
}

func (s *saver) resources() {
	m := s.m
	for _, e := range m.places {
		s.Places = append(s.Places, e.Name)
		if m.environments[e.Name] == e {
			s.Environments = append(s.Environments, savedEnvironment{e.Environment, e.save(), kept{value: e.Detail}, e.fault})
		}
	}
	for p := range m.Policies() {
		s.Policies = append(s.Policies, savedPolicy{p, kept{value: p.Detail}})
	}
	for _, name := range slices.Sorted(maps.Keys(m.consumables)) {
		c := m.consumables[name]
		s.Consumables = append(s.Consumables, savedConsumable{c.Consumable, kept{value: c.Detail}, c.created, c.inUse, c.gone})
	}
	for _, t := range m.tiers {
		s.Turns = append(s.Turns, t.queues[t.turn].Name)
	}
}

func (l *life) save() savedLife { return savedLife{l.health, l.until, l.created, l.trouble} }

func (s *saver) queue(q *queue, gone bool) {
	out := savedQueue{
		Queue: q.Queue, savedLife: q.save(), Detail: kept{value: q.Detail}, Gone: gone, Blocked: q.blocked,
		Front: s.front(&q.line),
	}
	for _, l := range q.shares {
		out.Shares = append(out.Shares, savedShare{l.name, l.recent, l.at, s.front(&l.line)})
	}
	if at := q.stuck; at.job != nil && !at.job.is(forgotten) {
		out.Stuck = &savedStuck{s.ref(at.ref), at.reason, at.since, at.was}
	}
	s.Queues = append(s.Queues, out)
}

func (s *saver) ref(r ref) savedRef { return savedRef{Job: s.jobs[r.job], Index: r.index} }

// front is the retries of a line that are still there.
func (s *saver) front(l *line) []savedRef {
	var out []savedRef
	for _, r := range l.front {
		if r.job.kid(r.index).is(atFront) {
			out = append(out, s.ref(r))
		}
	}
	return out
}

// stop saves an effect that nobody has been told of. Those are Stops: what is started
// is started by Tick, which returns it.
func (s *saver) stop(e *Effect) {
	if j := s.m.jobs[e.Job]; j != nil {
		s.Stops = append(s.Stops, savedRef{s.jobs[j], max(e.Index, 0), e.Attempt, e.Lost})
	}
}

func (s *saver) job(j *job) {
	out := savedJob{
		ID: j.id, Request: savedRequest{*j.req, kept{value: j.req.Payload}}, Queue: s.queues[j.queue],
		Seq: j.seq, Created: j.created, Flags: j.flags &^ queued, Stop: j.stop,
	}
	if a := j.array; a != nil {
		out.Spawned, out.Summarized, out.Stopped, out.Told = a.spawned, a.summarized, a.stopped, a.told
	}
	for i := 0; !j.is(submitted) && i < j.req.size(); {
		c := j.kid(i)
		n := i + 1
		for n < j.req.size() && *j.kid(n) == *c {
			n++
		}
		kid := c.save()
		if n > i+1 {
			kid.Count = n - i
		}
		out.Kids = append(out.Kids, kid)
		i = n
	}
	s.Jobs = append(s.Jobs, out)
}

func (c *child) save() savedKid {
	out := savedKid{
		Status: uint8(c.status), Why: c.why, Flags: c.flags, Attempt: c.attempt, Waiting: c.waiting,
		Exit: c.exit, Place: c.place, Started: c.started, Stopped: c.stopped,
		Memory: c.memory, CPU: c.cpu,
	}
	if m := c.more; m != nil {
		out.More = &savedMore{Reason: m.reason, StatusReason: m.statusReason, Stop: m.stop, Containers: m.containers}
		for _, a := range m.attempts {
			out.More.Attempts = append(out.More.Attempts, savedAttempt{
				millis(a.Started), millis(a.Stopped), a.ExitCode, a.Reason, a.StatusReason, a.Containers, a.Used.Memory(), a.Used.CPUMillis,
			})
		}
	}
	return out
}
