package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/smithy-go"

	"flow/executor/batch/cloud"
	"flow/executor/batch/infra"
)

// A Manager makes what a workflow wants, and removes it.
type Manager struct {
	Batch     *batch.Client
	IAM       *iam.Client
	Scheduler *scheduler.Client
	Region    string
	Account   string
	Tell      func(line string) // what is done, for people

	// Sleep waits; nil: as long as it says.
	Sleep func(ctx context.Context, d time.Duration) error
}

// New returns a manager of what is in an account; "": that of the credentials. The error says
// which service is nowhere.
func New(c *cloud.Cloud, account string, tell func(string)) (*Manager, error) {
	roles, err := c.IAM()
	if err != nil {
		return nil, err
	}
	schedules, err := c.Scheduler()
	if err != nil {
		return nil, err
	}
	m := &Manager{Batch: c.Batch(), IAM: roles, Scheduler: schedules, Region: c.Region(), Account: account, Tell: tell}
	if account == "" {
		who, err := c.Identity()
		if err != nil {
			return nil, infra.Doing("find out which account the credentials are of, which -account says as well", err)
		}
		m.Account = who.Account
	}
	return m, nil
}

// Kinds of what is made, in the order in which it is.
const (
	KindRole       = "role"
	KindDefinition = "job definition"
	KindGroup      = "schedule group"
	KindSchedule   = "schedule"
)

// A Change is what is to become of one thing.
type Change struct {
	Action  infra.Action `json:"action"` // create, update (of a job definition: a new revision) or delete
	Kind    string       `json:"kind"`
	Name    string       `json:"name"`
	Differs []string     `json:"differs,omitempty"` // what an update changes
	Wanted  any          `json:"wanted,omitempty"`  // as it is to be; nil: it is deleted

	do func(context.Context) error
}

// A Plan is what has to change, in that order.
type Plan struct {
	Workflow string    `json:"workflow"`
	Region   string    `json:"region"`
	Changes  []*Change `json:"changes"`
}

// Count returns how many changes are of an action.
func (p *Plan) Count(a infra.Action) (n int) {
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}

func (p *Plan) add(a infra.Action, kind, name string, wanted any, do func(context.Context) error, differs ...string) {
	p.Changes = append(p.Changes, &Change{Action: a, Kind: kind, Name: name, Wanted: wanted, Differs: differs, do: do})
}

// Plan compares what is wanted with what is there. It changes nothing.
func (m *Manager) Plan(ctx context.Context, w *Want) (*Plan, error) {
	p := &Plan{Workflow: w.Workflow, Region: m.Region, Changes: []*Change{}}
	arns := map[string]string{}
	for _, r := range w.roles() {
		arns[r.Name] = m.roleARN(r.Name)
		if err := m.planRole(ctx, p, w.Workflow, r, arns); err != nil {
			return nil, err
		}
	}
	head := w.Head.Role
	if head == "" {
		head = arns[headRole(w.Workflow, w.Region)]
	} else if err := m.planNoRole(ctx, p, w.Workflow, headRole(w.Workflow, w.Region)); err != nil {
		return nil, err
	}
	if err := m.planDefinition(ctx, p, w, head); err != nil {
		return nil, err
	}
	if err := m.planGroup(ctx, p, w); err != nil {
		return nil, err
	}
	return p, m.planSchedules(ctx, p, w, arns[schedulerRole(w.Workflow, w.Region)])
}

// PlanRemoval says what is there for a workflow, all of which is to be deleted.
func (m *Manager) PlanRemoval(ctx context.Context, workflow string) (*Plan, error) {
	p := &Plan{Workflow: workflow, Region: m.Region, Changes: []*Change{}}
	ours, err := m.group(ctx, workflow)
	if err != nil {
		return nil, err
	}
	if ours {
		names, err := m.listSchedules(ctx, workflow)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			p.add(infra.Delete, KindSchedule, n, nil, func(ctx context.Context) error { return m.deleteSchedule(ctx, workflow, n) })
		}
		p.add(infra.Delete, KindGroup, GroupName(workflow), nil, func(ctx context.Context) error { return m.deleteGroup(ctx, workflow) })
	}
	revisions, err := m.revisions(ctx, workflow)
	if err != nil {
		return nil, err
	}
	if len(revisions) > 0 {
		p.add(infra.Delete, KindDefinition, DefinitionName(workflow), nil, func(ctx context.Context) error { return m.deregister(ctx, revisions) })
	}
	for _, n := range RoleNames(workflow, m.Region) {
		if err := m.planNoRole(ctx, p, workflow, n); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Apply carries a plan out.
func (m *Manager) Apply(ctx context.Context, p *Plan) error {
	for _, c := range p.Changes {
		if m.Tell != nil {
			m.Tell(fmt.Sprintf("%s %s %s", doing[c.Action], c.Kind, c.Name))
		}
		if err := c.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

var doing = map[infra.Action]string{infra.Create: "creating", infra.Update: "changing", infra.Delete: "deleting"}

// roleARN returns the ARN that a role gets which is made.
func (m *Manager) roleARN(name string) string {
	return "arn:" + cloud.Partition(m.Region) + ":iam::" + m.Account + ":role/" + name
}

// foreign says that something has a name of ours and is not ours.
func foreign(kind, name, workflow string) error {
	return fmt.Errorf("there is a %s %s that flow has not made for workflow %s, since it has no tag %s=%s: remove it, or give the workflow another name", kind, name, workflow, Tag, workflow)
}

// patience is how long a call is made again that is refused since IAM does not know everywhere
// yet of what it has made a moment ago.
const (
	patience = time.Minute
	pause    = 2 * time.Second
)

// soon makes a call until it is not refused any more for a role that is new.
func (m *Manager) soon(ctx context.Context, call func() error) error {
	for waited := time.Duration(0); ; waited += pause {
		err := call()
		var api smithy.APIError
		young := errors.As(err, &api) && (strings.Contains(api.ErrorMessage(), "assume") || strings.Contains(api.ErrorMessage(), "role"))
		if !young || waited >= patience {
			return err
		}
		if err := m.sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (m *Manager) sleep(ctx context.Context, d time.Duration) error {
	if m.Sleep != nil {
		return m.Sleep(ctx, d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// hasCode reports whether AWS has answered with one of these codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// sameJSON reports whether two texts are the same JSON.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	one, _ := json.Marshal(x)
	other, _ := json.Marshal(y)
	return string(one) == string(other)
}

var str = aws.String
