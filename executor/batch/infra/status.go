package infra

import (
	"context"
	"slices"
	"strings"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// A Row tells how one thing is.
type Row struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	// Managed says that flow manages it for this workflow. Else it is named as an existing
	// one, or the workflow wants it and it is somebody else's.
	Managed bool   `json:"managed"`
	Missing bool   `json:"missing,omitempty"` // the workflow names it, and it is not there
	Unnamed bool   `json:"unnamed,omitempty"` // flow manages it, and the workflow does not name it any more
	State   string `json:"state,omitempty"`
	Status  string `json:"status,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Revision is that of a job definition, the newest.
	Revision string `json:"revision,omitempty"`
	Fix      string `json:"fix,omitempty"` // of one that is INVALID

	MinVCPUs     *int32 `json:"min_vcpus,omitempty"`
	DesiredVCPUs *int32 `json:"desired_vcpus,omitempty"`
	MaxVCPUs     *int32 `json:"max_vcpus,omitempty"`

	Jobs     map[string]int `json:"jobs,omitempty"` // of a queue, by status, that have not ended; an array is one
	MoreJobs bool           `json:"more_jobs,omitempty"`

	Total *int64 `json:"total_quantity,omitempty"` // of a consumable resource
	InUse *int64 `json:"in_use,omitempty"`
}

// A Status tells how what a workflow uses is.
type Status struct {
	Workflow string `json:"workflow"`
	Region   string `json:"region"`
	Rows     []Row  `json:"resources"`
	// Roles says why roles were not looked at; "": they were.
	Roles string `json:"roles,omitempty"`
}

// Status looks at what a workflow names and at what flow manages for it. Without in, at the
// latter only.
func (m *Manager) Status(ctx context.Context, in *engine.Infra) (*Status, error) {
	want, err := Desired(m.o.Workflow, m.o.Region, in)
	if err != nil {
		return nil, err
	}
	found, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	s := &Status{Workflow: m.o.Workflow, Region: m.o.Region, Rows: []Row{}}
	why, err := m.readRoles(ctx, found)
	if err != nil {
		return nil, err
	}
	if why != nil {
		s.Roles = why.Error()
	}
	for _, ref := range m.refs(in, want, found) {
		if ref.kind == KindRole && why != nil {
			continue
		}
		row, err := m.row(ctx, ref, found.get(ref.kind, ref.name))
		if err != nil {
			return nil, err
		}
		s.Rows = append(s.Rows, row)
	}
	return s, nil
}

// A ref names a thing.
type ref struct {
	kind   Kind
	name   string
	byFile bool // the workflow names it
}

// refs returns what a workflow names and what flow manages for it, by kind: first what the
// workflow names, in its order.
func (m *Manager) refs(in *engine.Infra, want []Resource, found things) []ref {
	var out []ref
	add := func(kind Kind, name string, byFile bool) {
		if !slices.ContainsFunc(out, func(r ref) bool { return r.kind == kind && r.name == name }) {
			out = append(out, ref{kind, name, byFile})
		}
	}
	for _, kind := range kinds {
		for i := range want {
			if want[i].Kind == kind {
				add(kind, want[i].Name, true)
			}
		}
		for k, b := range blocksOf(in) {
			if k == kind {
				add(kind, plainName(b.Name), true)
			}
		}
		for _, t := range found.of(kind) {
			if m.ours(t) {
				add(kind, t.name, false)
			}
		}
	}
	return out
}

// ours reports whether flow manages a thing for this workflow. Of a definition somebody
// else may have made the newest revision.
func (m *Manager) ours(t *thing) bool { return t.owner == m.o.Workflow || len(t.revisions) > 0 }

func (m *Manager) row(ctx context.Context, ref ref, t *thing) (Row, error) {
	kind, name := ref.kind, ref.name
	r := Row{Kind: kind, Name: name, Missing: t == nil, Unnamed: !ref.byFile}
	if t == nil {
		return r, nil
	}
	r.Managed = m.ours(t)
	r.State, r.Status, r.Reason = t.state, t.status, t.reason
	r.MinVCPUs, r.DesiredVCPUs, r.MaxVCPUs, r.Total, r.InUse = t.min, t.desired, t.max, t.total, t.inUse
	if kind == KindEnvironment && t.status == "INVALID" {
		_, r.Fix = capacity.Invalid(t.reason)
	}
	if kind == KindDefinition {
		_, revision, _ := strings.Cut(nameOf(t.arn), ":")
		r.Status, r.Revision = "ACTIVE", revision
	}
	if kind != KindQueue || t.going() {
		return r, nil
	}
	by, more, err := m.jobs(ctx, name)
	if err != nil {
		return r, err
	}
	r.MoreJobs = more
	for s, n := range by {
		if n > 0 {
			if r.Jobs == nil {
				r.Jobs = map[string]int{}
			}
			r.Jobs[string(s)] = n
		}
	}
	return r, nil
}
