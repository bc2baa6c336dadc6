package batch

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/batch/budget"
)

// definitions remembers the ARNs of the definitions that were found or registered. Each is
// looked for once, also by many submissions at the same time.
type definitions struct {
	mu sync.Mutex
	by map[string]*registered // by content
}

type registered struct {
	mu  sync.Mutex
	arn string // with the revision; "": not known
}

func (d *definitions) entry(content string) *registered {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]*registered{}
	}
	r := d.by[content]
	if r == nil {
		r = &registered{}
		d.by[content] = r
	}
	return r
}

// forget drops an ARN that Batch does not know any more, since somebody has deregistered
// the definition.
func (d *definitions) forget(content, arn string) {
	r := d.entry(content)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arn == arn {
		r.arn = ""
	}
}

// arn returns the ARN of a definition with that content, which is registered if there is none.
func (x *Executor) arn(ctx context.Context, d *Definition) (string, error) {
	r := x.definitions.entry(d.Content)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arn != "" {
		return r.arn, nil
	}
	arn, err := x.findDefinition(ctx, d)
	if err == nil && arn == "" {
		arn, err = x.register(ctx, d)
	}
	if err != nil {
		return "", err
	}
	r.arn = arn
	return arn, nil
}

// findDefinition returns the ARN of the newest active revision with that content, or "".
// The name alone does not do: anybody can register a revision by it, and a job must never
// run by another's.
func (x *Executor) findDefinition(ctx context.Context, d *Definition) (string, error) {
	arn, newest := "", int32(0)
	in := &batch.DescribeJobDefinitionsInput{JobDefinitionName: &d.Name, Status: new("ACTIVE")}
	for {
		var out *batch.DescribeJobDefinitionsOutput
		err := x.call(ctx, budget.Poll, "DescribeJobDefinitions", func(ctx context.Context) (err error) {
			out, err = x.client().DescribeJobDefinitions(ctx, in)
			return err
		})
		if err != nil {
			return "", err
		}
		for i := range out.JobDefinitions {
			if j := &out.JobDefinitions[i]; value(j.Revision) > newest && fits(j, d) {
				arn, newest = value(j.JobDefinitionArn), *j.Revision
			}
		}
		if next := value(out.NextToken); next == "" || next == value(in.NextToken) { // a page given twice is the last
			return arn, nil
		}
		in.NextToken = out.NextToken
	}
}

// fits reports whether a revision has a definition's content. It is told by the tag; a tag
// can be changed where a revision cannot, so the images are compared as well.
func fits(j *types.JobDefinition, d *Definition) bool {
	if value(j.JobDefinitionName) != d.Name || j.Tags[tagContent] != d.Content {
		return false
	}
	if c := d.Input.ContainerProperties; c != nil {
		return j.ContainerProperties != nil && value(j.ContainerProperties.Image) == value(c.Image)
	}
	if j.EcsProperties == nil || len(j.EcsProperties.TaskProperties) != 1 {
		return false
	}
	mine, theirs := d.Input.EcsProperties.TaskProperties[0].Containers, j.EcsProperties.TaskProperties[0].Containers
	if len(mine) != len(theirs) {
		return false
	}
	for i := range mine {
		if value(mine[i].Name) != value(theirs[i].Name) || value(mine[i].Image) != value(theirs[i].Image) {
			return false
		}
	}
	return true
}

// RegisteredFor returns the workflow whose runs registered a job definition, by its tags.
// "": it is none of those that flow makes for jobs.
func RegisteredFor(tags map[string]string) string {
	if tags[tagContent] == "" {
		return ""
	}
	return tags[tagWorkflow]
}

// register registers a definition. When nobody knows whether it was, the next look finds it.
func (x *Executor) register(ctx context.Context, d *Definition) (string, error) {
	var out *batch.RegisterJobDefinitionOutput
	err := x.call(ctx, budget.Submit, "RegisterJobDefinition", func(ctx context.Context) (err error) {
		out, err = x.client().RegisterJobDefinition(ctx, d.Input)
		if err == nil && value(out.JobDefinitionArn) == "" {
			err = errNoAnswer
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return *out.JobDefinitionArn, nil
}
