package endpoint

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

// listJobsByConsumableResource lists the jobs that need a consumable resource, newest
// first: no children of arrays.
func listJobsByConsumableResource(t *tx, in *batch.ListJobsByConsumableResourceInput) (*batch.ListJobsByConsumableResourceOutput, error) {
	resource, err := t.consumable(in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	c, err := cursorOf(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	before, err := c.number()
	if err != nil {
		return nil, err
	}
	f, err := readFilters(in.Filters, byStatus, byJobName)
	if err != nil {
		return nil, err
	}
	for _, s := range f[byStatus] {
		if !slices.Contains(types.JobStatus("").Values(), types.JobStatus(s)) {
			return nil, refuse("Filter %s has %q, which is no status of a job", byStatus, s)
		}
	}
	found := t.consumers(resource.Name, f, before, c.size+1)
	out := &batch.ListJobsByConsumableResourceOutput{Jobs: []types.ListJobsByConsumableResourceSummary{}}
	if len(found) > c.size {
		found = found[:c.size]
		out.NextToken = token(strconv.FormatInt(found[c.size-1].Seq, 10))
	}
	for i := range found {
		out.Jobs = append(out.Jobs, t.consumer(&found[i], resource.Name))
	}
	return out, nil
}

// Filters of ListJobsByConsumableResource.
const (
	byStatus  = "JOB_STATUS"
	byJobName = "JOB_NAME"
)

// consumers returns the first n jobs, of all queues together, that need a resource.
func (t *tx) consumers(resource string, f filters, before int64, n int) []model.View {
	var found []model.View
	for q := range t.m.JobQueues() {
		needs := t.m.JobsWhere(q.Name, before, func(_ time.Time, r *model.Request) bool {
			return quantity(r, resource) > 0 && f.match(byJobName, r.Name)
		})
		found = append(found, first(n, needs, func(v *model.View) bool { return f.match(byStatus, v.Status.String()) })...)
	}
	slices.SortFunc(found, func(a, b model.View) int { return cmp.Compare(b.Seq, a.Seq) })
	return found[:min(n, len(found))]
}

// first returns the first n views that are wanted.
func first(n int, views iter.Seq[model.View], wanted func(*model.View) bool) []model.View {
	var out []model.View
	for v := range views {
		if len(out) == n {
			break
		}
		if wanted(&v) {
			out = append(out, v)
		}
	}
	return out
}

// quantity returns how much of a resource a job needs.
func quantity(r *model.Request, resource string) int64 {
	for _, n := range r.Consumables {
		if n.Consumable == resource {
			return n.Quantity
		}
	}
	return 0
}

func (t *tx) consumer(v *model.View, resource string) types.ListJobsByConsumableResourceSummary {
	s := types.ListJobsByConsumableResourceSummary{
		JobArn: new(t.arn(kindJob, string(v.ID))), JobName: &v.Name, JobQueueArn: new(t.arn(kindQueue, v.Queue)),
		JobStatus: new(v.Status.String()), StatusReason: orNil(v.StatusReason), Quantity: new(quantity(v.Request, resource)),
		CreatedAt: milli(v.Created), StartedAt: milli(v.Started), ShareIdentifier: orNil(v.Request.ShareID),
		ConsumableResourceProperties: &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{}},
	}
	if p, ok := v.Request.Payload.(*submission); ok {
		s.JobDefinitionArn = p.definition.JobDefinitionArn
	}
	for _, n := range v.Request.Consumables {
		s.ConsumableResourceProperties.ConsumableResourceList = append(s.ConsumableResourceProperties.ConsumableResourceList, types.ConsumableResourceRequirement{
			ConsumableResource: new(t.arn(kindConsumable, n.Consumable)), Quantity: new(n.Quantity),
		})
	}
	return s
}

// Filters are the values that are asked for, by the names of filters.
type filters map[string][]string

func readFilters(list []types.KeyValuesPair, names ...string) (filters, error) {
	f := filters{}
	for i := range list {
		name := value(list[i].Name)
		if !slices.Contains(names, name) {
			return nil, refuse("Filter name %q is not valid, it is one of %v", name, names)
		}
		if len(list[i].Values) == 0 || f[name] != nil {
			return nil, refuse("Filter %s should be given once, with its values", name)
		}
		f[name] = list[i].Values
	}
	return f, nil
}

// match reports whether v is among the values of a filter, if there is that filter. Case
// does not matter, and a trailing * is for whatever begins so.
func (f filters) match(name, v string) bool {
	values, ok := f[name]
	if !ok {
		return true
	}
	v = strings.ToLower(v)
	return slices.ContainsFunc(values, func(want string) bool {
		prefix, some := strings.CutSuffix(strings.ToLower(want), "*")
		return v == strings.ToLower(want) || some && strings.HasPrefix(v, prefix)
	})
}
