package endpoint

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

const (
	active   = "ACTIVE"
	inactive = "INACTIVE"

	maxDefinition = 24 << 10             // bytes (Batch User Guide, service_limits)
	keepInactive  = 180 * 24 * time.Hour // how long a deregistered one is remembered (DeregisterJobDefinition)
)

// A definition is one revision of a job definition. Jobs that were submitted with it
// share it: but for status and tags, which are replaced whole, it is never changed.
type definition struct {
	types.JobDefinition
	Deregistered time.Time
	fargate      bool  // wants FARGATE, else EC2
	plain        *work // of jobs without overrides; nil: not made yet
}

// UnmarshalJSON reads one as encoding/json has written it.
func (d *definition) UnmarshalJSON(data []byte) error {
	type plain definition
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return err
	}
	d.fargate = wantsFargate(d.PlatformCapabilities)
	return nil
}

func wantsFargate(p []types.PlatformCapability) bool {
	return slices.Contains(p, types.PlatformCapabilityFargate)
}

// platform returns what a job runs on: EC2 unless its definition says otherwise.
func (d *definition) platform() []types.PlatformCapability {
	if len(d.PlatformCapabilities) > 0 {
		return d.PlatformCapabilities
	}
	return []types.PlatformCapability{types.PlatformCapabilityEc2}
}

// splitRevision parts name:revision; the revision is 0 if there is none, and -1 if it is
// no number.
func splitRevision(ref string) (name string, revision int) {
	name, text, ok := strings.Cut(nameOf(kindDefinition, ref), ":")
	if !ok {
		return name, 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return name, -1
	}
	return name, int(n)
}

// lookup returns the revision that a reference names, whatever its status, or nil;
// without a revision, the latest that is ACTIVE.
func (c *catalog) lookup(ref string) *definition {
	name, revision := splitRevision(ref)
	all := c.definitions[name]
	if revision == 0 {
		for _, d := range slices.Backward(all) {
			if d != nil && value(d.Status) == active {
				return d
			}
		}
		return nil
	}
	if revision < 0 || revision > len(all) {
		return nil
	}
	return all[revision-1]
}

// definition returns the ACTIVE revision that a reference names: name, name:revision or
// an ARN with or without revision; without, the latest that is ACTIVE.
func (c *catalog) definition(ref string) (*definition, error) {
	d := c.lookup(ref)
	if d == nil || value(d.Status) != active {
		return nil, refuse("JobDefinition name %s does not exist or is not in ACTIVE status", ref)
	}
	return d, nil
}

// forget drops the revisions of a name that were deregistered long ago.
func (c *catalog) forget(name string, now time.Time) {
	for i, d := range c.definitions[name] {
		if d != nil && d.gone(now) {
			c.definitions[name][i] = nil
		}
	}
}

func (d *definition) gone(now time.Time) bool {
	return !d.Deregistered.IsZero() && now.Sub(d.Deregistered) > keepInactive
}

// registerJobDefinition makes a new revision, even of what is there already. Revisions
// count on after deregistration.
func registerJobDefinition(t *tx, in *batch.RegisterJobDefinitionInput) (*batch.RegisterJobDefinitionOutput, error) {
	if err := checkDefinition(in); err != nil {
		return nil, err
	}
	name := *in.JobDefinitionName
	t.catalog.forget(name, t.now)
	revision := len(t.catalog.definitions[name]) + 1
	arn := t.arn(kindDefinition, name+":"+strconv.Itoa(revision))
	d := &definition{
		JobDefinition: types.JobDefinition{
			JobDefinitionArn: &arn, JobDefinitionName: &name, Revision: new(int32(revision)), Status: new(active),
			Type: new(string(in.Type)), ContainerOrchestrationType: orchestration(in.EksProperties != nil),
			ConsumableResourceProperties: in.ConsumableResourceProperties,
			ContainerProperties:          in.ContainerProperties, EcsProperties: in.EcsProperties, EksProperties: in.EksProperties,
			NodeProperties: in.NodeProperties, Parameters: filledMap(in.Parameters), PlatformCapabilities: in.PlatformCapabilities,
			PropagateTags: new(value(in.PropagateTags)), RetryStrategy: shownRetry(in.RetryStrategy), SchedulingPriority: in.SchedulingPriority,
			Tags: filledMap(in.Tags), Timeout: in.Timeout,
		},
		fargate: wantsFargate(in.PlatformCapabilities),
	}
	fillDefinition(d)
	t.catalog.definitions[name] = append(t.catalog.definitions[name], d)
	return &batch.RegisterJobDefinitionOutput{JobDefinitionArn: &arn, JobDefinitionName: &name, Revision: d.Revision}, nil
}

func orchestration(eks bool) types.OrchestrationType {
	if eks {
		return types.OrchestrationTypeEks
	}
	return types.OrchestrationTypeEcs
}

// deregisterJobDefinition makes a revision INACTIVE; one that is already stays so. A
// name alone, as in AWS's own example, is the latest ACTIVE revision.
func deregisterJobDefinition(t *tx, in *batch.DeregisterJobDefinitionInput) (*batch.DeregisterJobDefinitionOutput, error) {
	ref := value(in.JobDefinition)
	if ref == "" {
		return nil, refuse("JobDefinition is required")
	}
	d := t.catalog.lookup(ref)
	if d == nil || d.gone(t.now) {
		return nil, refuse("JobDefinition name %s does not exist or is not in ACTIVE status", ref)
	}
	if value(d.Status) == active {
		d.Status, d.Deregistered = new(inactive), t.now
	}
	return &batch.DeregisterJobDefinitionOutput{}, nil
}

// describeJobDefinitions lists definitions by name, the newest revision first.
func describeJobDefinitions(t *tx, in *batch.DescribeJobDefinitionsInput) (*batch.DescribeJobDefinitionsOutput, error) {
	c, err := cursorOf(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if given(in.Status) && *in.Status != active && *in.Status != inactive {
		return nil, refuse("Job definition status %s is not valid, it is one of [ACTIVE, INACTIVE]", *in.Status)
	}
	if len(in.JobDefinitions) > 0 {
		return describeNamedDefinitions(t, in)
	}
	var only string
	if given(in.JobDefinitionName) {
		only, _ = splitRevision(*in.JobDefinitionName)
	}
	matching := func(yield func(string, types.JobDefinition) bool) {
		for key, d := range t.catalog.definitionsAfter(c.after) {
			if only != "" && value(d.JobDefinitionName) != only || given(in.Status) && value(d.Status) != *in.Status || d.gone(t.now) {
				continue
			}
			if !yield(key, d.JobDefinition) {
				return
			}
		}
	}
	out := &batch.DescribeJobDefinitionsOutput{}
	out.JobDefinitions, out.NextToken = page(c, matching)
	return out, nil
}

// describeNamedDefinitions describes those of a list. No other parameter goes with it but
// the status, which the service takes, whatever its documents say (boto3, issue 2908).
func describeNamedDefinitions(t *tx, in *batch.DescribeJobDefinitionsInput) (*batch.DescribeJobDefinitionsOutput, error) {
	const list = "JobDefinitions"
	if err := firstError(notBoth(list, "MaxResults", in.MaxResults != nil), notBoth(list, "NextToken", given(in.NextToken)),
		notBoth(list, "JobDefinitionName", given(in.JobDefinitionName)), checkCount("job definitions", len(in.JobDefinitions))); err != nil {
		return nil, err
	}
	out := &batch.DescribeJobDefinitionsOutput{JobDefinitions: []types.JobDefinition{}}
	seen := map[*definition]bool{}
	for _, ref := range in.JobDefinitions {
		if _, revision := splitRevision(ref); revision < 1 {
			continue // a revision is needed (DescribeJobDefinitionsRequest)
		}
		if d := t.catalog.lookup(ref); d != nil && !d.gone(t.now) && !seen[d] && (!given(in.Status) || value(d.Status) == *in.Status) {
			seen[d] = true
			out.JobDefinitions = append(out.JobDefinitions, d.JobDefinition)
		}
	}
	return out, nil
}

// checkCount refuses more names than one call may ask for.
func checkCount(what string, n int) error {
	if n > maxPage {
		return refuse("Maximum number of %s supported is %d", what, maxPage)
	}
	return nil
}

// definitionsAfter yields definitions by name, the newest revision first, each with
// name:revision, from the one after that on.
func (c *catalog) definitionsAfter(after string) iter.Seq2[string, *definition] {
	name, revision := splitRevision(after)
	names := slices.Sorted(maps.Keys(c.definitions))
	from, _ := slices.BinarySearch(names, name)
	return func(yield func(string, *definition) bool) {
		for _, n := range names[from:] {
			all := c.definitions[n]
			if n == name && revision > 0 {
				all = all[:min(revision-1, len(all))]
			}
			for i, d := range slices.Backward(all) {
				if d != nil && !yield(n+":"+strconv.Itoa(i+1), d) {
					return
				}
			}
		}
	}
}
