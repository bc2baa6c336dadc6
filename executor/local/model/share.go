package model

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	defaultDecay = 10 * time.Minute // FairsharePolicy: 0 is the default minimum time window
	maxDecay     = 7 * 24 * time.Hour
	maxShares    = 500 // active share identifiers of a queue (Batch API, SubmitJob)
	maxShareLen  = 255
)

// PutPolicy creates a scheduling policy, or replaces the one of its name, for the queues
// that use it as well.
func (m *Model) PutPolicy(now time.Time, p Policy) error {
	m.begin(now)
	if err := p.check(); err != nil {
		return err
	}
	m.policies[p.Name] = &p
	for _, q := range m.users(p.Name) {
		q.adopt(&p, m.now)
	}
	return nil
}

func (p *Policy) check() error {
	switch {
	case !goodName(p.Name):
		return refuse("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", p.Name)
	case p.Decay < 0 || p.Decay > maxDecay:
		return refuse("shareDecaySeconds should be between 0 and %.0f, got %.0f", maxDecay.Seconds(), p.Decay.Seconds())
	case p.Reservation < 0 || p.Reservation > 99:
		return refuse("computeReservation should be between 0 and 99, got %d", p.Reservation)
	}
	for i, w := range p.Weights {
		if err := checkShare(strings.TrimSuffix(w.Share, "*")); err != nil {
			return err
		}
		if !(w.Factor >= 0.0001 && w.Factor <= 999.9999) {
			return refuse("weightFactor should be between 0.0001 and 999.9999, got %v", w.Factor)
		}
		for _, o := range p.Weights[:i] {
			if w.overlaps(o) {
				return refuse("Share identifiers %s and %s overlap", o.Share, w.Share)
			}
		}
	}
	return nil
}

// matches reports whether a weight is that of a share identifier, or with a trailing *
// of all that begin so.
func (w Weight) matches(share string) bool {
	prefix, all := strings.CutSuffix(w.Share, "*")
	return share == prefix || all && strings.HasPrefix(share, prefix)
}

// overlaps reports whether some share identifier has both weights (ShareAttributes: "can't
// overlap").
func (w Weight) overlaps(o Weight) bool {
	return w.matches(strings.TrimSuffix(o.Share, "*")) || o.matches(strings.TrimSuffix(w.Share, "*"))
}

// checkShare reports what is wrong with a share identifier: up to 255 letters and digits
// (Batch API, SubmitJob).
func checkShare(share string) error {
	for i := range len(share) {
		if c := share[i] | 0x20; (c < 'a' || c > 'z') && (share[i] < '0' || share[i] > '9') {
			return refuse("Share identifier %q should have letters and digits only", share)
		}
	}
	if share == "" || len(share) > maxShareLen {
		return refuse("Share identifier should have 1 to %d characters, got %d", maxShareLen, len(share))
	}
	return nil
}

// users returns the queues that use a policy.
func (m *Model) users(policy string) []*queue {
	var out []*queue
	for _, q := range m.queues {
		if policy != "" && q.Policy == policy {
			out = append(out, q)
		}
	}
	return out
}

// DeletePolicy deletes a scheduling policy that no queue uses (Batch API,
// DeleteSchedulingPolicy).
func (m *Model) DeletePolicy(now time.Time, name string) error {
	m.begin(now)
	switch {
	case m.policies[name] == nil:
		return refuse("scheduling-policy/%s does not exist", name)
	case len(m.users(name)) > 0:
		return refuse("Cannot delete, scheduling policy %s is used by a job queue", name)
	}
	delete(m.policies, name)
	return nil
}

// Policy returns a scheduling policy by its name.
func (m *Model) Policy(name string) (Policy, bool) {
	p := m.policies[name]
	if p == nil {
		return Policy{}, false
	}
	return *p, true
}

// Policies yields the scheduling policies, by name.
func (m *Model) Policies() iter.Seq[Policy] {
	return func(yield func(Policy) bool) {
		for _, name := range slices.Sorted(maps.Keys(m.policies)) {
			if !yield(*m.policies[name]) {
				return
			}
		}
	}
}

// A share is the line of a share identifier in a queue with a scheduling policy. "The
// AWS Batch scheduler tracks usage for each share identifier by using the (T *
// weightFactor) formula, where T is the vCPU usage over time. The scheduler picks jobs
// with the lowest usage" (Batch User Guide, share-identifiers). How T is reckoned is not
// said; here it is the vCPUs in use now, and what has been in use lately as an average
// in which the past fades by the factor e in each Policy.Decay.
type share struct {
	line
	name   string
	factor float64
	open   int     // jobs that have not ended
	used   int64   // thousandths of vCPUs
	recent float64 // the average of used, as of at
	at     int64
}

// average returns what has been in use lately.
func (s *share) average(now int64, decay time.Duration) float64 {
	if s.used == 0 && s.recent == 0 {
		return 0
	}
	fade := math.Exp(-float64(now-s.at) / float64(decay.Milliseconds()))
	return float64(s.used) + (s.recent-float64(s.used))*fade
}

// active reports whether a share identifier has jobs that run or could run.
func (s *share) active() bool { return s.ready > 0 || s.used > 0 }

func (q *queue) decay() time.Duration {
	if q.policy.Decay > 0 {
		return q.policy.Decay
	}
	return defaultDecay
}

// score is what the share with the least of is next, with so much in use.
func (q *queue) score(s *share, now, used int64) float64 {
	return (s.average(now, q.decay()) + float64(used)) * s.factor
}

// use changes what a share has in use.
func (q *queue) use(s *share, now, cpu int64) {
	s.recent, s.at = s.average(now, q.decay()), now
	s.used += cpu
}

// adopt puts a queue under a policy. What has been is reckoned by the one before.
func (q *queue) adopt(p *Policy, now int64) {
	for _, s := range q.shares {
		q.use(s, now, 0)
		s.factor = p.factor(s.name)
	}
	q.policy = p
}

func (p *Policy) factor(share string) float64 {
	for _, w := range p.Weights {
		if w.matches(share) {
			return w.Factor
		}
	}
	return 1
}

// share returns the share of an identifier, made if need be.
func (q *queue) share(name string, now int64) *share {
	s := q.byShare[name]
	if s == nil {
		q.tidy(now)
		s = q.addShare(name)
	}
	return s
}

func (q *queue) addShare(name string) *share {
	s := &share{name: name, factor: q.policy.factor(name), line: newLine(byPriority)}
	q.byShare[name] = s
	q.shares = append(q.shares, s)
	return s
}

// byPriority is the order within a share: schedulingPriority, then submission.
func byPriority(a, b *job) bool {
	if a.req.Priority != b.req.Priority {
		return a.req.Priority > b.req.Priority
	}
	return a.seq < b.seq
}

// tidy drops the shares that have not been used for so long that it makes no difference,
// each time their number has doubled.
func (q *queue) tidy(now int64) {
	if n := len(q.shares); n < 2*maxShares || n&(n-1) != 0 {
		return
	}
	q.shares = slices.DeleteFunc(q.shares, func(s *share) bool {
		old := s.open == 0 && now-s.at > 20*q.decay().Milliseconds()
		if old {
			delete(q.byShare, s.name)
		}
		return old
	})
}

// checkShare reports why a queue does not take a job for its share identifier.
func (q *queue) checkShare(r *Request) error {
	switch {
	case q.policy == nil && r.ShareID != "":
		return refuse("Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share scheduling policy.")
	case q.policy == nil:
		return nil
	case r.ShareID == "":
		return refuse("Job submitted to job queue with fair share scheduling policy must have shareIdentifier.")
	}
	if err := checkShare(r.ShareID); err != nil {
		return err
	}
	if s := q.byShare[r.ShareID]; s != nil && s.open > 0 {
		return nil
	}
	n := 0
	for _, s := range q.shares {
		if s.open > 0 {
			n++
		}
	}
	if n >= maxShares {
		return refuse("Job queue %s cannot have more than %d active share identifiers", q.Name, maxShares)
	}
	return nil
}

// next returns the line whose head is the head of the queue; and the pooled one that it is,
// if any.
func (q *queue) next(now int64) (*line, *pooled) {
	switch {
	case q.policy == nil && len(q.pooled) > 0:
		return q.foremost()
	case q.policy == nil:
		return &q.line, nil
	}
	var best *share
	var least float64
	for _, s := range q.shares {
		if s.ready == 0 {
			continue
		}
		score := q.score(s, now, s.used)
		if best == nil || score < least || score == least && s.before(best) {
			best, least = s, score
		}
	}
	if best == nil {
		return nil, nil
	}
	return &best.line, nil
}

// before decides between shares that have used the same: by submission of their heads.
func (s *share) before(o *share) bool {
	a, _ := s.head()
	b, _ := o.head()
	return a.job.seq < b.job.seq
}

// reserved reports whether a job has to leave its vCPUs to shares that are not active
// yet: (computeReservation/100)^active of all there are (FairsharePolicy). It never
// keeps a queue from running anything at all.
func (q *queue) reserved(cpu int64) bool {
	if q.policy == nil || q.policy.Reservation == 0 || q.used == 0 {
		return false
	}
	active, all := 0, int64(0)
	for _, s := range q.shares {
		if s.active() {
			active++
		}
	}
	for _, e := range q.on {
		switch {
		case e.Disabled:
		case e.Unmanaged && e.Planned <= 0: // nothing is reserved (CreateComputeEnvironmentRequest)
			return false
		case e.Unmanaged:
			all += Capacity{VCPUs: e.Planned}.amount().cpu
		default:
			all += e.max
		}
	}
	keep := math.Pow(float64(q.policy.Reservation)/100, float64(active))
	return float64(q.used+cpu) > float64(all)*(1-keep)
}

// fairly returns the first n children of a queue with a policy in the order in which they
// would be given out if there were room for them.
func (q *queue) fairly(now int64, n int) []ref {
	type waiting struct {
		*share
		used int64
		refs []ref
	}
	var all []*waiting
	for _, s := range q.shares {
		if s.ready > 0 {
			all = append(all, &waiting{s, s.used, s.first(n)})
		}
	}
	var out []ref
	for len(all) > 0 && len(out) < n {
		next := slices.MinFunc(all, func(a, b *waiting) int {
			byScore := cmp.Compare(q.score(a.share, now, a.used), q.score(b.share, now, b.used))
			return cmp.Or(byScore, bySeq(a.refs[0].job, b.refs[0].job))
		})
		out = append(out, next.refs[0])
		next.used += next.refs[0].job.req.want().cpu
		if next.refs = next.refs[1:]; len(next.refs) == 0 {
			all = slices.DeleteFunc(all, func(w *waiting) bool { return w == next })
		}
	}
	return out
}
