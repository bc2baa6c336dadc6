package batch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"flow/engine"
	"flow/executor/store"
)

// located is what a store says of where it is. One that says nothing is in the region of the
// jobs.
type located interface {
	Region() string
	Endpoint() string // "": that of the region
}

// usesStore reports whether the agents of a job reach for objects: its files are there, or
// some that it reads or publishes.
func usesStore(spec *engine.JobSpec) bool {
	if store.Is(spec.WorkDir) || hasObjects(spec.Task.Inputs, spec.Task.Outputs) {
		return true
	}
	return slices.ContainsFunc(spec.Items, func(it *engine.Item) bool { return it != nil && hasObjects(it.Inputs, it.Outputs) })
}

func hasObjects(in []engine.Input, out []engine.Output) bool {
	return slices.ContainsFunc(in, func(i engine.Input) bool { return slices.ContainsFunc(i.Paths, store.Is) }) ||
		slices.ContainsFunc(out, func(o engine.Output) bool { return store.Is(o.Publish) })
}

// LocalInputs yields, of a job whose files are on S3, the inputs that are on this machine:
// they are uploaded before it is submitted. A path comes as often as it is there.
func LocalInputs(spec *engine.JobSpec) func(yield func(path string) bool) {
	return func(yield func(string) bool) {
		if !store.Is(spec.WorkDir) {
			return
		}
		all := func(in []engine.Input) bool {
			for i := range in {
				for _, p := range in[i].Paths {
					if !remote(p) && !yield(p) {
						return false
					}
				}
			}
			return true
		}
		if !all(spec.Task.Inputs) {
			return
		}
		for _, it := range spec.Items {
			if it != nil && !all(it.Inputs) {
				return
			}
		}
	}
}

// requestOptions say how a job is submitted. The store is opened if the job needs it.
func (x *Executor) requestOptions(ctx context.Context, spec *engine.JobSpec) (RequestOptions, error) {
	o := RequestOptions{AgentImage: x.o.AgentImage}
	if spec.Task.JobDefinition != "" || !usesStore(spec) {
		return o, nil
	}
	if x.o.Files.Store == nil {
		return o, refuse("its files are on S3, and this part of flow was given no access to that")
	}
	s, err := x.o.Files.Store(ctx)
	if err != nil {
		return o, fmt.Errorf("%w: S3 cannot be reached: %w", engine.ErrLater, err)
	}
	o.StoreRegion = x.o.Region
	if at, ok := s.(located); ok {
		o.StoreRegion, o.StoreEndpoint = orText(at.Region(), x.o.Region), at.Endpoint()
	}
	return o, nil
}

// writeJob writes the job file. If it is on S3, what it names of this machine is uploaded
// before. A place that cannot be written to is no reason to try for ever; one that is full,
// or does not answer, may be different soon.
func (x *Executor) writeJob(ctx context.Context, spec *engine.JobSpec) error {
	file, err := jobFileSpec(spec), error(nil)
	if store.Is(spec.WorkDir) {
		file, err = x.uploaded(ctx, file)
	}
	if err == nil {
		err = x.o.Files.WriteJob(ctx, jobFile(spec), file)
	}
	if err == nil || errors.Is(err, engine.ErrRefused) || errors.Is(err, engine.ErrLater) {
		return err
	}
	for _, final := range []error{store.ErrNoBucket, fs.ErrPermission, fs.ErrNotExist, engine.ErrNotFound, syscall.EROFS, syscall.ENOTDIR, syscall.ENAMETOOLONG, errors.ErrUnsupported} {
		if errors.Is(err, final) {
			return fmt.Errorf("%w: %w", engine.ErrRefused, err)
		}
	}
	return fmt.Errorf("%w: %w", engine.ErrLater, err)
}

// uploaded uploads what a job reads from this machine, and returns the job as its agents are
// to know it.
func (x *Executor) uploaded(ctx context.Context, spec *engine.JobSpec) (*engine.JobSpec, error) {
	var paths []string
	seen := map[string]bool{}
	for p := range LocalInputs(spec) {
		if !seen[p] {
			seen[p] = true
			paths = append(paths, p)
		}
	}
	var uris map[string]string
	if len(paths) > 0 {
		var err error
		if uris, err = x.o.Files.Upload(ctx, spec.WorkDir, paths, x.o.Notice); err != nil {
			return nil, err
		}
	}
	for _, p := range paths {
		if !store.Is(uris[p]) {
			return nil, refuse("its input %s was not uploaded", p)
		}
	}
	return elsewhere(spec, uris), nil
}

// elsewhere returns a job as agents on other machines are to know it: with the URIs of what
// was on this one, and with nothing that is to be published here, which the driver does.
func elsewhere(spec *engine.JobSpec, uris map[string]string) *engine.JobSpec {
	c := *spec
	task := *spec.Task
	task.Inputs, task.Outputs = inputsElsewhere(task.Inputs, uris), outputsElsewhere(task.Outputs)
	c.Task = &task
	c.Items = slices.Clone(spec.Items)
	for i, it := range c.Items {
		if it == nil || it.Inputs == nil && it.Outputs == nil {
			continue
		}
		own := *it
		own.Inputs, own.Outputs = inputsElsewhere(it.Inputs, uris), outputsElsewhere(it.Outputs)
		c.Items[i] = &own
	}
	return &c
}

func inputsElsewhere(in []engine.Input, uris map[string]string) []engine.Input {
	in = slices.Clone(in)
	for i := range in {
		in[i].Paths = slices.Clone(in[i].Paths)
		for k, p := range in[i].Paths {
			if uri, ok := uris[p]; ok {
				in[i].Paths[k] = uri
			}
		}
	}
	return in
}

func outputsElsewhere(out []engine.Output) []engine.Output {
	out = slices.Clone(out)
	for i := range out {
		if !remote(out[i].Publish) {
			out[i].Publish = ""
		}
	}
	return out
}
