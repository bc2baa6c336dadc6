package batch

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/batch/budget"
)

// Find implements engine.Executor, by the filter JOB_NAME of ListJobs, which knows jobs of
// all statuses, ignores case, and takes a "*" at the end.
func (x *Executor) Find(ctx context.Context, queue, name string) ([]engine.Job, error) {
	prefix, many := strings.CutSuffix(name, "*")
	in := &batch.ListJobsInput{
		JobQueue: &queue, MaxResults: new(int32(100)), // the most with a filter (API reference, ListJobs)
		Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{name}}},
	}
	var jobs []engine.Job
	seen := map[engine.JobID]int{} // where in jobs
	err := x.list(ctx, in, func(s *types.JobSummary) {
		j := summaryJob(s)
		if j.Name != name && !(many && strings.HasPrefix(j.Name, prefix)) {
			return
		}
		j.Queue = queueName(queue)
		if at, ok := seen[j.ID]; ok { // pages are no snapshot: a job may be on two
			if j.Status > jobs[at].Status {
				jobs[at] = j
			}
			return
		}
		seen[j.ID] = len(jobs)
		jobs = append(jobs, j)
	})
	if k, ok := kindOf(err); ok && k == refused && noQueue().MatchString(err.Error()) {
		return nil, nil // and it has no jobs
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(jobs, func(a, b engine.Job) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return jobs, nil
}

// noQueue is what is said of a queue that is not there (live refusals: "JobQueue q not found.").
var noQueue = lazily(`(?i)job ?queue\b.*\b(not found|does not exist)\b`)

// A child is what is kept of a child while the pages of a list come in.
type child struct {
	index                     int32
	created, started, stopped *int64
	exit                      *int32
	reason, statusReason      string
}

// Children implements engine.Executor, by ListJobs in pages of 1,000. The pages are not in
// the order of the index, so all are read before the first child is handed out.
func (x *Executor) Children(ctx context.Context, id engine.JobID, s engine.JobStatus) iter.Seq2[engine.Job, error] {
	return func(yield func(engine.Job, error) bool) {
		var list []child
		name := ""
		words := map[string]string{} // 10,000 reasons are a few different ones
		word := func(p *string) string {
			w, ok := words[value(p)]
			if !ok {
				w = value(p)
				words[w] = w
			}
			return w
		}
		in := &batch.ListJobsInput{ArrayJobId: new(string(id)), JobStatus: types.JobStatus(s.String()), MaxResults: new(int32(1000))}
		err := x.list(ctx, in, func(j *types.JobSummary) {
			if j.ArrayProperties == nil || j.ArrayProperties.Index == nil || statusOf(j.Status) != s {
				return
			}
			c := child{index: *j.ArrayProperties.Index, created: j.CreatedAt, started: j.StartedAt, stopped: j.StoppedAt, statusReason: word(j.StatusReason)}
			if j.Container != nil {
				c.exit, c.reason = j.Container.ExitCode, word(j.Container.Reason)
			}
			name = value(j.JobName)
			list = append(list, c)
		})
		if err != nil {
			yield(engine.Job{}, err)
			return
		}
		slices.SortStableFunc(list, func(a, b child) int { return cmp.Compare(a.index, b.index) })
		list = slices.CompactFunc(list, func(a, b child) bool { return a.index == b.index })
		for i := range list {
			c := &list[i]
			ok := yield(engine.Job{
				ID: id.Child(int(c.index)), Name: name, Status: s, StatusReason: c.statusReason, Reason: c.reason, ExitCode: codeOf(c.exit),
				Created: moment(c.created), Started: moment(c.started), Stopped: moment(c.stopped),
			}, nil)
			if !ok {
				return
			}
		}
	}
}

// list hands each job of all pages of a list to each.
func (x *Executor) list(ctx context.Context, in *batch.ListJobsInput, each func(*types.JobSummary)) error {
	for {
		var out *batch.ListJobsOutput
		err := x.call(ctx, budget.Poll, "ListJobs", func(ctx context.Context) (err error) {
			out, err = x.client().ListJobs(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for i := range out.JobSummaryList {
			each(&out.JobSummaryList[i])
		}
		switch next := value(out.NextToken); next {
		case "":
			return nil
		case value(in.NextToken):
			return errSamePage
		default:
			in.NextToken = &next
		}
	}
}

var errSamePage = errors.New("AWS Batch, ListJobs: the list goes on where it began: the same page was given twice")

// summaryJob returns what a list says of a job.
func summaryJob(s *types.JobSummary) engine.Job {
	j := engine.Job{
		ID: engine.JobID(value(s.JobId)), Name: value(s.JobName), Status: statusOf(s.Status), StatusReason: value(s.StatusReason),
		Created: moment(s.CreatedAt), Started: moment(s.StartedAt), Stopped: moment(s.StoppedAt),
	}
	if a := s.ArrayProperties; a != nil && a.Index == nil && value(a.Size) > 0 {
		j.Size = int(*a.Size)
		j.Summary = summaryOf(a.StatusSummary, j.Size)
	}
	if c := s.Container; c != nil && j.Size == 0 {
		j.ExitCode, j.Reason = codeOf(c.ExitCode), value(c.Reason)
	}
	return j
}
