package infra

import "context"

// ARNs returns the ARNs of what is there and managed by flow for the workflow, by kind and
// name. That of a job definition is of the newest revision that flow has registered. why
// says why roles were not looked at.
func (m *Manager) ARNs(ctx context.Context) (arns map[Kind]map[string]string, why, err error) {
	found, err := m.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if why, err = m.readRoles(ctx, found); err != nil {
		return nil, nil, err
	}
	arns = map[Kind]map[string]string{}
	for _, kind := range kinds {
		arns[kind] = map[string]string{}
		for _, t := range found.of(kind) {
			switch {
			case !m.ours(t) || t.going():
			case t.owner == m.o.Workflow:
				arns[kind][t.name] = t.arn
			default: // somebody else has registered a newer one
				arns[kind][t.name] = t.revisions[0]
			}
		}
	}
	return arns, why, nil
}

// RoleNames returns the names of the roles, and of their instance profiles, that flow looks
// for: one for each use, whether it is wanted or not.
func RoleNames(workflow, region string) []string {
	var names []string
	for _, use := range roleUses {
		names = append(names, roleName(use, workflow, region))
	}
	return names
}
