package doctor

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
)

// existing tells whether what blocks say exists does. Queues and definitions that steps use
// are looked at with these.
func (p *patient) existing(ctx context.Context) []Line {
	f := p.o.Infra
	if f == nil {
		return nil
	}
	var lines []Line
	x := p.o.Cloud.Batch()
	add := func(b *engine.Block, kind, action string, there bool, err error) {
		switch {
		case err != nil:
			lines = append(lines, p.trouble(b.Name, action, err).at(b.Pos.String()))
		case there:
			lines = append(lines, ok(b.Name, "the %s is there", kind).at(b.Pos.String()))
		default:
			lines = append(lines, fault(b.Name, "name one that is there, or leave existing out and run: "+p.apply(), "there is no %s %s in %s", kind, b.Name, p.o.Cloud.Region()).at(b.Pos.String()))
		}
	}
	for _, e := range f.Environments {
		if e.Existing {
			out, err := x.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{e.Name}})
			add(&e.Block, "compute environment", "batch:DescribeComputeEnvironments", err == nil && len(out.ComputeEnvironments) > 0, err)
		}
	}
	for _, q := range f.Queues {
		if q.Existing {
			out, err := x.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{q.Name}})
			add(&q.Block, "job queue", "batch:DescribeJobQueues", err == nil && len(out.JobQueues) > 0, err)
		}
	}
	for _, s := range f.Policies {
		if s.Existing {
			there, err := hasPolicy(ctx, x, s.Name)
			add(&s.Block, "scheduling policy", "batch:ListSchedulingPolicies", there, err)
		}
	}
	for _, c := range f.Consumables {
		if c.Existing {
			_, err := x.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: &c.Name})
			there := err == nil
			if code(err) == "ClientException" { // it is not there
				err = nil
			}
			add(&c.Block, "consumable resource", "batch:DescribeConsumableResource", there, err)
		}
	}
	return lines
}

func hasPolicy(ctx context.Context, x *batch.Client, name string) (bool, error) {
	pages := batch.NewListSchedulingPoliciesPaginator(x, &batch.ListSchedulingPoliciesInput{})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return false, err
		}
		for _, l := range out.SchedulingPolicies {
			if lastPart(aws.ToString(l.Arn)) == name {
				return true, nil
			}
		}
	}
	return false, nil
}
