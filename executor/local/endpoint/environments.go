package endpoint

import (
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

// The model keeps with a compute environment what is told of it: a
// *types.ComputeEnvironmentDetail without state, status and reason. It is never changed,
// but for the tags and the compute resources, which are replaced whole.

// manyVCPUs is how many vCPUs an environment has whose instances are not Batch's.
const manyVCPUs = 1 << 20

// noGPU is the number of GPUs of instances that have none.
const noGPU = -1

func createComputeEnvironment(t *tx, in *batch.CreateComputeEnvironmentInput) (*batch.CreateComputeEnvironmentOutput, error) {
	name := value(in.ComputeEnvironmentName)
	if err := firstError(checkResourceName(name), checkTags(in.Tags)); err != nil {
		return nil, err
	}
	if in.State == types.CEStateDisabled { // CreateComputeEnvironmentRequest
		return nil, refuse("A compute environment must be created in the ENABLED state")
	}
	d := &types.ComputeEnvironmentDetail{
		ComputeEnvironmentArn: new(t.arn(kindEnvironment, name)), ComputeEnvironmentName: &name, Type: in.Type, Uuid: new(t.id),
		ComputeResources: in.ComputeResources, EksConfiguration: in.EksConfiguration, ContainerOrchestrationType: orchestration(in.EksConfiguration != nil),
		ServiceRole: t.roleARN(in.ServiceRole), Tags: filledMap(in.Tags), UnmanagedvCpus: in.UnmanagedvCpus, Context: in.Context,
	}
	if err := checkComputeEnvironment(d); err != nil {
		return nil, err
	}
	if err := t.checkCluster(d.EksConfiguration); err != nil {
		return nil, err
	}
	if d.Type == types.CETypeUnmanaged {
		d.ComputeResources = nil // the service takes them (terraform-provider-aws, acceptance tests); they say nothing
	}
	if d.EksConfiguration == nil {
		d.EcsClusterArn = new("arn:aws:ecs:" + t.region + ":" + t.account + ":cluster/" + t.clusterName(name))
	}
	if d.ServiceRole == nil {
		d.ServiceRole = new(t.serviceLinkedRole())
	}
	if d.ComputeResources != nil {
		fillResources(d.ComputeResources, d.EksConfiguration != nil)
	}
	if err := t.m.CreateEnvironment(t.now, environmentOf(d, false)); err != nil {
		return nil, err
	}
	if len(t.catalog.hosts[name]) > 0 { // of one of that name which is gone
		t.catalog.host(name, hosts{Since: t.now.UnixMilli()})
	}
	return &batch.CreateComputeEnvironmentOutput{ComputeEnvironmentArn: d.ComputeEnvironmentArn, ComputeEnvironmentName: &name}, nil
}

// maxOfCluster is how many environments an EKS cluster may have (Batch User Guide,
// service_limits).
const maxOfCluster = 5

// checkCluster refuses an environment on an EKS cluster that has as many as it can; nil
// is of none.
func (t *tx) checkCluster(eks *types.EksConfiguration) error {
	if eks == nil {
		return nil
	}
	n := 0
	for e := range t.m.Environments() {
		if d := detailOf(e); d != nil && d.EksConfiguration != nil && value(d.EksConfiguration.EksClusterArn) == value(eks.EksClusterArn) {
			n++
		}
	}
	if n >= maxOfCluster {
		return refuse("Cannot have more than %d compute environments for an EKS cluster", maxOfCluster)
	}
	return nil
}

// environmentOf returns what the scheduler knows of an environment.
func environmentOf(d *types.ComputeEnvironmentDetail, disabled bool) model.Environment {
	e := model.Environment{Name: *d.ComputeEnvironmentName, Disabled: disabled, MaxVCPUs: manyVCPUs, Detail: d}
	r := d.ComputeResources
	if d.Type == types.CETypeUnmanaged || r == nil {
		e.Unmanaged, e.Planned = true, float64(value(d.UnmanagedvCpus))
		return e
	}
	e.MaxVCPUs = min(float64(value(r.MaxvCpus)), manyVCPUs)
	if e.Fargate = isFargate(r.Type); e.Fargate {
		e.Largest = model.Capacity{VCPUs: 16, MemoryMiB: 120 << 10, GPUs: noGPU} // ResourceRequirement
	} else {
		e.Largest = largest(r.InstanceTypes)
	}
	return e
}

// fillResources adds the defaults that are told of compute resources.
func fillResources(r *types.ComputeResource, eks bool) {
	if isFargate(r.Type) {
		return
	}
	if r.DesiredvCpus == nil {
		r.DesiredvCpus = new(value(r.MinvCpus))
	}
	if len(r.Ec2Configuration) == 0 {
		image := "ECS_AL2023"
		if eks {
			image = "EKS_AL2023"
		}
		r.Ec2Configuration = []types.Ec2Configuration{{ImageType: &image}}
	}
}

// serviceLinkedRole returns the ARN of the role that Batch uses when none is given.
func (t *tx) serviceLinkedRole() string {
	return "arn:aws:iam::" + t.account + ":role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
}

// isServiceLinked reports whether a role is that one; it may be named without its path.
func isServiceLinked(arn string) bool {
	return strings.HasSuffix(arn, "/AWSServiceRoleForBatch")
}

// roleARN returns the ARN of a role that may be a name with or without its path; nil if
// there is none.
func (t *tx) roleARN(role *string) *string {
	switch {
	case !given(role):
		return nil
	case strings.HasPrefix(*role, "arn:"):
		return role
	}
	return new("arn:aws:iam::" + t.account + ":role/" + strings.TrimPrefix(*role, "/"))
}

// deleteComputeEnvironment deletes an environment. That there is none is no error.
func deleteComputeEnvironment(t *tx, in *batch.DeleteComputeEnvironmentInput) (*batch.DeleteComputeEnvironmentOutput, error) {
	if !given(in.ComputeEnvironment) {
		return nil, refuse("ComputeEnvironment is required")
	}
	name := nameOf(kindEnvironment, *in.ComputeEnvironment)
	if _, _, ok := t.m.Environment(name); ok {
		if err := t.m.DeleteEnvironment(t.now, name); err != nil {
			return nil, err
		}
	}
	return &batch.DeleteComputeEnvironmentOutput{}, nil
}

func describeComputeEnvironments(t *tx, in *batch.DescribeComputeEnvironmentsInput) (*batch.DescribeComputeEnvironmentsOutput, error) {
	all := func(yield func(string, types.ComputeEnvironmentDetail) bool) {
		for e, life := range t.m.Environments() {
			if !yield(e.Name, environmentView(e, life)) {
				return
			}
		}
	}
	one := func(name string) (types.ComputeEnvironmentDetail, bool) {
		e, life, ok := t.m.Environment(name)
		return environmentView(e, life), ok
	}
	list, next, err := listed(kindEnvironment, "ComputeEnvironments", in.ComputeEnvironments, in.MaxResults, in.NextToken, all, one)
	if err != nil {
		return nil, err
	}
	return &batch.DescribeComputeEnvironmentsOutput{ComputeEnvironments: list, NextToken: next}, nil
}

// listed returns the resources that are named, in the order of their first mention and
// without those that are not there; or a page of all.
func listed[T any](kind, what string, refs []string, maxResults *int32, next *string, all iter.Seq2[string, T], one func(name string) (T, bool)) ([]T, *string, error) {
	c, err := cursorOf(maxResults, next)
	if err != nil {
		return nil, nil, err
	}
	if len(refs) == 0 {
		list, more := page(c, since(c.after, all))
		return list, more, nil
	}
	if err := firstError(notBoth(what, "MaxResults", maxResults != nil), notBoth(what, "NextToken", given(next)), checkCount(what, len(refs))); err != nil {
		return nil, nil, err
	}
	list, seen := []T{}, map[string]bool{}
	for _, ref := range refs {
		name := nameOf(kind, ref)
		if v, ok := one(name); ok && !seen[name] {
			seen[name] = true
			list = append(list, v)
		}
	}
	return list, nil, nil
}

// environmentView returns an environment as it is told.
func environmentView(e model.Environment, life model.Life) types.ComputeEnvironmentDetail {
	var d types.ComputeEnvironmentDetail
	if p := detailOf(e); p != nil {
		d = *p
	}
	d.State, d.Status = types.CEStateEnabled, types.CEStatus(life.Health)
	if e.Disabled {
		d.State = types.CEStateDisabled
	}
	if life.Reason != "" {
		d.StatusReason = &life.Reason
	}
	return d
}

func detailOf(e model.Environment) *types.ComputeEnvironmentDetail {
	d, _ := e.Detail.(*types.ComputeEnvironmentDetail)
	return d
}
