package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// imageTypes are those of Ec2Configuration.imageType.
var imageTypes = []string{
	"ECS_AL2023", "ECS_AL2023_NVIDIA", "ECS_AL2", "ECS_AL2_NVIDIA", "ECS_AL1", "EKS_AL2023", "EKS_AL2023_NVIDIA", "EKS_AL2", "EKS_AL2_NVIDIA",
}

var (
	instancePattern  = lazily(`^([a-z][a-z0-9-]*)(\.[a-z0-9-]+)?$`)
	armFamily        = lazily(`^(a1|[a-z]+[0-9]+g[a-z]*|is[0-9]+g[a-z]*|[a-z0-9]+-gb[0-9]+)$`)
	namePattern      = lazily(`^/?[\w+=,.@/-]{1,512}$`)
	roleARN          = lazily(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$`)
	profileARN       = lazily(`^arn:aws[a-z-]*:iam::[0-9]{12}:instance-profile/.+$`)
	clusterARN       = lazily(`^arn:aws[a-z-]*:eks:[a-z0-9-]+:[0-9]{12}:cluster/.+$`)
	namespacePattern = lazily(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// The bundles of instance types (ComputeResource.instanceTypes).
const (
	optimal    = "optimal"
	defaultX86 = "default_x86_64"
	defaultARM = "default_arm64"
)

// checkInstanceType returns what is wrong with an element of instance_types, or "".
func checkInstanceType(s string) string {
	switch s {
	case optimal, defaultX86, defaultARM:
		return ""
	}
	if instancePattern().MatchString(s) {
		return ""
	}
	hint := suggest(s, []string{optimal, defaultX86, defaultARM})
	return fmt.Sprintf("%q is no type of instance: write a type (\"c6i.xlarge\"), a family (\"c6i\"), \"optimal\", \"default_x86_64\" or \"default_arm64\".%s", s, hint)
}

// onARM reports whether an instance type, family or bundle is of Graviton, as its name says:
// a g behind the generation (Amazon EC2 instance type naming conventions).
func onARM(s string) bool {
	family, _, _ := strings.Cut(s, ".")
	return s == defaultARM || armFamily().MatchString(family)
}

// checkID returns a check that a text begins as the ids of what do.
func checkID(what, prefix string) func(string) string {
	return func(s string) string {
		if rest, ok := strings.CutPrefix(s, prefix); ok && rest != "" && resourcePattern().MatchString(s) {
			return ""
		}
		return fmt.Sprintf("%q is no id of a %s, which begins with %s.", s, what, prefix)
	}
}

// toRole reads the name or ARN of a role.
func toRole(v cty.Value) (string, error) {
	s, err := toText(v)
	switch {
	case err != nil:
	case strings.HasPrefix(s, "arn:") && !roleARN().MatchString(s):
		err = fmt.Errorf("%q is no ARN of a role, such as arn:aws:iam::123456789012:role/name", s)
	case !strings.HasPrefix(s, "arn:") && !namePattern().MatchString(s):
		err = fmt.Errorf("%q is neither the name of a role nor its ARN", s)
	}
	return s, err
}

// toInstanceRole reads the name or ARN of an instance profile
// (ComputeResource.instanceRole).
func toInstanceRole(v cty.Value) (string, error) {
	s, err := toText(v)
	switch {
	case err != nil:
	case roleARN().MatchString(s):
		err = fmt.Errorf("%q is the ARN of a role, and AWS Batch takes an instance profile here: its name, or arn:aws:iam::<account>:instance-profile/<name>", s)
	case strings.HasPrefix(s, "arn:") && !profileARN().MatchString(s):
		err = fmt.Errorf("%q is no ARN of an instance profile, such as arn:aws:iam::123456789012:instance-profile/ecsInstanceRole", s)
	case !strings.HasPrefix(s, "arn:") && !namePattern().MatchString(s):
		err = fmt.Errorf("%q is neither the name of an instance profile nor its ARN", s)
	}
	return s, err
}

func toClusterARN(v cty.Value) (string, error) {
	s, err := toText(v)
	if err == nil && !clusterARN().MatchString(s) {
		err = fmt.Errorf("%q is no ARN of a cluster of Amazon EKS, such as arn:aws:eks:eu-west-1:123456789012:cluster/name", s)
	}
	return s, err
}

// toNamespace reads a namespace of Kubernetes (EksConfiguration.kubernetesNamespace).
func toNamespace(v cty.Value) (string, error) {
	s, err := toText(v)
	switch {
	case err != nil:
	case s == "default" || strings.HasPrefix(s, "kube-"):
		err = fmt.Errorf("AWS Batch cannot use the namespace %q: neither default nor one that begins with kube-", s)
	case !namespacePattern().MatchString(s):
		err = fmt.Errorf("%q is no namespace of Kubernetes: 1 to 63 lower-case letters, digits and -, and no - at either end", s)
	}
	return s, err
}

// notOnFargate are the arguments and blocks of a compute environment that Fargate does not
// have (ComputeResource).
var notOnFargate = []string{
	"allocation_strategy", "min_vcpus", "desired_vcpus", "instance_types", "bid_percentage", "instance_role", "spot_iam_fleet_role",
	"ec2_key_pair", "placement_group", "instance_tags", "launch_template", "ec2_configuration", "scaling_policy", "eks_configuration",
}

// Limits of compute environments on Fargate (ComputeResource; AwsVpcConfiguration of ECS).
const (
	maxFargateSubnets = 16
	maxFargateGroups  = 5
)

// checkEnvironment checks what goes together in a compute environment.
func (b *infraBlock) checkEnvironment(e *engine.ComputeEnvironment) {
	if b.known["min_vcpus"] && b.known["max_vcpus"] && e.MinVCPUs > e.MaxVCPUs {
		b.wrongArg("min_vcpus", "min_vcpus is %d, and max_vcpus only %d. Lower the one or raise the other.", e.MinVCPUs, e.MaxVCPUs)
	} else if d := e.DesiredVCPUs; d != nil && (*d < e.MinVCPUs || b.known["max_vcpus"] && *d > e.MaxVCPUs) {
		b.wrongArg("desired_vcpus", "desired_vcpus is %d, and must be between min_vcpus, %d, and max_vcpus, %d. Leave it out to let AWS Batch decide.", *d, e.MinVCPUs, e.MaxVCPUs)
	}
	switch {
	case b.has("existing"):
	case e.Type == "" || e.Fargate():
		b.require(`type = "SPOT"`, "max_vcpus = 256", `subnets = ["subnet-..."]`, `security_group_ids = ["sg-..."]`)
	default:
		need := []string{"max_vcpus = 256", `instance_types = ["optimal"]`, `subnets = ["subnet-..."]`}
		if e.LaunchTemplate == nil {
			need = append(need, `security_group_ids = ["sg-..."]`)
		}
		if b.c.part("eks_configuration") != nil {
			need = append(need, `instance_role = "..."`)
		}
		b.require(need...)
	}
	b.notEmpty("subnets", e.Subnets)
	b.notEmpty("instance_types", e.InstanceTypes)
	if e.LaunchTemplate == nil {
		b.notEmpty("security_group_ids", e.SecurityGroups)
	}
	switch {
	case e.Type == "":
	case e.Fargate():
		b.checkFargate(e)
	default:
		b.checkInstances(e)
		b.checkStrategy(e)
		b.checkEKS(e)
	}
}

// notEmpty reports a list without elements.
func (b *infraBlock) notEmpty(name string, list []string) {
	if b.known[name] && len(list) == 0 {
		b.wrongArg(name, "%s is an empty list; AWS Batch needs at least one.", name)
	}
}

// checkFargate reports what a compute environment on Fargate cannot have.
func (b *infraBlock) checkFargate(e *engine.ComputeEnvironment) {
	for _, name := range notOnFargate {
		var rng hcl.Range
		if a := b.as.get(name); a != nil {
			rng = a.nameRange
		} else if p := b.c.part(name); p != nil {
			rng = p.rng
		} else {
			continue
		}
		b.diags = append(b.diags, errorf(rng, "Not possible on Fargate",
			"%s is not applicable for Fargate, which has no instances of yours. Remove it, or use type = \"EC2\" or \"SPOT\".", name))
	}
	if n := len(e.Subnets); n > maxFargateSubnets {
		b.wrongArg("subnets", "There are %d subnets; on Fargate AWS Batch takes at most %d.", n, maxFargateSubnets)
	}
	if n := len(e.SecurityGroups); n > maxFargateGroups {
		b.wrongArg("security_group_ids", "There are %d security groups; on Fargate AWS Batch takes at most %d.", n, maxFargateGroups)
	}
}

// checkInstances checks that all instances are of one architecture.
func (b *infraBlock) checkInstances(e *engine.ComputeEnvironment) {
	if len(e.InstanceTypes) == 0 {
		return
	}
	first := e.InstanceTypes[0]
	for i, s := range e.InstanceTypes {
		if onARM(s) == onARM(first) {
			continue
		}
		arch := map[bool]string{true: "ARM64", false: "X86_64"}
		b.errorf(itemRange(b.as.get("instance_types").expr, i), "%s is of %s and %s of %s; the instances of a compute environment have one architecture. Make a second compute environment.",
			first, arch[onARM(first)], s, arch[onARM(s)])
		return
	}
}

// checkStrategy checks the allocation strategy, and what Spot needs.
func (b *infraBlock) checkStrategy(e *engine.ComputeEnvironment) {
	spot := e.Type == engine.TypeSpot
	if strings.HasPrefix(e.AllocationStrategy, "SPOT_") && !spot {
		b.wrongArg("allocation_strategy", "%s is for type = \"SPOT\" only; with %s use BEST_FIT_PROGRESSIVE.", e.AllocationStrategy, e.Type)
	}
	if b.has("bid_percentage") && !spot {
		b.wrongArg("bid_percentage", "bid_percentage is how much of the on-demand price Spot instances may cost, so it is for type = \"SPOT\" only. Remove it.")
	}
	unset := !b.has("allocation_strategy") || e.AllocationStrategy == bestFit
	roles := e.CreateRoles || b.has("create_roles") && !b.known["create_roles"]
	if spot && unset && b.c.part("eks_configuration") == nil && !b.has("spot_iam_fleet_role") && !roles {
		b.wrongArg("allocation_strategy", "With the allocation strategy BEST_FIT, which is the default, AWS Batch asks for Spot instances by a role. "+
			"Add allocation_strategy = \"SPOT_PRICE_CAPACITY_OPTIMIZED\", which needs none, or spot_iam_fleet_role, or create_roles = true.")
	}
}

// checkEKS checks what goes with a cluster of Amazon EKS.
func (b *infraBlock) checkEKS(e *engine.ComputeEnvironment) {
	eks := b.c.part("eks_configuration")
	if eks != nil {
		if !b.has("allocation_strategy") || e.AllocationStrategy == bestFit {
			rng := eks.rng
			if a := b.as.get("allocation_strategy"); a != nil {
				rng = a.expr.Range()
			}
			b.errorf(rng, "On Amazon EKS AWS Batch needs an allocation strategy other than BEST_FIT. Write allocation_strategy = \"BEST_FIT_PROGRESSIVE\"; for SPOT \"SPOT_PRICE_CAPACITY_OPTIMIZED\".")
		}
		if e.CreateRoles {
			b.wrongArg("create_roles", "flow makes roles for instances of ECS, not for nodes of Amazon EKS. Remove create_roles.")
		}
	}
	for _, p := range b.c.parts {
		if p.typ == "ec2_configuration" {
			b.checkImage(b.part(p), eks != nil)
		}
	}
}

// checkImage checks that an ec2_configuration is for the orchestrator of its environment.
func (b *infraBlock) checkImage(p *infraBlock, eks bool) {
	prefix := "ECS_"
	if eks {
		prefix = "EKS_"
	}
	if a := p.as.get("image_type"); a != nil {
		v, _ := b.ev.eval(a, b.ctx)
		if s, err := toText(v); err == nil && slices.Contains(imageTypes, strings.ToUpper(s)) && !strings.HasPrefix(strings.ToUpper(s), prefix) {
			p.wrongArg("image_type", "%s is not for this compute environment, which needs an image whose type begins with %s.", s, prefix)
		}
	}
	if !eks && p.has("image_kubernetes_version") {
		p.wrongArg("image_kubernetes_version", "image_kubernetes_version is for compute environments on Amazon EKS only. Remove it.")
	}
}

// checkTemplate checks a launch_template block (LaunchTemplateSpecification).
func (b *infraBlock) checkTemplate() {
	switch id, name := b.has("id"), b.has("name"); {
	case id && name:
		b.diags = append(b.diags, errorf(b.as.get("name").nameRange, "Conflicting arguments", "A launch template is named by its id or by its name. Remove one."))
	case !id && !name && !b.incomplete:
		b.diags = append(b.diags, errorf(b.what, "Missing required argument", "Say which launch template: id = \"lt-...\", or name = \"...\"."))
	}
}
