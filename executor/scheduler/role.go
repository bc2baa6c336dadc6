package scheduler

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"flow/executor/batch/infra"
)

// role returns a role; nil: there is none.
func (m *Manager) role(ctx context.Context, name string) (*types.Role, error) {
	out, err := m.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch {
	case isAbsent(err):
		return nil, nil
	case err != nil:
		return nil, infra.Doing("look at the role "+name, err)
	}
	return out.Role, nil
}

func isAbsent(err error) bool { return hasCode(err, "NoSuchEntity", "NoSuchEntityException") }

func isOurs(r *types.Role, workflow string) bool {
	for _, t := range r.Tags {
		if aws.ToString(t.Key) == Tag {
			return aws.ToString(t.Value) == workflow
		}
	}
	return false
}

// planRole adds what has to become of a role, and notes the ARN of one that is there.
func (m *Manager) planRole(ctx context.Context, p *Plan, workflow string, want *Role, arns map[string]string) error {
	is, err := m.role(ctx, want.Name)
	if err != nil {
		return err
	}
	if is == nil {
		p.add(infra.Create, KindRole, want.Name, want, func(ctx context.Context) error { return m.makeRole(ctx, workflow, want) })
		return nil
	}
	if !isOurs(is, workflow) {
		return foreign(KindRole, want.Name, workflow)
	}
	arns[want.Name] = aws.ToString(is.Arn)
	policy, err := m.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &want.Name, PolicyName: str(policyName)})
	if err != nil && !isAbsent(err) {
		return infra.Doing("look at the policy of the role "+want.Name, err)
	}
	var differs []string
	if !sameJSON(decoded(is.AssumeRolePolicyDocument), string(want.Trust)) {
		differs = append(differs, "trust")
	}
	if policy == nil || !sameJSON(decoded(policy.PolicyDocument), string(want.Policy)) {
		differs = append(differs, "policy")
	}
	if len(differs) > 0 {
		p.add(infra.Update, KindRole, want.Name, want, func(ctx context.Context) error { return m.mendRole(ctx, want) }, differs...)
	}
	return nil
}

// planNoRole adds that a role of ours is deleted, if it is there.
func (m *Manager) planNoRole(ctx context.Context, p *Plan, workflow, name string) error {
	is, err := m.role(ctx, name)
	if err == nil && is != nil && isOurs(is, workflow) {
		p.add(infra.Delete, KindRole, name, nil, func(ctx context.Context) error { return m.deleteRole(ctx, name) })
	}
	return err
}

// decoded returns a policy as it was given: IAM answers with it percent-encoded (IAM API
// reference, GetRole).
func decoded(document *string) string {
	text := aws.ToString(document)
	if plain, err := url.QueryUnescape(text); err == nil && strings.HasPrefix(text, "%") {
		return plain
	}
	return text
}

func (m *Manager) makeRole(ctx context.Context, workflow string, want *Role) error {
	_, err := m.IAM.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: &want.Name, Description: &want.Description, AssumeRolePolicyDocument: str(string(want.Trust)),
		Tags: []types.Tag{{Key: str(Tag), Value: &workflow}},
	})
	if err != nil {
		return infra.Doing("create the role "+want.Name, err)
	}
	return m.writePolicy(ctx, want)
}

func (m *Manager) mendRole(ctx context.Context, want *Role) error {
	_, err := m.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &want.Name, PolicyDocument: str(string(want.Trust))})
	if err != nil {
		return infra.Doing("set the trust policy of the role "+want.Name, err)
	}
	return m.writePolicy(ctx, want)
}

func (m *Manager) writePolicy(ctx context.Context, want *Role) error {
	_, err := m.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &want.Name, PolicyName: str(policyName), PolicyDocument: str(string(want.Policy))})
	if err != nil {
		return infra.Doing("write the policy of the role "+want.Name, err)
	}
	return nil
}

// deleteRole deletes a role with the policy that is written into it. What others have attached
// keeps it there, and IAM says so.
func (m *Manager) deleteRole(ctx context.Context, name string) error {
	_, err := m.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: str(policyName)})
	if err != nil && !isAbsent(err) {
		return infra.Doing("delete the policy of the role "+name, err)
	}
	if _, err := m.IAM.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name}); err != nil && !isAbsent(err) {
		return infra.Doing("delete the role "+name, err)
	}
	return nil
}
