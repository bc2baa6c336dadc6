package scheduler

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/batch/infra"
)

// revisions returns the active revisions of the head's definition.
func (m *Manager) revisions(ctx context.Context, workflow string) ([]types.JobDefinition, error) {
	name := DefinitionName(workflow)
	pages := batch.NewDescribeJobDefinitionsPaginator(m.Batch, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &name, Status: str("ACTIVE")})
	var out []types.JobDefinition
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, infra.Doing("look at the job definition "+name, err)
		}
		out = append(out, page.JobDefinitions...)
	}
	for _, d := range out {
		if d.Tags[Tag] != workflow {
			return nil, foreign(KindDefinition, name, workflow)
		}
	}
	return out, nil
}

// planDefinition adds what has to become of the head's definition. A schedule submits its
// newest revision, whichever that is.
func (m *Manager) planDefinition(ctx context.Context, p *Plan, w *Want, role string) error {
	want := w.definition(role)
	have, err := m.revisions(ctx, w.Workflow)
	if err != nil {
		return err
	}
	var newest *types.JobDefinition
	for i := range have {
		if newest == nil || aws.ToInt32(have[i].Revision) > aws.ToInt32(newest.Revision) {
			newest = &have[i]
		}
	}
	register := func(ctx context.Context) error {
		if _, err := m.Batch.RegisterJobDefinition(ctx, want); err != nil {
			return infra.Doing("register the job definition "+*want.JobDefinitionName, err)
		}
		return m.deregister(ctx, have)
	}
	switch {
	case newest == nil:
		p.add(infra.Create, KindDefinition, *want.JobDefinitionName, want, register)
	case newest.Tags[tagHash] != want.Tags[tagHash]:
		p.add(infra.Update, KindDefinition, *want.JobDefinitionName, want, register, "a new revision")
	case len(have) > 1: // a change was interrupted
		var old []types.JobDefinition
		for _, d := range have {
			if aws.ToInt32(d.Revision) != aws.ToInt32(newest.Revision) {
				old = append(old, d)
			}
		}
		p.add(infra.Update, KindDefinition, *want.JobDefinitionName, want, func(ctx context.Context) error { return m.deregister(ctx, old) }, "old revisions")
	}
	return nil
}

func (m *Manager) deregister(ctx context.Context, old []types.JobDefinition) error {
	for _, d := range old {
		if _, err := m.Batch.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: d.JobDefinitionArn}); err != nil {
			return infra.Doing("deregister the job definition "+aws.ToString(d.JobDefinitionArn), err)
		}
	}
	return nil
}
