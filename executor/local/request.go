package local

import (
	"errors"
	"fmt"
	"strings"

	"flow/engine"
	"flow/executor/local/model"
)

// request turns a job into what the model knows of it. Of consumable resources it has those
// that there are here, and no more of one than there is, as with the size of the machine.
func request(spec *engine.JobSpec, there []model.Consumable) *model.Request {
	r := &model.Request{
		Name:       spec.Name,
		Queue:      queueName(spec.Queue),
		Definition: string(spec.Step),
		ArraySize:  spec.ArraySize,
		DependsOn:  spec.DependsOn,
		Attempts:   spec.Attempts,
		Evaluate:   spec.Evaluate,
		Timeout:    spec.Timeout,
		Resources:  spec.Resources,
		Tags:       spec.Tags,
		Payload:    spec,
	}
	if r.VCPUs == 0 {
		r.VCPUs = 1
	}
	if r.MemoryMiB == 0 {
		r.MemoryMiB = engine.DefaultMemoryMiB
	}
	if spec.Task == nil {
		return r
	}
	for _, n := range spec.Task.Consumables {
		if n.Pool {
			r.Pools = append(r.Pools, model.Need{Consumable: n.Resource, Quantity: n.Quantity})
		}
	}
	for _, c := range there {
		for _, n := range spec.Task.Consumables {
			if !n.Pool && n.Name() == c.Name {
				r.Consumables = append(r.Consumables, model.Need{Consumable: c.Name, Quantity: min(n.Quantity, c.Total)})
			}
		}
	}
	return r
}

// queueName returns the name of a queue given by name, by ARN, or not at all.
func queueName(queue string) string {
	if queue == "" {
		return DefaultQueue
	}
	if strings.HasPrefix(queue, "arn:") {
		return queue[strings.LastIndexByte(queue, '/')+1:]
	}
	return queue
}

// checkSpec reports what is wrong with a job in itself, where Batch would not see it.
func checkSpec(spec *engine.JobSpec) error {
	size := spec.Size()
	switch {
	case spec.Task == nil:
		return errors.New("it has no task to run")
	case spec.ArraySize < 0:
		return fmt.Errorf("its array size is %d", spec.ArraySize)
	case spec.Tasks.Len() != size:
		return fmt.Errorf("it has %d tasks for %d children", spec.Tasks.Len(), size)
	case spec.Keys != nil && len(spec.Keys) != size:
		return fmt.Errorf("it has %d keys for %d children", len(spec.Keys), size)
	case spec.Items != nil && len(spec.Items) != size:
		return fmt.Errorf("it has %d items for %d children", len(spec.Items), size)
	}
	return nil
}

// newRunning returns the try that an effect asks for.
func newRunning(e *model.Effect) *running {
	r := &running{
		Try: Try{
			Job: e.ID(), Index: max(e.Index, 0), Array: e.Index >= 0, ArraySize: e.Request.ArraySize,
			Attempt: e.Attempt, BatchAttempt: e.Attempt, Resources: e.Granted,
			Queue: e.Request.Queue, ComputeEnvironment: e.Environment,
			LogStream: e.LogStream, TaskID: e.TaskID,
		},
		job: e.Job, index: e.Index,
	}
	switch payload := e.Request.Payload.(type) {
	case *engine.JobSpec:
		r.Spec, r.Attempt = payload, taskAttempt(payload, e.Attempt)
	case interface{ Task() *Task }:
		r.Task = payload.Task()
	case *Task:
		r.Task = payload
	default:
		r.Task = &Task{} // which fails to start
	}
	return r
}

// taskAttempt numbers a try over all jobs that tried its task.
func taskAttempt(spec *engine.JobSpec, batchAttempt int) int {
	return max(spec.Attempt, 1) + batchAttempt - 1
}

// Environment returns the variables that Batch sets for the try, as NAME=value.
func (t *Try) Environment() []string {
	return model.Variables(t.ComputeEnvironment, t.Queue, t.Job, t.BatchAttempt, t.ArraySize)
}
