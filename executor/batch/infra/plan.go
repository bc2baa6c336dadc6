package infra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/batch/capacity"
	"flow/executor/batch/cloud"
)

// An Action is what becomes of a thing.
type Action string

// Actions.
const (
	Create  Action = "create"
	Update  Action = "update" // in place; of a job definition: a new revision
	Replace Action = "replace"
	Delete  Action = "delete"
)

// A Change is what is to become of one thing.
type Change struct {
	Action    Action       `json:"action"`
	Kind      Kind         `json:"kind"`
	Name      string       `json:"name"`
	Where     string       `json:"where,omitempty"` // file:line:column of its block
	Arguments []Difference `json:"arguments,omitempty"`
	Notes     []string     `json:"notes,omitempty"`
	Jobs      int          `json:"jobs_alive,omitempty"` // in a queue that is deleted; they end
	MoreJobs  bool         `json:"more_jobs,omitempty"`  // there are more than were counted

	want *Resource // nil: it is deleted
	have *thing    // nil: it is not there, or is going
	// interim are the environments of a queue while others of its are replaced.
	interim []string
}

// A Plan is what has to change for things to be as a workflow wants them.
type Plan struct {
	Workflow string    `json:"workflow"`
	Region   string    `json:"region"`
	Changes  []*Change `json:"changes"`            // in the order in which things are made; what is deleted comes last
	Warnings []string  `json:"warnings,omitempty"` // what is wrong with what need not change

	found things
	wait  []*Resource // that are there; they are waited for until they are VALID
}

// Empty reports whether nothing has to change.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Count returns how many changes are of an action.
func (p *Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}

// find returns the change of a thing, or nil.
func (p *Plan) find(kind Kind, name string) *Change {
	for _, c := range p.Changes {
		if c.Kind == kind && c.Name == name {
			return c
		}
	}
	return nil
}

// A PlanOption changes what is planned.
type PlanOption func(*planner)

// replaceable are the kinds of what can be made anew though it need not be.
var replaceable = []Kind{KindEnvironment, KindQueue, KindConsumable}

// Replacing has compute environments, job queues and consumable resources replaced that
// need not be, by name: to mend one that is INVALID, or to fill up one that is used up.
func Replacing(names ...string) PlanOption {
	return func(p *planner) { p.replace = append(p.replace, names...) }
}

// Plan compares what a workflow wants with what is there. It changes nothing. The error
// says all that is in the way.
func (m *Manager) Plan(ctx context.Context, in *engine.Infra, options ...PlanOption) (*Plan, error) {
	want, err := Desired(m.o.Workflow, m.o.Region, in)
	if err != nil {
		return nil, err
	}
	p := &planner{Manager: m, plan: &Plan{Workflow: m.o.Workflow, Region: m.o.Region, Changes: []*Change{}}, in: in, want: want}
	for _, o := range options {
		o(p)
	}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	p.existing()
	p.askedFor()
	p.compare()
	p.orphans()
	p.connect()
	p.sort()
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return p.plan, p.countJobs(ctx)
}

// PlanDestroy plans the end of everything that the workflow has there, also of the job
// definitions that its runs registered: a run of another workflow that uses one as well
// registers it anew.
func (m *Manager) PlanDestroy(ctx context.Context) (*Plan, error) { return m.Plan(ctx, nil) }

type planner struct {
	*Manager
	plan    *Plan
	in      *engine.Infra
	want    []Resource
	replace []string
	errs    []error
}

func (p *planner) fail(pos engine.Pos, format string, args ...any) {
	p.errs = append(p.errs, errors.New(at(pos)+fmt.Sprintf(format, args...)))
}

// look reads what is there. IAM may be out of reach for those who want no roles.
func (p *planner) look(ctx context.Context) error {
	found, err := p.read(ctx)
	if err != nil {
		return err
	}
	p.plan.found = found
	why, err := p.readRoles(ctx, found)
	if err != nil {
		return err
	}
	if why == nil {
		return nil
	}
	if absent := (*cloud.AbsentError)(nil); p.in == nil && !errors.As(why, &absent) {
		p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("roles that create_roles has made, if there are any, stay, since they cannot be looked at: %v", why))
	}
	for i := range p.want {
		if r := &p.want[i]; r.Kind == KindRole {
			p.fail(r.Pos, "create_roles: the role %s cannot be made: %v", r.Name, why)
		}
	}
	return nil
}

// existing checks that what flow does not manage is there.
func (p *planner) existing() {
	for kind, b := range blocksOf(p.in) {
		t := p.plan.found.get(kind, plainName(b.Name)) // of one revision it is not known here whether it is ACTIVE
		if b.Existing && (t == nil || t.going()) {
			p.fail(b.Pos, "%s %q: there is no %s %s in %s: existing names one that is there already; leave it out for flow to make one",
				kind, b.Label, strings.ReplaceAll(string(kind), "_", " "), b.Name, p.o.Region)
		}
	}
}

// askedFor checks that what is to be replaced is a thing of the workflow.
func (p *planner) askedFor() {
	var names []string
	for i := range p.want {
		if r := &p.want[i]; slices.Contains(replaceable, r.Kind) {
			names = append(names, r.Name)
		}
	}
	has := "it has none"
	if len(names) > 0 {
		has = "it has " + strings.Join(names, ", ")
	}
	for _, name := range p.replace {
		if !slices.Contains(names, name) {
			p.fail(engine.Pos{}, "-replace %s: flow makes no compute environment, job queue or consumable resource of that name for workflow %s: %s", name, p.o.Workflow, has)
		}
	}
}

// compare finds what is to be made, and what is not as it should be.
func (p *planner) compare() {
	for i := range p.want {
		r := &p.want[i]
		have := p.plan.found.get(r.Kind, r.Name)
		switch {
		case have == nil:
			p.create(r, nil)
		case !p.ours(have):
			p.foreign(r, have)
		case have.going():
			p.create(r, []string{"the one that is being deleted is waited for"})
		case have.role != nil && have.role.other != "":
			p.fail(r.Pos, "%s %s: its instance profile has the role %s in it, and there is room for one: take that out, or give instance_role instead of create_roles", r.Kind, r.Name, have.role.other)
		case have.role != nil && !have.role.role:
			p.create(r, []string{"its instance profile is there already"})
		default:
			p.update(r, have)
		}
	}
}

func (p *planner) foreign(r *Resource, have *thing) {
	whose := "it was not made by flow (it has no tag " + TagInfra + ")"
	if have.owner != "" {
		whose = "it belongs to workflow " + have.owner
	}
	hint := "give the block another name, or say existing = " + fmt.Sprintf("%q", r.Name) + " to use it as it is"
	if r.Kind == KindRole {
		hint = "remove it, or give the roles yourself instead of create_roles"
	}
	p.fail(r.Pos, "%s %s is there already, and %s: %s", r.Kind, r.Name, whose, hint)
}

func (p *planner) create(r *Resource, notes []string) {
	c := p.change(Create, r, nil)
	c.Arguments = differences(&arguments{}, argumentsOf(r.Input, r.Update))
	c.Notes = notes
}

func (p *planner) change(a Action, r *Resource, have *thing) *Change {
	c := &Change{Action: a, Kind: r.Kind, Name: r.Name, Where: r.Pos.String(), want: r, have: have}
	p.plan.Changes = append(p.plan.Changes, c)
	return c
}

// update finds what differs of a thing of ours.
func (p *planner) update(r *Resource, have *thing) {
	diffs := compare(have, r)
	action := Update
	for i := range diffs {
		d := &diffs[i]
		if d.Forces = p.forces(r, have, d.Name); d.Forces != "" {
			action = Replace
		}
	}
	asked := slices.Contains(replaceable, r.Kind) && slices.Contains(p.replace, r.Name)
	if len(diffs) == 0 && !asked {
		p.warn(have)
		p.plan.wait = append(p.plan.wait, r)
		return
	}
	c := p.change(action, r, have)
	c.Arguments = diffs
	if asked {
		c.Action, c.Notes = Replace, []string{"it was asked for"}
	}
}

// warn says what is wrong with a thing that is as it should be.
func (p *planner) warn(t *thing) {
	if t.status == "INVALID" {
		p.plan.Warnings = append(p.plan.Warnings, invalid(t))
	}
}

// invalid says in plain words why something is INVALID, and what helps.
func invalid(t *thing) string {
	text := fmt.Sprintf("%s %s is INVALID", t.kind, t.name)
	if t.kind == KindEnvironment {
		cause, fix := capacity.Invalid(t.reason)
		if cause != "" {
			text += ": " + cause
		}
		if t.reason != "" {
			text += " (" + t.reason + ")"
		}
		return text + ". To mend it, " + fix + "; or have it made anew: flow infra apply -replace " + t.name
	}
	if t.reason != "" {
		text += ": " + t.reason
	}
	return text + ". To have it made anew: flow infra apply -replace " + t.name
}

// forces says why a thing has to be replaced for an argument to change; "": it need not.
func (p *planner) forces(r *Resource, have *thing, argument string) string {
	switch want := r.Input.(type) {
	case *batch.CreateComputeEnvironmentInput:
		return forcesEnvironment(have.input.(*batch.CreateComputeEnvironmentInput), want, argument)
	case *batch.CreateJobQueueInput:
		return p.forcesQueue(have, want, argument)
	case *batch.CreateConsumableResourceInput:
		if argument == "resource_type" {
			return "AWS Batch cannot change it"
		}
	}
	return ""
}

// forcesEnvironment tells of an environment. Without new instances the scale, the state,
// tags and the like can change; of Fargate also the network; all else of EC2 only with the
// service-linked role and a strategy other than BEST_FIT (Batch User Guide,
// updating-compute-environments and infrastructure-updates).
func forcesEnvironment(have, want *batch.CreateComputeEnvironmentInput, argument string) string {
	const never = "AWS Batch cannot change it"
	was, is := value(have.ComputeResources), value(want.ComputeResources)
	switch argument {
	case "state", "tags", "min_vcpus", "max_vcpus", "scaling_policy", "update_policy":
		return ""
	case "service_role":
		if isServiceLinked(have.ServiceRole) != isServiceLinked(want.ServiceRole) {
			return serviceLinkedRole + " and a role of your own cannot be exchanged for one another"
		}
		return ""
	case "spot_iam_fleet_role", "eks_configuration":
		return never
	case "type":
		if isFargate(was.Type) || isFargate(is.Type) {
			return never
		}
	case "subnets", "security_group_ids":
		if isFargate(was.Type) {
			return ""
		}
	case "allocation_strategy":
		if isBestFit(is.AllocationStrategy) {
			return "an environment cannot be changed to BEST_FIT"
		}
	}
	switch {
	case isBestFit(was.AllocationStrategy):
		return "an environment with the strategy BEST_FIT cannot get other instances"
	case !isServiceLinked(have.ServiceRole):
		return "an environment without " + serviceLinkedRole + " cannot get other instances"
	}
	return ""
}

func isServiceLinked(role *string) bool {
	return orText(nameOf(value(role)), serviceLinkedRole) == serviceLinkedRole
}

// forcesQueue tells of a queue: its scheduling policy can be replaced, never added or
// removed (API reference, UpdateJobQueue), and its environments stay of one class.
func (p *planner) forcesQueue(have *thing, want *batch.CreateJobQueueInput, argument string) string {
	is := have.input.(*batch.CreateJobQueueInput)
	switch argument {
	case "scheduling_policy":
		if is.SchedulingPolicyArn == nil || want.SchedulingPolicyArn == nil {
			return "a scheduling policy can be replaced, but not added to a queue, nor taken from it"
		}
	case "compute_environments":
		if class := p.wantedClass(want.ComputeEnvironmentOrder); class != "" && have.class != "" && class != have.class {
			return fmt.Sprintf("a queue for %s cannot become one for %s", have.class, class)
		}
	}
	return ""
}

// wantedClass returns what the environments of a queue will be; "" is not known.
func (p *planner) wantedClass(order []types.ComputeEnvironmentOrder) string {
	for _, name := range namesOfOrder(order) {
		for i := range p.want {
			if r := &p.want[i]; r.Kind == KindEnvironment && r.Name == name {
				return classOfEnvironment(r.Input)
			}
		}
		if t := p.plan.found.get(KindEnvironment, name); t != nil {
			return classOfEnvironment(t.input)
		}
	}
	return ""
}
