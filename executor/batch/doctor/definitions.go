package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// resolved returns the steps with what they leave to a job definition of the workflow's
// own: its block says which image they run, with what roles and resources.
func resolved(steps []Step, f *engine.Infra) []Step {
	steps = slices.Clone(steps)
	for i := range steps {
		s := &steps[i]
		if s.definition = s.Spec.Task.JobDefinition; s.definition == "" || f == nil {
			continue
		}
		name, _, _ := strings.Cut(lastPart(s.definition), ":")
		at := slices.IndexFunc(f.Definitions, func(d *engine.JobDefinition) bool { return d.Name == name && !d.Existing && d.Spec != nil })
		if at >= 0 {
			s.adopt(f.Definitions[at].Spec, f.Definitions[at].Pos.String())
		}
	}
	return steps
}

// adopt takes over what a step leaves to a job definition, which stands at a place of the
// workflow. Such a step has no agent.
func (s *Step) adopt(from *engine.TaskSpec, place string) {
	own := s.Where
	task := *s.Spec.Task
	task.JobDefinition, task.Image, task.Container, task.Inputs, task.Outputs = "", from.Image, from.Container, nil, nil
	said := len(task.Resources) > 0
	if !said {
		task.Resources = from.Resources
	}
	takes := len(task.Consumables) > 0
	if !takes { // else what the step says goes before it
		task.Consumables = from.Consumables
	}
	spec := *s.Spec
	spec.Task, spec.Resources = &task, task.ResourcesFor(1)
	s.Spec, s.Sized = &spec, s.Sized || !said
	s.Where = func(arg string) string {
		head, _, _ := strings.Cut(arg, ".")
		if own != nil && (head == "queue" || head == "retry" || head == "job_definition" || head == "resources" && said || head == "consumable_resources" && takes) {
			return own(arg)
		}
		return place
	}
}

// A registered is a job definition that steps name, as AWS Batch has it.
type registered struct {
	newest *types.JobDefinition // ACTIVE; nil: there is none
	err    error
}

// readDefinitions looks up the job definitions that steps name, and fills in what the steps
// leave to them, where that is in no block of the workflow.
func (p *patient) readDefinitions(ctx context.Context) {
	p.registered = map[string]registered{}
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if s.definition == "" {
			continue
		}
		r, known := p.registered[s.definition]
		if !known {
			r.newest, r.err = p.newest(ctx, s.definition)
			p.registered[s.definition] = r
		}
		if s.Spec.Task.JobDefinition == "" || r.newest == nil { // a block has said it, or nobody knows
			continue
		}
		if from := taskOf(r.newest); from != nil {
			s.adopt(from, s.where("job_definition"))
		}
	}
}

// newest returns the job definition that a job runs by which names it so: of a name without
// a revision the latest one (API reference, SubmitJob).
func (p *patient) newest(ctx context.Context, ref string) (*types.JobDefinition, error) {
	name, revision, _ := strings.Cut(lastPart(ref), ":")
	in := &batch.DescribeJobDefinitionsInput{JobDefinitionName: &name, Status: new("ACTIVE")}
	if revision != "" {
		in = &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{ref}}
	}
	var found *types.JobDefinition
	pages := batch.NewDescribeJobDefinitionsPaginator(p.o.Cloud.Batch(), in)
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for i := range out.JobDefinitions {
			d := &out.JobDefinitions[i]
			if aws.ToString(d.Status) == "ACTIVE" && (found == nil || aws.ToInt32(d.Revision) > aws.ToInt32(found.Revision)) {
				found = d
			}
		}
	}
	return found, nil
}

// taskOf returns what a job definition of one container says of a task; nil: it is of
// another kind, such as for EKS or of several nodes.
func taskOf(d *types.JobDefinition) *engine.TaskSpec {
	c := d.ContainerProperties
	if c == nil {
		return nil
	}
	box := &engine.Container{JobRole: aws.ToString(c.JobRoleArn), ExecutionRole: aws.ToString(c.ExecutionRoleArn), Platform: engine.TypeEC2, Network: "private"}
	if slices.Contains(d.PlatformCapabilities, types.PlatformCapabilityFargate) {
		box.Platform = engine.TypeFargate
	}
	if c.RuntimePlatform != nil {
		box.Architecture = strings.ToUpper(aws.ToString(c.RuntimePlatform.CpuArchitecture))
	}
	if n := c.NetworkConfiguration; n != nil && n.AssignPublicIp == types.AssignPublicIpEnabled {
		box.Network = "public"
	}
	if l := c.LogConfiguration; l != nil {
		box.LogDriver, box.LogOptions = string(l.LogDriver), l.Options
	}
	r := engine.Resources{VCPUs: float64(aws.ToInt32(c.Vcpus)), MemoryMiB: int(aws.ToInt32(c.Memory))} //nolint:staticcheck // the older way to ask
	for _, of := range c.ResourceRequirements {
		v, err := strconv.ParseFloat(aws.ToString(of.Value), 64)
		switch {
		case err != nil:
		case of.Type == types.ResourceTypeVcpu:
			r.VCPUs = v
		case of.Type == types.ResourceTypeMemory:
			r.MemoryMiB = int(v)
		case of.Type == types.ResourceTypeGpu:
			r.GPUs = int(v)
		}
	}
	return &engine.TaskSpec{Image: aws.ToString(c.Image), Container: box, Resources: []engine.Resources{r}}
}

// definitions tells whether the job definitions that steps name are there.
func (p *patient) definitions(context.Context) []Line {
	var lines []Line
	seen := map[string]bool{}
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if name := s.definition; name != "" && !seen[name] {
			seen[name] = true
			lines = append(lines, p.definition(name).at(s.where("job_definition")))
		}
	}
	return lines
}

func (p *patient) definition(ref string) Line {
	r := p.registered[ref]
	title := lastPart(ref)
	name, _, _ := strings.Cut(title, ":")
	switch {
	case r.err != nil:
		return p.trouble(name, "batch:DescribeJobDefinitions", r.err)
	case r.newest != nil:
		return ok(title, "the job definition is there, revision %d", aws.ToInt32(r.newest.Revision))
	}
	fix := "register it, or use image instead of job_definition"
	if p.o.Infra != nil {
		for _, d := range p.o.Infra.Definitions {
			if d.Name == name && !d.Existing {
				fix = "run: " + p.apply()
			}
		}
	}
	return fault(title, fix, "there is no active job definition %s", title)
}
