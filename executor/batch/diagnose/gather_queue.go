package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// queue looks up the queue, its environments and its policy.
func (g *gathering) queue(name string) {
	out, err := g.batch.DescribeJobQueues(g.ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{name}})
	if g.note("job queue "+nameOf(name), err) || len(out.JobQueues) == 0 {
		return
	}
	q := &out.JobQueues[0]
	g.facts.Queue = &Queue{
		Name: aws.ToString(q.JobQueueName), State: string(q.State), Status: string(q.Status), Reason: aws.ToString(q.StatusReason), Policy: aws.ToString(q.SchedulingPolicyArn),
	}
	g.environments(q.ComputeEnvironmentOrder)
	if g.facts.Queue.Policy != "" {
		g.policy(g.facts.Queue.Policy)
	}
}

func (g *gathering) environments(order []types.ComputeEnvironmentOrder) {
	order = slices.SortedFunc(slices.Values(order), func(a, b types.ComputeEnvironmentOrder) int {
		return cmp.Compare(aws.ToInt32(a.Order), aws.ToInt32(b.Order))
	})
	var names []string
	for _, o := range order {
		names = append(names, aws.ToString(o.ComputeEnvironment))
	}
	if len(names) == 0 {
		return
	}
	out, err := g.batch.DescribeComputeEnvironments(g.ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: names})
	if g.note("the compute environments of the queue", err) {
		g.facts.Queue = nil // else it would seem to have none
		return
	}
	for _, name := range names {
		at := slices.IndexFunc(out.ComputeEnvironments, func(e types.ComputeEnvironmentDetail) bool {
			return nameOf(name) == aws.ToString(e.ComputeEnvironmentName)
		})
		if at >= 0 {
			g.facts.Environments = append(g.facts.Environments, environmentOf(&out.ComputeEnvironments[at]))
		}
	}
}

func environmentOf(d *types.ComputeEnvironmentDetail) Environment {
	e := Environment{
		Environment: capacity.FromDetail(*d), State: string(d.State), Status: string(d.Status), Reason: aws.ToString(d.StatusReason), cluster: aws.ToString(d.EcsClusterArn),
	}
	if r := d.ComputeResources; r != nil {
		e.MinVCPUs, e.Desired, e.Bid = int(aws.ToInt32(r.MinvCpus)), int(aws.ToInt32(r.DesiredvCpus)), int(aws.ToInt32(r.BidPercentage))
	}
	return e
}

func (g *gathering) policy(arn string) {
	out, err := g.batch.DescribeSchedulingPolicies(g.ctx, &batch.DescribeSchedulingPoliciesInput{Arns: []string{arn}})
	if g.note("scheduling policy "+nameOf(arn), err) || len(out.SchedulingPolicies) == 0 {
		return
	}
	p := &Policy{Name: nameOf(arn), Weights: map[string]float64{}}
	if f := out.SchedulingPolicies[0].FairsharePolicy; f != nil {
		p.Reserve = int(aws.ToInt32(f.ComputeReservation))
		for _, s := range f.ShareDistribution {
			p.Weights[aws.ToString(s.ShareIdentifier)] = float64(aws.ToFloat32(s.WeightFactor))
		}
	}
	g.facts.Policy = p
}

// front looks up which jobs are next in the queue, what it has in use, and the job at its
// head.
func (g *gathering) front(queue string) {
	out, err := g.batch.GetJobQueueSnapshot(g.ctx, &batch.GetJobQueueSnapshotInput{JobQueue: &queue})
	if g.note("the front of job queue "+nameOf(queue), err) {
		return
	}
	if f := out.FrontOfQueue; f != nil {
		for _, j := range f.Jobs {
			g.facts.Front = append(g.facts.Front, Front{ID: nameOf(aws.ToString(j.JobArn)), Since: moment(j.EarliestTimeAtPosition)})
		}
	}
	if u := out.QueueUtilization; u != nil {
		g.use(u)
	}
	if len(g.facts.Front) == 0 || g.facts.Front[0].ID == g.facts.Job.ID {
		return
	}
	head, err := g.describe(g.facts.Front[0].ID)
	if !g.note("the job at the head of the queue", err) && len(head) == 1 && head[0].Status == types.JobStatusRunnable {
		g.facts.Head = new(jobOf(&head[0]))
	}
}

// unitVCPU is the unit in which the use of capacity is told on EC2 and Fargate.
const unitVCPU = "VCPU"

func (g *gathering) use(u *types.QueueSnapshotUtilizationDetail) {
	for _, c := range u.TotalCapacityUsage {
		if aws.ToString(c.CapacityUnit) == unitVCPU {
			g.facts.InUse = c.Quantity
		}
	}
	if u.FairshareUtilization == nil {
		return
	}
	for _, s := range u.FairshareUtilization.TopCapacityUtilization {
		share := Share{ID: aws.ToString(s.ShareIdentifier)}
		for _, c := range s.CapacityUsage {
			if aws.ToString(c.CapacityUnit) == unitVCPU {
				share.VCPUs = aws.ToFloat64(c.Quantity)
			}
		}
		g.facts.Shares = append(g.facts.Shares, share)
	}
}

// running looks up what runs in the queue: jobs, and the children of arrays, whose parents
// are PENDING meanwhile.
func (g *gathering) running(queue string) {
	r := &Running{}
	for _, status := range []types.JobStatus{types.JobStatusRunning, types.JobStatusStarting, types.JobStatusPending} {
		out, err := g.batch.ListJobs(g.ctx, &batch.ListJobsInput{JobQueue: &queue, JobStatus: status, MaxResults: new(int32(mostListed))})
		if g.note("what runs in job queue "+nameOf(queue), err) {
			return
		}
		r.More = r.More || out.NextToken != nil
		for i := range out.JobSummaryList {
			r.count(&out.JobSummaryList[i], status)
		}
	}
	g.facts.Running = r
}

func (r *Running) count(s *types.JobSummary, status types.JobStatus) {
	n := 1
	if status == types.JobStatusPending {
		a := s.ArrayProperties
		if a == nil || a.StatusSummary == nil {
			return
		}
		n = int(a.StatusSummary[engine.JobRunning.String()] + a.StatusSummary[engine.JobStarting.String()])
	}
	if n == 0 {
		return
	}
	r.Jobs += n
	if len(r.Names) < mostNamed {
		name := aws.ToString(s.JobName)
		if n > 1 {
			name += fmt.Sprintf(" (%d tasks)", n)
			r.Jobs -= n - 1 // they are named as one
		}
		r.Names = append(r.Names, name)
	}
}

// consumables looks up the consumable resources that the job asks for.
func (g *gathering) consumables() {
	for _, q := range g.facts.Job.Asks[:min(len(g.facts.Job.Asks), mostAsked)] {
		out, err := g.batch.DescribeConsumableResource(g.ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: &q.Name})
		if g.note("consumable resource "+q.Name, err) {
			continue
		}
		g.facts.Consumables = append(g.facts.Consumables, Consumable{
			Name: q.Name, Wants: q.Count, Available: aws.ToInt64(out.AvailableQuantity), Total: aws.ToInt64(out.TotalQuantity),
			Replenishable: aws.ToString(out.ResourceType) != "NON_REPLENISHABLE",
		})
	}
}
