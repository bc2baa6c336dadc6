package infra

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/executor/batch/cloud"
)

// Options say whose infrastructure is managed, and where.
type Options struct {
	Workflow, Region string

	Batch     *batch.Client
	IAM       *iam.Client                     // nil: roles are not looked at
	IAMAbsent error                           // why
	Identity  func() (*cloud.Identity, error) // who the credentials are

	// Tell is called with what is done and waited for, a line at a time.
	Tell func(line string)
	// Sleep waits, and ends with an error if the context does.
	Sleep func(ctx context.Context, d time.Duration) error
	Now   func() time.Time
	// Poll is how long is waited between two looks at what changes.
	Poll time.Duration
	// Timeout is how long one thing is waited for at most; 0: for ever.
	Timeout time.Duration
}

// How often it is looked at what changes: an environment takes half a minute or more with
// AWS, and nothing on this machine.
const (
	pollFar  = 3 * time.Second
	pollNear = 50 * time.Millisecond
)

// On returns the options of a workflow on a cloud.
func On(c *cloud.Cloud, workflow string, tell func(line string)) Options {
	o := Options{Workflow: workflow, Region: c.Region(), Batch: c.Batch(), Identity: c.Identity, Tell: tell, Sleep: sleep, Now: time.Now, Poll: pollFar}
	if c.Near() {
		o.Poll = pollNear
	}
	if o.IAM, o.IAMAbsent = c.IAM(); o.IAMAbsent != nil {
		o.IAM = nil
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// A Manager plans, makes and removes the infrastructure of a workflow.
type Manager struct {
	o     Options
	fresh map[string]bool // roles that were made a moment ago, which AWS may not know everywhere yet
}

// New returns a manager. It makes no call.
func New(o Options) *Manager { return &Manager{o: o, fresh: map[string]bool{}} }

func (m *Manager) tell(format string, args ...any) { m.o.Tell(fmt.Sprintf(format, args...)) }
