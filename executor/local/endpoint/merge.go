package endpoint

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// plainWork returns what a job with no overrides and no parameters of its own runs.
func (d *definition) plainWork() (*work, error) {
	if d.plain == nil {
		w, err := d.merge(&batch.SubmitJobInput{}, d.Parameters)
		if err != nil {
			return nil, err
		}
		d.plain = w
	}
	return d.plain, nil
}

// work returns what a job runs.
func (d *definition) work(in *batch.SubmitJobInput, parameters map[string]string) (*work, error) {
	if len(in.Parameters) == 0 && in.ContainerOverrides == nil && in.EcsPropertiesOverride == nil {
		return d.plainWork()
	}
	return d.merge(in, parameters)
}

// merge puts the overrides of a submission over the definition, and the values of the
// parameters into the commands.
func (d *definition) merge(in *batch.SubmitJobInput, parameters map[string]string) (*work, error) {
	w := &work{}
	switch {
	case d.ContainerProperties != nil:
		if in.EcsPropertiesOverride != nil {
			return nil, refuse("ecsPropertiesOverride is not applicable: the job definition %s has containerProperties", *d.JobDefinitionName)
		}
		c := *d.ContainerProperties
		if err := override(&c, in.ContainerOverrides); err != nil {
			return nil, err
		}
		if err := checkContainer(&c, d.fargate); err != nil {
			return nil, err
		}
		command, err := substitute(c.Command, parameters)
		if err != nil {
			return nil, err
		}
		c.Command = command
		w.container = &c
	case d.EcsProperties != nil:
		if in.ContainerOverrides != nil {
			return nil, refuse("containerOverrides is not applicable: the job definition %s has ecsProperties", *d.JobDefinitionName)
		}
		ecs, err := overrideECS(d.EcsProperties, in.EcsPropertiesOverride, parameters)
		if err != nil {
			return nil, err
		}
		if err := checkEcs(ecs, d.fargate); err != nil {
			return nil, err
		}
		w.ecs = ecs
	}
	d.finish(w)
	return w, nil
}

// finish makes of what a job runs what its runner is to know.
func (d *definition) finish(w *work) {
	w.task = d.task(w)
	w.length = overridesLength(w.task)
	for i := range w.task.Containers { // by the agent of ECS, so it does not count above
		c := &w.task.Containers[i]
		c.Env = append([]string{"AWS_EXECUTION_ENV=" + d.executionEnvironment()}, c.Env...)
	}
}

// executionEnvironment is what the agent of ECS sets AWS_EXECUTION_ENV to.
func (d *definition) executionEnvironment() string {
	if d.fargate {
		return "AWS_ECS_FARGATE"
	}
	return "AWS_ECS_EC2"
}

// override puts the overrides of a job over a container (SubmitJob, containerOverrides).
func override(c *types.ContainerProperties, o *types.ContainerOverrides) error {
	if o == nil {
		return nil
	}
	if o.InstanceType != nil {
		return refuse("instanceType is for multi-node parallel jobs only")
	}
	if (o.Vcpus != nil || o.Memory != nil) && len(c.ResourceRequirements) > 0 {
		return refuse("This value was submitted in a deprecated key and may conflict with the value provided by the job definition's resource requirements.")
	}
	if o.Vcpus != nil {
		c.Vcpus = o.Vcpus
	}
	if o.Memory != nil {
		c.Memory = o.Memory
	}
	return overridable{&c.Command, &c.Environment, &c.ResourceRequirements}.override(o.Command, o.Environment, o.ResourceRequirements)
}

// overrideECS puts the overrides of a job over the containers of its definition.
func overrideECS(e *types.EcsProperties, o *types.EcsPropertiesOverride, parameters map[string]string) (*types.EcsProperties, error) {
	task := e.TaskProperties[0]
	task.Containers = slices.Clone(task.Containers)
	if o != nil && len(o.TaskProperties) > 1 {
		return nil, refuse("ecsPropertiesOverride takes one entry of taskProperties, got %d", len(o.TaskProperties))
	}
	if o != nil && len(o.TaskProperties) == 1 {
		for i := range o.TaskProperties[0].Containers {
			if err := overrideNamed(task.Containers, &o.TaskProperties[0].Containers[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range task.Containers {
		command, err := substitute(task.Containers[i].Command, parameters)
		if err != nil {
			return nil, err
		}
		task.Containers[i].Command = command
	}
	return &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{task}}, nil
}

func overrideNamed(containers []types.TaskContainerProperties, o *types.TaskContainerOverrides) error {
	at := 0
	if o.Name != nil {
		at = slices.IndexFunc(containers, func(c types.TaskContainerProperties) bool { return value(c.Name) == *o.Name })
	} else if len(containers) > 1 {
		return refuse("A container override needs the name of its container")
	}
	if at < 0 {
		return refuse("The container %s of the overrides is not in the job definition", *o.Name)
	}
	c := &containers[at]
	return overridable{&c.Command, &c.Environment, &c.ResourceRequirements}.override(o.Command, o.Environment, o.ResourceRequirements)
}

// overridable is what can be overridden of every kind of container.
type overridable struct {
	command     *[]string
	environment *[]types.KeyValuePair
	resources   *[]types.ResourceRequirement
}

func (o overridable) override(command []string, environment []types.KeyValuePair, resources []types.ResourceRequirement) (err error) {
	if slices.Contains(command, "") {
		return refuse("Container command should not contain an empty string")
	}
	if err := checkEnvironment(environment); err != nil {
		return err
	}
	if len(command) > 0 {
		*o.command = command
	}
	*o.environment = overrideEnvironment(*o.environment, environment)
	*o.resources, err = overrideResources(*o.resources, resources)
	return err
}

// overrideEnvironment adds variables, or replaces those of the same name.
func overrideEnvironment(env, over []types.KeyValuePair) []types.KeyValuePair {
	if len(over) == 0 {
		return env
	}
	out := slices.Clone(env)
	for _, kv := range over {
		at := slices.IndexFunc(out, func(e types.KeyValuePair) bool { return value(e.Name) == value(kv.Name) })
		if at >= 0 {
			out[at] = kv
		} else {
			out = append(out, kv)
		}
	}
	return out
}

// overrideResources replaces resource requirements by their type.
func overrideResources(have, over []types.ResourceRequirement) ([]types.ResourceRequirement, error) {
	out := slices.Clone(have)
	for i, r := range over {
		same := func(o types.ResourceRequirement) bool { return o.Type == r.Type }
		if slices.ContainsFunc(over[:i], same) {
			return nil, refuse("Cannot provide duplicates in resourceRequirements.")
		}
		if at := slices.IndexFunc(out, same); at >= 0 {
			out[at] = r
		} else {
			out = append(out, r)
		}
	}
	return out, nil
}

// substitute puts the values of parameters for the elements Ref::name of a command (Batch
// User Guide, job_definition_parameters). An element with more than that stays as it is.
func substitute(command []string, parameters map[string]string) ([]string, error) {
	out := command
	for i, word := range command {
		name, ok := strings.CutPrefix(word, "Ref::")
		if !ok {
			continue
		}
		value, ok := parameters[name]
		if !ok {
			return nil, refuse("Unable to substitute value. No parameter found for reference %s", name)
		}
		if &out[0] == &command[0] {
			out = slices.Clone(command)
		}
		out[i] = value
	}
	return out, nil
}

// mergeParameters returns the parameters of a job: those of its definition, and over them
// its own.
func mergeParameters(defaults, own map[string]string) map[string]string {
	if len(own) == 0 {
		return defaults
	}
	out := make(map[string]string, len(defaults)+len(own))
	for k, v := range defaults {
		out[k] = v
	}
	for k, v := range own {
		out[k] = v
	}
	return out
}
