// Package diagnose says in plain words why a job of AWS Batch waits, or why a try of a task
// failed, with the evidence and with what would help. What it concludes it concludes from
// facts alone, in pure functions: [Diagnose] of a job that waits, [WhyFailed] of one that
// has ended. [Gather] looks the facts up.
//
// The texts that it goes by are those of AWS Batch (Batch User Guide, job_stuck_in_runnable
// and troubleshooting), of Amazon ECS (Developer Guide, stopped-task-error-codes and
// task_cannot_pull_image) and of its agent, and of flow itself.
package diagnose

import (
	"strings"
	"time"
)

// An Attempt is how a try of a task ended, as far as is known, and what it had.
type Attempt struct {
	ExitCode *int // nil: it never reported one
	// Reason is that of the container, or the one that flow has recorded for the try.
	Reason           string
	StatusReason     string // of AWS Batch; "": not known
	Terminated       bool   // by a person, or by flow
	Started, Stopped time.Time
	PeakMemory       int64    // bytes; 0: not known
	Local            bool     // it ran on this machine
	Cause            string   // the task that failed before it, if that is known
	Log              []string // the last lines of what it wrote; they are only looked at for what exit codes leave open
	Asked            Asked
}

// Asked is what a task asks for. What is not known is zero.
type Asked struct {
	MemoryMiB    int
	Timeout      time.Duration
	Image        string
	Program      string // first word of its command; "": a script
	Architecture string // X86_64, ARM64
	LogGroup     string
	Agent        bool
	AgentImage   string // with flow in it
	Fargate      bool
}

// A Cause is a kind of failure, or of a reason to wait: one word, for programs.
type Cause string

// The causes of a failure.
const (
	ExitCode          Cause = "exit-code"       // the program says so itself
	NotExecutable     Cause = "not-executable"  // exit code 126, or a start that was refused
	CommandNotFound   Cause = "command-missing" // exit code 127, or the image has no such program
	Signalled         Cause = "signal"
	Killed            Cause = "killed" // SIGKILL, and nothing says why
	OutOfMemory       Cause = "out-of-memory"
	DiskFull          Cause = "disk-full"
	TimedOut          Cause = "timeout"
	HostLost          Cause = "host-lost"
	SpotTaken         Cause = "spot-taken" // of Fargate Spot
	ImageMissing      Cause = "image-missing"
	ImageDenied       Cause = "image-denied"
	ImageRateLimit    Cause = "image-rate-limit"
	ImageNoRoute      Cause = "image-no-route"
	ImagePull         Cause = "image-pull" // of another cause
	WrongArchitecture Cause = "wrong-architecture"
	NoLogGroup        Cause = "log-group-missing"
	NoSecret          Cause = "secret"
	NoResources       Cause = "initialization" // of the task, by ECS
	NotStarted        Cause = "start-failed"
	Vanished          Cause = "container-vanished"
	Refused           Cause = "refused" // the job, by AWS Batch
	DependencyFailed  Cause = "dependency-failed"
	ChildFailed       Cause = "child-failed"
	OverridesTooLong  Cause = "overrides-too-long"
	QueueLimit        Cause = "queue-time-limit" // jobStateTimeLimitActions
	QueueDeleted      Cause = "queue-deleted"
	Ended             Cause = "terminated" // by a person, or by flow
	InputMissing      Cause = "input-missing"
	OutputMissing     Cause = "output-missing"
	OutputNotKept     Cause = "output-not-kept"
	Claimed           Cause = "claimed" // another job runs the try
	AgentFailed       Cause = "agent-failed"
	Lost              Cause = "lost"  // nobody can tell whether it ran
	Other             Cause = "other" // the reason, as it was given
)

// A Verdict is why a try failed.
type Verdict struct {
	Cause Cause    `json:"cause"`
	Text  string   `json:"text"`            // one line: what happened
	Why   string   `json:"why,omitempty"`   // what that means, where the line leaves it open
	Help  []string `json:"help,omitempty"`  // what would help, each a sentence
	Write string   `json:"write,omitempty"` // lines of HCL for the step
}

func (v *Verdict) help(sentences ...string) { v.Help = append(v.Help, sentences...) }

// A sign is what a failure is known by, and what it means.
type sign struct {
	shows func(a *Attempt) bool
	tell  func(a *Attempt, v *Verdict)
}

// signs are looked for in this order: the first that shows decides. Those of AWS Batch
// come before those of the container, and those before what the exit code alone says:
// a try that ran into its time limit has exit code 137 as well.
var signs = [][]sign{jobSigns, ownSigns, memorySigns, imageSigns, startSigns}

// WhyFailed says why a try failed. It is pure.
func WhyFailed(a Attempt) Verdict {
	var v Verdict
	for _, group := range signs {
		for _, s := range group {
			if s.shows(&a) {
				s.tell(&a, &v)
				return v
			}
		}
	}
	tellExit(&a, &v)
	return v
}

// says reports whether one of the reasons contains one of the texts, whatever their case.
func (a *Attempt) says(texts ...string) bool {
	return contains(a.Reason, texts...) || contains(a.StatusReason, texts...)
}

func contains(text string, any ...string) bool {
	text = strings.ToLower(text)
	for _, t := range any {
		if strings.Contains(text, strings.ToLower(t)) {
			return true
		}
	}
	return false
}

// begins reports whether one of the reasons begins with one of the texts.
func (a *Attempt) begins(texts ...string) bool {
	for _, t := range texts {
		if strings.HasPrefix(a.Reason, t) || strings.HasPrefix(a.StatusReason, t) {
			return true
		}
	}
	return false
}

// after returns what stands behind the beginning of a reason.
func (a *Attempt) after(beginning string) string {
	if rest, ok := strings.CutPrefix(a.Reason, beginning); ok {
		return rest
	}
	return strings.TrimPrefix(a.StatusReason, beginning)
}

// ran returns how long the try ran; 0: not known.
func (a *Attempt) ran() time.Duration {
	if a.Started.IsZero() || a.Stopped.Before(a.Started) {
		return 0
	}
	return a.Stopped.Sub(a.Started)
}

// shows makes the test of a sign: that a reason contains one of the texts.
func shows(texts ...string) func(*Attempt) bool {
	return func(a *Attempt) bool { return a.says(texts...) }
}

// opens makes the test of a sign: that a reason begins with one of the texts.
func opens(texts ...string) func(*Attempt) bool {
	return func(a *Attempt) bool { return a.begins(texts...) }
}
