package cost

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// Known is what is known of where jobs run. The zero value knows nothing.
type Known struct {
	queues      map[string][]Environment // by name, in their order
	definitions map[string]*engine.TaskSpec
}

// FromBlocks returns what the blocks of a workflow say; it may be nil. A queue is known if
// all its environments are made by the workflow.
func FromBlocks(f *engine.Infra) *Known {
	k := &Known{queues: map[string][]Environment{}, definitions: map[string]*engine.TaskSpec{}}
	if f == nil {
		return k
	}
	environments := map[string]*engine.ComputeEnvironment{}
	for _, e := range f.Environments {
		if !e.Existing {
			environments[e.Name] = e
		}
	}
	for _, q := range f.Queues {
		if q.Existing {
			continue
		}
		var all []Environment
		for _, name := range q.Environments {
			if e := environments[lastPart(name, "/")]; e != nil {
				all = append(all, Environment{capacity.FromBlock(e), e.BidPercentage})
			}
		}
		if len(all) == len(q.Environments) && len(all) > 0 {
			k.queues[q.Name] = all
		}
	}
	for _, d := range f.Definitions {
		if !d.Existing && d.Spec != nil {
			k.definitions[d.Name] = d.Spec
		}
	}
	return k
}

// queueName returns the name of a queue that is given by name or ARN.
func queueName(queue string) string { return lastPart(queue, "/") }

func lastPart(s, sep string) string { return s[strings.LastIndex(s, sep)+1:] }

// A Describer asks AWS Batch what it has; *batch.Client is one.
type Describer interface {
	batch.DescribeJobQueuesAPIClient
	batch.DescribeComputeEnvironmentsAPIClient
}

// Learn asks AWS Batch about those of the queues that nothing is known of yet. What it
// cannot learn of stays unknown. Two calls answer for 100 queues and environments.
func (k *Known) Learn(ctx context.Context, api Describer, queues []string) error {
	var ask []string
	for _, q := range queues {
		if _, known := k.queues[queueName(q)]; !known && q != "" && !slices.Contains(ask, q) {
			ask = append(ask, q)
		}
	}
	orders := map[string][]types.ComputeEnvironmentOrder{}
	var environments []string
	for part := range slices.Chunk(ask, 100) {
		out, err := api.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: part})
		if err != nil {
			return fmt.Errorf("looking at job queues: %w", err)
		}
		for i := range out.JobQueues {
			q := &out.JobQueues[i]
			list := slices.SortedFunc(slices.Values(q.ComputeEnvironmentOrder), func(a, b types.ComputeEnvironmentOrder) int {
				return int(aws.ToInt32(a.Order) - aws.ToInt32(b.Order))
			})
			orders[aws.ToString(q.JobQueueName)] = list
			for _, o := range list {
				if name := aws.ToString(o.ComputeEnvironment); !slices.Contains(environments, name) {
					environments = append(environments, name)
				}
			}
		}
	}
	byARN := map[string]Environment{}
	for part := range slices.Chunk(environments, 100) {
		out, err := api.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: part})
		if err != nil {
			return fmt.Errorf("looking at compute environments: %w", err)
		}
		for _, d := range out.ComputeEnvironments {
			e := Environment{Environment: capacity.FromDetail(d)}
			if d.ComputeResources != nil {
				e.Bid = int(aws.ToInt32(d.ComputeResources.BidPercentage))
			}
			byARN[aws.ToString(d.ComputeEnvironmentArn)] = e
			byARN[aws.ToString(d.ComputeEnvironmentName)] = e
		}
	}
	k.learned(orders, byARN)
	return nil
}

// learned takes in what queues have, as far as all their environments are known.
func (k *Known) learned(orders map[string][]types.ComputeEnvironmentOrder, byARN map[string]Environment) {
	if k.queues == nil {
		k.queues = map[string][]Environment{}
	}
	for name, list := range orders {
		var all []Environment
		for _, o := range list {
			if e, ok := byARN[aws.ToString(o.ComputeEnvironment)]; ok {
				all = append(all, e)
			}
		}
		if len(all) == len(list) && len(all) > 0 {
			k.queues[name] = all
		}
	}
}
