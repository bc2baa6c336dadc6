package endpoint

import (
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local"
)

// A submission is what a job was submitted with: the payload of the model's requests.
// Many jobs share their definition, and most of them all that is made of it, so none of
// it is changed once it is there, but for the tags, which are replaced whole.
type submission struct {
	definition *definition
	work       *work
	dependsOn  []types.JobDependency
	parameters map[string]string
	retry      *types.RetryStrategy
	timeout    *types.JobTimeout
	tags       map[string]string
	propagate  *bool
	priority   *int32
	needs      *types.ConsumableResourceProperties
}

// A work is what a job runs: its definition with the overrides of the submission, as it
// is told (one of container and ecs) and as it is run.
type work struct {
	container *types.ContainerProperties
	ecs       *types.EcsProperties
	task      *local.Task
	length    int // of the overrides that ECS would get
}

// Task returns what is to be run.
func (s *submission) Task() *local.Task { return s.work.task }
