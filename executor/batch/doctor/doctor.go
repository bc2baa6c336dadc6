// Package doctor looks at everything that a workflow needs of AWS, and says what is wrong
// with it, why, and what to do. It changes nothing: it asks, and where only a call shows
// whether it is allowed, it makes one that AWS is bound to refuse for another reason.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"flow/engine"
	"flow/executor/batch/cloud"
)

// A Status says how a thing stands.
type Status string

// The statuses of lines.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Fault   Status = "fault"   // something will not work
	Skipped Status = "skipped" // it could not be looked at
)

// A Line is one thing that was looked at.
type Line struct {
	Group  string `json:"group"` // what it is about: "credentials", "queues", "network"
	Name   string `json:"name"`  // of what was looked at
	Status Status `json:"status"`
	Text   string `json:"text"`            // what was found; of a fault why it is one
	Fix    string `json:"fix,omitempty"`   // what to do
	Where  string `json:"where,omitempty"` // file:line in the workflow
}

// A Step is a step of the workflow, as far as it is known before anything has run.
type Step struct {
	Spec *engine.JobSpec // a sketch; its Task is never nil
	// Sized says that what it asks for is known, and nothing that a look at the
	// workflow alone has found wrong.
	Sized bool
	// Where returns the place of an argument, as file:line.
	Where func(arg string) string

	definition string // the job definition that it names; "": none
}

// Options say what is looked at.
type Options struct {
	Cloud   *cloud.Cloud
	Profile string // that was chosen otherwise than by AWS_PROFILE
	Steps   []Step
	// Queues are looked at beside those of the steps. None at all: every queue and every
	// environment of the region.
	Queues     []string
	Infra      *engine.Infra // what the workflow says of AWS Batch; nil: nothing
	Path       string        // of the workflow, for commands; "": there is none
	WorkDir    string
	AgentImage string
	Now        func() time.Time
	Limit      time.Duration // of each check; 0: 20 seconds
}

const defaultLimit = 20 * time.Second

// A check gives the lines of one subject.
type check struct {
	group string
	name  string // of the line if it does not end
	run   func(ctx context.Context) []Line
	vital bool // without an answer nothing works; other services flow can do without
}

// A patient is what is looked at, with what several checks look at.
type patient struct {
	o     Options
	world func() (*world, error)
	net   func() (*network, error)

	registered map[string]registered // the job definitions that steps name, as these write them
}

// Look makes all checks side by side, each with a limit of time. The lines come in a fixed
// order, whatever the order in which they are found.
func Look(ctx context.Context, o Options) []Line {
	if o.Limit == 0 {
		o.Limit = defaultLimit
	}
	o.Steps = resolved(o.Steps, o.Infra)
	p := &patient{o: o}
	p.prepare(ctx)
	p.world = sync.OnceValues(func() (*world, error) {
		ctx, cancel := context.WithTimeout(ctx, o.Limit)
		defer cancel()
		return p.readWorld(ctx)
	})
	p.net = sync.OnceValues(func() (*network, error) {
		ctx, cancel := context.WithTimeout(ctx, o.Limit)
		defer cancel()
		return p.readNetwork(ctx)
	})
	checks := p.checks()
	found := make([][]Line, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { found[i] = c.within(ctx, o.Limit) })
	}
	all.Wait()
	var lines []Line
	for i, c := range checks {
		for _, l := range found[i] {
			l.Group = c.group
			lines = append(lines, l)
		}
	}
	return lines
}

// prepare looks up what all checks go by.
func (p *patient) prepare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Limit)
	defer cancel()
	p.readDefinitions(ctx)
}

func (p *patient) checks() []check {
	return []check{
		{"credentials", "credentials", p.credentials, true}, {"credentials", "region", p.region, true},
		{"permissions", "calls", p.permissions, false},
		{"queues", "queues", p.queues, false},
		{"environments", "environments", p.environments, false}, {"environments", "Spot prices", p.spot, false},
		{"roles", "roles of environments", p.environmentRoles, false}, {"roles", "roles of steps", p.stepRoles, false},
		{"network", "network", p.networks, false}, {"network", "launch templates", p.templates, false},
		{"steps", "steps", p.placement, false}, {"steps", "definitions", p.definitions, false}, {"steps", "consumable resources", p.consumables, false},
		{"images", "images", p.images, false},
		{"logs", "log groups", p.logs, false},
		{"files", "work_dir", p.bucket, false},
		{"existing", "existing blocks", p.existing, false},
	}
}

// within makes the check, and gives up on it after some time: what it waits for may not
// look at its context.
func (c *check) within(ctx context.Context, limit time.Duration) []Line {
	ctx, cancel := context.WithTimeout(ctx, 2*limit) // it may wait for what others look at
	defer cancel()
	done := make(chan []Line, 1)
	go func() { done <- c.run(ctx) }()
	select {
	case lines := <-done:
		return lines
	case <-ctx.Done():
		status := Skipped
		if c.vital {
			status = Fault
		}
		return []Line{{Name: c.name, Status: status, Text: "there was no answer in time", Fix: "look whether the network lets flow out to AWS (port 443, or through the proxy that HTTPS_PROXY names)"}}
	}
}

func ok(name, format string, args ...any) Line {
	return Line{Name: name, Status: OK, Text: fmt.Sprintf(format, args...)}
}

func fault(name, fix, format string, args ...any) Line {
	return Line{Name: name, Status: Fault, Text: fmt.Sprintf(format, args...), Fix: fix}
}

func warning(name, fix, format string, args ...any) Line {
	return Line{Name: name, Status: Warning, Text: fmt.Sprintf(format, args...), Fix: fix}
}

func skipped(name, format string, args ...any) Line {
	return Line{Name: name, Status: Skipped, Text: fmt.Sprintf(format, args...)}
}

// at adds where something stands in the workflow.
func (l Line) at(where string) Line {
	l.Where = where
	return l
}

// aws writes a command of the AWS CLI that does something in the place that is looked at.
func (p *patient) aws(format string, args ...any) string {
	cmd := "aws " + fmt.Sprintf(format, args...) + " --region " + p.o.Cloud.Region()
	if p.o.Profile != "" {
		cmd += " --profile " + p.o.Profile
	}
	return cmd
}

// apply writes the command that applies the blocks of the workflow.
func (p *patient) apply() string { return strings.TrimSpace("flow infra apply " + p.o.Path) }

// policy writes the command that prints what the credentials have to be allowed.
func (p *patient) policy() string { return strings.TrimSpace("flow infra policy " + p.o.Path) }

// environmentBlock returns the block that flow manages an environment by; nil: none.
func (p *patient) environmentBlock(name string) *engine.ComputeEnvironment {
	if p.o.Infra != nil {
		for _, e := range p.o.Infra.Environments {
			if e.Name == name && !e.Existing {
				return e
			}
		}
	}
	return nil
}

// queueBlock returns the block that flow manages a queue by; nil: none.
func (p *patient) queueBlock(name string) *engine.JobQueue {
	if p.o.Infra != nil {
		for _, q := range p.o.Infra.Queues {
			if q.Name == name && !q.Existing {
				return q
			}
		}
	}
	return nil
}

// mend says how to change something of an environment: in its block, or by the AWS CLI.
func (p *patient) mend(environment, hcl, cli string) string {
	if b := p.environmentBlock(environment); b != nil {
		return fmt.Sprintf("write %s in the block at %s, and run: %s", hcl, b.Pos, p.apply())
	}
	return p.aws("batch update-compute-environment --compute-environment %s %s", environment, cli)
}

// mendQueue says how to change something of a queue.
func (p *patient) mendQueue(queue, hcl, cli string) string {
	if b := p.queueBlock(queue); b != nil {
		return fmt.Sprintf("write %s in the block at %s, and run: %s", hcl, b.Pos, p.apply())
	}
	return p.aws("batch update-job-queue --job-queue %s %s", queue, cli)
}

// names joins a list for people, the first few of them.
func names(list []string) string {
	const most = 5
	if n := len(list) - most; n > 0 {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(list, ", ")
}

// lastPart returns what an ARN names: that behind its last slash.
func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
