package local

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"

	"flow/engine"
)

// runContainer runs a container of a Task in one, or as a process if it names no image.
func (c *containers) runContainer(pr *proc, m *mission, of *Container, started func()) Exit {
	if of.Image == "" {
		return c.processes.runContainer(pr, m, of, started)
	}
	if exit, ok := c.haveImage(pr, of.Image, of.Props); !ok {
		return exit
	}
	env, err := c.containerEnviron(m, of)
	if err != nil {
		return startFailed(noSecret, err)
	}
	in, err := containedTask(m, of)
	if err != nil {
		return startFailed("CannotCreateContainerError: ", err)
	}
	in.env = env
	if of.LogGroup != "" && c.logs != nil {
		if in.log, err = c.openStream(m, of); err != nil {
			return startFailed(noStream, err)
		}
		defer c.closeStream(m, of, in.log)
	}
	return c.contain(pr, in, started)
}

// taskContainer is how the name of a container of a Task begins: the id of the task
// follows, and the name of the container.
const taskContainer = "flow-task-"

// containedTask puts a container of a Task into one, without its environment and log.
func containedTask(m *mission, of *Container) (*contained, error) {
	i := m.index(of)
	in := &contained{
		beginning: &beginning{try: m.Try, argv: of.Command},
		name:      nameOfContainer(taskContainer + m.TaskID + "-" + of.Name),
		image:     of.Image, props: of.Props, res: m.resources(of), monitor: m.scratch(i),
		labels: []string{labelTask + "=" + m.TaskID, labelJob + "=" + string(m.Job)},
	}
	for _, mount := range of.Mounts {
		v := slices.IndexFunc(m.Task.Volumes, func(v TaskVolume) bool { return v.Name == mount.Volume })
		if v < 0 {
			return nil, errors.New("unknown volume " + strconv.Quote(mount.Volume))
		}
		if !filepath.IsAbs(mount.Path) {
			return nil, errors.New("invalid mount path: " + strconv.Quote(mount.Path) + " must be absolute")
		}
		in.mounts = append(in.mounts, bind(m.volume(v), mount.Path, mount.ReadOnly)...)
	}
	return in, nil
}

// resources returns what a container may use: its own, and no more than the task was
// granted.
func (m *mission) resources(c *Container) engine.Resources {
	if c.Name == DefaultContainer {
		return m.Resources
	}
	r := c.Resources
	r.VCPUs = min(r.VCPUs, m.Resources.VCPUs)
	r.MemoryMiB = min(r.MemoryMiB, m.Resources.MemoryMiB)
	r.GPUs = min(r.GPUs, m.Resources.GPUs)
	return r
}

// sweep ends what those containers of a task have left that were processes. Of a real
// one nothing is ever left.
func (c *containers) sweep(t *Try) {
	if slices.ContainsFunc(t.Task.Containers, func(of Container) bool { return of.Image == "" }) {
		c.processes.sweep(t)
	}
}
