package engine

import (
	"strings"
	"time"
)

// A TaskSpec says what one task runs, with every expression evaluated. Specs are
// shared between tasks and never changed once handed over. Values of secrets are
// never in it, only where to read them.
type TaskSpec struct {
	Command []string `json:"command,omitempty"` // exec form, no shell; nil if there is a script
	Script  string   `json:"script,omitempty"`  // text handed to Shell as its last argument
	Shell   []string `json:"shell,omitempty"`   // set with Script

	Image         string            `json:"image,omitempty"`
	Queue         string            `json:"queue,omitempty"`          // name or ARN
	JobDefinition string            `json:"job_definition,omitempty"` // name[:revision] or ARN
	Parameters    map[string]string `json:"parameters,omitempty"`

	Env     map[string]string `json:"env,omitempty"`
	Secrets map[string]string `json:"secrets,omitempty"` // name -> where to read it: "env:NAME", "file:/path", "var:name", or an ARN
	Inputs  []Input           `json:"inputs,omitempty"`  // by name
	Outputs []Output          `json:"outputs,omitempty"` // in source order

	Resources []Resources       `json:"resources,omitempty"` // by attempt: the first, the second, ...; the last one holds from there on
	Retry     Retry             `json:"retry,omitzero"`
	Timeout   time.Duration     `json:"timeout,omitempty"` // of one attempt, from RUNNING; 0: none
	Tags      map[string]string `json:"tags,omitempty"`
	Priority  int               `json:"priority,omitempty"`
	Container *Container        `json:"container,omitempty"`

	// Consumables are the consumable resources of AWS Batch that a task has while it is
	// tried, by name. How many there are does not change what a task does, so they are no
	// part of its cache key.
	Consumables []Consumable `json:"consumables,omitempty"`

	NoCache      bool   `json:"no_cache,omitempty"` // `cache = false`
	CacheVersion string `json:"cache_version,omitempty"`
}

// ResourcesFor returns what attempt (from 1) asks for.
func (s *TaskSpec) ResourcesFor(attempt int) Resources {
	if len(s.Resources) == 0 {
		return Resources{VCPUs: 1, MemoryMiB: DefaultMemoryMiB}
	}
	return s.Resources[min(max(attempt, 1), len(s.Resources))-1]
}

// DefaultMemoryMiB is what a task gets that asks for no memory; with the default of
// one vCPU it is a pair that Fargate accepts.
const DefaultMemoryMiB = 2048

// A Consumable is how much a task has of a consumable resource, from before it starts to its
// end, over all tries that Batch makes.
type Consumable struct {
	Resource string `json:"resource"` // name or ARN
	Quantity int64  `json:"quantity"`
	// Pool says that it is one of the workflow's pools. The embedded executor has those over
	// all runs of a state file, and a task has it only while a try of it is under way.
	Pool bool `json:"pool,omitempty"`
}

// Name returns the name of the resource, also where it is given by its ARN.
func (c Consumable) Name() string { return c.Resource[strings.LastIndexByte(c.Resource, '/')+1:] }

// An Input is a file, a directory, or a list of them, staged into the task's
// directory under its name.
type Input struct {
	Name  string   `json:"name"`
	List  bool     `json:"list,omitempty"`
	Paths []string `json:"paths"`         // absolute paths or URIs, in order; one if it is no list
	IDs   []string `json:"ids,omitempty"` // the identity of each for the cache key, set by the driver
}

// An Output is what a task must leave behind.
type Output struct {
	Name     string     `json:"name"`
	Kind     OutputKind `json:"kind"`
	Path     string     `json:"path"` // relative to the task's directory; a glob for OutputFiles
	Optional bool       `json:"optional,omitempty"`
	Publish  string     `json:"publish,omitempty"` // absolute path or URI to copy it to; ends in / for a directory
	// Temporary output is removed as soon as the last step that reads it has succeeded.
	Temporary bool `json:"temporary,omitempty"`
}

// Resources are what one attempt of a task asks for.
type Resources struct {
	VCPUs     float64 `json:"vcpus"`
	MemoryMiB int     `json:"memory_mib"`
	GPUs      int     `json:"gpus,omitempty"`
	DiskGiB   int     `json:"disk_gib,omitempty"`
}

// Retry is a retry block. Without rules every failure is retried; with rules the
// first that matches decides, and what no rule matches is not retried.
type Retry struct {
	Attempts int         `json:"attempts,omitempty"` // tries in all; 0 and 1: no retry
	Rules    []RetryRule `json:"rules,omitempty"`
}

// A RetryRule is a `when "class"` block. A pattern is literal text with at most one
// trailing *, as in Batch's evaluateOnExit; all patterns that are given must match.
type RetryRule struct {
	Class        string `json:"class"`
	ExitCode     string `json:"exit_code,omitempty"` // pattern over the decimal exit code
	Reason       string `json:"reason,omitempty"`
	StatusReason string `json:"status_reason,omitempty"`
	Exit         bool   `json:"exit,omitempty"` // action = "exit": do not retry

	// What the next attempt gets. Any of these makes the engine do the retry, not Batch.
	Delay     time.Duration `json:"delay,omitempty"`
	MemoryMiB []int         `json:"memory_mib,omitempty"` // by attempt, like TaskSpec.Resources; nil: unchanged
	VCPUs     []float64     `json:"vcpus,omitempty"`
	Queue     string        `json:"queue,omitempty"`
}

// Engine reports whether the engine, not Batch, must carry out the retry.
func (r *RetryRule) Engine() bool {
	return r.Delay > 0 || len(r.MemoryMiB) > 0 || len(r.VCPUs) > 0 || r.Queue != ""
}

// A Container is the rest of Batch's containerProperties.
type Container struct {
	User             string            `json:"user,omitempty"`
	JobRole          string            `json:"job_role,omitempty"`
	ExecutionRole    string            `json:"execution_role,omitempty"`
	InitProcess      bool              `json:"init_process,omitempty"`
	ReadOnly         bool              `json:"read_only,omitempty"`
	Privileged       bool              `json:"privileged,omitempty"`
	Ulimits          []Ulimit          `json:"ulimits,omitempty"`
	Volumes          []Volume          `json:"volumes,omitempty"`
	LogDriver        string            `json:"log_driver,omitempty"`
	LogOptions       map[string]string `json:"log_options,omitempty"`
	Network          string            `json:"network,omitempty"`      // local: none, host, bridge; Fargate: public, private
	Architecture     string            `json:"architecture,omitempty"` // X86_64, ARM64
	Platform         string            `json:"platform,omitempty"`     // EC2, FARGATE
	SharedMemoryMiB  int               `json:"shared_memory_mib,omitempty"`
	EphemeralStorage int               `json:"ephemeral_storage_gib,omitempty"`
}

// A Ulimit is one entry of Batch's ulimits.
type Ulimit struct {
	Name string `json:"name"`
	Soft int    `json:"soft"`
	Hard int    `json:"hard"`
}

// A Volume is a volume and where it is mounted: a host path or an EFS file system.
type Volume struct {
	Name      string `json:"name"`
	HostPath  string `json:"host_path,omitempty"`
	EFS       string `json:"efs,omitempty"` // file system id
	Path      string `json:"path"`          // in the container
	ReadOnly  bool   `json:"read_only,omitempty"`
	EFSRoot   string `json:"efs_root,omitempty"`
	EFSAccess string `json:"efs_access_point,omitempty"`
}

// An Item is what one task has of its own: its key, and whatever of its TaskSpec
// differs from the spec it shares with the other tasks of its group. A nil field
// means the group's.
type Item struct {
	Command []string          `json:"command,omitempty"`
	Script  *string           `json:"script,omitempty"`
	Env     map[string]string `json:"env,omitempty"` // set over the group's, name by name
	Inputs  []Input           `json:"inputs,omitempty"`
	Outputs []Output          `json:"outputs,omitempty"`
	// Absent marks a task that could not be evaluated, since what it needs of
	// another task is not there (that one failed or was skipped): it is skipped.
	Absent string `json:"absent,omitempty"` // why; "when" if its own `when` is false
}

// With returns the spec of the task that has this item. The result shares memory
// with s and must not be changed.
func (s *TaskSpec) With(it *Item) *TaskSpec {
	if it == nil || (it.Command == nil && it.Script == nil && it.Env == nil && it.Inputs == nil && it.Outputs == nil) {
		return s
	}
	c := *s
	if it.Command != nil {
		c.Command = it.Command
	}
	if it.Script != nil {
		c.Script = *it.Script
	}
	if it.Env != nil {
		c.Env = make(map[string]string, len(s.Env)+len(it.Env))
		for k, v := range s.Env {
			c.Env[k] = v
		}
		for k, v := range it.Env {
			c.Env[k] = v
		}
	}
	if it.Inputs != nil {
		c.Inputs = it.Inputs
	}
	if it.Outputs != nil {
		c.Outputs = it.Outputs
	}
	return &c
}

// NeedsAgent reports whether something has to be done around the command: staging
// in or out. Without, success is exit code 0 and nothing else.
func (s *TaskSpec) NeedsAgent() bool { return len(s.Inputs) > 0 || len(s.Outputs) > 0 }
