package endpoint

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

// The model keeps with a scheduling policy what is told of it: a
// *types.SchedulingPolicyDetail. It is never changed, but for the tags, which are
// replaced whole.

func createSchedulingPolicy(t *tx, in *batch.CreateSchedulingPolicyInput) (*batch.CreateSchedulingPolicyOutput, error) {
	name := value(in.Name)
	if err := firstError(checkResourceName(name), checkTags(in.Tags), checkQuota(in.QuotaSharePolicy), checkFairshare(in.FairsharePolicy)); err != nil {
		return nil, err
	}
	if _, ok := t.m.Policy(name); ok {
		return nil, refuse("Object already exists")
	}
	d := &types.SchedulingPolicyDetail{Arn: new(t.arn(kindPolicy, name)), Name: &name, FairsharePolicy: in.FairsharePolicy, Tags: filledMap(in.Tags)}
	if err := t.m.PutPolicy(t.now, policyOf(d)); err != nil {
		return nil, err
	}
	return &batch.CreateSchedulingPolicyOutput{Arn: d.Arn, Name: &name}, nil
}

// policyOf returns what the scheduler knows of a policy.
func policyOf(d *types.SchedulingPolicyDetail) model.Policy {
	p := model.Policy{Name: *d.Name, Detail: d}
	f := d.FairsharePolicy
	if f == nil {
		return p
	}
	p.Decay, p.Reservation = time.Duration(value(f.ShareDecaySeconds))*time.Second, int(value(f.ComputeReservation))
	for i := range f.ShareDistribution {
		s := &f.ShareDistribution[i]
		w := model.Weight{Share: value(s.ShareIdentifier), Factor: 1}
		if s.WeightFactor != nil {
			w.Factor = widen(*s.WeightFactor)
		}
		p.Weights = append(p.Weights, w)
	}
	return p
}

// widen returns the number that is written as f is.
func widen(f float32) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64) // always a number
	return v
}

func checkQuota(q *types.QuotaSharePolicy) error {
	if q != nil {
		return refuse("quotaSharePolicy is for jobs of SageMaker, which flow emulate does not run")
	}
	return nil
}

const maxShareAttributes = 500

// checkFairshare checks how much there is of a fairsharePolicy. What is in it is checked
// by the scheduler.
func checkFairshare(f *types.FairsharePolicy) error {
	if f != nil && len(f.ShareDistribution) > maxShareAttributes {
		return refuse("shareDistribution can have up to %d entries, got %d", maxShareAttributes, len(f.ShareDistribution))
	}
	return nil
}

// updateSchedulingPolicy replaces the fair-share policy, if one is given.
func updateSchedulingPolicy(t *tx, in *batch.UpdateSchedulingPolicyInput) (*batch.UpdateSchedulingPolicyOutput, error) {
	if err := firstError(checkQuota(in.QuotaSharePolicy), checkFairshare(in.FairsharePolicy)); err != nil {
		return nil, err
	}
	old, err := t.policy(in.Arn)
	if err != nil {
		return nil, err
	}
	if in.FairsharePolicy == nil {
		return &batch.UpdateSchedulingPolicyOutput{}, nil
	}
	d := *old
	d.FairsharePolicy = in.FairsharePolicy
	if err := t.m.PutPolicy(t.now, policyOf(&d)); err != nil {
		return nil, err
	}
	return &batch.UpdateSchedulingPolicyOutput{}, nil
}

// policy returns what is told of the policy of an ARN.
func (t *tx) policy(arn *string) (*types.SchedulingPolicyDetail, error) {
	if !given(arn) {
		return nil, refuse("SchedulingPolicy arn is required")
	}
	p, ok := t.m.Policy(nameOf(kindPolicy, *arn))
	d, has := p.Detail.(*types.SchedulingPolicyDetail)
	if !ok || !has {
		return nil, refuse("SchedulingPolicy %s not found.", *arn)
	}
	return d, nil
}

// deleteSchedulingPolicy deletes a policy that no queue uses. That there is none is no
// error.
func deleteSchedulingPolicy(t *tx, in *batch.DeleteSchedulingPolicyInput) (*batch.DeleteSchedulingPolicyOutput, error) {
	if !given(in.Arn) {
		return nil, refuse("SchedulingPolicy arn is required")
	}
	name := nameOf(kindPolicy, *in.Arn)
	if _, ok := t.m.Policy(name); ok {
		if err := t.m.DeletePolicy(t.now, name); err != nil {
			return nil, err
		}
	}
	return &batch.DeleteSchedulingPolicyOutput{}, nil
}

func describeSchedulingPolicies(t *tx, in *batch.DescribeSchedulingPoliciesInput) (*batch.DescribeSchedulingPoliciesOutput, error) {
	if len(in.Arns) == 0 {
		return nil, refuse("SchedulingPolicy arns are required")
	}
	if err := checkCount("scheduling policies", len(in.Arns)); err != nil {
		return nil, err
	}
	out := &batch.DescribeSchedulingPoliciesOutput{SchedulingPolicies: []types.SchedulingPolicyDetail{}}
	seen := map[*types.SchedulingPolicyDetail]bool{}
	for i := range in.Arns {
		if d, err := t.policy(&in.Arns[i]); err == nil && !seen[d] {
			seen[d] = true
			out.SchedulingPolicies = append(out.SchedulingPolicies, *d)
		}
	}
	return out, nil
}

func listSchedulingPolicies(t *tx, in *batch.ListSchedulingPoliciesInput) (*batch.ListSchedulingPoliciesOutput, error) {
	c, err := cursorOf(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	all := func(yield func(string, types.SchedulingPolicyListingDetail) bool) {
		for p := range t.m.Policies() {
			if !yield(p.Name, types.SchedulingPolicyListingDetail{Arn: new(t.arn(kindPolicy, p.Name))}) {
				return
			}
		}
	}
	out := &batch.ListSchedulingPoliciesOutput{}
	out.SchedulingPolicies, out.NextToken = page(c, since(c.after, all))
	return out, nil
}
