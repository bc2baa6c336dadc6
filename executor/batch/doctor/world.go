package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// A world is what AWS Batch has of the queues that are looked at, and of their environments.
type world struct {
	queues       []queue
	environments []types.ComputeEnvironmentDetail
}

// A queue is one that is looked at.
type queue struct {
	name  string // or ARN, as the workflow has it
	steps []int  // of Options.Steps that use it
	arg   string // of the first of these, that names it
	there *types.JobQueueDetail

	unused bool // nothing names it: it is looked at since all of the region are
}

// title returns the name of a queue.
func (q *queue) title() string { return lastPart(q.name) }

// maxDescribe is how many queues or environments a call describes (Batch API reference,
// DescribeJobQueues, DescribeComputeEnvironments: maxResults).
const maxDescribe = 100

// wanted returns the queues that the steps use, also for another try, in the order of
// their first use.
func (p *patient) wanted() []queue {
	var list []queue
	add := func(name string, step int, arg string) {
		if name == "" {
			return
		}
		i := slices.IndexFunc(list, func(q queue) bool { return sameResource(q.name, name) })
		if i < 0 {
			i = len(list)
			list = append(list, queue{name: name, arg: arg})
		}
		if step >= 0 && !slices.Contains(list[i].steps, step) {
			list[i].steps = append(list[i].steps, step)
		}
	}
	for i := range p.o.Steps {
		spec := p.o.Steps[i].Spec
		add(spec.Queue, i, "queue")
		for _, r := range spec.Task.Retry.Rules {
			add(r.Queue, i, "retry.when."+r.Class+".queue")
		}
	}
	for _, name := range p.o.Queues {
		add(name, -1, "")
	}
	return list
}

// sameResource reports whether two names or ARNs name the same.
func sameResource(a, b string) bool {
	return a == b || strings.HasPrefix(a, "arn:") != strings.HasPrefix(b, "arn:") && lastPart(a) == lastPart(b)
}

// readWorld describes the queues and their environments; without any queue all of the region.
func (p *patient) readWorld(ctx context.Context) (*world, error) {
	w := &world{queues: p.wanted()}
	x := p.o.Cloud.Batch()
	there, err := describeQueues(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("batch:DescribeJobQueues: %w", err)
	}
	all := len(w.queues) == 0
	for i := range there {
		d := &there[i]
		at := slices.IndexFunc(w.queues, func(q queue) bool {
			return q.name == aws.ToString(d.JobQueueName) || q.name == aws.ToString(d.JobQueueArn)
		})
		switch {
		case at >= 0:
			w.queues[at].there = d
		case all:
			w.queues = append(w.queues, queue{name: aws.ToString(d.JobQueueName), there: d, unused: true})
		}
	}
	var refs []string
	for i := range w.queues {
		for _, ref := range orderOf(w.queues[i].there) {
			if !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	if len(refs) == 0 && !all {
		return w, nil
	}
	if all {
		refs = nil
	}
	if w.environments, err = describeEnvironments(ctx, x, refs); err != nil {
		return nil, fmt.Errorf("batch:DescribeComputeEnvironments: %w", err)
	}
	return w, nil
}

// describeQueues returns all queues of the region: the missing ones are looked for among them.
func describeQueues(ctx context.Context, x *batch.Client) ([]types.JobQueueDetail, error) {
	var list []types.JobQueueDetail
	pages := batch.NewDescribeJobQueuesPaginator(x, &batch.DescribeJobQueuesInput{MaxResults: new(int32(maxDescribe))})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, out.JobQueues...)
	}
	return list, nil
}

func describeEnvironments(ctx context.Context, x *batch.Client, refs []string) ([]types.ComputeEnvironmentDetail, error) {
	var list []types.ComputeEnvironmentDetail
	if refs == nil {
		pages := batch.NewDescribeComputeEnvironmentsPaginator(x, &batch.DescribeComputeEnvironmentsInput{MaxResults: new(int32(maxDescribe))})
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			list = append(list, out.ComputeEnvironments...)
		}
		return list, nil
	}
	for some := range slices.Chunk(refs, maxDescribe) {
		out, err := x.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: some})
		if err != nil {
			return nil, err
		}
		list = append(list, out.ComputeEnvironments...)
	}
	return list, nil
}

// orderOf returns the environments of a queue, in order.
func orderOf(d *types.JobQueueDetail) []string {
	if d == nil {
		return nil
	}
	order := slices.Clone(d.ComputeEnvironmentOrder)
	slices.SortStableFunc(order, func(a, b types.ComputeEnvironmentOrder) int {
		return int(aws.ToInt32(a.Order)) - int(aws.ToInt32(b.Order))
	})
	var list []string
	for _, o := range order {
		list = append(list, aws.ToString(o.ComputeEnvironment))
	}
	return list
}

// environment returns an environment by its name or ARN; nil: it is not there.
func (w *world) environment(ref string) *types.ComputeEnvironmentDetail {
	for i := range w.environments {
		if e := &w.environments[i]; aws.ToString(e.ComputeEnvironmentArn) == ref || aws.ToString(e.ComputeEnvironmentName) == ref {
			return e
		}
	}
	return nil
}

// of returns the environments of a queue that are there, in order.
func (w *world) of(q *queue) []*types.ComputeEnvironmentDetail {
	var list []*types.ComputeEnvironmentDetail
	for _, ref := range orderOf(q.there) {
		if e := w.environment(ref); e != nil {
			list = append(list, e)
		}
	}
	return list
}

// usedBy returns the steps that have an environment in a queue of theirs.
func (p *patient) usedBy(w *world, e *types.ComputeEnvironmentDetail) []*Step {
	var list []*Step
	for i := range w.queues {
		if !slices.Contains(w.of(&w.queues[i]), e) {
			continue
		}
		for _, s := range w.queues[i].steps {
			if step := &p.o.Steps[s]; !slices.Contains(list, step) {
				list = append(list, step)
			}
		}
	}
	return list
}

// failed is the line of a check for which the queues or environments could not be read.
func (p *patient) failed(name string, err error) []Line {
	action, _, _ := strings.Cut(err.Error(), ": ")
	l := p.trouble(name, action, err)
	if l.Status == Fault && name != "queues" && strings.HasPrefix(action, "batch:") {
		l.Status, l.Fix = Skipped, "" // it is said of the queues
	}
	return []Line{l}
}
