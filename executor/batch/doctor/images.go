package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/batch"
	"flow/executor/batch/cloud"
	"flow/executor/instances"
	"flow/executor/registry"
)

// An image is one that jobs run, or that flow's agent is in.
type image struct {
	name  string
	agent bool
	steps []*Step
}

// images tells of each image whether it is in its registry, and whether it is for the
// architecture of the instances that are to run it.
func (p *patient) images(ctx context.Context) []Line {
	w, err := p.world()
	if err != nil {
		w = &world{} // that is said of the queues; whether the images are there can be asked all the same
	}
	list := p.imagesOf()
	found := make([][]Line, len(list))
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() { found[i] = p.image(ctx, w, &list[i]) })
	}
	all.Wait()
	return slices.Concat(found...)
}

// imagesOf returns the images of the steps, and that of the agent if a step needs it.
func (p *patient) imagesOf() []image {
	var list []image
	add := func(name string, agent bool, s *Step) {
		if name == "" {
			return
		}
		i := slices.IndexFunc(list, func(o image) bool { return o.name == name })
		if i < 0 {
			i = len(list)
			list = append(list, image{name: name, agent: agent})
		}
		list[i].steps = append(list[i].steps, s)
	}
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		if s.Spec.Task.JobDefinition == "" {
			add(s.Spec.Task.Image, false, s)
		}
	}
	for i := range p.o.Steps {
		if s := &p.o.Steps[i]; batch.NeedsAgent(s.Spec) {
			add(p.o.AgentImage, true, s)
		}
	}
	return list
}

func (p *patient) image(ctx context.Context, w *world, i *image) []Line {
	if p.o.Cloud.Near() && !nearOrECR(i.name) {
		return []Line{skipped(i.name, "AWS Batch is on this machine, and the registry of this image is not")}
	}
	where, arg := "", "image"
	if !i.agent {
		where = i.steps[0].where(arg)
	}
	there, err := registry.Look(ctx, p.o.Cloud, i.name)
	var absent *cloud.AbsentError
	var told *registry.Error
	switch {
	case errors.As(err, &absent):
		return []Line{skipped(i.name, "%s", absent.Error()).at(where)}
	case errors.As(err, &told):
		return []Line{i.missing(told).at(where)}
	case err != nil:
		return []Line{p.trouble(i.name, "looking for the image", err).at(where)}
	}
	var lines []Line
	var judged []string // environments, of which one step is enough
	for _, s := range i.steps {
		for _, need := range p.architectures(w, s) {
			if there.On(goArch(need.arch)) || slices.Contains(judged, need.of) {
				continue
			}
			judged = append(judged, need.of)
			lines = append(lines, fault(i.name, fmt.Sprintf("push the image for linux/%s too (docker buildx build --platform linux/amd64,linux/arm64), or use a queue with instances of another architecture", goArch(need.arch)),
				"wrong architecture: the image is for %s, and step %s runs on %s (%s): it would fail with exec format error", platforms(there), s.Spec.Step, need.arch, need.of).at(where))
		}
	}
	if l := p.outOfReach(w, i); l != nil {
		lines = append(lines, l.at(where))
	}
	if len(lines) == 0 {
		lines = append(lines, ok(i.name, "the image is there, for %s", orElse(platforms(there), "what its registry does not say")).at(where))
	}
	return lines
}

// missing is the line of an image that could not be found.
func (i *image) missing(e *registry.Error) Line {
	fix := e.Fix
	if errors.Is(e, registry.ErrNoImage) || errors.Is(e, registry.ErrNoRepository) {
		push := "push it: flow image push DIR_OR_TAR " + i.name
		if i.agent {
			push = "push flow's own image: flow image push --help says how"
		}
		if !strings.Contains(fix, "flow image push") {
			fix = strings.TrimPrefix(fix+"; "+push, "; ")
		}
		return fault(i.name, fix, "%s", e.Text)
	}
	if errors.Is(e, registry.ErrDenied) {
		// The jobs pull it with another role, which may be allowed to.
		return warning(i.name, fix, "%s", e.Text)
	}
	return warning(i.name, fix, "whether it is there is not known: %s", e.Text)
}

// A hardware is an architecture that a step runs on, and whose it is.
type hardware struct{ arch, of string }

// architectures returns what a step may run on: of an environment of EC2 that of its
// instances, on Fargate what the step says.
func (p *patient) architectures(w *world, s *Step) []hardware {
	said := instances.X86
	if box := s.Spec.Task.Container; box != nil && box.Architecture != "" {
		said = box.Architecture
	}
	var list []hardware
	for i := range w.environments {
		e := &w.environments[i]
		if !slices.Contains(p.usedBy(w, e), s) || e.ComputeResources == nil {
			continue
		}
		h := hardware{said, "environment " + aws.ToString(e.ComputeEnvironmentName)}
		if !isFargate(e.ComputeResources.Type) {
			h.arch = archOf(e.ComputeResources)
		}
		list = append(list, h)
	}
	return list
}

// archOf returns the architecture of the instances of an environment, which all have the
// same (Batch User Guide, instance-type-compute-table).
func archOf(r *types.ComputeResource) string {
	if len(r.InstanceTypes) > 0 && instances.IsARM(r.InstanceTypes[0]) {
		return instances.ARM
	}
	return instances.X86
}

// goArch is an architecture in the words of images.
func goArch(arch string) string {
	if arch == instances.ARM {
		return "arm64"
	}
	return "amd64"
}

func platforms(i *registry.Image) string {
	var all []string
	for _, p := range i.Platforms {
		all = append(all, p.String())
	}
	return names(all)
}

// nearOrECR reports whether an image is in ECR, or in a registry on this machine.
func nearOrECR(name string) bool {
	if _, _, is := registry.Region(name); is {
		return true
	}
	host, _, _ := strings.Cut(name, "/")
	return strings.Contains(name, "/") && cloud.IsLoopback("http://"+host)
}
