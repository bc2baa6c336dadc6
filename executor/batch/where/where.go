// Package where finds out where the jobs of AWS Batch ran: in which compute environment, as
// which task of which ECS cluster, on which instance of EC2 or with what of Fargate, and
// which log stream they wrote to. It looks, and changes nothing.
package where

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
	"flow/executor/batch/cloud"
)

// A Report is what AWS says of jobs. Fields are only ever added to its JSON.
type Report struct {
	Jobs  []Job    `json:"jobs"`            // those that AWS Batch knows, in the order that was asked for
	Notes []string `json:"notes,omitempty"` // what was not looked at, and why: a line each
}

// A Job is a job, or a child of an array job.
type Job struct {
	ID       engine.JobID `json:"id"`
	Queue    string       `json:"queue"`
	Status   string       `json:"status"`
	Reason   string       `json:"reason,omitempty"` // statusReason
	Attempts []Attempt    `json:"attempts"`         // that were placed, oldest first; the last may run
	Link     string       `json:"link,omitempty"`
}

// An Attempt is a try of a job. Times are zero where they are not known.
type Attempt struct {
	Attempt      int       `json:"attempt"` // of the job, from 1
	Started      time.Time `json:"started,omitzero"`
	Stopped      time.Time `json:"stopped,omitzero"`
	ExitCode     *int      `json:"exit_code,omitempty"`
	Reason       string    `json:"reason,omitempty"` // of the container
	StatusReason string    `json:"status_reason,omitempty"`

	Environment     string `json:"compute_environment,omitempty"`
	EnvironmentType string `json:"compute_environment_type,omitempty"` // EC2, SPOT, FARGATE, FARGATE_SPOT; "": unmanaged, or gone

	Cluster           string `json:"cluster,omitempty"` // its name
	Task              string `json:"task,omitempty"`    // ARN
	TaskLink          string `json:"task_link,omitempty"`
	ContainerInstance string `json:"container_instance,omitempty"` // ARN

	Instance *Instance `json:"instance,omitempty"` // nil: on Fargate, or not known
	Fargate  *Fargate  `json:"fargate,omitempty"`  // nil: on an instance, or not known
	Unknown  string    `json:"unknown,omitempty"`  // why neither is known

	LogGroup  string `json:"log_group,omitempty"`
	LogStream string `json:"log_stream,omitempty"` // "": it has written none
	LogDriver string `json:"log_driver,omitempty"` // if it is not awslogs
	LogLink   string `json:"log_link,omitempty"`

	fargate   bool
	arn       string // of the cluster
	logRegion string // "": that of the job
}

// An Instance is one of EC2.
type Instance struct {
	ID   string `json:"id"`
	Type string `json:"type,omitempty"`
	Zone string `json:"zone,omitempty"`
	// Lifecycle is "spot" or "on-demand", or what else EC2 says; "": not known.
	Lifecycle string `json:"lifecycle,omitempty"`
	State     string `json:"state,omitempty"` // as of now: running, terminated; "": EC2 does not know it any more
	Link      string `json:"link,omitempty"`
}

// Fargate is what ran a task without an instance.
type Fargate struct {
	Capacity string `json:"capacity,omitempty"` // FARGATE or FARGATE_SPOT
	Platform string `json:"platform,omitempty"` // its version
	Zone     string `json:"zone,omitempty"`
}

// MaxJobs is how many jobs one call of DescribeJobs takes (Batch API, DescribeJobs).
const MaxJobs = 100

// Find asks AWS where jobs ran, at most [MaxJobs] of them, with a call of DescribeJobs, one
// of DescribeComputeEnvironments, one of ECS for each cluster, and one of EC2. What other
// services than AWS Batch do not know any more, may not say or are not there to say is no
// error: ECS forgets a task an hour after its end, and an instance when that is gone.
func Find(ctx context.Context, c *cloud.Cloud, ids []engine.JobID) (*Report, error) {
	f := &finder{cloud: c, report: &Report{Jobs: []Job{}}}
	if err := f.jobs(ctx, ids[:min(len(ids), MaxJobs)]); err != nil {
		return nil, err
	}
	if len(f.attempts()) == 0 {
		return f.report, nil
	}
	f.environments(ctx)
	f.tasks(ctx)
	f.instances(ctx)
	for _, a := range f.attempts() {
		f.conclude(a)
	}
	return f.report, nil
}

type finder struct {
	cloud   *cloud.Cloud
	console console // none for what is on this machine
	report  *Report
	skipped map[string]bool // services that a note is about
}

func (f *finder) jobs(ctx context.Context, ids []engine.JobID) error {
	in := &batch.DescribeJobsInput{}
	for _, id := range ids {
		in.Jobs = append(in.Jobs, string(id))
	}
	out, err := f.cloud.Batch().DescribeJobs(ctx, in)
	if err != nil {
		return fmt.Errorf("AWS Batch, DescribeJobs: %s", said(err))
	}
	for _, id := range in.Jobs {
		for i := range out.Jobs {
			if d := &out.Jobs[i]; aws.ToString(d.JobId) == id {
				if !f.cloud.Near() {
					f.console = consoleOf(placeOf(aws.ToString(d.JobArn)))
				}
				f.report.Jobs = append(f.report.Jobs, f.job(d))
			}
		}
	}
	return nil
}

// attempts returns all attempts of the report.
func (f *finder) attempts() []*Attempt {
	var out []*Attempt
	for i := range f.report.Jobs {
		for k := range f.report.Jobs[i].Attempts {
			out = append(out, &f.report.Jobs[i].Attempts[k])
		}
	}
	return out
}

// conclude says what follows from all that was found about an attempt.
func (f *finder) conclude(a *Attempt) {
	if a.Instance != nil && a.Instance.Lifecycle == "" && a.EnvironmentType == "SPOT" {
		a.Instance.Lifecycle = lifecycleSpot // it has no others
	}
	if a.Fargate == nil && a.fargate && a.EnvironmentType != "" {
		a.Fargate = &Fargate{Capacity: a.EnvironmentType}
	}
	if a.Instance != nil || a.Fargate != nil || a.Unknown != "" || f.skipped["ECS"] {
		return
	}
	if a.fargate {
		a.Unknown = "ECS does not know the task: it keeps one for an hour after its end"
	} else {
		a.Unknown = "ECS does not know the container instance: it keeps one as long as the instance is there"
	}
}

// note says that a service was not looked at.
func (f *finder) note(service, action string, err error) {
	if f.skipped == nil {
		f.skipped = map[string]bool{}
	}
	f.skipped[service] = true
	f.report.Notes = append(f.report.Notes, noteOf(service, action, err))
}
