package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"

	"flow/engine"
	"flow/executor/batch/capacity"
	"flow/executor/batch/cloud"
)

// Bounds of what is looked at, so that an explanation takes a few calls whatever it is of.
const (
	mostDescribed = 100 // ids in a call of DescribeJobs (API reference)
	mostLevels    = 4   // of dependencies
	mostListed    = 100 // jobs of a status
	mostNamed     = 3   // of those that run
	mostAsked     = 5   // consumable resources
)

// A gathering is one under way. What could not be looked at is noted.
type gathering struct {
	*cloud.Cloud
	ctx   context.Context
	batch *batch.Client
	facts Facts
	notes []string
}

// Gather looks up what [Diagnose] has to know of a job that waits. What could not be looked
// at, since a permission is missing or a service is not there, is noted and no error; the
// error is that of the job itself. A job that is not known any more has no facts, and the
// error is ErrUnknown.
func Gather(ctx context.Context, c *cloud.Cloud, jobID string) (Facts, []string, error) {
	g := &gathering{Cloud: c, ctx: ctx, batch: c.Batch()}
	g.facts.Region, g.facts.Near = c.Region(), c.Near()
	details, err := g.describe(jobID)
	if err != nil {
		return Facts{}, nil, err
	}
	if len(details) == 0 {
		return Facts{}, nil, ErrUnknown
	}
	d := &details[0]
	g.facts.Job = jobOf(d)
	switch d.Status {
	case types.JobStatusSucceeded, types.JobStatusFailed, types.JobStatusRunning:
		return g.facts, nil, nil
	}
	g.depends(d)
	g.queue(aws.ToString(d.JobQueue))
	if g.facts.Job.Size == 0 && d.Status == types.JobStatusRunnable {
		g.front(aws.ToString(d.JobQueue))
		g.running(aws.ToString(d.JobQueue))
		g.clusters()
		g.prices()
	}
	g.consumables()
	return g.facts, g.notes, nil
}

// ErrUnknown says that AWS Batch does not know a job.
var ErrUnknown = errors.New("AWS Batch does not know the job")

// note notes that something could not be looked at, and why; nil is nothing.
func (g *gathering) note(what string, err error) bool {
	if err == nil {
		return false
	}
	var absent *cloud.AbsentError
	if errors.As(err, &absent) {
		g.notes = append(g.notes, absent.Error())
		return true
	}
	text := err.Error()
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && (strings.Contains(api.ErrorCode(), "AccessDenied") || api.ErrorCode() == "UnauthorizedOperation"):
		text = "these credentials may not do that"
	case errors.As(err, &api):
		text = api.ErrorCode() + ": " + api.ErrorMessage()
	}
	text, _, _ = strings.Cut(text, "\n")
	g.notes = append(g.notes, fmt.Sprintf("%s could not be looked at: %s", what, text))
	return true
}

func (g *gathering) describe(ids ...string) ([]types.JobDetail, error) {
	out, err := g.batch.DescribeJobs(g.ctx, &batch.DescribeJobsInput{Jobs: ids})
	if err != nil {
		return nil, err
	}
	return out.Jobs, nil
}

// jobOf returns what is known of a job.
func jobOf(d *types.JobDetail) Job {
	j := Job{
		ID: aws.ToString(d.JobId), Name: aws.ToString(d.JobName), Reason: aws.ToString(d.StatusReason), Since: moment(d.CreatedAt), Share: aws.ToString(d.ShareIdentifier),
	}
	if j.Status.UnmarshalText([]byte(d.Status)) != nil {
		j.Status = engine.JobPending // one that is new to flow, of a job that has not ended
	}
	for _, a := range d.Attempts {
		if at := moment(a.StoppedAt); at.After(j.Since) {
			j.Since = at
		}
	}
	if a := d.ArrayProperties; a != nil && a.Index == nil && aws.ToInt32(a.Size) > 0 {
		j.Size = int(*a.Size)
		for name, n := range a.StatusSummary {
			var s engine.JobStatus
			if s.UnmarshalText([]byte(name)) == nil {
				j.Summary[s] = int(n)
			}
		}
	}
	if p := d.ConsumableResourceProperties; p != nil {
		for _, r := range p.ConsumableResourceList {
			j.Asks = append(j.Asks, Quantity{nameOf(aws.ToString(r.ConsumableResource)), aws.ToInt64(r.Quantity)})
		}
	}
	needs(&j, d)
	return j
}

// needs says what a job asks for.
func needs(j *Job, d *types.JobDetail) {
	j.Need.Platform = capacity.EC2
	if d.EksProperties != nil || d.NodeProperties != nil {
		j.Need.Platform = "" // it is not flow's, and what it needs is told otherwise
	}
	if slices.Contains(d.PlatformCapabilities, types.PlatformCapabilityFargate) {
		j.Need.Platform = capacity.Fargate
	}
	if c := d.Container; c != nil {
		j.Image = aws.ToString(c.Image)
		ask(&j.Need, c.ResourceRequirements)
		if j.Need.VCPUs == 0 { // the older way to ask
			j.Need.VCPUs, j.Need.MemoryMiB = float64(aws.ToInt32(c.Vcpus)), int(aws.ToInt32(c.Memory))
		}
		runsOn(&j.Need, c.RuntimePlatform)
		if l := c.LogConfiguration; l != nil && l.LogDriver != types.LogDriverAwslogs {
			j.LogDriver = string(l.LogDriver)
		}
	}
	if e := d.EcsProperties; e != nil && len(e.TaskProperties) > 0 {
		t := &e.TaskProperties[0]
		runsOn(&j.Need, t.RuntimePlatform)
		for i := range t.Containers {
			c := &t.Containers[i]
			j.Image = aws.ToString(c.Image) // the last one is that of the task
			ask(&j.Need, c.ResourceRequirements)
			if l := c.LogConfiguration; l != nil && l.LogDriver != types.LogDriverAwslogs {
				j.LogDriver = string(l.LogDriver)
			}
		}
	}
}

// ask adds what a container asks for.
func ask(n *capacity.Need, of []types.ResourceRequirement) {
	for _, r := range of {
		v, err := strconv.ParseFloat(aws.ToString(r.Value), 64)
		if err != nil {
			continue
		}
		switch r.Type {
		case types.ResourceTypeVcpu:
			n.VCPUs += v
		case types.ResourceTypeMemory:
			n.MemoryMiB += int(v)
		case types.ResourceTypeGpu:
			n.GPUs += int(v)
		}
	}
}

func runsOn(n *capacity.Need, p *types.RuntimePlatform) {
	if p != nil && p.CpuArchitecture != nil {
		n.Arch = strings.ToUpper(*p.CpuArchitecture)
	}
}

func moment(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms)
}

// nameOf returns the name in an ARN.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// depends looks up what a job waits for, and what that waits for, level by level.
func (g *gathering) depends(d *types.JobDetail) {
	g.facts.Job.DependsOn = g.dependencies(d)
	seen := map[string]bool{g.facts.Job.ID: true}
	next := g.facts.Job.DependsOn
	for level := 0; level < mostLevels && len(next) > 0; level++ {
		ids := slices.DeleteFunc(slices.Clone(next), func(id string) bool { return seen[id] })
		ids = ids[:min(len(ids), mostDescribed)]
		if len(ids) == 0 {
			return
		}
		for _, id := range ids {
			seen[id] = true
		}
		details, err := g.describe(ids...)
		if g.note("what the job depends on", err) {
			return
		}
		next = nil
		for _, id := range ids { // in the order in which they are named
			at := slices.IndexFunc(details, func(d types.JobDetail) bool { return aws.ToString(d.JobId) == id })
			if at < 0 {
				continue
			}
			if ended := moment(details[at].StoppedAt); details[at].Status == types.JobStatusSucceeded {
				if level == 0 && ended.After(g.facts.Job.Since) {
					g.facts.Job.Since = ended // before that it was PENDING
				}
				continue
			}
			j := jobOf(&details[at])
			for _, on := range details[at].DependsOn {
				if id := aws.ToString(on.JobId); id != "" {
					j.DependsOn = append(j.DependsOn, id)
				}
			}
			g.facts.Depends = append(g.facts.Depends, j)
			next = append(next, j.DependsOn...)
		}
	}
}

// dependencies returns the ids of what a job depends on. What depends on an array element
// by element, or on the element before, waits for a child.
func (g *gathering) dependencies(d *types.JobDetail) (ids []string) {
	on := d.DependsOn
	parent, index := engine.JobID(aws.ToString(d.JobId)).Split()
	if index >= 0 && len(on) == 0 {
		details, err := g.describe(string(parent))
		if g.note("the array of the job", err) || len(details) == 0 {
			return nil
		}
		on = details[0].DependsOn
	}
	for _, dep := range on {
		id := aws.ToString(dep.JobId)
		switch {
		case dep.Type == types.ArrayJobDependencySequential && index > 0:
			id = string(parent.Child(index - 1))
		case dep.Type == types.ArrayJobDependencyNToN && index >= 0 && !strings.Contains(id, ":"):
			id = string(engine.JobID(id).Child(index))
		}
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
