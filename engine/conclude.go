package engine

import (
	"context"
	"encoding/json"
	"fmt"
)

// conclude evaluates and publishes the workflow's outputs: the last thing a run does.
func (d *Driver) conclude(ctx context.Context) ([]Event, error) {
	failed := func(err error) ([]Event, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c := d.run.cancel; c != nil { // nobody waits for the outputs any more
			return []Event{{Kind: RunEnded, Status: Cancelled, Reason: c.Reason, Cause: c.Cause}}, nil
		}
		return []Event{{Kind: RunEnded, Status: Failed, Reason: err.Error(), Cause: "output"}}, nil
	}
	if err := d.publishCached(ctx); err != nil {
		return failed(err)
	}
	results, err := d.Template.Results(scope{d.run})
	if err != nil {
		return failed(err)
	}
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
			if err := d.Files.Publish(ctx, f, target); err != nil {
				return failed(fmt.Errorf("output %q: publishing %s: %w", res.Name, f, err))
			}
		}
	}
	return []Event{{Kind: RunEnded, Status: Succeeded, Results: results}}, nil
}

// publishCached publishes the outputs of tasks that did not run, since their results are
// known: where they are wanted now may be elsewhere.
func (d *Driver) publishCached(ctx context.Context) error {
	for _, s := range d.run.steps {
		if len(s.hits) == 0 {
			continue
		}
		for i := range s.exp.Cached.All() {
			hit, spec := s.hits[i], s.spec(i)
			if hit == nil { // it ran again since
				continue
			}
			for k := range spec.Outputs {
				o := &spec.Outputs[k]
				if o.Publish == "" {
					continue
				}
				for _, path := range o.paths(s.values[i][o.Name]) {
					if err := d.Files.Publish(ctx, ResultPath(hit.Dir, path), o.Publish); err != nil {
						return fmt.Errorf("%s, output %q: %w", s.taskName(i), o.Name, err)
					}
				}
			}
		}
	}
	return nil
}

// publishes reports whether something is to be published when the run has succeeded.
func (d *Driver) publishes(results []Result) bool {
	for i := range results {
		if results[i].Publish != "" && len(results[i].Files) > 0 {
			return true
		}
	}
	for _, s := range d.run.steps {
		for i := range s.hits {
			for _, o := range s.spec(i).Outputs {
				if o.Publish != "" {
					return true
				}
			}
		}
	}
	return false
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
