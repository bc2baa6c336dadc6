package where

import (
	"context"
	"errors"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Lifecycles of instances. EC2 says nothing of those on demand.
const (
	lifecycleSpot     = "spot"
	lifecycleOnDemand = "on-demand"
)

// environments finds the compute environments of attempts by their clusters.
func (f *finder) environments(ctx context.Context) {
	byCluster := map[string]*batchtypes.ComputeEnvironmentDetail{}
	pages := batch.NewDescribeComputeEnvironmentsPaginator(f.cloud.Batch(), &batch.DescribeComputeEnvironmentsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			f.note("AWS Batch", "batch:DescribeComputeEnvironments", err)
			break
		}
		for i := range page.ComputeEnvironments {
			e := &page.ComputeEnvironments[i]
			byCluster[last(aws.ToString(e.EcsClusterArn))] = e
		}
	}
	for _, a := range f.attempts() {
		if e := byCluster[a.Cluster]; e != nil && a.Cluster != "" {
			a.Environment = aws.ToString(e.ComputeEnvironmentName)
			if e.ComputeResources != nil {
				a.EnvironmentType = string(e.ComputeResources.Type)
			}
		} else if name := clusterName.FindStringSubmatch(a.Cluster); name != nil {
			a.Environment = name[1] // it is gone, or may not be seen
		}
	}
}

// clusterName is how Batch names the cluster of a compute environment (seen of it).
var clusterName = regexp.MustCompile(`^(?:AWSBatch-)?(.+?)[-_](?:Batch_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// atOnce is how many container instances or tasks a call of ECS takes (ECS API,
// DescribeContainerInstances, DescribeTasks).
const atOnce = 100

// tasks asks ECS what attempts ran on.
func (f *finder) tasks(ctx context.Context) {
	client, err := f.cloud.ECS()
	if err != nil {
		f.note("ECS", "", err)
		return
	}
	var clusters []string
	for _, a := range f.attempts() {
		if a.arn != "" && !slices.Contains(clusters, a.arn) {
			clusters = append(clusters, a.arn)
		}
	}
	for _, cluster := range clusters {
		var instances, tasks []string
		for _, a := range f.attempts() {
			switch {
			case a.arn != cluster:
			case a.fargate:
				tasks = append(tasks, a.Task)
			case a.ContainerInstance != "" && !slices.Contains(instances, a.ContainerInstance):
				instances = append(instances, a.ContainerInstance)
			}
		}
		for some := range slices.Chunk(instances, atOnce) {
			f.containerInstances(ctx, client, cluster, some)
		}
		for some := range slices.Chunk(tasks, atOnce) {
			f.fargate(ctx, client, cluster, some)
		}
	}
}

func (f *finder) containerInstances(ctx context.Context, client *ecs.Client, cluster string, arns []string) {
	out, err := client.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: arns})
	if gone(err) {
		return
	}
	if err != nil {
		f.note("ECS", "ecs:DescribeContainerInstances", err)
		return
	}
	for i := range out.ContainerInstances {
		c := &out.ContainerInstances[i]
		for _, a := range f.attempts() {
			if a.ContainerInstance == aws.ToString(c.ContainerInstanceArn) && aws.ToString(c.Ec2InstanceId) != "" {
				a.Instance = f.instance(*c.Ec2InstanceId)
				a.Instance.Type, a.Instance.Zone = attribute(c, "ecs.instance-type"), attribute(c, "ecs.availability-zone")
			}
		}
	}
}

func (f *finder) instance(id string) *Instance {
	return &Instance{ID: id, Link: f.console.instance(id)}
}

// attribute returns an attribute of a container instance; "": it has none of that name.
func attribute(c *ecstypes.ContainerInstance, name string) string {
	for i := range c.Attributes {
		if aws.ToString(c.Attributes[i].Name) == name {
			return aws.ToString(c.Attributes[i].Value)
		}
	}
	return ""
}

// gone reports whether the error is that there is no such cluster any more.
func gone(err error) bool {
	var none *ecstypes.ClusterNotFoundException
	return errors.As(err, &none)
}

// fargate asks what tasks ran on that have no instance.
func (f *finder) fargate(ctx context.Context, client *ecs.Client, cluster string, arns []string) {
	out, err := client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: arns})
	if gone(err) {
		return
	}
	if err != nil {
		f.note("ECS", "ecs:DescribeTasks", err)
		return
	}
	for i := range out.Tasks {
		t := &out.Tasks[i]
		for _, a := range f.attempts() {
			if a.Task != aws.ToString(t.TaskArn) {
				continue
			}
			a.Fargate = &Fargate{
				Capacity: aws.ToString(t.CapacityProviderName), Platform: aws.ToString(t.PlatformVersion), Zone: aws.ToString(t.AvailabilityZone),
			}
			if a.Fargate.Capacity == "" {
				a.Fargate.Capacity = string(t.LaunchType)
			}
		}
	}
}

// lostInstance finds the instance in the statusReason of a try whose host has gone (Batch
// User Guide, bestpractice6): ECS knows nothing of it then.
var lostInstance = regexp.MustCompile(`\(instance (i-[0-9a-f]+)\)`)

// instances asks EC2 about the instances of attempts.
func (f *finder) instances(ctx context.Context) {
	var ids []string
	for _, a := range f.attempts() {
		if m := lostInstance.FindStringSubmatch(a.StatusReason); m != nil && a.Instance == nil {
			a.Instance = f.instance(m[1])
		}
		if a.Instance != nil && !slices.Contains(ids, a.Instance.ID) {
			ids = append(ids, a.Instance.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	client, err := f.cloud.EC2()
	if err != nil {
		f.note("EC2", "", err)
		return
	}
	for some := range slices.Chunk(ids, maxFiltered) {
		if !f.describe(ctx, client, some) {
			return
		}
	}
}

// maxFiltered is how many values a filter takes (EC2 API reference, Using filtering).
const maxFiltered = 200

// describe asks EC2 about some instances, and reports whether it has said anything.
func (f *finder) describe(ctx context.Context, client *ec2.Client, ids []string) bool {
	// By a filter: of an id that is not known any more the call would be refused.
	in := &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: ids}}}
	pages := ec2.NewDescribeInstancesPaginator(client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			f.note("EC2", "ec2:DescribeInstances", err)
			return false
		}
		for i := range page.Reservations {
			for k := range page.Reservations[i].Instances {
				f.known(&page.Reservations[i].Instances[k])
			}
		}
	}
	return true
}

// known notes what EC2 says of an instance.
func (f *finder) known(d *ec2types.Instance) {
	for _, a := range f.attempts() {
		i := a.Instance
		if i == nil || i.ID != aws.ToString(d.InstanceId) {
			continue
		}
		i.Type = string(d.InstanceType)
		if d.Placement != nil {
			i.Zone = aws.ToString(d.Placement.AvailabilityZone)
		}
		if i.Lifecycle = string(d.InstanceLifecycle); i.Lifecycle == "" {
			i.Lifecycle = lifecycleOnDemand
		}
		if d.State != nil {
			i.State = string(d.State.Name)
		}
	}
}
