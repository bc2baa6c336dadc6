package local

import (
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// A Try is one attempt of a plain job or of a child of an array job, to be run.
// It is not changed once handed to a Runner.
type Try struct {
	Job          engine.JobID     // of the plain job or the child: what Runner.Stop gets
	Spec         *engine.JobSpec  // a job of flow run; not to be changed
	Task         *Task            // any other job; not to be changed
	TaskID       string           // of the ECS task, 32 hexadecimal digits: unique to the try
	ArraySize    int              // of the whole job; 0: a plain job
	Index        int              // of the child in its array; 0 for a plain job
	Array        bool             // a child of an array job
	Attempt      int              // of the task over all jobs that tried it, from 1: names its directory and log
	BatchAttempt int              // of the job, from 1: AWS_BATCH_JOB_ATTEMPT
	Resources    engine.Resources // granted, which may be less than was asked for

	Queue              string // AWS_BATCH_JQ_NAME
	ComputeEnvironment string // AWS_BATCH_CE_NAME
	LogStream          string // unique to the try; named as Batch names log streams
}

// An Exit is how a try ended, in Batch's words: ExitCode nil if the program never
// reported one (it did not start, or was lost), Reason of the container, StatusReason
// engine.ReasonExited, engine.ReasonStartFailed, ...
type Exit = model.Exit

// A Runner runs tries. It decides nothing: neither order nor retries nor timeouts.
// It is safe for concurrent use.
type Runner interface {
	// Run runs a try and blocks until it has ended, with nothing of it left behind. It
	// calls started once the program runs, and not at all if it could not be started.
	// It is called from goroutines that are locked to their OS thread for as long as
	// they live, and live longer than the try (Pdeathsig is bound to the thread).
	Run(t *Try, started func()) Exit

	// Stop asks a try to end: SIGTERM to its process group now, SIGKILL after grace.
	// It returns at once, and Run returns when the try has ended. A try that is unknown
	// or has ended is no error. Stop may come before Run has called started, and again
	// after it; a shorter grace than the one before replaces it.
	Stop(id engine.JobID, grace time.Duration)

	// Close frees what the Runner itself holds. It comes after the last Run has returned.
	Close()
}

// An Async is a Runner whose tries need no thread to wait for them. Run is not called.
type Async interface {
	Runner

	// Go begins a try and returns at once. It has started called once the program runs,
	// and ended when the try has ended, but neither before Go has returned.
	Go(t *Try, started func(), ended func(Exit))
}

// A Recoverer is a Runner that can clear up behind a process that was killed while
// it ran tries. [OpenBatch] asks it before anything is started.
type Recoverer interface {
	// Leftovers ends whatever still runs of those tries (SIGTERM, grace, SIGKILL) and
	// returns when nothing of them is left. All of them were STARTING or RUNNING when
	// the earlier process died; most of them are likely to be gone. An error means that
	// something could not be ended: nothing may be started then.
	Leftovers(tries []*Try, grace time.Duration) error

	// Finished reports how a try ended if it ended so that it needs no second run: its
	// result is complete and durable though the process died before it could say so.
	// It is called after Leftovers.
	Finished(t *Try) (Exit, bool)
}
