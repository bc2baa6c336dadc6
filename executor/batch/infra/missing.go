package infra

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
)

// Used are the job queues and job definitions that the steps of a workflow name, by name or
// ARN.
type Used struct{ Queues, Definitions []string }

// An Absence is a block whose thing AWS Batch does not have, and which jobs would need.
type Absence struct {
	Kind Kind
	Name string
	Pos  engine.Pos
}

// Missing returns what of the infrastructure of a workflow is used, is to be made by flow, and
// is not there: queues with one call for all, definitions with one call for each. Without
// any such block it makes no call.
func Missing(ctx context.Context, api *batch.Client, in *engine.Infra, used Used) ([]Absence, error) {
	if in == nil {
		return nil, nil
	}
	out, err := missingQueues(ctx, api, in, used.Queues)
	if err != nil {
		return nil, err
	}
	for _, d := range in.Definitions {
		if d.Existing || !slices.ContainsFunc(used.Definitions, func(ref string) bool { return definitionName(ref) == d.Name }) {
			continue
		}
		found, err := api.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &d.Name, Status: new("ACTIVE"), MaxResults: new(int32(1))})
		if err != nil {
			return nil, doing("look at the job definition "+d.Name, err)
		}
		if len(found.JobDefinitions) == 0 {
			out = append(out, Absence{KindDefinition, d.Name, d.Pos})
		}
	}
	return out, nil
}

func missingQueues(ctx context.Context, api *batch.Client, in *engine.Infra, used []string) (out []Absence, err error) {
	var names []string
	for _, q := range in.Queues {
		if !q.Existing && slices.ContainsFunc(used, func(ref string) bool { return nameOf(ref) == q.Name }) {
			names = append(names, q.Name)
			out = append(out, Absence{KindQueue, q.Name, q.Pos})
		}
	}
	for part := range slices.Chunk(names, maxNames) {
		found, err := api.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: part})
		if err != nil {
			return nil, doing("look at the job queues", err)
		}
		for i := range found.JobQueues {
			if t := queueThing(&found.JobQueues[i]); !t.going() {
				out = slices.DeleteFunc(out, func(a Absence) bool { return a.Name == t.name })
			}
		}
	}
	return out, nil
}

// definitionName returns the name of a job definition that is given by name, with or without
// a revision, or by ARN.
func definitionName(ref string) string {
	name, _, _ := strings.Cut(nameOf(ref), ":")
	return name
}
