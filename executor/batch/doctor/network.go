package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A network is what EC2 has of the subnets and security groups of the environments.
type network struct {
	subnets   map[string]ec2types.Subnet
	groups    map[string]ec2types.SecurityGroup
	tables    []ec2types.RouteTable
	endpoints []ec2types.VpcEndpoint
}

// readNetwork reads it, with what is around: route tables and endpoints of the VPCs.
func (p *patient) readNetwork(ctx context.Context) (*network, error) {
	w, err := p.world()
	if err != nil {
		return nil, err
	}
	var subnets, groups []string
	for i := range w.environments {
		if r := w.environments[i].ComputeResources; r != nil {
			subnets, groups = append(subnets, r.Subnets...), append(groups, r.SecurityGroupIds...)
		}
	}
	n := &network{subnets: map[string]ec2types.Subnet{}, groups: map[string]ec2types.SecurityGroup{}}
	if len(subnets) == 0 {
		return n, nil
	}
	x, err := p.o.Cloud.EC2()
	if err != nil {
		return nil, err
	}
	var vpcs []string
	// By filters, since an id that is not there makes the whole call fail.
	for some := range slices.Chunk(unique(subnets), maxFiltered) {
		found, err := all(ctx, ec2.NewDescribeSubnetsPaginator(x, &ec2.DescribeSubnetsInput{Filters: filter("subnet-id", some)}))
		if err != nil {
			return nil, fmt.Errorf("ec2:DescribeSubnets: %w", err)
		}
		for _, page := range found {
			for _, s := range page.Subnets {
				n.subnets[aws.ToString(s.SubnetId)] = s
				vpcs = append(vpcs, aws.ToString(s.VpcId))
			}
		}
	}
	for some := range slices.Chunk(unique(groups), maxFiltered) {
		found, err := all(ctx, ec2.NewDescribeSecurityGroupsPaginator(x, &ec2.DescribeSecurityGroupsInput{Filters: filter("group-id", some)}))
		if err != nil {
			return nil, fmt.Errorf("ec2:DescribeSecurityGroups: %w", err)
		}
		for _, page := range found {
			for _, g := range page.SecurityGroups {
				n.groups[aws.ToString(g.GroupId)] = g
			}
		}
	}
	return n, n.readWays(ctx, x, unique(vpcs))
}

// readWays reads the route tables and endpoints of VPCs.
func (n *network) readWays(ctx context.Context, x *ec2.Client, vpcs []string) error {
	for some := range slices.Chunk(vpcs, maxFiltered) {
		tables, err := all(ctx, ec2.NewDescribeRouteTablesPaginator(x, &ec2.DescribeRouteTablesInput{Filters: filter("vpc-id", some)}))
		if err != nil {
			return fmt.Errorf("ec2:DescribeRouteTables: %w", err)
		}
		for _, page := range tables {
			n.tables = append(n.tables, page.RouteTables...)
		}
		endpoints, err := all(ctx, ec2.NewDescribeVpcEndpointsPaginator(x, &ec2.DescribeVpcEndpointsInput{Filters: filter("vpc-id", some)}))
		if err != nil {
			return fmt.Errorf("ec2:DescribeVpcEndpoints: %w", err)
		}
		for _, page := range endpoints {
			n.endpoints = append(n.endpoints, page.VpcEndpoints...)
		}
	}
	return nil
}

// maxFiltered is how many values a filter takes (EC2 API reference, Using filtering).
const maxFiltered = 200

func filter(name string, values []string) []ec2types.Filter {
	return []ec2types.Filter{{Name: &name, Values: values}}
}

// all reads the pages of a call of EC2.
func all[Page any](ctx context.Context, pages interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...func(*ec2.Options)) (*Page, error)
}) ([]*Page, error) {
	var list []*Page
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, page)
	}
	return list, nil
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// networks tells of each environment whether its subnets and security groups are there and
// let it reach what it needs.
func (p *patient) networks(context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return nil // that is said of the queues
	}
	n, err := p.net()
	if err != nil {
		return p.failed("network", err)
	}
	var lines []Line
	for i := range w.environments {
		e := &w.environments[i]
		if e.ComputeResources == nil {
			continue
		}
		where := ""
		if b := p.environmentBlock(aws.ToString(e.ComputeEnvironmentName)); b != nil {
			where = b.Pos.String()
		}
		for _, l := range p.networkOf(w, n, e) {
			lines = append(lines, l.at(where))
		}
	}
	return lines
}

func (p *patient) networkOf(w *world, n *network, e *types.ComputeEnvironmentDetail) []Line {
	name := aws.ToString(e.ComputeEnvironmentName)
	r := e.ComputeResources
	lines := p.groups(name, n, r)
	var ways []string
	for _, id := range r.Subnets {
		s, there := n.subnets[id]
		if !there {
			lines = append(lines, fault(name, p.mend(name, "subnets that are there", "--compute-resources subnets=SUBNET"), "the subnet %s does not exist in %s", id, p.o.Cloud.Region()))
			continue
		}
		way, line := p.route(w, n, e, &s)
		if line != nil {
			lines = append(lines, *line)
			continue
		}
		ways = appendNew(ways, way)
	}
	if len(lines) > 0 {
		return lines
	}
	if len(r.SecurityGroupIds) == 0 { // they are in the launch template
		return []Line{ok(name, "its subnets reach ECR and ECS by %s; the security groups of its launch template are not looked at", strings.Join(ways, ", "))}
	}
	return []Line{ok(name, "port 443 is let out, and its subnets reach ECR and ECS by %s", strings.Join(ways, ", "))}
}

// groups tells whether the security groups are there, and whether one lets port 443 out.
func (p *patient) groups(name string, n *network, r *types.ComputeResource) []Line {
	var lines []Line
	out, seen := false, 0
	for _, id := range r.SecurityGroupIds {
		g, there := n.groups[id]
		if !there {
			lines = append(lines, fault(name, p.mend(name, "security_group_ids that are there", "--compute-resources securityGroupIds=GROUP"), "the security group %s does not exist in %s", id, p.o.Cloud.Region()))
			continue
		}
		seen++
		out = out || slices.ContainsFunc(g.IpPermissionsEgress, letsOut)
	}
	if seen > 0 && !out {
		fix := p.aws(`ec2 authorize-security-group-egress --group-id %s --protocol tcp --port 443 --cidr 0.0.0.0/0`, r.SecurityGroupIds[0])
		lines = append(lines, fault(name, fix, "no security group of the environment lets port 443 out: instances and containers cannot reach ECS, ECR and CloudWatch Logs"))
	}
	return lines
}

// letsOut reports whether a rule lets HTTPS out to somewhere.
func letsOut(rule ec2types.IpPermission) bool {
	from, to := aws.ToInt32(rule.FromPort), aws.ToInt32(rule.ToPort)
	switch aws.ToString(rule.IpProtocol) {
	case "-1":
	case "tcp", "6":
		if from > 443 || to < 443 {
			return false
		}
	default:
		return false
	}
	return len(rule.IpRanges)+len(rule.Ipv6Ranges)+len(rule.PrefixListIds)+len(rule.UserIdGroupPairs) > 0
}

// templates tells whether the launch templates are there.
func (p *patient) templates(ctx context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return nil // that is said of the queues
	}
	var lines []Line
	for i := range w.environments {
		r := w.environments[i].ComputeResources
		if r == nil || r.LaunchTemplate == nil {
			continue
		}
		lines = append(lines, p.template(ctx, aws.ToString(w.environments[i].ComputeEnvironmentName), r.LaunchTemplate))
	}
	return lines
}

func (p *patient) template(ctx context.Context, name string, t *types.LaunchTemplateSpecification) Line {
	title := orElse(aws.ToString(t.LaunchTemplateName), aws.ToString(t.LaunchTemplateId))
	x, err := p.o.Cloud.EC2()
	if err != nil {
		return p.trouble(name, "ec2:DescribeLaunchTemplateVersions", err)
	}
	in := &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: t.LaunchTemplateId, LaunchTemplateName: t.LaunchTemplateName, Versions: []string{orElse(aws.ToString(t.Version), "$Default")}}
	if aws.ToString(t.LaunchTemplateId) != "" {
		in.LaunchTemplateName = nil
	}
	out, err := x.DescribeLaunchTemplateVersions(ctx, in)
	switch c := code(err); {
	case strings.HasPrefix(c, "InvalidLaunchTemplate"), err == nil && len(out.LaunchTemplateVersions) == 0:
		return fault(name, p.mend(name, "a launch_template that is there", "--compute-resources launchTemplate={launchTemplateName=NAME}"), "the launch template %s, version %s, does not exist", title, in.Versions[0])
	case err != nil:
		return p.trouble(name, "ec2:DescribeLaunchTemplateVersions", err)
	}
	return ok(name, "the launch template %s, version %s, is there", title, in.Versions[0])
}
