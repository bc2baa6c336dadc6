package endpoint

import (
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
)

// cancelJob ends a job that has not begun; what is unknown or has begun is no error.
func cancelJob(t *tx, in *batch.CancelJobInput) (*batch.CancelJobOutput, error) {
	id := nameOf(kindJob, value(in.JobId))
	if err := t.m.Cancel(t.now, engine.JobID(id), value(in.Reason)); err != nil {
		return nil, err
	}
	return &batch.CancelJobOutput{}, nil
}

// terminateJob ends a job, whatever its status.
func terminateJob(t *tx, in *batch.TerminateJobInput) (*batch.TerminateJobOutput, error) {
	id := nameOf(kindJob, value(in.JobId))
	if err := t.m.Terminate(t.now, engine.JobID(id), value(in.Reason)); err != nil {
		return nil, err
	}
	return &batch.TerminateJobOutput{}, nil
}

// CancelJobs and TerminateJobs are newer than the SDK.

type stopJobsInput struct {
	Jobs   []string
	Reason *string
}

type stopJobsOutput struct {
	Successful []string
	Errors     []stopJobsError
}

type stopJobsError struct {
	Job     *string // required, also when it is empty
	Code    string
	Message string
}

// maxStopped is how many jobs one call ends.
const maxStopped = 50

func cancelJobs(t *tx, in *stopJobsInput) (*stopJobsOutput, error) {
	return t.stopJobs(in, func(id engine.JobID) error { return t.m.Cancel(t.now, id, value(in.Reason)) })
}

func terminateJobs(t *tx, in *stopJobsInput) (*stopJobsOutput, error) {
	return t.stopJobs(in, func(id engine.JobID) error { return t.m.Terminate(t.now, id, value(in.Reason)) })
}

func (t *tx) stopJobs(in *stopJobsInput, one func(engine.JobID) error) (*stopJobsOutput, error) {
	switch {
	case len(in.Jobs) == 0:
		return nil, refuse("Jobs cannot be empty")
	case len(in.Jobs) > maxStopped:
		return nil, refuse("Maximum number of jobs supported is %d", maxStopped)
	case value(in.Reason) == "":
		return nil, refuse("Reason cannot be empty")
	}
	out := &stopJobsOutput{Successful: []string{}, Errors: []stopJobsError{}}
	for _, job := range in.Jobs {
		if err := one(engine.JobID(nameOf(kindJob, job))); err != nil {
			out.Errors = append(out.Errors, stopJobsError{Job: &job, Code: "ClientException", Message: err.Error()})
			continue
		}
		out.Successful = append(out.Successful, job)
	}
	return out, nil
}
