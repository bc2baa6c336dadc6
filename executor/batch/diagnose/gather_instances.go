package diagnose

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// clusters looks up the instances in the clusters of the environments that want any.
func (g *gathering) clusters() {
	x, err := g.ECS()
	for i := range g.facts.Environments {
		e := &g.facts.Environments[i]
		if e.cluster == "" || e.Desired == 0 && e.MinVCPUs == 0 || e.Type != engine.TypeEC2 && e.Type != engine.TypeSpot {
			continue
		}
		if g.note("the instances of "+e.Name, err) {
			return // it is the same for all
		}
		g.cluster(x, e)
	}
}

// cluster looks up the first instances in a cluster.
func (g *gathering) cluster(x *ecs.Client, e *Environment) {
	list, err := x.ListContainerInstances(g.ctx, &ecs.ListContainerInstancesInput{Cluster: &e.cluster, MaxResults: new(int32(mostListed))})
	if g.note("the instances of "+e.Name+" in ECS", err) {
		return
	}
	if len(list.ContainerInstanceArns) == 0 {
		e.Listed = true
		return
	}
	out, err := x.DescribeContainerInstances(g.ctx, &ecs.DescribeContainerInstancesInput{Cluster: &e.cluster, ContainerInstances: list.ContainerInstanceArns})
	if g.note("the instances of "+e.Name+" in ECS", err) {
		return
	}
	e.Listed = list.NextToken == nil
	for i := range out.ContainerInstances {
		e.Instances = append(e.Instances, instanceOf(&out.ContainerInstances[i]))
	}
}

// awslogsAttribute is that of instances whose agent knows the log driver.
const awslogsAttribute = "com.amazonaws.ecs.capability.logging-driver.awslogs"

func instanceOf(c *ecstypes.ContainerInstance) Instance {
	i := Instance{ID: aws.ToString(c.Ec2InstanceId), Status: aws.ToString(c.Status), Connected: c.AgentConnected}
	for _, r := range c.RemainingResources {
		switch aws.ToString(r.Name) {
		case "CPU": // 1,024 units are a vCPU
			i.VCPUs = float64(r.IntegerValue) / 1024
		case "MEMORY":
			i.MemoryMiB = int(r.IntegerValue)
		case "GPU":
			i.GPUs = len(r.StringSetValue)
		}
	}
	i.Awslogs = slices.ContainsFunc(c.Attributes, func(a ecstypes.Attribute) bool { return aws.ToString(a.Name) == awslogsAttribute })
	return i
}

// prices looks up what Spot instances cost now, of the types that can hold the job, where an
// environment does not pay what is asked.
func (g *gathering) prices() {
	for i := range g.facts.Environments {
		e := &g.facts.Environments[i]
		if e.Bid == 0 || e.Bid >= 100 || e.Type != engine.TypeSpot {
			continue
		}
		x, err := g.EC2()
		if g.note("Spot prices", err) {
			return
		}
		prices, err := capacity.SpotPrices(g.ctx, x, e.Fitting(g.facts.Job.Need), time.Now())
		if g.note("Spot prices", err) {
			return
		}
		e.Prices = prices
	}
}
