package infra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

const (
	// progressEvery is how often it is said that something is still waited for.
	progressEvery = 10 * time.Second
	// patience is how long something is tried that AWS refuses only because it does not know
	// everywhere yet of what was done before: IAM says that changes take a while to be seen.
	patience = 2 * time.Minute
	// keeps is how long an argument may stay as it was after an update.
	keeps = 30 * time.Second
)

// look returns environments or queues of some names as they are now.
func (m *Manager) look(ctx context.Context, kind Kind, names []string) (things, error) {
	found := things{}
	for some := range slices.Chunk(names, maxNames) {
		read := m.environments
		if kind == KindQueue {
			read = m.queues
		}
		if err := read(ctx, some, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ensure has environments or queues be as they are wanted, and waits until they are VALID.
// Each is looked at, and gets what is missing, until nothing is.
func (a *applier) ensure(ctx context.Context, kind Kind, want []*Resource) error {
	w := a.waiting(kind)
	for _, r := range want {
		w.add(r.Name)
	}
	return w.loop(ctx, func(ctx context.Context, name string, t *thing) (string, error) {
		i := slices.IndexFunc(want, func(r *Resource) bool { return r.Name == name })
		return a.step(ctx, w.state[name], want[i], t)
	})
}

// A progress is how far one thing is.
type progress struct {
	since  time.Time // when it was first waited for
	asked  string    // the differences that the last update was to end
	at     time.Time // when that was, or when AWS was last seen to be at it
	kicked time.Time // when AWS Batch was last told to look at it anew
	doing  string    // what is waited for
	told   time.Time
}

// step does what is next for one thing to be as it is wanted. The answer says what is
// waited for then; "": nothing, it is done.
func (a *applier) step(ctx context.Context, p *progress, r *Resource, t *thing) (string, error) {
	if err := a.isOurs(t); err != nil {
		return "", err
	}
	switch {
	case t == nil:
		return a.make(ctx, p, r)
	case !t.settled():
		p.at = a.o.Now()
		return t.status, nil
	}
	diffs := compare(t, r)
	if len(diffs) == 0 {
		return a.valid(ctx, p, t)
	}
	asked := fmt.Sprint(diffs)
	if asked == p.asked {
		if a.o.Now().Sub(p.at) < keeps {
			return "its update", nil
		}
		for _, d := range diffs {
			a.tell("%s %s: AWS keeps %s as %s", r.Kind, r.Name, d.Name, orText(d.Old, "it is"))
		}
		return a.valid(ctx, p, t)
	}
	err := a.change(ctx, r, t, diffs)
	switch {
	case busy(err):
		return "another change", nil
	case a.early(p, err):
		return itsEnvironments, nil
	}
	p.asked, p.at = asked, a.o.Now()
	return "its update", err
}

// valid ends the wait for something that is as it is wanted, unless it is INVALID.
func (a *applier) valid(ctx context.Context, p *progress, t *thing) (string, error) {
	a.plan.found.add(t)
	if t.status != "INVALID" {
		return "", nil
	}
	now := a.o.Now()
	if t.kind != KindEnvironment || !a.waitsForIAM(t.reason) || now.Sub(p.since) > patience {
		return "", errors.New(invalid(t))
	}
	const role = "its new role to be known to AWS Batch"
	if now.Sub(p.kicked) < progressEvery {
		return role, nil
	}
	// AWS Batch looks anew at an environment that is updated.
	p.kicked = now
	_, err := a.o.Batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &t.name, State: t.input.(*batch.CreateComputeEnvironmentInput).State})
	if err != nil && !busy(err) {
		return "", doing("update compute_environment "+t.name, err)
	}
	return role, nil
}

// waitsForIAM reports whether something that AWS says may be only because a role was made a
// moment ago.
func (a *applier) waitsForIAM(said string) bool {
	said = strings.ToLower(said)
	return len(a.fresh) > 0 && slices.ContainsFunc([]string{"instance profile", "instanceprofile", "iamfleetrole", "role", "not authorized"}, func(s string) bool {
		return strings.Contains(said, s)
	})
}

// early reports whether a queue was refused because an environment of its is not VALID, as
// one may be that an apply that was interrupted has begun to make.
func (a *applier) early(p *progress, err error) bool {
	return says(err, "must be created and valid") && a.o.Now().Sub(p.since) < patience
}

const itsEnvironments = "its compute environments to be VALID"

// make creates an environment or a queue.
func (a *applier) make(ctx context.Context, p *progress, r *Resource) (string, error) {
	var err error
	switch in := r.Input.(type) {
	case *batch.CreateComputeEnvironmentInput:
		var full *batch.CreateComputeEnvironmentInput
		if full, err = a.resolvedEnvironment(in); err != nil {
			return "", err
		}
		_, err = a.o.Batch.CreateComputeEnvironment(ctx, full)
	case *batch.CreateJobQueueInput:
		_, err = a.o.Batch.CreateJobQueue(ctx, a.resolvedQueue(in))
	}
	var said *callError
	switch failed := doing("create "+string(r.Kind)+" "+r.Name, err); {
	case err == nil:
		a.tell("creating %s %s", r.Kind, r.Name)
		return "CREATING", nil
	case exists(err):
		return "it to be seen", nil
	case a.early(p, err):
		return itsEnvironments, nil
	case errors.As(failed, &said) && a.waitsForIAM(said.Error()) && a.o.Now().Sub(p.since) < patience:
		return "its new role to be known to AWS", nil
	default:
		return "", failed
	}
}

// change updates an environment or a queue in place.
func (a *applier) change(ctx context.Context, r *Resource, t *thing, diffs []Difference) error {
	a.tell("updating %s %s", r.Kind, r.Name)
	if !onlyTags(diffs) {
		var err error
		switch in := r.Input.(type) {
		case *batch.CreateComputeEnvironmentInput:
			var update *batch.UpdateComputeEnvironmentInput
			if update, err = a.environmentUpdate(r, in, diffs); err != nil {
				return err
			}
			_, err = a.o.Batch.UpdateComputeEnvironment(ctx, update)
		case *batch.CreateJobQueueInput:
			_, err = a.o.Batch.UpdateJobQueue(ctx, a.queueUpdate(in, diffs))
		}
		if err != nil {
			return doing("update "+string(r.Kind)+" "+r.Name, err)
		}
	}
	for i := range diffs {
		if diffs[i].Name == "tags" {
			return a.retag(ctx, t, tagsOf(r.Input))
		}
	}
	return nil
}

func tagsOf(input any) map[string]string {
	switch in := input.(type) {
	case *batch.CreateComputeEnvironmentInput:
		return in.Tags
	case *batch.CreateJobQueueInput:
		return in.Tags
	}
	return nil
}

// remove disables environments or queues, deletes them, and waits until they are gone.
func (a *applier) remove(ctx context.Context, kind Kind, names []string) error {
	w := a.waiting(kind)
	for _, n := range names {
		w.add(n)
	}
	return w.loop(ctx, func(ctx context.Context, name string, t *thing) (string, error) {
		switch {
		case t == nil || t.status == "DELETED":
			delete(a.plan.found[kind], name)
			a.tell("%s %s is gone", kind, name)
			return "", nil
		case t.going() || !t.settled():
			return t.status, nil
		}
		if err := a.isOurs(t); err != nil {
			return "", err
		}
		return a.unmake(ctx, w.state[name], t)
	})
}

// unmake does what is next for something to go: it is disabled, and then deleted. A refusal
// may be only because AWS does not know yet that a queue is gone.
func (a *applier) unmake(ctx context.Context, p *progress, t *thing) (string, error) {
	what, doneIt := "disable", a.disable
	if t.state == "DISABLED" {
		what, doneIt = "delete", a.delete
	}
	err := doneIt(ctx, t)
	switch {
	case busy(err):
		return "another change", nil
	case says(err, "found existing JobQueue relationship") && a.o.Now().Sub(p.since) < patience:
		return "its job queues to be gone", nil
	case err != nil:
		return "", doing(what+" "+string(t.kind)+" "+t.name, err)
	}
	if p.asked != what {
		a.tell("%s %s %s", strings.TrimSuffix(what, "e")+"ing", t.kind, t.name)
	}
	p.asked = what
	if t.status == "INVALID" && t.reason != "" { // so is one of Fargate on which jobs still run
		return t.reason, nil
	}
	return "it to be " + what + "d", nil
}

func (a *applier) disable(ctx context.Context, t *thing) (err error) {
	if t.kind == KindQueue {
		_, err = a.o.Batch.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &t.name, State: "DISABLED"})
	} else {
		_, err = a.o.Batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &t.name, State: "DISABLED"})
	}
	return err
}

func (a *applier) delete(ctx context.Context, t *thing) (err error) {
	if t.kind == KindQueue {
		_, err = a.o.Batch.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &t.name})
	} else {
		_, err = a.o.Batch.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &t.name})
	}
	return err
}
