package doctor

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// TestRoute looks at every way out of a subnet, and at their want.
func TestRoute(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	to := func(r ec2types.Route) *ec2types.RouteTable {
		r.DestinationCidrBlock = aws.String("0.0.0.0/0")
		return &ec2types.RouteTable{RouteTableId: aws.String("rtb-1"), VpcId: aws.String("vpc-1"), Routes: []ec2types.Route{{DestinationCidrBlock: aws.String("10.0.0.0/16"), GatewayId: aws.String("local")}, r}}
	}
	closed := &ec2types.RouteTable{RouteTableId: aws.String("rtb-1"), VpcId: aws.String("vpc-1"), Routes: []ec2types.Route{{DestinationCidrBlock: aws.String("10.0.0.0/16"), GatewayId: aws.String("local")}}}
	public := to(ec2types.Route{GatewayId: aws.String("igw-1")})
	endpoints := func(table string, services ...string) []ec2types.VpcEndpoint {
		var list []ec2types.VpcEndpoint
		for _, s := range services {
			e := ec2types.VpcEndpoint{VpcId: aws.String("vpc-1"), ServiceName: aws.String("com.amazonaws.us-east-1." + s), VpcEndpointType: ec2types.VpcEndpointTypeInterface}
			if s == "s3" {
				e.VpcEndpointType, e.RouteTableIds = ec2types.VpcEndpointTypeGateway, []string{table}
			}
			list = append(list, e)
		}
		return list
	}
	with := func(r ec2types.Route) *ec2types.RouteTable {
		table := *closed
		table.Routes = append(slices.Clone(table.Routes), r)
		return &table
	}
	half := with(ec2types.Route{DestinationCidrBlock: aws.String("0.0.0.0/1"), TransitGatewayId: aws.String("tgw-1")})
	deleting := func(list []ec2types.VpcEndpoint) []ec2types.VpcEndpoint {
		for i := range list {
			list[i].State = "available" // as the API writes it
		}
		list[0].State = "deleting"
		return list
	}
	ofEC2 := []string{"ecr.api", "ecr.dkr", "s3", "logs", "ecs", "ecs-agent", "ecs-telemetry"}
	fargate := func(d *types.ComputeEnvironmentDetail) { d.ComputeResources.Type = types.CRTypeFargate }
	template := func(d *types.ComputeEnvironmentDetail) {
		d.ComputeResources.LaunchTemplate = &types.LaunchTemplateSpecification{}
	}
	eks := func(d *types.ComputeEnvironmentDetail) {
		d.EksConfiguration = &types.EksConfiguration{EksClusterArn: aws.String("arn:aws:eks:us-east-1:1:cluster/x")}
	}
	same := func(*types.ComputeEnvironmentDetail) {}
	assigned := func(name string) func(*engine.TaskSpec) {
		return func(task *engine.TaskSpec) {
			task.Container = &engine.Container{Platform: "FARGATE", Network: name}
		}
	}
	for _, test := range []struct {
		name      string
		table     *ec2types.RouteTable
		main      bool
		endpoints []ec2types.VpcEndpoint
		public    bool // MapPublicIpOnLaunch
		change    func(*types.ComputeEnvironmentDetail)
		step      func(*engine.TaskSpec)
		way       string
		want      []want
	}{
		{name: "public", table: public, public: true, way: "igw-1 with a public IP address"},
		{name: "public, by the main table", table: public, main: true, public: true, way: "igw-1 with a public IP address"},
		{name: "public without an address", table: public, want: []want{{Fault, "no route to ECR from subnet-1: it is public (by igw-1) and gives instances no public IP address", "modify-subnet-attribute --subnet-id subnet-1 --map-public-ip-on-launch"}}},
		{name: "public, and the template says", table: public, change: template, want: []want{{Warning, "only if the launch template gives them one", "map-public-ip-on-launch"}}},
		{name: "public without an address, with endpoints", table: public, endpoints: endpoints("rtb-1", ofEC2...), way: "VPC endpoints"},
		{name: "NAT", table: to(ec2types.Route{NatGatewayId: aws.String("nat-1")}), way: "nat-1"},
		{name: "transit gateway", table: to(ec2types.Route{TransitGatewayId: aws.String("tgw-1")}), way: "tgw-1"},
		{name: "NAT instance", table: to(ec2types.Route{InstanceId: aws.String("i-1"), NetworkInterfaceId: aws.String("eni-1")}), way: "i-1"},
		{name: "black hole", table: to(ec2types.Route{NatGatewayId: aws.String("nat-1"), State: ec2types.RouteStateBlackhole}), want: []want{{Fault, "what its route 0.0.0.0/0 leads to does not exist any more", "rtb-1"}}},
		{name: "closed", table: closed, want: []want{{Fault, "no endpoints of ecr.api, ecr.dkr, logs, s3, ecs, ecs-agent, ecs-telemetry", "0.0.0.0/0 to a NAT gateway, or make VPC endpoints of ecr.api"}}},
		{name: "endpoints", table: closed, endpoints: endpoints("rtb-1", ofEC2...), way: "VPC endpoints"},
		{name: "one is missing", table: closed, endpoints: endpoints("rtb-1", ofEC2[1:]...), want: []want{{Fault, "its VPC has no endpoints of ecr.api", "VPC endpoints of ecr.api in vpc-1"}}},
		{name: "S3 by another table", table: closed, endpoints: endpoints("rtb-2", ofEC2...), want: []want{{Fault, "no endpoints of s3", "VPC endpoints of s3"}}},
		{name: "Fargate needs fewer", table: closed, change: fargate, endpoints: endpoints("rtb-1", ofEC2[:4]...), way: "VPC endpoints"},
		{name: "Fargate, public", table: public, change: fargate, step: assigned("public"), way: "igw-1 with a public IP address"},
		{name: "Fargate, no address", table: public, public: true, change: fargate, step: assigned("private"), want: []want{{Fault, "the tasks of step s get no public IP address", `network = "public"`}}},
		{name: "another account's table", table: nil, want: []want{{Skipped, "the route table of subnet-1 is not to be seen from this account", ""}}},
		{name: "split in two", table: half, way: "tgw-1"},
		{name: "to another network", table: with(ec2types.Route{DestinationCidrBlock: aws.String("10.0.0.0/8"), TransitGatewayId: aws.String("tgw-1")}), want: []want{{Warning, "is not known: it has none to the internet, its VPC has no endpoints of ecr.api, ecr.dkr, logs, s3, ecs, ecs-agent, ecs-telemetry, and what is behind tgw-1", "NAT gateway"}}},
		{name: "to another network, by a prefix list", table: with(ec2types.Route{DestinationPrefixListId: aws.String("pl-1"), VpcPeeringConnectionId: aws.String("pcx-1")}), want: []want{{Warning, "what is behind pcx-1", "NAT gateway"}}},
		{name: "over IPv6", table: with(ec2types.Route{DestinationIpv6CidrBlock: aws.String("::/0"), EgressOnlyInternetGatewayId: aws.String("eigw-1")}), want: []want{{Warning, "what is behind eigw-1", "NAT gateway"}}},
		{name: "to a network that is gone", table: with(ec2types.Route{DestinationCidrBlock: aws.String("10.0.0.0/8"), TransitGatewayId: aws.String("tgw-1"), State: ec2types.RouteStateBlackhole}), want: []want{{Fault, "no route to ECR", "NAT gateway"}}},
		{name: "S3 alone", table: with(ec2types.Route{DestinationPrefixListId: aws.String("pl-1"), GatewayId: aws.String("vpce-1")}), endpoints: endpoints("rtb-1", "s3"), want: []want{{Fault, "no endpoints of ecr.api, ecr.dkr, logs, ecs, ecs-agent, ecs-telemetry", "NAT gateway"}}},
		{name: "an endpoint that is being deleted", table: closed, endpoints: deleting(endpoints("rtb-1", ofEC2...)), want: []want{{Fault, "no endpoints of ecr.api", "VPC endpoints of ecr.api in vpc-1"}}},
		{name: "no figures", table: closed, endpoints: endpoints("rtb-1", ofEC2[:6]...), want: []want{{Warning, "no endpoint of ecs-telemetry: jobs run", "VPC endpoints of ecs-telemetry"}}},
		{name: "EKS needs fewer", table: closed, change: eks, endpoints: endpoints("rtb-1", ofEC2[:4]...), way: "VPC endpoints"},
	} {
		if test.change == nil {
			test.change = same
		}
		if test.step == nil {
			test.step = func(*engine.TaskSpec) {}
		}
		p.o.Steps = []Step{sketch("x", test.step)}
		w := &world{environments: []types.ComputeEnvironmentDetail{environment("e", test.change)}, queues: []queue{queueOf("x", []string{"e"})}}
		n := &network{endpoints: test.endpoints}
		if test.table != nil {
			table := *test.table
			table.Associations = []ec2types.RouteTableAssociation{{SubnetId: aws.String("subnet-1")}}
			if test.main {
				table.Associations = []ec2types.RouteTableAssociation{{Main: aws.Bool(true)}}
			}
			n.tables = []ec2types.RouteTable{table, {VpcId: aws.String("vpc-2"), Associations: []ec2types.RouteTableAssociation{{Main: aws.Bool(true)}}}}
		}
		way, wrong := p.route(w, n, &w.environments[0], &ec2types.Subnet{SubnetId: aws.String("subnet-1"), VpcId: aws.String("vpc-1"), MapPublicIpOnLaunch: &test.public})
		var lines []Line
		if wrong != nil {
			lines = append(lines, *wrong)
		}
		judge(t, test.name, lines, test.want...)
		if way != test.way {
			t.Errorf("%s: by %q, want %q", test.name, way, test.way)
		}
	}
}

func TestLetsOut(t *testing.T) {
	everywhere := []ec2types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}
	for name, test := range map[string]struct {
		rule ec2types.IpPermission
		want bool
	}{
		"all":           {ec2types.IpPermission{IpProtocol: aws.String("-1"), IpRanges: everywhere}, true},
		"HTTPS":         {ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: everywhere}, true},
		"a range":       {ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(0), ToPort: aws.Int32(65535), PrefixListIds: []ec2types.PrefixListId{{}}}, true},
		"to nobody":     {ec2types.IpPermission{IpProtocol: aws.String("-1")}, false},
		"SSH":           {ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), IpRanges: everywhere}, false},
		"from above it": {ec2types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(1024), ToPort: aws.Int32(65535), IpRanges: everywhere}, false},
		"UDP":           {ec2types.IpPermission{IpProtocol: aws.String("udp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: everywhere}, false},
	} {
		if got := letsOut(test.rule); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestElsewhere asks moto, which stands in for the services beside AWS Batch.
func TestElsewhere(t *testing.T) {
	url := fetched.Moto(t)
	isolate(t, "AWS_ENDPOINT_URL_EC2", url, "AWS_ENDPOINT_URL_IAM", url, "AWS_ENDPOINT_URL_STS", url, "AWS_ENDPOINT_URL_S3", url)
	t.Run("networks", testNetworks)
	t.Run("roles", testRoles)
	t.Run("bucket", testBucket)
}

func testNetworks(t *testing.T) {
	p := at(t, "http://127.0.0.1:1")
	x, err := p.o.Cloud.EC2()
	if err != nil {
		t.Fatal(err)
	}
	vpc, err := x.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := x.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String("10.0.1.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	group, err := x.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{VpcId: vpc.Vpc.VpcId, GroupName: aws.String("g"), Description: aws.String("g")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.RevokeSecurityGroupEgress(t.Context(), &ec2.RevokeSecurityGroupEgressInput{GroupId: group.GroupId, IpPermissions: []ec2types.IpPermission{{IpProtocol: aws.String("-1"), IpRanges: []ec2types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("lt"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{UserData: aws.String("eA==")}}); err != nil {
		t.Fatal(err)
	}
	w := &world{environments: []types.ComputeEnvironmentDetail{environment("e", func(d *types.ComputeEnvironmentDetail) {
		d.ComputeResources.Subnets = []string{*subnet.Subnet.SubnetId, "subnet-0000000000000none"}
		d.ComputeResources.SecurityGroupIds = []string{*group.GroupId, "sg-0000000000000none"}
		d.ComputeResources.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("lt")}
	}), environment("f", func(d *types.ComputeEnvironmentDetail) {
		d.ComputeResources.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nothing"), Version: aws.String("$Latest")}
	})}}
	p.world = func() (*world, error) { return w, nil }
	p.net = func() (*network, error) { return p.readNetwork(t.Context()) }
	judge(t, "networks", p.networks(t.Context()),
		want{Fault, "the security group sg-0000000000000none does not exist in us-east-1", "--compute-resources securityGroupIds="},
		want{Fault, "no security group of the environment lets port 443 out", "authorize-security-group-egress --group-id " + *group.GroupId},
		want{Fault, "no route to ECR", "NAT gateway"},
		want{Fault, "the subnet subnet-0000000000000none does not exist", "--compute-resources subnets="},
		want{OK, "f: its subnets reach ECR and ECS by ; the security groups of its launch template are not looked at", ""},
	)
	n, err := p.net()
	if err != nil {
		t.Fatal(err)
	}
	shared := n.subnets[*subnet.Subnet.SubnetId]
	shared.OwnerId = aws.String("999999999999")
	_, line := p.route(w, n, &w.environments[0], &shared)
	judge(t, "shared", []Line{*line}, want{Warning, "the VPC endpoints are of the account 999999999999, which shares it", "NAT gateway"})
	judge(t, "templates", p.templates(t.Context()), want{OK, "the launch template lt, version $Default, is there", ""}, want{Fault, "the launch template nothing, version $Latest, does not exist", "launchTemplate={launchTemplateName=NAME}"})
}
