package infra

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// A foundRole is what is there of a role of ours. Each part is made by a call of its own,
// so any of them may be missing.
type foundRole struct {
	role    bool
	profile bool   // there is an instance profile of its name, which is flow's
	inside  bool   // and the role is in it
	other   string // the name of another role that is in it
}

// readRoles looks at the roles that flow makes for a workflow, of which there are four
// names, with up to three calls for each. why says why they were not looked at.
func (m *Manager) readRoles(ctx context.Context, found things) (why error, err error) {
	if m.o.IAM == nil {
		return m.o.IAMAbsent, nil
	}
	for _, use := range roleUses {
		t, err := m.readRole(ctx, roleFor(use, m.o.Workflow, m.o.Region))
		if denied(err) {
			return err, nil
		}
		if err != nil {
			return nil, err
		}
		if t != nil {
			found.add(t)
		}
	}
	return nil, nil
}

// readRole looks at a role and its instance profile; nil: there is neither.
func (m *Manager) readRole(ctx context.Context, want *Role) (*thing, error) {
	t := &thing{kind: KindRole, name: want.Name, role: &foundRole{}}
	is := &Role{Name: want.Name}
	t.input = is
	out, err := m.o.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &want.Name})
	switch {
	case isAbsent(err):
	case err != nil:
		return nil, doing("look at the role "+want.Name, err)
	default:
		t.role.role, t.arn, t.owner = true, value(out.Role.Arn), iamOwner(out.Role.Tags)
		if made := out.Role.CreateDate; made != nil && m.o.Now().Sub(*made).Abs() < patience { // by an apply that was interrupted
			m.fresh[want.Name] = true
		}
		is.Service = trusted(value(out.Role.AssumeRolePolicyDocument))
		if is.Policies, err = m.attached(ctx, want.Name); err != nil {
			return nil, err
		}
		is.Policies = slices.DeleteFunc(is.Policies, func(p string) bool { return !slices.Contains(want.Policies, p) }) // others may attach more
	}
	if want.Profile {
		if err := m.readProfile(ctx, t, is); err != nil {
			return nil, err
		}
	}
	if !t.role.role && !t.role.profile {
		return nil, nil
	}
	return t, nil
}

func (m *Manager) readProfile(ctx context.Context, t *thing, is *Role) error {
	out, err := m.o.IAM.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &t.name})
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return doing("look at the instance profile "+t.name, err)
	}
	t.role.profile = true
	if owner := iamOwner(out.InstanceProfile.Tags); !t.role.role || owner != m.o.Workflow {
		t.owner = owner
	}
	for _, r := range out.InstanceProfile.Roles {
		if value(r.RoleName) == t.name {
			t.role.inside = true
		} else {
			t.role.other = value(r.RoleName)
		}
	}
	is.Profile = t.role.inside
	return nil
}

// attached returns the ARNs of the managed policies of a role.
func (m *Manager) attached(ctx context.Context, role string) ([]string, error) {
	var arns []string
	in := &iam.ListAttachedRolePoliciesInput{RoleName: &role}
	for {
		out, err := m.o.IAM.ListAttachedRolePolicies(ctx, in)
		if isAbsent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, doing("look at the policies of the role "+role, err)
		}
		for _, p := range out.AttachedPolicies {
			arns = append(arns, value(p.PolicyArn))
		}
		if !out.IsTruncated {
			return arns, nil
		}
		in.Marker = out.Marker
	}
}

func iamOwner(tags []types.Tag) string {
	for _, t := range tags {
		if value(t.Key) == TagInfra {
			return value(t.Value)
		}
	}
	return ""
}

// trusted returns the services that a trust policy lets in. IAM gives it with
// percent-encoding (IAM API reference, GetRole).
func trusted(document string) string {
	if plain, err := url.QueryUnescape(document); err == nil && strings.HasPrefix(document, "%") {
		document = plain
	}
	var policy struct {
		Statement []struct {
			Principal struct{ Service any }
		}
	}
	if json.Unmarshal([]byte(document), &policy) != nil {
		return document
	}
	var services []string
	for _, s := range policy.Statement {
		switch v := s.Principal.Service.(type) {
		case string:
			services = append(services, v)
		case []any:
			for _, one := range v {
				if text, ok := one.(string); ok {
					services = append(services, text)
				}
			}
		}
	}
	return strings.Join(services, ", ")
}

func isAbsent(err error) bool { return hasCode(err, "NoSuchEntity", "NoSuchEntityException") }
