package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"

	flowbatch "flow/executor/batch"
)

// A probe is a call that shows whether it is allowed: AWS looks at that first, and refuses
// what is nonsense afterwards, so that nothing comes of it.
type probe struct {
	action string
	extra  bool // flow runs without it, and explains less
	call   func(ctx context.Context) error
}

// Names and ids that nothing has.
const (
	noDefinition = "flow-doctor-none"
	noJob        = "00000000-0000-0000-0000-000000000000"
	noStream     = "flow-doctor/none"
)

// probes returns the calls that flow makes for a run. They name what the run will, since
// policies may allow these names and no others.
func (p *patient) probes() []probe {
	x := p.o.Cloud.Batch()
	queue := p.probedQueue()
	one := new(int32(1))
	list := []probe{
		{"batch:DescribeJobQueues", false, answer(x.DescribeJobQueues, &batch.DescribeJobQueuesInput{MaxResults: one})},
		{"batch:DescribeComputeEnvironments", true, answer(x.DescribeComputeEnvironments, &batch.DescribeComputeEnvironmentsInput{MaxResults: one})},
		{"batch:DescribeJobDefinitions", false, answer(x.DescribeJobDefinitions, &batch.DescribeJobDefinitionsInput{MaxResults: one})},
		{"batch:DescribeJobs", false, answer(x.DescribeJobs, &batch.DescribeJobsInput{Jobs: []string{noJob}})},
	}
	if queue != "" {
		list = append(list,
			probe{"batch:ListJobs", false, answer(x.ListJobs, &batch.ListJobsInput{JobQueue: &queue, MaxResults: one})},
			probe{"batch:GetJobQueueSnapshot", true, answer(x.GetJobQueueSnapshot, &batch.GetJobQueueSnapshotInput{JobQueue: &queue})},
			probe{"batch:SubmitJob", false, answer(x.SubmitJob, p.refusedJob(queue))},
		)
	}
	if in := p.refusedDefinition(); in != nil {
		list = append(list, probe{"batch:RegisterJobDefinition", false, answer(x.RegisterJobDefinition, in)})
	}
	return append(list,
		probe{"batch:TerminateJob", false, answer(x.TerminateJob, &batch.TerminateJobInput{JobId: new(noJob), Reason: new("flow doctor")})},
		probe{"logs:GetLogEvents", false, answer(p.o.Cloud.Logs().GetLogEvents, &cloudwatchlogs.GetLogEventsInput{LogGroupName: new(p.probedGroup()), LogStreamName: new(noStream), Limit: one})},
	)
}

// probedQueue returns a queue that is looked at; "": there is none, and then nothing can be
// said of jobs.
func (p *patient) probedQueue() string {
	if all := p.wanted(); len(all) > 0 {
		return all[0].name
	}
	if w, err := p.world(); err == nil && len(w.queues) > 0 {
		return w.queues[0].name
	}
	return ""
}

// probedGroup returns the log group of the first step that has one in CloudWatch Logs here.
func (p *patient) probedGroup() string {
	for i := range p.o.Steps {
		if box := p.o.Steps[i].Spec.Task.Container; box != nil && box.LogOptions["awslogs-region"] == "" && box.LogOptions["awslogs-group"] != "" {
			return box.LogOptions["awslogs-group"]
		}
	}
	return defaultLogGroup
}

// refusedJob returns a job that AWS Batch refuses for two reasons: an array of one (Batch
// User Guide, array_jobs), and a definition that is not there. Where no step is to run by a
// definition of flow's, it is a revision of theirs that there will never be.
func (p *patient) refusedJob(queue string) *batch.SubmitJobInput {
	in := &batch.SubmitJobInput{
		JobName: new("flow-doctor"), JobQueue: &queue, JobDefinition: new(noDefinition), ArrayProperties: &types.ArrayProperties{Size: new(int32(1))}, Tags: map[string]string{"flow:run": "doctor"},
	}
	if len(p.o.Steps) > 0 && p.flowStep() == nil {
		name, _, _ := strings.Cut(lastPart(p.o.Steps[0].definition), ":")
		in.JobDefinition = new(fmt.Sprintf("%s:%d", name, math.MaxInt32))
	}
	return in
}

// refusedDefinition returns a job definition that AWS Batch refuses for two reasons: neither
// can a job be without memory, nor have eleven attempts (ResourceRequirement, RetryStrategy).
// It has the image and the roles of a step, which policies and iam:PassRole go by. nil: no
// step needs a definition.
func (p *patient) refusedDefinition() *batch.RegisterJobDefinitionInput {
	s := p.flowStep()
	if s == nil && len(p.o.Steps) > 0 {
		return nil
	}
	c := &types.ContainerProperties{Image: new("flow-doctor"), ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeMemory, Value: new("0")}}}
	if s != nil {
		if s.Spec.Task.Image != "" {
			c.Image = &s.Spec.Task.Image
		}
		if box := s.Spec.Task.Container; box != nil && box.JobRole != "" {
			c.JobRoleArn = &box.JobRole
		}
		if box := s.Spec.Task.Container; box != nil && box.ExecutionRole != "" {
			c.ExecutionRoleArn = &box.ExecutionRole
		}
	}
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new(noDefinition), Type: types.JobDefinitionTypeContainer, RetryStrategy: &types.RetryStrategy{Attempts: new(int32(11))}, ContainerProperties: c,
		Tags: map[string]string{"flow:run": "doctor"},
	}
}

// flowStep returns a step whose job definition flow registers, one with roles rather than
// without; nil: there is none.
func (p *patient) flowStep() *Step {
	var found *Step
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if s.definition != "" {
			continue
		}
		if box := s.Spec.Task.Container; box != nil && (box.JobRole != "" || box.ExecutionRole != "") {
			return s
		}
		if found == nil {
			found = s
		}
	}
	return found
}

// answer makes a call of the SDK one of which only the error counts.
func answer[In, Out, Option any](call func(context.Context, *In, ...Option) (*Out, error), in *In) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := call(ctx, in)
		return err
	}
}

// permissions makes all probes side by side.
func (p *patient) permissions(ctx context.Context) []Line {
	probes := p.probes()
	errs := make([]error, len(probes))
	var all sync.WaitGroup
	for i := range probes {
		all.Go(func() { errs[i] = probes[i].call(ctx) })
	}
	all.Wait()
	var lines []Line
	var allowed []string
	for i, b := range probes {
		if action, denied := flowbatch.NotAllowed(errs[i]); denied {
			lines = append(lines, p.denied(&b, orElse(action, b.action)))
			continue
		}
		var said smithy.APIError
		if errs[i] == nil || errors.As(errs[i], &said) && flowbatch.CredentialFault(errs[i]) == "" && !p.nowhere(errs[i]) {
			_, call, _ := strings.Cut(b.action, ":")
			allowed = append(allowed, call)
			continue
		}
		l := p.trouble(b.action, b.action, errs[i])
		if same := func(o Line) bool { return o.Text == l.Text }; l.Status != Skipped || !slices.ContainsFunc(lines, same) {
			lines = append(lines, l)
		}
	}
	if len(allowed) > 0 {
		lines = append([]Line{ok("calls", "allowed: %s", strings.Join(allowed, ", "))}, lines...)
	}
	return lines
}

func (p *patient) denied(b *probe, action string) Line {
	who := "these credentials"
	if id, err := p.o.Cloud.Identity(); err == nil {
		who = id.ARN
	}
	fix := fmt.Sprintf("allow %s in a policy of that user or role; what flow needs in all prints: %s", action, p.policy())
	if b.extra {
		return warning(b.action, fix, "%s may not call %s: flow can explain less of what waits", who, action)
	}
	return fault(b.action, fix, "%s may not call %s", who, action)
}
