package iac

import (
	"slices"

	"flow/executor/batch/infra"
)

// references are the members that name something else: as a name, or as an ARN.
var references = map[string]infra.Kind{
	"ComputeEnvironment":  infra.KindEnvironment, // of ComputeEnvironmentOrder
	"SchedulingPolicyArn": infra.KindPolicy,
	"ConsumableResource":  infra.KindConsumable, // of ConsumableResourceList
	"InstanceRole":        kindProfile,
	"ServiceRole":         infra.KindRole,
	"SpotIamFleetRole":    infra.KindRole,
	"ExecutionRoleArn":    infra.KindRole,
	"JobRoleArn":          infra.KindRole,
	"TaskRoleArn":         infra.KindRole,
}

// rolesOf returns the names of the stack's roles that a value refers to, directly or by an
// instance profile, in order.
func (s *Stack) rolesOf(v any) []string {
	var out []string
	switch v := v.(type) {
	case object:
		for _, m := range v {
			kind := references[m.name]
			if text, ok := m.value.(string); ok && (kind == infra.KindRole || kind == kindProfile) {
				if r := s.find(kind, text); r != nil {
					out = append(out, r.Name)
				}
				continue
			}
			out = append(out, s.rolesOf(m.value)...)
		}
	case []any:
		for _, e := range v {
			out = append(out, s.rolesOf(e)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A statement of the policy that says who may assume a role.
type trust struct {
	Version   string
	Statement []trustStatement
}

type trustStatement struct {
	Effect    string
	Principal struct{ Service string }
	Action    string
}

// trustOf returns the trust policy of a role.
func trustOf(r *infra.Role) *trust {
	s := trustStatement{Effect: "Allow", Action: "sts:AssumeRole"}
	s.Principal.Service = r.Service
	return &trust{Version: "2012-10-17", Statement: []trustStatement{s}}
}
