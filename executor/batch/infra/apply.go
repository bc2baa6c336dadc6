package infra

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Apply carries a plan out, in the order that AWS wants (API reference,
// DeleteComputeEnvironment and DeleteJobQueue): what is made stands on what was made
// before, and what goes is gone before what it stands on. It waits until what is there is
// VALID. Each step looks at how things are and does what is missing, so that an apply that
// was interrupted is simply made again.
func (m *Manager) Apply(ctx context.Context, p *Plan) error {
	a := &applier{Manager: m, plan: p}
	for _, step := range []func(context.Context) error{
		a.roles, a.policies, a.consumables,
		a.goingQueues, a.interimQueues, a.replacedEnvironments,
		a.environments, a.queues, a.goneEnvironments, a.definitions,
		a.goingRest,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type applier struct {
	*Manager
	plan *Plan
}

// changes returns the changes of a kind that have one of the actions.
func (a *applier) changes(kind Kind, actions ...Action) []*Change {
	var out []*Change
	for _, c := range a.plan.Changes {
		if c.Kind == kind && slices.Contains(actions, c.Action) {
			out = append(out, c)
		}
	}
	return out
}

// wanted returns what is to be there of a kind: what changes, and what need not.
func (a *applier) wanted(kind Kind) []*Resource {
	var out []*Resource
	for _, c := range a.changes(kind, Create, Update, Replace) {
		out = append(out, c.want)
	}
	for _, r := range a.plan.wait {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

func namesOf(changes []*Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, c.Name)
	}
	return out
}

func (a *applier) roles(ctx context.Context) error {
	for _, c := range a.changes(KindRole, Create, Update) {
		t, err := a.ensureRole(ctx, c.want.Input.(*Role))
		if err != nil {
			return err
		}
		if t != nil { // else IAM does not tell yet of what it has just made
			a.plan.found.add(t)
		}
	}
	return nil
}

func (a *applier) policies(ctx context.Context) error {
	for _, c := range a.changes(KindPolicy, Create, Update) {
		in := c.want.Input.(*batch.CreateSchedulingPolicyInput)
		if c.Action == Create {
			a.tell("creating scheduling_policy %s", c.Name)
			out, err := a.o.Batch.CreateSchedulingPolicy(ctx, in)
			if err != nil && !exists(err) {
				return doing("create scheduling_policy "+c.Name, err)
			}
			if err == nil { // a list may not tell of it yet, and queues want its ARN
				a.plan.found.add(&thing{kind: KindPolicy, name: c.Name, arn: value(out.Arn), owner: a.o.Workflow, tags: in.Tags, input: in})
			}
			continue
		}
		a.tell("updating scheduling_policy %s", c.Name)
		if !onlyTags(c.Arguments) {
			if _, err := a.o.Batch.UpdateSchedulingPolicy(ctx, &batch.UpdateSchedulingPolicyInput{Arn: &c.have.arn, FairsharePolicy: allOf(in.FairsharePolicy)}); err != nil {
				return doing("update scheduling_policy "+c.Name, err)
			}
		}
		if err := a.retag(ctx, c.have, in.Tags); err != nil {
			return err
		}
	}
	return a.again(ctx, KindPolicy, a.readPolicies)
}

// allOf returns a policy that says everything, with AWS's defaults for what is not given
// (API reference, FairsharePolicy): an update may leave what it does not name.
func allOf(p *types.FairsharePolicy) *types.FairsharePolicy {
	return &types.FairsharePolicy{
		ShareDecaySeconds: new(value(p.ShareDecaySeconds)), ComputeReservation: new(value(p.ComputeReservation)), ShareDistribution: nonNil(p.ShareDistribution),
	}
}

// again looks again at a kind of which something was made, to check that it is ours and for
// its ARNs.
func (a *applier) again(ctx context.Context, kind Kind, read func(context.Context, things) error) error {
	made := a.changes(kind, Create)
	if len(made) == 0 {
		return nil
	}
	if err := read(ctx, a.plan.found); err != nil {
		return err
	}
	for _, c := range made {
		if err := a.isOurs(a.plan.found.get(kind, c.Name)); err != nil {
			return err
		}
	}
	return nil
}

// isOurs refuses what somebody else has made in the meantime. nil is nobody's.
func (m *Manager) isOurs(t *thing) error {
	if t == nil || t.owner == m.o.Workflow {
		return nil
	}
	return fmt.Errorf("%s %s is not of workflow %s: somebody else has made it in the meantime", t.kind, t.name, m.o.Workflow)
}

// exists reports whether something was refused since one of its name is there: after a lost
// answer that is our own.
func exists(err error) bool { return says(err, "already exists") }

// unknown reports whether something was refused since there is no such thing: after a lost
// answer it is what was wanted.
func unknown(err error) bool { return says(err, "does not exist", "not found") }

// busy reports whether something was refused since another change is under way.
func busy(err error) bool { return says(err, "resource is being modified") }

func (a *applier) consumables(ctx context.Context) error {
	for _, c := range a.changes(KindConsumable, Create, Update, Replace) {
		in := c.want.Input.(*batch.CreateConsumableResourceInput)
		if c.Action == Update {
			if err := a.updateConsumable(ctx, c, in); err != nil {
				return err
			}
			continue
		}
		if c.Action == Replace {
			if err := a.deleteConsumable(ctx, c.Name); err != nil {
				return err
			}
		}
		a.tell("creating consumable_resource %s", c.Name)
		if _, err := a.o.Batch.CreateConsumableResource(ctx, in); err != nil && !exists(err) {
			return doing("create consumable_resource "+c.Name, err)
		}
	}
	return a.again(ctx, KindConsumable, a.readConsumables)
}

func (a *applier) updateConsumable(ctx context.Context, c *Change, in *batch.CreateConsumableResourceInput) error {
	a.tell("updating consumable_resource %s", c.Name)
	if !onlyTags(c.Arguments) {
		_, err := a.o.Batch.UpdateConsumableResource(ctx, &batch.UpdateConsumableResourceInput{ConsumableResource: &c.Name, Operation: new("SET"), Quantity: in.TotalQuantity})
		if err != nil {
			return doing("update consumable_resource "+c.Name, err)
		}
	}
	return a.retag(ctx, c.have, in.Tags)
}

func (a *applier) deleteConsumable(ctx context.Context, name string) error {
	a.tell("deleting consumable_resource %s", name)
	if _, err := a.o.Batch.DeleteConsumableResource(ctx, &batch.DeleteConsumableResourceInput{ConsumableResource: &name}); err != nil && !unknown(err) {
		return doing("delete consumable_resource "+name, err)
	}
	return nil
}

func onlyTags(diffs []Difference) bool { return len(diffs) == 1 && diffs[0].Name == "tags" }

// retag gives a thing the tags that it is to have, and takes others away but for AWS's own.
func (m *Manager) retag(ctx context.Context, t *thing, want map[string]string) error {
	add := maps.Clone(want)
	maps.DeleteFunc(add, func(k, v string) bool { is, ok := t.tags[k]; return ok && is == v })
	var remove []string
	for _, k := range slices.Sorted(maps.Keys(t.tags)) {
		if _, ok := want[k]; !ok && !strings.HasPrefix(k, "aws:") {
			remove = append(remove, k)
		}
	}
	if len(add) > 0 {
		if _, err := m.o.Batch.TagResource(ctx, &batch.TagResourceInput{ResourceArn: &t.arn, Tags: add}); err != nil {
			return doing("set the tags of "+string(t.kind)+" "+t.name, err)
		}
	}
	if len(remove) > 0 {
		if _, err := m.o.Batch.UntagResource(ctx, &batch.UntagResourceInput{ResourceArn: &t.arn, TagKeys: remove}); err != nil {
			return doing("take tags from "+string(t.kind)+" "+t.name, err)
		}
	}
	return nil
}

func (a *applier) goingQueues(ctx context.Context) error {
	return a.remove(ctx, KindQueue, append(namesOf(a.changes(KindQueue, Delete)), a.remade(KindQueue)...))
}

func (a *applier) replacedEnvironments(ctx context.Context) error {
	return a.remove(ctx, KindEnvironment, a.remade(KindEnvironment))
}

// goneEnvironments deletes those that no queue names any more.
func (a *applier) goneEnvironments(ctx context.Context) error {
	return a.remove(ctx, KindEnvironment, namesOf(a.changes(KindEnvironment, Delete)))
}

// remade returns the names of what is deleted only to be made anew, and of what is being
// deleted already and will be made.
func (a *applier) remade(kind Kind) []string {
	names := namesOf(a.changes(kind, Replace))
	for _, c := range a.changes(kind, Create) {
		if t := a.plan.found.get(kind, c.Name); t.going() {
			names = append(names, c.Name)
		}
	}
	return names
}

// interimQueues takes environments that go out of the queues that go on without them.
func (a *applier) interimQueues(ctx context.Context) error {
	var interim []*Resource
	for _, c := range a.changes(KindQueue, Update) {
		if len(c.interim) == 0 {
			continue
		}
		in := *c.have.input.(*batch.CreateJobQueueInput)
		in.ComputeEnvironmentOrder = orderOf(c.interim)
		interim = append(interim, &Resource{Kind: KindQueue, Name: c.Name, Input: &in})
	}
	return a.ensure(ctx, KindQueue, interim)
}

func (a *applier) environments(ctx context.Context) error {
	return a.ensure(ctx, KindEnvironment, a.wanted(KindEnvironment))
}

func (a *applier) queues(ctx context.Context) error {
	return a.ensure(ctx, KindQueue, a.wanted(KindQueue))
}

func (a *applier) definitions(ctx context.Context) error {
	for _, c := range a.changes(KindDefinition, Create, Update) {
		in, err := a.resolvedDefinition(c.want.Input.(*batch.RegisterJobDefinitionInput))
		if err != nil {
			return err
		}
		out, err := a.o.Batch.RegisterJobDefinition(ctx, in)
		if err != nil {
			return doing("register job_definition "+c.Name, err)
		}
		a.tell("registered job_definition %s, revision %d", c.Name, value(out.Revision))
	}
	return nil
}

// goingRest deletes what nothing stands on any more.
func (a *applier) goingRest(ctx context.Context) error {
	for _, c := range a.changes(KindDefinition, Delete) {
		for _, arn := range c.have.revisions {
			a.tell("deregistering job_definition %s", nameOf(arn))
			if _, err := a.o.Batch.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: &arn}); err != nil && !unknown(err) {
				return doing("deregister job_definition "+nameOf(arn), err)
			}
		}
	}
	for _, c := range a.changes(KindConsumable, Delete) {
		if err := a.deleteConsumable(ctx, c.Name); err != nil {
			return err
		}
	}
	for _, c := range a.changes(KindPolicy, Delete) {
		a.tell("deleting scheduling_policy %s", c.Name)
		if _, err := a.o.Batch.DeleteSchedulingPolicy(ctx, &batch.DeleteSchedulingPolicyInput{Arn: &c.have.arn}); err != nil && !unknown(err) {
			return doing("delete scheduling_policy "+c.Name, err)
		}
	}
	for _, c := range a.changes(KindRole, Delete) {
		if err := a.removeRole(ctx, c.Name); err != nil {
			return err
		}
	}
	return nil
}
