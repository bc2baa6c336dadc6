package endpoint

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/local"
)

// defaultLogGroup is where logs go that no log configuration sends elsewhere (Batch User
// Guide, job_states).
const defaultLogGroup = "/aws/batch/job"

// task returns what the runner of a job is to know of it.
func (d *definition) task(w *work) *local.Task {
	if w.container != nil {
		return d.taskOfContainer(w.container)
	}
	return d.taskOfContainers(&w.ecs.TaskProperties[0])
}

func (d *definition) taskOfContainer(c *types.ContainerProperties) *local.Task {
	out := local.Container{
		Name: local.DefaultContainer, Essential: true, Image: value(c.Image), Command: c.Command, Env: environ(c.Environment), Secrets: secretsOf(c.Secrets),
		Resources: resourcesOf(c.ResourceRequirements, c.Vcpus, c.Memory), Mounts: mountsOf(c.MountPoints),
		Props: propsOf(c.User, c.Privileged, c.ReadonlyRootFilesystem, c.Ulimits, c.LinuxParameters, c.RuntimePlatform),
	}
	d.logTo(&out, c.LogConfiguration)
	return &local.Task{Containers: []local.Container{out}, Volumes: volumesOf(c.Volumes)}
}

func (d *definition) taskOfContainers(t *types.EcsTaskProperties) *local.Task {
	task := &local.Task{Volumes: volumesOf(t.Volumes)}
	for i := range t.Containers {
		c := &t.Containers[i]
		out := local.Container{
			Name: value(c.Name), Essential: essential(c), Image: value(c.Image), Command: c.Command, Env: environ(c.Environment), Secrets: secretsOf(c.Secrets),
			Resources: resourcesOf(c.ResourceRequirements, nil, nil), Mounts: mountsOf(c.MountPoints),
			Props:        propsOf(c.User, c.Privileged, c.ReadonlyRootFilesystem, c.Ulimits, c.LinuxParameters, t.RuntimePlatform),
			StartTimeout: seconds(c.StartTimeout), StopTimeout: seconds(c.StopTimeout),
		}
		for _, dep := range c.DependsOn {
			out.DependsOn = append(out.DependsOn, local.ContainerDependency{Container: value(dep.ContainerName), Condition: local.ContainerCondition(value(dep.Condition))})
		}
		d.logTo(&out, c.LogConfiguration)
		task.Containers = append(task.Containers, out)
	}
	return task
}

// logTo says where the output of a container goes. Whatever the log driver, it can be
// read as if it were awslogs.
func (d *definition) logTo(c *local.Container, l *types.LogConfiguration) {
	c.LogGroup, c.LogPrefix = defaultLogGroup, cut(value(d.JobDefinitionName), 200)
	if l == nil || l.LogDriver != types.LogDriverAwslogs {
		return
	}
	if group := l.Options["awslogs-group"]; group != "" {
		c.LogGroup = group
	}
	if prefix := l.Options["awslogs-stream-prefix"]; prefix != "" {
		c.LogPrefix = prefix
	}
	c.LogCreateGroup = l.Options["awslogs-create-group"] == "true"
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

func environ(pairs []types.KeyValuePair) []string {
	var env []string
	for _, kv := range pairs {
		if value(kv.Name) != "" {
			env = append(env, *kv.Name+"="+value(kv.Value))
		}
	}
	return env
}

func secretsOf(list []types.Secret) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range list {
		out[value(s.Name)] = value(s.ValueFrom)
	}
	return out
}

func mountsOf(points []types.MountPoint) []local.Mount {
	var out []local.Mount
	for _, p := range points {
		out = append(out, local.Mount{Volume: value(p.SourceVolume), Path: value(p.ContainerPath), ReadOnly: value(p.ReadOnly)})
	}
	return out
}

// volumesOf returns the volumes of a task. A file system of EFS is a directory that is
// made for the task, as an empty one would be.
func volumesOf(list []types.Volume) []local.TaskVolume {
	var out []local.TaskVolume
	for _, v := range list {
		t := local.TaskVolume{Name: value(v.Name)}
		if v.Host != nil {
			t.HostPath = value(v.Host.SourcePath)
		}
		out = append(out, t)
	}
	return out
}

func propsOf(user *string, privileged, readOnly *bool, ulimits []types.Ulimit, linux *types.LinuxParameters, platform *types.RuntimePlatform) *engine.Container {
	p := engine.Container{User: value(user), Privileged: value(privileged), ReadOnly: value(readOnly)}
	for _, u := range ulimits {
		p.Ulimits = append(p.Ulimits, engine.Ulimit{Name: value(u.Name), Soft: int(value(u.SoftLimit)), Hard: int(value(u.HardLimit))})
	}
	if linux != nil {
		p.InitProcess = value(linux.InitProcessEnabled)
		p.SharedMemoryMiB = int(value(linux.SharedMemorySize))
	}
	if platform != nil {
		p.Architecture = value(platform.CpuArchitecture)
	}
	return &p
}

func seconds(n *int32) time.Duration { return time.Duration(value(n)) * time.Second }

// maxOverrides is how many characters the overrides of a job may have when Batch hands it
// to ECS; more, and it FAILs at its start (ECS, RunTask).
const maxOverrides = 8192

const reasonOverrides = "Container Overrides length must be at most 8192"

// batchVariables is what the variables that Batch sets add to the overrides of a child,
// counted with names of usual length.
const batchVariables = 600

// overridesLength returns how many characters ECS would count for a task: what Batch
// hands over is the merged command and environment, as JSON.
func overridesLength(t *local.Task) int {
	type container struct {
		Name        string
		Command     []string
		Environment []types.KeyValuePair
	}
	var all struct{ ContainerOverrides []container }
	for i := range t.Containers {
		c := container{Name: t.Containers[i].Name, Command: t.Containers[i].Command}
		for _, kv := range t.Containers[i].Env {
			name, value, _ := strings.Cut(kv, "=")
			c.Environment = append(c.Environment, types.KeyValuePair{Name: &name, Value: &value})
		}
		all.ContainerOverrides = append(all.ContainerOverrides, c)
	}
	return len(encode(&all)) + batchVariables*len(t.Containers)
}
