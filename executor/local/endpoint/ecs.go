package endpoint

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// maxContainers is how many containers a task or pod may have (EcsProperties).
const maxContainers = 10

// checkEcs refuses ecsProperties that Batch would refuse, in a job definition or with
// what SubmitJob overrides merged in.
func checkEcs(p *types.EcsProperties, fargate bool) error {
	t, err := ecsTask(p, fargate)
	if err != nil {
		return err
	}
	return t.check()
}

// ecsTask returns the task of ecsProperties, with what goes beyond one container
// checked.
func ecsTask(p *types.EcsProperties, fargate bool) (*taskSpec, error) {
	if len(p.TaskProperties) != 1 {
		return nil, refuse("ecsProperties should have exactly one taskProperties, got %d", len(p.TaskProperties))
	}
	t := &taskSpec{EcsTaskProperties: p.TaskProperties[0], fargate: fargate}
	if n := len(t.Containers); n < 1 || n > maxContainers {
		return nil, refuse("Number of containers should be between 1 and %d, got %d", maxContainers, n)
	}
	for i := range t.Containers {
		t.containers = append(t.containers, containerSpec{TaskContainerProperties: t.Containers[i]})
	}
	return t, firstError(t.checkNames(), t.checkEssential(), t.checkDependencies(), t.checkStops(), t.checkModes())
}

var containerName = pattern(`^[A-Za-z0-9_-]{1,255}$`)

// checkNames checks the names of containers. One that is alone needs none.
func (t *taskSpec) checkNames() error {
	seen := map[string]bool{}
	for i := range t.Containers {
		name := value(t.Containers[i].Name)
		if name == "" && len(t.Containers) == 1 {
			continue
		}
		if !containerName().MatchString(name) {
			return refuse("Container name is not valid: up to 255 letters, numbers, hyphens and underscores are required, got %q", name)
		}
		if seen[name] {
			return refuse("Container names must be unique")
		}
		seen[name] = true
	}
	return nil
}

// essential reports whether a container is: it is unless it says otherwise
// (TaskContainerProperties).
func essential(c *types.TaskContainerProperties) bool { return c.Essential == nil || *c.Essential }

func (t *taskSpec) checkEssential() error {
	for i := range t.Containers {
		if essential(&t.Containers[i]) {
			return nil
		}
	}
	return refuse("At least one container in a task must be essential")
}

// checkDependencies checks dependsOn of the containers (TaskContainerDependency).
func (t *taskSpec) checkDependencies() error {
	for i := range t.Containers {
		c := &t.Containers[i]
		for _, d := range c.DependsOn {
			on := t.named(value(d.ContainerName))
			if on == nil {
				return refuse("Container %s depends on container %q, which does not exist", value(c.Name), value(d.ContainerName))
			}
			switch condition := value(d.Condition); condition {
			case "START":
			case "COMPLETE", "SUCCESS":
				if essential(on) {
					return refuse("Condition %s cannot be set on essential container %s", condition, value(on.Name))
				}
			default:
				return refuse("Container dependency condition %q is not valid, it is one of [START, COMPLETE, SUCCESS]", condition)
			}
		}
	}
	return t.checkCycles()
}

func (t *taskSpec) named(name string) *types.TaskContainerProperties {
	i := slices.IndexFunc(t.Containers, func(c types.TaskContainerProperties) bool { return value(c.Name) == name })
	if i < 0 {
		return nil
	}
	return &t.Containers[i]
}

// checkCycles refuses containers that wait for one another.
func (t *taskSpec) checkCycles() error {
	ready := map[string]bool{}
	for range t.Containers { // each round makes at least one ready, or none ever will be
		for i := range t.Containers {
			c := &t.Containers[i]
			waits := slices.ContainsFunc(c.DependsOn, func(d types.TaskContainerDependency) bool { return !ready[value(d.ContainerName)] })
			if !waits {
				ready[value(c.Name)] = true
			}
		}
	}
	for i := range t.Containers {
		if name := value(t.Containers[i].Name); !ready[name] {
			return refuse("Container dependencies cannot be cyclic: container %s waits for itself", name)
		}
	}
	return nil
}

// checkStops checks startTimeout and stopTimeout (TaskContainerProperties).
func (t *taskSpec) checkStops() error {
	for i := range t.Containers {
		c := &t.Containers[i]
		if err := firstError(t.checkStop("startTimeout", c.StartTimeout), t.checkStop("stopTimeout", c.StopTimeout)); err != nil {
			return err
		}
	}
	return nil
}

func (t *taskSpec) checkStop(name string, seconds *int32) error {
	switch {
	case seconds == nil:
		return nil
	case *seconds < 2:
		return refuse("%s must be at least 2 seconds, got %d", name, *seconds)
	case t.fargate && *seconds > 120:
		return refuse("%s must be at most 120 seconds for Fargate, got %d", name, *seconds)
	}
	return nil
}

// checkModes checks ipcMode and pidMode (EcsTaskProperties).
func (t *taskSpec) checkModes() error {
	ipc, pid := []string{"host", "task", "none"}, []string{"host", "task"}
	switch {
	case given(t.IpcMode) && !slices.Contains(ipc, *t.IpcMode):
		return refuse("ipcMode supports only one from [%s]", strings.Join(ipc, ", "))
	case given(t.PidMode) && !slices.Contains(pid, *t.PidMode):
		return refuse("pidMode supports only one from [%s]", strings.Join(pid, ", "))
	case t.fargate && given(t.IpcMode):
		return refuse("ipcMode is not applicable for Fargate.")
	case t.fargate && value(t.PidMode) == "host":
		return refuse("pidMode host is not applicable for Fargate.")
	}
	return nil
}
