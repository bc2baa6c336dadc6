package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// byEndpoints is the way of a subnet that reaches AWS and nothing else.
const byEndpoints = "VPC endpoints"

// route tells by which way a subnet reaches ECR, ECS and CloudWatch Logs; a line if by none,
// or if nobody can tell from here.
func (p *patient) route(w *world, n *network, e *types.ComputeEnvironmentDetail, s *ec2types.Subnet) (way string, wrong *Line) {
	name, id := aws.ToString(e.ComputeEnvironmentName), aws.ToString(s.SubnetId)
	table := n.table(s)
	if table == nil {
		// Every VPC has a main table: this one is of another account, which shares the subnet.
		l := skipped(name, "the route table of %s is not to be seen from this account, so that its way to ECR is not known", id)
		return "", &l
	}
	out := defaultRoute(table)
	if out != nil && out.State == ec2types.RouteStateBlackhole {
		l := fault(name, fmt.Sprintf("make a NAT gateway or an internet gateway anew, and set the route 0.0.0.0/0 of %s to it", aws.ToString(table.RouteTableId)),
			"no route to ECR from %s: what its route 0.0.0.0/0 leads to does not exist any more", id)
		return "", &l
	}
	target := targetOf(out)
	public := strings.HasPrefix(target, "igw-")
	if target != "" && !public {
		return target, nil
	}
	if public {
		line := p.publicAddress(w, e, s, target)
		if line == nil {
			return target + " with a public IP address", nil
		}
		wrong = line
	}
	missing := n.missingEndpoints(p.o.Cloud.Region(), table, needsECS(e))
	switch {
	case len(missing) == 0:
		return byEndpoints, nil
	case wrong != nil:
		return "", wrong
	}
	l := p.closed(name, id, table, s, missing)
	return "", &l
}

// closed says that a subnet has no route to everywhere, and lacks endpoints. It is a fault
// only where nothing else can be the way: other networks that it leads to may have
// endpoints for it, those of a VPC that another account shares are not to be seen, and
// IPv6 does for what knows it.
func (p *patient) closed(name, id string, table *ec2types.RouteTable, s *ec2types.Subnet, missing []string) Line {
	list := strings.Join(missing, ", ")
	fix := fmt.Sprintf("give the route table of %s a route 0.0.0.0/0 to a NAT gateway, or make VPC endpoints of %s in %s, or use public subnets", id, list, aws.ToString(s.VpcId))
	who, err := p.o.Cloud.Identity()
	switch other := otherWay(table); {
	case slices.Equal(missing, []string{"ecs-telemetry"}):
		return warning(name, fix, "%s has no route to the internet, and its VPC has no endpoint of ecs-telemetry: jobs run, and ECS has no figures of its instances", id)
	case other != "":
		return warning(name, fix, "whether there is a route to ECR from %s is not known: it has none to the internet, its VPC has no endpoints of %s, and what is behind %s flow cannot see", id, list, other)
	case err == nil && aws.ToString(s.OwnerId) != "" && *s.OwnerId != who.Account:
		return warning(name, fix, "whether there is a route to ECR from %s is not known: it has none to the internet, and the VPC endpoints are of the account %s, which shares it", id, *s.OwnerId)
	}
	return fault(name, fix, "no route to ECR from %s: it has no route to the internet, and its VPC has no endpoints of %s", id, list)
}

// needsECS reports whether the instances of an environment are to join a cluster of ECS.
func needsECS(e *types.ComputeEnvironmentDetail) bool {
	return !isFargate(e.ComputeResources.Type) && !onEKS(e)
}

// onEKS reports whether an environment is on a cluster of EKS.
func onEKS(e *types.ComputeEnvironmentDetail) bool {
	return e.EksConfiguration != nil && aws.ToString(e.EksConfiguration.EksClusterArn) != ""
}

// publicAddress says if what is started in a public subnet gets no public address, without
// which an internet gateway passes nothing (VPC User Guide, VPC_Internet_Gateway). On
// Fargate the job says so, on EC2 the subnet or the launch template does.
func (p *patient) publicAddress(w *world, e *types.ComputeEnvironmentDetail, s *ec2types.Subnet, gateway string) *Line {
	name, id := aws.ToString(e.ComputeEnvironmentName), aws.ToString(s.SubnetId)
	if !isFargate(e.ComputeResources.Type) {
		if aws.ToBool(s.MapPublicIpOnLaunch) {
			return nil
		}
		fix := p.aws("ec2 modify-subnet-attribute --subnet-id %s --map-public-ip-on-launch", id) + "; or use private subnets with NAT or VPC endpoints"
		if e.ComputeResources.LaunchTemplate != nil {
			l := warning(name, fix, "%s is public (by %s) and gives instances no public IP address: there is a route to ECR only if the launch template gives them one", id, gateway)
			return &l
		}
		l := fault(name, fix, "no route to ECR from %s: it is public (by %s) and gives instances no public IP address", id, gateway)
		return &l
	}
	for _, step := range p.usedBy(w, e) {
		if box := step.Spec.Task.Container; step.Spec.Task.JobDefinition == "" && (box == nil || box.Network != "public") {
			l := fault(name, `write network = "public" in the step's container block, or use private subnets with NAT or VPC endpoints`,
				"no route to ECR from %s: it is public (by %s), and the tasks of step %s get no public IP address", id, gateway, step.Spec.Step).at(step.where("container.network"))
			return &l
		}
	}
	return nil
}

// table returns the route table of a subnet: its own, else the main one of its VPC.
func (n *network) table(s *ec2types.Subnet) *ec2types.RouteTable {
	var main *ec2types.RouteTable
	for i := range n.tables {
		t := &n.tables[i]
		for _, a := range t.Associations {
			if aws.ToString(a.SubnetId) == aws.ToString(s.SubnetId) {
				return t
			}
			if aws.ToBool(a.Main) && aws.ToString(t.VpcId) == aws.ToString(s.VpcId) {
				main = t
			}
		}
	}
	return main
}

// defaultRoute returns the route to everywhere, or to one half of it as some write it; nil:
// there is none.
func defaultRoute(t *ec2types.RouteTable) *ec2types.Route {
	for _, everywhere := range []string{"0.0.0.0/0", "0.0.0.0/1"} {
		if i := slices.IndexFunc(t.Routes, func(r ec2types.Route) bool { return aws.ToString(r.DestinationCidrBlock) == everywhere }); i >= 0 {
			return &t.Routes[i]
		}
	}
	return nil
}

// otherWay returns what some route leads to that goes out of the VPC and not to everywhere,
// or over IPv6; "": none does. A route to the prefix list of a gateway endpoint is none.
func otherWay(t *ec2types.RouteTable) string {
	for i := range t.Routes {
		r := &t.Routes[i]
		target := targetOf(r)
		if target == "" || r.State == ec2types.RouteStateBlackhole || strings.HasPrefix(target, "vpce-") && aws.ToString(r.DestinationPrefixListId) != "" {
			continue
		}
		return target
	}
	return ""
}

// targetOf returns what a route leads to.
func targetOf(r *ec2types.Route) string {
	if r == nil {
		return ""
	}
	for _, id := range []*string{r.NatGatewayId, r.GatewayId, r.EgressOnlyInternetGatewayId, r.TransitGatewayId, r.InstanceId, r.NetworkInterfaceId, r.VpcPeeringConnectionId, r.LocalGatewayId, r.CoreNetworkArn, r.CarrierGatewayId} {
		if aws.ToString(id) != "" && aws.ToString(id) != "local" {
			return *id
		}
	}
	return ""
}

// missingEndpoints names the VPC endpoints that jobs without another way out need and that
// are not there: of ECR and of the S3 buckets that its layers are in, of CloudWatch Logs,
// and, for instances of ECS, of that (ECR User Guide, vpc-endpoints; ECS Developer Guide,
// vpc-endpoints).
func (n *network) missingEndpoints(region string, table *ec2types.RouteTable, ofECS bool) []string {
	services := []string{"ecr.api", "ecr.dkr", "logs", "s3"}
	if ofECS {
		services = append(services, "ecs", "ecs-agent", "ecs-telemetry")
	}
	return slices.DeleteFunc(services, func(service string) bool {
		return slices.ContainsFunc(n.endpoints, func(e ec2types.VpcEndpoint) bool {
			return aws.ToString(e.VpcId) == aws.ToString(table.VpcId) && strings.HasSuffix(aws.ToString(e.ServiceName), "."+region+"."+service) && serves(&e, table)
		})
	})
}

// serves reports whether an endpoint is in use for the subnets of a route table. The
// API writes its states small, and its reference large.
func serves(e *ec2types.VpcEndpoint, table *ec2types.RouteTable) bool {
	if e.State != "" && !strings.EqualFold(string(e.State), string(ec2types.StateAvailable)) {
		return false
	}
	return e.VpcEndpointType != ec2types.VpcEndpointTypeGateway || slices.Contains(e.RouteTableIds, aws.ToString(table.RouteTableId))
}
