package infra

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// ensureRole makes what is missing of a role: each part is a call of its own, and what is
// there already is no error.
func (a *applier) ensureRole(ctx context.Context, want *Role) (*thing, error) {
	t, err := a.readRole(ctx, want)
	if err != nil {
		return nil, err
	}
	if err := a.isOurs(t); err != nil {
		return nil, err
	}
	if t == nil || !t.role.role {
		a.tell("creating role %s", want.Name)
		_, err := a.o.IAM.CreateRole(ctx, &iam.CreateRoleInput{
			RoleName: &want.Name, AssumeRolePolicyDocument: new(want.Trust()), Description: &want.Description, Tags: iamTags(want.Tags),
		})
		if err != nil && !hasCode(err, "EntityAlreadyExists", "EntityAlreadyExistsException") {
			return nil, doing("create the role "+want.Name, err)
		}
		a.fresh[want.Name] = true
	}
	if err := a.mendRole(ctx, want); err != nil {
		return nil, err
	}
	return a.readRole(ctx, want)
}

// mendRole makes the parts of a role that is there.
func (a *applier) mendRole(ctx context.Context, want *Role) error {
	t, err := a.readRole(ctx, want)
	if err != nil {
		return err
	}
	if t == nil { // IAM does not tell yet of what it has just made
		t = &thing{kind: KindRole, name: want.Name, owner: a.o.Workflow, role: &foundRole{role: true}, input: &Role{Service: want.Service}}
	}
	if err := a.isOurs(t); err != nil {
		return err
	}
	is := t.input.(*Role)
	if is.Service != want.Service && t.role.role {
		_, err := a.o.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &want.Name, PolicyDocument: new(want.Trust())})
		if err != nil {
			return doing("set the trust policy of the role "+want.Name, err)
		}
	}
	for _, p := range want.Policies {
		if slices.Contains(is.Policies, p) {
			continue
		}
		err := a.soon(ctx, func() error {
			_, err := a.o.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &want.Name, PolicyArn: &p})
			return err
		})
		if err != nil {
			return doing("attach "+nameOf(p)+" to the role "+want.Name, err)
		}
	}
	if want.Profile && !t.role.inside {
		return a.mendProfile(ctx, want, t.role.profile)
	}
	return nil
}

func (a *applier) mendProfile(ctx context.Context, want *Role, there bool) error {
	if !there {
		_, err := a.o.IAM.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: &want.Name, Tags: iamTags(want.Tags)})
		if err != nil && !hasCode(err, "EntityAlreadyExists", "EntityAlreadyExistsException") {
			return doing("create the instance profile "+want.Name, err)
		}
		a.fresh[want.Name] = true
	}
	err := a.soon(ctx, func() error {
		_, err := a.o.IAM.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &want.Name, RoleName: &want.Name})
		return err
	})
	if err != nil && !hasCode(err, "LimitExceeded", "LimitExceededException", "EntityAlreadyExists", "EntityAlreadyExistsException") { // a profile has one role: it is in there
		return doing("put the role into the instance profile "+want.Name, err)
	}
	return nil
}

// soon makes a call again that IAM refuses since it does not know everywhere yet of what it
// has made a moment ago.
func (a *applier) soon(ctx context.Context, call func() error) error {
	for since := a.o.Now(); ; {
		err := call()
		if !isAbsent(err) || len(a.fresh) == 0 || a.o.Now().Sub(since) > patience {
			return err
		}
		if err := a.o.Sleep(ctx, a.o.Poll); err != nil {
			return err
		}
	}
}

func iamTags(of map[string]string) []types.Tag {
	var out []types.Tag
	for k, v := range of {
		out = append(out, types.Tag{Key: &k, Value: &v})
	}
	return out
}

// removeRole deletes a role with what hangs on it, also what others have attached. What is
// gone already is no error.
func (a *applier) removeRole(ctx context.Context, name string) error {
	a.tell("deleting role %s", name)
	for _, step := range []func(context.Context, string) error{a.removeProfile, a.detachPolicies, a.deleteInline} {
		if err := step(ctx, name); err != nil {
			return err
		}
	}
	if _, err := a.o.IAM.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name}); err != nil && !isAbsent(err) {
		return doing("delete the role "+name, err)
	}
	return nil
}

func (a *applier) removeProfile(ctx context.Context, name string) error {
	out, err := a.o.IAM.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name})
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return doing("look at the instance profile "+name, err)
	}
	if iamOwner(out.InstanceProfile.Tags) != a.o.Workflow {
		return nil // somebody else has made it for the role; IAM says so if the role cannot go then
	}
	for _, r := range out.InstanceProfile.Roles {
		_, err := a.o.IAM.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: &name, RoleName: r.RoleName})
		if err != nil && !isAbsent(err) {
			return doing("take the role out of the instance profile "+name, err)
		}
	}
	if _, err := a.o.IAM.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: &name}); err != nil && !isAbsent(err) {
		return doing("delete the instance profile "+name, err)
	}
	return nil
}

func (a *applier) detachPolicies(ctx context.Context, name string) error {
	arns, err := a.attached(ctx, name)
	if err != nil {
		return err
	}
	for _, p := range arns {
		if _, err := a.o.IAM.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: &p}); err != nil && !isAbsent(err) {
			return doing("detach "+nameOf(p)+" from the role "+name, err)
		}
	}
	return nil
}

// deleteInline deletes the policies that are written into a role, which keep it from being
// deleted.
func (a *applier) deleteInline(ctx context.Context, name string) error {
	policies, err := a.inline(ctx, name)
	if err != nil {
		return err
	}
	for _, p := range policies {
		if _, err := a.o.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &p}); err != nil && !isAbsent(err) {
			return doing("delete the policy "+p+" of the role "+name, err)
		}
	}
	return nil
}

// inline returns the names of the policies that are written into a role.
func (a *applier) inline(ctx context.Context, role string) ([]string, error) {
	var names []string
	in := &iam.ListRolePoliciesInput{RoleName: &role}
	for {
		out, err := a.o.IAM.ListRolePolicies(ctx, in)
		if isAbsent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, doing("look at the policies of the role "+role, err)
		}
		names = append(names, out.PolicyNames...)
		if !out.IsTruncated {
			return names, nil
		}
		in.Marker = out.Marker
	}
}
