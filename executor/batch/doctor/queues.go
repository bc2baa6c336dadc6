package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// queues tells of each queue whether it is there, takes jobs, and has an environment that
// does.
func (p *patient) queues(ctx context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return p.failed("queues", err)
	}
	if len(w.queues) == 0 {
		if p.o.Infra != nil && len(p.o.Infra.Queues) > 0 {
			return nil
		}
		return []Line{warning("queues", "write a job_queue block and run flow infra apply, or name the queue with -queue", "there is no job queue in this region")}
	}
	var lines []Line
	for i := range w.queues {
		q := &w.queues[i]
		found := p.queue(ctx, w, q)
		found = append(found, p.shares(q)...)
		if len(found) == 0 {
			found = []Line{ok(q.title(), "ENABLED and VALID, with %s", environmentsText(w.of(q)))}
		}
		for _, l := range found {
			if l.Status == Fault && q.unused {
				l.Status = Warning // it may be meant to be so
			}
			lines = append(lines, l.at(p.queuePlace(q)))
		}
	}
	return lines
}

// queuePlace returns where the first step that uses a queue says so; the block if flow
// manages it.
func (p *patient) queuePlace(q *queue) string {
	if b := p.queueBlock(q.title()); b != nil {
		return b.Pos.String()
	}
	if len(q.steps) == 0 {
		return ""
	}
	return p.o.Steps[q.steps[0]].where(q.arg)
}

// where returns the place of an argument of a step; "": it is not known.
func (s *Step) where(arg string) string {
	if s.Where == nil {
		return ""
	}
	return s.Where(arg)
}

// queue returns what is wrong with a queue.
func (p *patient) queue(ctx context.Context, w *world, q *queue) []Line {
	name, d := q.title(), q.there
	if d == nil {
		if b := p.queueBlock(name); b != nil {
			return []Line{fault(name, "run: "+p.apply(), "there is no job queue %s yet: the block at %s is not applied", name, b.Pos)}
		}
		fix := "name a queue that is there, write a job_queue block and run flow infra apply"
		if others := p.otherQueues(ctx); others != "" {
			fix += "; there are: " + others
		}
		return []Line{fault(name, fix, "there is no job queue %s in %s", name, p.o.Cloud.Region())}
	}
	var lines []Line
	if d.State == types.JQStateDisabled {
		lines = append(lines, fault(name, p.mendQueue(name, `state = "ENABLED"`, "--state ENABLED"), "the queue is DISABLED: AWS Batch refuses jobs for it"))
	}
	reason := aws.ToString(d.StatusReason)
	switch d.Status {
	case types.JQStatusValid:
	case types.JQStatusCreating, types.JQStatusUpdating:
		lines = append(lines, warning(name, "wait until it is VALID", "the queue is %s", d.Status))
	case types.JQStatusInvalid:
		lines = append(lines, fault(name, "mend what the reason names, and update the queue", "the queue is INVALID: %s", orElse(reason, "AWS Batch says no reason")))
	default:
		lines = append(lines, fault(name, "use another queue", "the queue is %s", d.Status))
	}
	return append(lines, p.queueEnvironments(w, q)...)
}

// otherQueues names the queues of the region.
func (p *patient) otherQueues(ctx context.Context) string {
	list, err := describeQueues(ctx, p.o.Cloud.Batch())
	if err != nil {
		return ""
	}
	var all []string
	for _, d := range list {
		all = append(all, aws.ToString(d.JobQueueName))
	}
	slices.Sort(all)
	return names(all)
}

// queueEnvironments says if no environment of a queue takes jobs.
func (p *patient) queueEnvironments(w *world, q *queue) []Line {
	name, order := q.title(), orderOf(q.there)
	const cli = "--compute-environment-order order=1,computeEnvironment=NAME"
	if len(order) == 0 {
		return []Line{fault(name, p.mendQueue(name, "compute_environments = [...]", cli), "the queue has no compute environment: its jobs wait for ever")}
	}
	var bad []string
	for _, ref := range order {
		e := w.environment(ref)
		switch {
		case e == nil:
			bad = append(bad, lastPart(ref)+" is not there")
		case e.State != types.CEStateEnabled:
			bad = append(bad, fmt.Sprintf("%s is DISABLED", aws.ToString(e.ComputeEnvironmentName)))
		case e.Status == types.CEStatusInvalid || e.Status == types.CEStatusDeleting || e.Status == types.CEStatusDeleted:
			bad = append(bad, fmt.Sprintf("%s is %s", aws.ToString(e.ComputeEnvironmentName), e.Status))
		}
	}
	if len(bad) < len(order) {
		return nil
	}
	return []Line{fault(name, "mend one of them, as said below, or give the queue another one: "+p.mendQueue(name, "compute_environments = [...]", cli),
		"no compute environment of the queue takes jobs: %s", strings.Join(bad, ", "))}
}

// shares says if jobs and queue do not agree on fair share: a queue with a policy wants a
// share identifier, which flow gives to jobs with a priority, and one without takes none
// (API reference, SubmitJob).
func (p *patient) shares(q *queue) []Line {
	if q.there == nil {
		return nil
	}
	policy := aws.ToString(q.there.SchedulingPolicyArn) != ""
	var lines []Line
	for _, i := range q.steps {
		s := &p.o.Steps[i]
		switch priority := s.Spec.Task.Priority; {
		case policy && priority == 0:
			lines = append(lines, fault(q.title(), "write priority = 1 or more in the step, or use a queue without a scheduling policy",
				"the queue shares by %s and takes only jobs with a share identifier, which step %s has not without a priority", lastPart(*q.there.SchedulingPolicyArn), s.Spec.Step))
		case !policy && priority > 0:
			lines = append(lines, fault(q.title(), "remove priority from the step, or give the queue a scheduling policy",
				"step %s has a priority, and AWS Batch takes such jobs only for queues with a scheduling policy", s.Spec.Step))
		}
	}
	return lines
}

func environmentsText(list []*types.ComputeEnvironmentDetail) string {
	var all []string
	for _, e := range list {
		all = append(all, aws.ToString(e.ComputeEnvironmentName))
	}
	return names(all)
}
