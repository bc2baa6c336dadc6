package local

import (
	"context"
	"time"

	"flow/executor/agent"
	"flow/executor/local/model"
	"flow/executor/store"
)

// Options say how an embedded AWS Batch is to be opened. The zero value is usable:
// it keeps no journal and has the size of the machine.
type Options struct {
	// Journal is the path of the file that keeps the jobs over the death of the
	// process; its directory must exist. "": nothing is kept.
	Journal string

	// The size of the one instance that jobs are packed on. 0: what the machine has
	// (no GPUs are looked for).
	VCPUs     float64
	MemoryMiB int
	GPUs      int

	// Consumables are the consumable resources that there are. What a job has of others is
	// not counted.
	Consumables []model.Consumable

	// Containers is the command tasks with an image are run with: "docker" or "podman".
	// "": tasks run as processes, whatever their image.
	Containers string

	// Secret resolves a reference of TaskSpec.Secrets when a task starts. nil: a task
	// that has secrets fails to start.
	Secret func(ref string) (string, error)

	// Memo remembers the sha256 of outputs; nil: nobody does.
	Memo agent.Memo

	// Store returns the store of objects; see agent.Files. nil: files are on this machine.
	Store func(context.Context) (store.Store, error)

	// TaskScratch is where the directories of attempts are made of tasks whose files are on
	// S3, and their logs stay; see [ScratchDir]. It must be absolute. "": there are none.
	TaskScratch string

	// Grace is the time between SIGTERM and SIGKILL. 0: 30 seconds, as with ECS.
	Grace time.Duration

	// Now is the clock; nil: time.Now.
	Now func() time.Time

	// Runner runs the tries, and is closed with the executor; nil: one made from these
	// options, of processes or containers.
	Runner Runner

	// Room is what this executor shares with others of this process: the machine, and the
	// threads that wait for programs. VCPUs, MemoryMiB and GPUs then bound what it uses of
	// that; 0: all of it. nil: it has the machine to itself.
	Room *Room

	// Pools returns what counts what tasks need of pools; it is closed with the executor, and
	// calls wake, on another goroutine, when what was refused may be there now. nil: pools are
	// not counted.
	Pools func(wake func()) Pools

	// Strict is for a Batch as AWS runs it: a request for more than the instance has
	// waits in RUNNABLE for ever, where it would else be cut down to what there is, and
	// the limits that only exist in AWS (a timeout of at least 60 s) hold.
	Strict bool

	// Retention is how long ended jobs are remembered; 0: for ever.
	Retention time.Duration
}

// ofRunner are the options of the runner that is made from these.
func (o *Options) ofRunner() RunnerOptions {
	return RunnerOptions{Containers: o.Containers, Secret: o.Secret, Memo: o.Memo, Store: o.Store, TaskScratch: o.TaskScratch}
}

// DefaultGrace is the time between SIGTERM and SIGKILL (ECS, stopTimeout).
const DefaultGrace = 30 * time.Second
