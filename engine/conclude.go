package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// conclude evaluates and publishes the workflow's outputs: the last thing a run does. What
// cannot be published now is published later.
func (d *Driver) conclude(ctx context.Context) ([]Event, error) {
	now := d.Clock.Now()
	if now.Before(d.publishing) {
		d.wakeAt(d.publishing)
		return nil, nil
	}
	ended := func(err error) ([]Event, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c := d.run.cancel; c != nil { // nobody waits for the outputs any more
			return []Event{{Kind: RunEnded, Status: Cancelled, Reason: c.Reason, Cause: c.Cause}}, nil
		}
		if errors.Is(err, ErrLater) {
			d.publishing = now.Add(d.pollMax())
			d.wakeAt(d.publishing)
			return nil, d.noted(ctx, opFiles, err)
		}
		return []Event{{Kind: RunEnded, Status: Failed, Reason: err.Error(), Cause: "output"}}, nil
	}
	results, err := d.results(ctx)
	if err != nil {
		return ended(err)
	}
	if err := d.publish(ctx, append(d.leftToPublish(), toPublish(results.made)...)); err != nil {
		return ended(err)
	}
	if err := d.noted(ctx, opFiles, nil); err != nil {
		return nil, err
	}
	return []Event{{Kind: RunEnded, Status: Succeeded, Results: results.told}}, nil
}

// publish publishes files, each as if after those before it.
func (d *Driver) publish(ctx context.Context, all []Publication) error {
	if bulk, ok := d.Files.(BulkPublisher); ok && len(all) > 1 {
		for i, err := range bulk.PublishAll(ctx, all) {
			if err != nil {
				return fmt.Errorf("%s: %w", all[min(i, len(all)-1)].What, err)
			}
		}
		return ctx.Err()
	}
	for i := range all {
		if err := d.Files.Publish(ctx, all[i].Source, all[i].Target); err != nil {
			return fmt.Errorf("%s: %w", all[i].What, err)
		}
	}
	return nil
}

// toPublish returns what of the workflow's outputs is to be published.
func toPublish(results []Result) (out []Publication) {
	for i := range results {
		res := &results[i]
		if res.Publish == "" {
			continue
		}
		for _, f := range res.Files {
			target := res.Publish
			if len(res.Files) > 1 && target[len(target)-1] != '/' {
				target += "/"
			}
			out = append(out, Publication{Source: f, Target: target, What: fmt.Sprintf("output %q: publishing %s", res.Name, f)})
		}
	}
	return out
}

// leftToPublish returns the outputs of steps that flow's agent has not published: those of
// tasks that did not run, since their results are known and where they are wanted now may
// be elsewhere; and where task files are not on this machine, those that are wanted here.
func (d *Driver) leftToPublish() (out []Publication) {
	for _, s := range d.run.steps {
		if !d.leaves(s) {
			continue
		}
		for i := range s.task {
			if !s.task[i].OK() {
				continue
			}
			spec, dir := s.spec(i), d.run.dir(s, i)
			for k := range spec.Outputs {
				o := &spec.Outputs[k]
				if o.Publish == "" || s.hit(i) == nil && !d.left(o) {
					continue
				}
				for _, path := range o.paths(s.values[i][o.Name]) {
					out = append(out, Publication{Source: ResultPath(dir, path), Target: o.Publish, What: fmt.Sprintf("%s, output %q", s.taskName(i), o.Name)})
				}
			}
		}
	}
	return out
}

// left reports whether an output of a task that ran is left to the driver to publish.
func (d *Driver) left(o *Output) bool { return isURI(d.run.info.WorkDir) && !isURI(o.Publish) }

// leaves reports whether tasks of s may have outputs that are left to publish, without a
// look at each of very many tasks.
func (d *Driver) leaves(s *stepState) bool {
	if s.exp == nil || len(s.hits) == 0 && !isURI(d.run.info.WorkDir) {
		return false
	}
	published := func(outputs []Output) bool {
		return slices.ContainsFunc(outputs, func(o Output) bool { return o.Publish != "" })
	}
	return slices.ContainsFunc(s.exp.Groups, func(g *TaskSpec) bool { return published(g.Outputs) }) ||
		slices.ContainsFunc(s.exp.Items, func(it *Item) bool { return it != nil && published(it.Outputs) })
}

// isURI reports whether a work_dir or a target is no path of this machine.
func isURI(path string) bool { return strings.Contains(path, "://") }

// publishes reports whether something is to be published when the run has succeeded.
func (d *Driver) publishes(results []Result) bool {
	return len(toPublish(results)) > 0 || len(d.leftToPublish()) > 0
}

// paths returns the files of an output, relative to its attempt's directory; value is
// what the task's Values have of it.
func (o *Output) paths(value json.RawMessage) (paths []string) {
	switch {
	case string(value) == "null": // optional, and not there
	case o.Kind == OutputFiles:
		// A manifest that says otherwise has no files to publish.
		_ = json.Unmarshal(value, &paths)
	default:
		paths = []string{o.Path}
	}
	return paths
}
