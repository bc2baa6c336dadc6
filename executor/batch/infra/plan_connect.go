package infra

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// kinds are all, in the order in which things are made; they are deleted the other way
// round.
var kinds = []Kind{KindRole, KindPolicy, KindConsumable, KindEnvironment, KindQueue, KindDefinition}

// orphans finds what is ours and not wanted any more.
func (p *planner) orphans() {
	for _, kind := range slices.Backward(kinds) {
		for _, t := range p.plan.found.of(kind) {
			runs := p.in == nil && len(t.registered) > 0
			if runs {
				t.revisions = append(t.revisions, t.registered...)
			}
			if !p.ours(t) || t.status == "DELETED" || p.wants(kind, t.name) || p.uses(kind, t.name) {
				continue
			}
			c := &Change{Action: Delete, Kind: kind, Name: t.name, have: t}
			if t.going() {
				c.Notes = []string{"it is being deleted, and waited for"}
			} else if runs {
				c.Notes = []string{"runs have registered it"}
			}
			p.plan.Changes = append(p.plan.Changes, c)
		}
	}
}

func (p *planner) wants(kind Kind, name string) bool {
	return slices.ContainsFunc(p.want, func(r Resource) bool { return r.Kind == kind && r.Name == name })
}

// uses reports whether a thing is named as an existing one, which flow leaves alone even if
// it has made it once.
func (p *planner) uses(kind Kind, name string) bool {
	for k, b := range blocksOf(p.in) {
		if b.Existing && k == kind && plainName(b.Name) == name {
			return true
		}
	}
	return false
}

// plainName returns a name without what an ARN has before it, and a revision behind it.
func plainName(ref string) string {
	name, _, _ := strings.Cut(nameOf(ref), ":")
	return name
}

// blocksOf yields the blocks of a workflow, by kind.
func blocksOf(in *engine.Infra) iter.Seq2[Kind, *engine.Block] {
	return func(yield func(Kind, *engine.Block) bool) {
		if in == nil {
			return
		}
		for _, e := range in.Environments {
			if !yield(KindEnvironment, &e.Block) {
				return
			}
		}
		for _, q := range in.Queues {
			if !yield(KindQueue, &q.Block) {
				return
			}
		}
		for _, d := range in.Definitions {
			if !yield(KindDefinition, &d.Block) {
				return
			}
		}
		for _, s := range in.Policies {
			if !yield(KindPolicy, &s.Block) {
				return
			}
		}
		for _, c := range in.Consumables {
			if !yield(KindConsumable, &c.Block) {
				return
			}
		}
	}
}

// connect settles what a change of one thing means to others: an environment or a policy
// can only go when no queue names it. One that is deleted goes when the queues have been
// given their new environments; one that is replaced is away for a while.
func (p *planner) connect() {
	p.references()
	for _, q := range p.plan.found.of(KindQueue) {
		var away []string
		for _, name := range q.environments() {
			c := p.plan.find(KindEnvironment, name)
			if c == nil || c.Action != Delete && c.Action != Replace || q.going() {
				continue
			}
			if q.owner != p.o.Workflow || p.uses(KindQueue, q.name) {
				p.errs = append(p.errs, fmt.Errorf("compute_environment %s is to be %sd, and job queue %s, which this workflow does not manage, uses it: take it out there first", name, c.Action, q.name))
				break
			}
			if c.Action == Replace {
				away = append(away, name)
			}
		}
		if len(away) > 0 {
			p.detach(q, away)
		}
		p.policyGoes(q)
	}
}

// detach plans how a queue of ours loses environments for a while.
func (p *planner) detach(q *thing, away []string) {
	c := p.plan.find(KindQueue, q.name)
	if c != nil && (c.Action == Delete || c.Action == Replace) {
		return
	}
	if c == nil { // it is as it should be, and will be again
		for i := range p.want {
			if r := &p.want[i]; r.Kind == KindQueue && r.Name == q.name {
				c = p.change(Update, r, q)
			}
		}
	}
	names := strings.Join(away, ", ")
	if c.interim = p.remaining(q, c); len(c.interim) > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("it goes on without %s while that is replaced", names))
		return
	}
	c.Action = Replace
	c.Notes = append(c.Notes, fmt.Sprintf("it has no other compute environment while %s is replaced, so it has to go first", names))
}

// remaining returns the environments that a queue can have while others are replaced: those
// that it has, or else those of the ones it is to get that are there.
func (p *planner) remaining(q *thing, c *Change) []string {
	usable := func(name string) bool {
		change, t := p.plan.find(KindEnvironment, name), p.plan.found.get(KindEnvironment, name)
		return (change == nil || change.Action != Replace) && t != nil && t.status != "INVALID" && !t.going()
	}
	for _, names := range [][]string{q.environments(), namesOfOrder(c.want.Input.(*batch.CreateJobQueueInput).ComputeEnvironmentOrder)} {
		if left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !usable(n) }); len(left) > 0 {
			return left
		}
	}
	return nil
}

// policyGoes refuses that a policy is deleted that a queue of others uses.
func (p *planner) policyGoes(q *thing) {
	in, ok := q.input.(*batch.CreateJobQueueInput)
	if !ok || in.SchedulingPolicyArn == nil || q.owner == p.o.Workflow {
		return
	}
	name := nameOf(*in.SchedulingPolicyArn)
	if c := p.plan.find(KindPolicy, name); c != nil && c.Action == Delete {
		p.errs = append(p.errs, fmt.Errorf("scheduling_policy %s is to be deleted, and job queue %s, which this workflow does not manage, uses it: take it out there first", name, q.name))
	}
}

// references checks that what queues name is there, or will be.
func (p *planner) references() {
	for i := range p.want {
		r := &p.want[i]
		in, ok := r.Input.(*batch.CreateJobQueueInput)
		if !ok {
			continue
		}
		for _, name := range namesOfOrder(in.ComputeEnvironmentOrder) {
			p.refers(r, KindEnvironment, name)
		}
		if in.SchedulingPolicyArn != nil {
			p.refers(r, KindPolicy, nameOf(*in.SchedulingPolicyArn))
		}
	}
}

func (p *planner) refers(r *Resource, kind Kind, name string) {
	if p.wants(kind, name) {
		return
	}
	t := p.plan.found.get(kind, name)
	if t == nil || t.going() {
		p.fail(r.Pos, "%s %s: there is no %s %s in %s, and no block that makes one", r.Kind, r.Name, kind, name, p.o.Region)
		return
	}
	if c := p.plan.find(kind, name); c != nil && c.Action == Delete {
		p.fail(r.Pos, "%s %s uses %s %s, which no block of the workflow makes any more: put the block back, or say existing = %q", r.Kind, r.Name, kind, name, name)
	}
}

// sort puts changes in the order in which things are made, and what is deleted last, in
// the order in which that is done.
func (p *planner) sort() {
	rank := func(c *Change) int {
		if c.Action == Delete {
			return 2*len(kinds) - slices.Index(kinds, c.Kind)
		}
		return slices.Index(kinds, c.Kind)
	}
	slices.SortStableFunc(p.plan.Changes, func(a, b *Change) int { return rank(a) - rank(b) })
}

// alive are the statuses of jobs that have not ended.
var alive = []types.JobStatus{
	types.JobStatusSubmitted, types.JobStatusPending, types.JobStatusRunnable, types.JobStatusStarting, types.JobStatusRunning,
}

// mostJobs is how many jobs of a status are counted in a queue: a page of ListJobs.
const mostJobs = 1000

// jobs returns how many jobs of a queue are in each status of those alive, with a call for
// each; more says that there are more of one than were counted. Children of an array are
// no jobs of their own here.
func (m *Manager) jobs(ctx context.Context, queue string) (by map[types.JobStatus]int, more bool, err error) {
	by = map[types.JobStatus]int{}
	for _, s := range alive {
		out, err := m.o.Batch.ListJobs(ctx, &batch.ListJobsInput{JobQueue: &queue, JobStatus: s, MaxResults: new(int32(mostJobs))})
		if err != nil {
			return nil, false, doing("count the jobs of "+queue, err)
		}
		by[s] = len(out.JobSummaryList)
		more = more || value(out.NextToken) != ""
	}
	return by, more, nil
}

// countJobs counts the jobs of queues that are deleted: they end.
func (p *planner) countJobs(ctx context.Context) error {
	for _, c := range p.plan.Changes {
		if c.Kind != KindQueue || c.have == nil || c.Action != Delete && c.Action != Replace || c.have.going() {
			continue
		}
		by, more, err := p.jobs(ctx, c.Name)
		if err != nil {
			return err
		}
		for _, n := range by {
			c.Jobs += n
		}
		c.MoreJobs = more
	}
	return nil
}
