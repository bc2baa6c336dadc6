package batch

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"flow/engine"
	"flow/executor"
	"flow/executor/store"
)

// sizes checks how large the requests for the job are.
func (c *checker) sizes() {
	in, def, err := Request(c.mended(), measured(c.o))
	if err != nil {
		if len(c.out) == 0 {
			text := strings.TrimPrefix(err.Error(), engine.ErrRefused.Error()+": ")
			c.add(c.reason(), "A job that cannot be submitted", "%s.", strings.ToUpper(text[:1])+strings.TrimSuffix(text[1:], "."))
		}
		return
	}
	s := sizesOf(in, def)
	if s.Submit > MaxSubmit {
		c.add(longest(map[string]int{"tags": length(c.spec.Tags), "parameters": length(c.task.Parameters), "env": length(c.task.Env)}), "Request too large",
			"The request that submits this job has %d bytes, and AWS Batch takes at most %d (30 KiB). Make this shorter.", s.Submit, MaxSubmit)
	}
	if s.Definition > MaxDefinition {
		c.add(longest(map[string]int{"container": len(compact(c.box)), "secrets": length(c.task.Secrets)}), "Job definition too large",
			"The job definition of this step has %d bytes, and AWS Batch takes at most %d (24 KiB). Make this shorter.", s.Definition, MaxDefinition)
	}
}

// measured are the options of a request that is only measured.
func measured(o CheckOptions) RequestOptions {
	return RequestOptions{AgentImage: cmp.Or(o.AgentImage, "flow"), StoreRegion: "ap-southeast-1"} // a long one
}

// mended returns the job without what is wrong with it otherwise, so that it can be
// measured all the same.
func (c *checker) mended() *engine.JobSpec {
	s, t, box := *c.spec, *c.task, *c.box
	s.Task, t.Container = &t, &box
	s.Queue, s.Name, s.WorkDir = cmp.Or(s.Queue, "queue"), cmp.Or(s.Name, strings.Repeat("x", executor.MaxNameLength)), cmp.Or(s.WorkDir, "/work")
	if remote(s.WorkDir) && !store.Is(s.WorkDir) {
		s.WorkDir = "/work"
	}
	s.DependsOn = slices.Clone(s.DependsOn)
	for i := range s.DependsOn {
		if d := &s.DependsOn[i]; d.Job != "" {
			d.Job = "00000000-0000-0000-0000-000000000000" // the ids of a plan are made up
		}
	}
	if executor.CheckRetry(s.Attempts, s.Evaluate) != nil {
		s.Attempts, s.Evaluate = 1, nil
	}
	if executor.CheckTags(tagsOf(&s)) != nil {
		s.Tags = nil
	}
	if box.Network != "public" && box.Network != "private" {
		box.Network = ""
	}
	if c.own {
		t.Inputs, t.Outputs, t.Container, t.Secrets = nil, nil, nil, nil
		return &s
	}
	t.Image = cmp.Or(t.Image, "image")
	t.Secrets = maps.Clone(t.Secrets)
	for name, ref := range t.Secrets {
		if !strings.HasPrefix(ref, "arn:") {
			t.Secrets[name] = "ssm:" + ref
		}
	}
	return &s
}

func length(m map[string]string) (n int) {
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}

// longest returns the key with the highest number.
func longest(of map[string]int) string {
	return slices.MaxFunc(slices.Sorted(maps.Keys(of)), func(a, b string) int { return of[a] - of[b] })
}

// Refusal returns what problems say as an error of Submit, engine.ErrRefused, or nil if
// there are none but those of arguments that a job definition leaves without a meaning.
func Refusal(problems []Problem) error {
	var errs []error
	for i := range problems {
		if !problems[i].Own {
			errs = append(errs, refuse("%s: %s. %s", problems[i].Arg, problems[i].Summary, problems[i].Detail))
		}
	}
	if len(errs) > 1 {
		return errors.Join(errs...)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return nil
}
