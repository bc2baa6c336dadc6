package endpoint

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/local/model"
)

// Sizes of the pages of ListJobs (ListJobsRequest.maxResults).
const (
	maxListed   = 1000
	maxFiltered = 100
)

// summary is a JobSummary with two members that are newer than the SDK's type.
type summary struct {
	types.JobSummary
	IsCancelled  *bool
	IsTerminated *bool
}

type listJobsOutput struct {
	JobSummaryList []summary
	NextToken      *string
}

func listJobs(t *tx, in *batch.ListJobsInput) (*listJobsOutput, error) {
	given := 0
	for _, p := range []*string{in.JobQueue, in.ArrayJobId, in.MultiNodeJobId} {
		if value(p) != "" {
			given++
		}
	}
	if given != 1 {
		return nil, refuse("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified")
	}
	status := engine.JobRunning
	if in.JobStatus != "" {
		_ = status.UnmarshalText([]byte(in.JobStatus)) // decode has checked it
	}
	switch {
	case value(in.ArrayJobId) != "":
		return t.listChildren(in, status)
	case value(in.MultiNodeJobId) != "":
		return &listJobsOutput{JobSummaryList: []summary{}}, nil // none ever runs
	default:
		return t.listQueue(in, status)
	}
}

// listChildren lists the children of an array job by index. Filters do not apply to them.
func (t *tx) listChildren(in *batch.ListJobsInput, status engine.JobStatus) (*listJobsOutput, error) {
	c, err := cursorUpTo(maxListed, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	from, err := c.number()
	if err != nil {
		return nil, err
	}
	id := engine.JobID(nameOf(kindJob, *in.ArrayJobId))
	views, next := t.m.Children(make([]model.View, 0, c.size), id, status, int(from))
	out := &listJobsOutput{JobSummaryList: make([]summary, 0, len(views))}
	for i := range views {
		out.JobSummaryList = append(out.JobSummaryList, t.summary(&views[i]))
	}
	if next >= 0 {
		out.NextToken = token(strconv.Itoa(next))
	}
	return out, nil
}

// listQueue lists the jobs of a queue, newest first: no children of arrays.
func (t *tx) listQueue(in *batch.ListJobsInput, status engine.JobStatus) (*listJobsOutput, error) {
	queue := nameOf(kindQueue, *in.JobQueue)
	if _, _, ok := t.m.JobQueue(queue); !ok {
		return nil, refuse("JobQueue %s not found.", *in.JobQueue)
	}
	most := maxListed
	if len(in.Filters) > 0 {
		most = maxFiltered
	}
	c, err := cursorUpTo(most, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	before, err := c.number()
	if err != nil {
		return nil, err
	}
	jobs, err := t.filtered(queue, in, status, before)
	if err != nil {
		return nil, err
	}
	out := &listJobsOutput{JobSummaryList: []summary{}}
	var last int64
	lag := t.gremlin.chaos.Load().ListLag
	for v := range jobs {
		if t.gremlin.young(t.now, v.Created, lag) {
			continue
		}
		if len(out.JobSummaryList) == c.size {
			out.NextToken = token(strconv.FormatInt(last, 10))
			break
		}
		out.JobSummaryList = append(out.JobSummaryList, t.summary(&v))
		last = v.Seq
	}
	list := out.JobSummaryList
	t.gremlin.shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return out, nil
}

// filtered returns the jobs of a queue that are asked for.
func (t *tx) filtered(queue string, in *batch.ListJobsInput, status engine.JobStatus, before int64) (iter.Seq[model.View], error) {
	if len(in.Filters) == 0 {
		return t.m.Jobs(queue, status, before), nil
	}
	f := in.Filters[0]
	if len(in.Filters) > 1 || len(f.Values) > 1 {
		return nil, refuse("Only one filter key-value pair can be specified.")
	}
	if len(f.Values) == 0 || f.Values[0] == "" {
		return nil, refuse("The filter %s needs a value", value(f.Name))
	}
	want := f.Values[0]
	switch value(f.Name) {
	case "JOB_NAME":
		prefix, ok := strings.CutSuffix(want, "*")
		if !ok {
			return t.m.JobsNamed(queue, want, before), nil
		}
		prefix = strings.ToLower(prefix)
		return t.m.JobsWhere(queue, before, func(_ time.Time, r *model.Request) bool {
			return strings.HasPrefix(strings.ToLower(r.Name), prefix)
		}), nil
	case "JOB_DEFINITION":
		match, err := matchDefinition(want)
		if err != nil {
			return nil, err
		}
		return t.m.JobsWhere(queue, before, match), nil
	case "BEFORE_CREATED_AT", "AFTER_CREATED_AT":
		ms, err := strconv.ParseInt(want, 10, 64)
		if err != nil {
			return nil, refuse("The value of the filter %s should be milliseconds since 1970, got %q", *f.Name, want)
		}
		earlier := *f.Name == "BEFORE_CREATED_AT"
		return t.m.JobsWhere(queue, before, func(created time.Time, _ *model.Request) bool {
			if earlier {
				return created.UnixMilli() < ms
			}
			return created.UnixMilli() > ms
		}), nil
	case "SHARE_IDENTIFIER":
		shared := t.m.JobsWhere(queue, before, func(_ time.Time, r *model.Request) bool { return r.ShareID == want })
		if in.JobStatus == "" {
			return shared, nil
		}
		return only(shared, status), nil
	}
	return nil, refuse("The filter name %q is not valid: it is one of JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT, AFTER_CREATED_AT, SHARE_IDENTIFIER", value(f.Name))
}

// matchDefinition matches jobs by the name of their definition, all revisions, by a
// prefix*, or by an ARN with its revision.
func matchDefinition(want string) (func(time.Time, *model.Request) bool, error) {
	if strings.HasPrefix(want, "arn:") {
		if strings.HasSuffix(want, "*") {
			return nil, refuse("The filter JOB_DEFINITION takes no asterisk with an ARN")
		}
		return func(_ time.Time, r *model.Request) bool {
			return value(r.Payload.(*submission).definition.JobDefinitionArn) == want
		}, nil
	}
	prefix, some := strings.CutSuffix(want, "*")
	return func(_ time.Time, r *model.Request) bool {
		return r.Definition == want || some && strings.HasPrefix(r.Definition, prefix)
	}, nil
}

func only(jobs iter.Seq[model.View], status engine.JobStatus) iter.Seq[model.View] {
	return func(yield func(model.View) bool) {
		for v := range jobs {
			if v.Status == status && !yield(v) {
				return
			}
		}
	}
}

// summary returns a job as ListJobs tells it.
func (t *tx) summary(v *model.View) summary {
	s := v.Request.Payload.(*submission)
	out := summary{
		JobSummary: types.JobSummary{
			JobArn: new(t.arn(kindJob, string(v.ID))), JobId: new(string(v.ID)), JobName: new(v.Name),
			Status: types.JobStatus(v.Status.String()), StatusReason: orNil(v.StatusReason),
			CreatedAt: milli(v.Created), StartedAt: milli(v.Started), StoppedAt: milli(v.Stopped),
			JobDefinition: s.definition.JobDefinitionArn, ShareIdentifier: orNil(v.Request.ShareID),
		},
		IsCancelled: new(v.Cancelled), IsTerminated: new(v.Terminated),
	}
	if a := arrayProperties(v); a != nil {
		out.ArrayProperties = &types.ArrayPropertiesSummary{
			Index: a.Index, Size: a.Size, StatusSummary: a.StatusSummary, StatusSummaryLastUpdatedAt: a.StatusSummaryLastUpdatedAt,
		}
	}
	if v.Size == 0 && (v.ExitCode != nil || v.Reason != "") {
		out.Container = &types.ContainerSummary{ExitCode: int32Of(v.ExitCode), Reason: orNil(v.Reason)}
	}
	return out
}
