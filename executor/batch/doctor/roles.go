package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"flow/executor/batch/cloud"
)

// A duty is what a role is for: who assumes it, and the policy of AWS that lets it do that
// (Batch User Guide, instance_IAM_role, service_IAM_role, spot_fleet_IAM_role,
// execution-IAM-role).
type duty struct {
	title, service, policy string
}

var (
	instanceDuty  = duty{"instance role", "ec2.amazonaws.com", "AmazonEC2ContainerServiceforEC2Role"}
	serviceDuty   = duty{"service role", "batch.amazonaws.com", "AWSBatchServiceRole"}
	spotDuty      = duty{"Spot fleet role", "spotfleet.amazonaws.com", "AmazonEC2SpotFleetTaggingRole"}
	executionDuty = duty{"execution role", "ecs-tasks.amazonaws.com", "AmazonECSTaskExecutionRolePolicy"}
	jobDuty       = duty{"job role", "ecs-tasks.amazonaws.com", ""}
	nodeDuty      = duty{"instance role", "ec2.amazonaws.com", ""} // of nodes of EKS, whose policies are not those of ECS
)

// environmentRoles looks at the roles that environments name.
func (p *patient) environmentRoles(ctx context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return nil // that is said of the queues
	}
	var lines []Line
	seen := map[string]bool{}
	add := func(name string, d duty, of string, fix string) {
		if name != "" && !seen[d.title+name] {
			seen[d.title+name] = true
			lines = append(lines, p.role(ctx, name, d, of, fix))
		}
	}
	for i := range w.environments {
		e := &w.environments[i]
		name := aws.ToString(e.ComputeEnvironmentName)
		const create = "let flow make it (create_roles = true in the environment's block, and flow infra apply), or create it as the Batch User Guide says"
		if role := aws.ToString(e.ServiceRole); !strings.HasSuffix(role, "/AWSServiceRoleForBatch") { // that one AWS makes
			add(role, serviceDuty, name, "leave service_role out, for AWSServiceRoleForBatch")
		}
		if r := e.ComputeResources; r != nil && !isFargate(r.Type) {
			if profile := aws.ToString(r.InstanceRole); profile != "" && !seen[profile] {
				seen[profile] = true
				duty := instanceDuty
				if onEKS(e) {
					duty = nodeDuty
				}
				lines = append(lines, p.profile(ctx, profile, duty, name, create))
			}
			if r.Type == types.CRTypeSpot && bestFit(r) { // others need none (ComputeResource.spotIamFleetRole)
				add(aws.ToString(r.SpotIamFleetRole), spotDuty, name, create)
			}
		}
	}
	return lines
}

// stepRoles looks at the roles that steps name.
func (p *patient) stepRoles(ctx context.Context) []Line {
	var lines []Line
	seen := map[string]bool{}
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		box := s.Spec.Task.Container
		if box == nil {
			continue
		}
		for _, r := range []struct {
			arn, arg string
			duty
		}{{box.JobRole, "job_role", jobDuty}, {box.ExecutionRole, "execution_role", executionDuty}} {
			if r.arn == "" || seen[r.title+r.arn] {
				continue
			}
			seen[r.title+r.arn] = true
			const fix = "create it, or let flow make it: create_roles = true in a job_definition block, and flow infra apply"
			lines = append(lines, p.role(ctx, r.arn, r.duty, "step "+string(s.Spec.Step), fix).at(s.where("container."+r.arg)))
		}
	}
	return lines
}

// profile looks at an instance profile, and at the role in it. AWS Batch takes the name or
// the ARN of the profile (ComputeResource.instanceRole).
func (p *patient) profile(ctx context.Context, ref string, d duty, of, fix string) Line {
	name := lastPart(ref)
	x, err := p.o.Cloud.IAM()
	if err != nil {
		return p.trouble(name, "iam:GetInstanceProfile", err)
	}
	out, err := x.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name})
	switch {
	case isNoEntity(err):
		return fault(name, fix, "the instance profile %s of %s does not exist", name, of)
	case err != nil:
		return p.trouble(name, "iam:GetInstanceProfile", err)
	case len(out.InstanceProfile.Roles) == 0:
		return fault(name, p.aws("iam add-role-to-instance-profile --instance-profile-name %s --role-name ROLE", name), "the instance profile %s of %s has no role", name, of)
	}
	return p.judgeRole(ctx, x, &out.InstanceProfile.Roles[0], d, of)
}

// role looks at a role by its name or ARN. One of another account cannot be seen from here.
func (p *patient) role(ctx context.Context, ref string, d duty, of, fix string) Line {
	name := lastPart(ref)
	if parts := strings.Split(ref, ":"); len(parts) == 6 {
		if id, err := p.o.Cloud.Identity(); err == nil && id.Account != "" && parts[4] != id.Account {
			return skipped(name, "the %s of %s is of account %s", d.title, of, parts[4])
		}
	}
	x, err := p.o.Cloud.IAM()
	if err != nil {
		return p.trouble(name, "iam:GetRole", err)
	}
	out, err := x.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case isNoEntity(err):
		return fault(name, fix, "the %s %s of %s does not exist", d.title, name, of)
	case err != nil:
		return p.trouble(name, "iam:GetRole", err)
	}
	return p.judgeRole(ctx, x, out.Role, d, of)
}

func isNoEntity(err error) bool {
	var none *iamtypes.NoSuchEntityException
	return errors.As(err, &none)
}

// judgeRole tells whether a role can be assumed by whom it is for, and has a policy.
func (p *patient) judgeRole(ctx context.Context, x *iam.Client, r *iamtypes.Role, d duty, of string) Line {
	name := aws.ToString(r.RoleName)
	if !trusts(aws.ToString(r.AssumeRolePolicyDocument), d.service) {
		return fault(name, "let "+d.service+" assume it: "+p.aws("iam update-assume-role-policy --role-name %s --policy-document '%s'", name, trustPolicy(d.service)),
			"the %s %s of %s does not trust %s", d.title, name, of, d.service)
	}
	if d.policy == "" {
		return ok(name, "the %s of %s trusts %s", d.title, of, d.service)
	}
	attached, err := policiesOf(ctx, x, name)
	fix := p.aws("iam attach-role-policy --role-name %s --policy-arn arn:%s:iam::aws:policy/service-role/%s", name, cloud.Partition(p.o.Cloud.Region()), d.policy)
	switch {
	case err != nil:
		return p.trouble(name, "iam:ListAttachedRolePolicies", err)
	case slices.Contains(attached, d.policy):
		return ok(name, "the %s of %s trusts %s and has %s", d.title, of, d.service, d.policy)
	case len(attached) == 0:
		return fault(name, fix, "the %s %s of %s has no policy: it may do nothing", d.title, name, of)
	}
	return warning(name, fix+", unless another one allows the same", "the %s %s of %s has not the policy %s, but %s", d.title, name, of, d.policy, names(attached))
}

// policiesOf names the policies of a role, those of its own included.
func policiesOf(ctx context.Context, x *iam.Client, role string) ([]string, error) {
	var list []string
	pages := iam.NewListAttachedRolePoliciesPaginator(x, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range out.AttachedPolicies {
			list = append(list, aws.ToString(a.PolicyName))
		}
	}
	own, err := x.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role})
	if err != nil {
		return nil, err
	}
	return append(list, own.PolicyNames...), nil
}

func trustPolicy(service string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
}

// trusts reports whether a trust policy, which IAM gives as part of a URL, lets a service
// assume the role. One that cannot be read is taken for one that does, and so is one with
// conditions, such as that of the account against confused deputies. In China some services
// have a name of their own, with .cn (IAM User Guide, reference_policies_elements_principal).
func trusts(document, service string) bool {
	if text, err := url.QueryUnescape(document); err == nil && strings.HasPrefix(document, "%") {
		document = text
	}
	var policy struct {
		Statement oneOrMore[struct {
			Effect    string
			Principal json.RawMessage
		}]
	}
	if json.Unmarshal([]byte(document), &policy) != nil {
		return true
	}
	for _, s := range policy.Statement {
		var who struct{ Service oneOrMore[string] }
		if string(s.Principal) == `"*"` {
			return s.Effect == "Allow"
		}
		if s.Effect == "Allow" && json.Unmarshal(s.Principal, &who) == nil && (slices.Contains(who.Service, service) || slices.Contains(who.Service, service+".cn")) {
			return true
		}
	}
	return false
}

// oneOrMore is a list that may be written as its only element, as in policies.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	var list []T
	if json.Unmarshal(b, &list) == nil {
		*l = list
		return nil
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = []T{one}
	return nil
}
