package local

import (
	"time"

	"flow/engine"
)

// A Task is what a job of AWS Batch runs: one container, or up to ten that wait for one
// another (ecsProperties). It is the Payload of a model.Request.
type Task struct {
	Containers []Container  `json:"containers"` // one named DefaultContainer for a job with containerProperties
	Volumes    []TaskVolume `json:"volumes,omitempty"`
}

// DefaultContainer is the name of the one container of a job with containerProperties,
// as in the names of its log streams.
const DefaultContainer = "default"

// A TaskVolume is a volume of a task.
type TaskVolume struct {
	Name     string `json:"name"`
	HostPath string `json:"host_path,omitempty"` // "": made for the task, shared by its containers, and removed with it
}

// A Container is one container of a task.
type Container struct {
	Name      string                `json:"name"`
	Image     string                `json:"image,omitempty"`
	Command   []string              `json:"command,omitempty"`
	Env       []string              `json:"env,omitempty"`     // NAME=value, without what Batch sets
	Secrets   map[string]string     `json:"secrets,omitempty"` // valueFrom by the name of the variable
	Essential bool                  `json:"essential,omitempty"`
	DependsOn []ContainerDependency `json:"depends_on,omitempty"`
	Mounts    []Mount               `json:"mounts,omitempty"`
	engine.Resources
	Props *engine.Container `json:"props,omitempty"`

	StartTimeout time.Duration `json:"start_timeout,omitempty"` // after which what waits for its end gives up; 0: never
	StopTimeout  time.Duration `json:"stop_timeout,omitempty"`  // between SIGTERM and SIGKILL; 0: 30 s

	// The log stream is LogPrefix/Name/id of the task.
	LogGroup       string `json:"log_group,omitempty"`
	LogPrefix      string `json:"log_prefix,omitempty"`
	LogCreateGroup bool   `json:"log_create_group,omitempty"`
}

// A ContainerDependency lets a container start when another has got so far.
type ContainerDependency struct {
	Container string             `json:"container"`
	Condition ContainerCondition `json:"condition"`
}

// A ContainerCondition is how far a container must have got (TaskContainerDependency).
type ContainerCondition string

const (
	ContainerStarted   ContainerCondition = "START"
	ContainerCompleted ContainerCondition = "COMPLETE" // has ended, with whatever exit code
	ContainerSucceeded ContainerCondition = "SUCCESS"  // has ended with exit code 0
)

// A Mount is where a volume is in a container.
type Mount struct {
	Volume   string `json:"volume"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"read_only,omitempty"`
}
