package endpoint

import (
	"hash/fnv"
	"strings"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// How compute environments stand is for AWS to say. Here no instance starts and no role is
// looked at, so that the admin API says it: these are its operations.

type invalidInput struct{ Environment, Reason string }

func invalidateEnvironment(t *tx, in *invalidInput) (*done, error) {
	return &done{true}, t.m.Invalidate(t.now, nameOf(kindEnvironment, in.Environment), in.Reason)
}

type hostsInput struct {
	Environment string
	Instances   []string
}

// hosts are the container instances of an environment from a time on, in milliseconds
// since 1970. None: the one that the emulator makes up.
type hosts struct {
	Since     int64
	Instances []string `json:",omitempty"`
}

// setHosts says on which container instances the jobs of an environment are told to run
// that start from now on. Where the earlier ones ran stays as it was told.
func setHosts(t *tx, in *hostsInput) (*done, error) {
	name := nameOf(kindEnvironment, in.Environment)
	e, _, ok := t.m.Environment(name)
	switch {
	case !ok:
		return nil, t.absent(kindEnvironment, in.Environment)
	case e.Fargate && len(in.Instances) > 0:
		return nil, refuse("%s is on Fargate, which has no container instances", name)
	}
	for _, arn := range in.Instances {
		if !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":container-instance/") {
			return nil, refuse("%q is no ARN of a container instance", arn)
		}
	}
	t.catalog.host(name, hosts{t.now.UnixMilli(), in.Instances})
	return &done{true}, nil
}

func (c *catalog) host(environment string, h hosts) {
	if c.hosts == nil {
		c.hosts = map[string][]hosts{}
	}
	c.hosts[environment] = append(c.hosts[environment], h)
}

// instanceOf returns the ARN of the container instance that a try of an environment ran on
// which has begun at a time; "": nobody has said. Each is as likely.
func (c *catalog) instanceOf(environment, taskID string, begun time.Time) string {
	list := c.hosts[environment]
	for i := len(list) - 1; i >= 0; i-- {
		h := &list[i]
		if !begun.IsZero() && begun.UnixMilli() < h.Since {
			continue
		}
		if len(h.Instances) == 0 {
			return ""
		}
		sum := fnv.New32a()
		sum.Write([]byte(taskID))
		return h.Instances[int(sum.Sum32()%uint32(len(h.Instances)))]
	}
	return ""
}

type desiredInput struct {
	Environment string
	VCPUs       int
}

// setDesired sets desiredvCpus of an environment, which Batch itself does when it scales.
func setDesired(t *tx, in *desiredInput) (*done, error) {
	e, _, _ := t.m.Environment(nameOf(kindEnvironment, in.Environment))
	d := detailOf(e)
	switch {
	case d == nil:
		return nil, t.absent(kindEnvironment, in.Environment)
	case e.Unmanaged || e.Fargate:
		return nil, refuse("%s has no desiredvCpus", e.Name)
	case in.VCPUs < 0 || in.VCPUs > manyVCPUs:
		return nil, refuse("vcpus should be between 0 and %d, got %d", manyVCPUs, in.VCPUs)
	}
	r := *d.ComputeResources
	r.DesiredvCpus = new(int32(in.VCPUs))
	d.ComputeResources = &r
	return &done{true}, nil
}

// begun returns when the try began whose attempt that is, as far as is known.
func begun(a *engine.JobAttempt) time.Time {
	if a.Started.IsZero() {
		return a.Stopped
	}
	return a.Started
}

// lastBegun returns when the last try of a job began, as far as is known.
func lastBegun(v *model.View) time.Time {
	return begun(&engine.JobAttempt{Started: v.Started, Stopped: v.Stopped})
}

// instanceARN returns the ARN of the container instance of a try; Fargate has none.
func (t *tx) instanceARN(v *model.View, taskID string, begun time.Time) *string {
	if taskID == "" || v.Request.Fargate {
		return nil
	}
	if arn := t.catalog.instanceOf(v.Environment, taskID, begun); arn != "" {
		return &arn
	}
	// One instance for each environment.
	id := strings.ReplaceAll(derivedUUID("instance", v.Environment), "-", "")
	return new("arn:aws:ecs:" + t.region + ":" + t.account + ":container-instance/" + t.clusterName(v.Environment) + "/" + id)
}

// listOf returns the words between commas.
func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
