package endpoint

import "flow/engine"

// jobOperations are the operations on jobs.
var jobOperations = []operation{
	limited(changes("SubmitJob", submitJob), maxSubmit),
	looks("DescribeJobs", describeJobs),
	looks("ListJobs", listJobs),
	changes("CancelJob", cancelJob),
	changes("CancelJobs", cancelJobs),
	changes("TerminateJob", terminateJob),
	changes("TerminateJobs", terminateJobs),
	looks("GetJobQueueSnapshot", getJobQueueSnapshot),
}

// jobTags returns the tags of a job by its id, and a function that replaces them. Children
// of array jobs have none (TagResource).
func (t *tx) jobTags(id string) (tags map[string]string, set func(map[string]string), ok bool) {
	if _, index := engine.JobID(id).Split(); index >= 0 {
		return nil, nil, false
	}
	v, ok := t.m.Describe(engine.JobID(id))
	if !ok {
		return nil, nil, false
	}
	s := v.Request.Payload.(*submission)
	return s.tags, func(tags map[string]string) { s.tags = tags }, true
}
