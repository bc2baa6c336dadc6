package doctor

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"flow/engine"
)

// TestOutOfReach: what is not in ECR of the region cannot be pulled by its VPC endpoints.
func TestOutOfReach(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	p.o.Steps = []Step{sketch("x"), sketch("y", func(task *engine.TaskSpec) { task.Queue = "y" })}
	in := func(subnet string) func(*types.ComputeEnvironmentDetail) {
		return func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.Subnets = []string{"subnet-gone", subnet} }
	}
	other := queueOf("y", []string{"open"})
	other.steps = []int{1}
	w := &world{environments: []types.ComputeEnvironmentDetail{environment("closed", in("subnet-1")), environment("open", in("subnet-2"))}, queues: []queue{queueOf("x", []string{"closed"}), other}}
	n := &network{subnets: map[string]ec2types.Subnet{}}
	for _, id := range []string{"1", "2"} {
		n.subnets["subnet-"+id] = ec2types.Subnet{SubnetId: aws.String("subnet-" + id), VpcId: aws.String("vpc")}
		n.tables = append(n.tables, ec2types.RouteTable{RouteTableId: aws.String("rtb-" + id), VpcId: aws.String("vpc"), Associations: []ec2types.RouteTableAssociation{{SubnetId: aws.String("subnet-" + id)}}})
	}
	n.tables[1].Routes = []ec2types.Route{{DestinationCidrBlock: aws.String("0.0.0.0/0"), NatGatewayId: aws.String("nat-1")}}
	for _, s := range []string{"ecr.api", "ecr.dkr", "s3", "logs", "ecs", "ecs-agent", "ecs-telemetry"} {
		n.endpoints = append(n.endpoints, ec2types.VpcEndpoint{VpcId: aws.String("vpc"), ServiceName: aws.String("com.amazonaws.us-east-1." + s), VpcEndpointType: ec2types.VpcEndpointTypeInterface})
	}
	p.net = func() (*network, error) { return n, nil }
	for _, test := range []struct {
		name string
		step int
		want []want
	}{
		{"123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1", 0, nil},
		{"999999999999.dkr.ecr.us-east-1.amazonaws.com/x:1", 0, nil},
		{"busybox", 0, []want{{Fault, "in environment closed: its subnet subnet-1 reaches only VPC endpoints, and docker.io is on the internet", "flow image push"}}},
		{"lab/tools:1", 0, []want{{Fault, "docker.io is on the internet", "NAT gateway"}}},
		{"public.ecr.aws/lab/x:1", 0, []want{{Fault, "public.ecr.aws is on the internet", "NAT gateway"}}},
		{"registry.lab:5000/x:1", 0, []want{{Warning, "only if registry.lab:5000 is in its network", "NAT gateway"}}},
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1", 0, []want{{Warning, "only if 123456789012.dkr.ecr.eu-west-1.amazonaws.com is in its network", "into ECR of us-east-1"}}},
		{"busybox", 1, nil},
	} {
		var lines []Line
		if l := p.outOfReach(w, &image{name: test.name, steps: []*Step{&p.o.Steps[test.step]}}); l != nil {
			lines = append(lines, *l)
		}
		judge(t, test.name, lines, test.want...)
	}
	n.tables[0].Routes = []ec2types.Route{{DestinationCidrBlock: aws.String("10.0.0.0/8"), TransitGatewayId: aws.String("tgw-1")}}
	if l := p.outOfReach(w, &image{name: "busybox", steps: []*Step{&p.o.Steps[0]}}); l != nil {
		t.Errorf("by a transit gateway: %+v", l)
	}
}
