package engine_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/engine"
)

// farFiles are the files of a script where each look takes its time: they can be looked at
// side by side.
type farFiles struct {
	*script
	objects []string // that patterns are matched with
	ids     map[string]error
	bulks   []int // how many results were looked at, or inputs, at a time
	singles int
	unseen  int // which of the next answers is not known now
	hits    []engine.Hit
}

func (f *farFiles) later() error {
	if f.unseen--; f.unseen != 0 {
		return nil
	}
	return fmt.Errorf("the network is down: %w", engine.ErrLater)
}

func (f *farFiles) Manifest(ctx context.Context, dir string) (*engine.Manifest, error) {
	f.singles++
	if err := f.later(); err != nil {
		return nil, err
	}
	return f.script.Manifest(ctx, dir)
}

func (f *farFiles) Manifests(ctx context.Context, dirs []string) []engine.ManifestAnswer {
	f.bulks = append(f.bulks, len(dirs))
	out := make([]engine.ManifestAnswer, len(dirs))
	for i, dir := range dirs {
		if out[i].Err = f.later(); out[i].Err == nil {
			out[i].Manifest, out[i].Err = f.script.Manifest(ctx, dir)
		}
	}
	return out
}

func (f *farFiles) Identify(_ context.Context, p string) (string, error) {
	f.singles++
	if err := f.later(); err != nil {
		return "", err
	}
	return "etag:" + p, f.ids[p]
}

func (f *farFiles) Identities(ctx context.Context, paths []string) []engine.IdentityAnswer {
	f.bulks = append(f.bulks, len(paths))
	out := make([]engine.IdentityAnswer, len(paths))
	for i, p := range paths {
		out[i] = engine.IdentityAnswer{ID: "etag:" + p, Err: f.ids[p]}
	}
	return out
}

func (f *farFiles) Match(_ context.Context, pattern string) (found []string, err error) {
	if slices.Contains(f.objects, pattern) {
		return []string{pattern}, nil
	}
	for _, o := range f.objects {
		if ok, err := path.Match(pattern, o); err != nil {
			return nil, err
		} else if ok {
			found = append(found, o)
		}
	}
	return found, nil
}

// Lookup makes it an engine.Cache that knows the results of a step of ten thousand.
func (f *farFiles) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	if err := f.later(); err != nil {
		return nil, err
	}
	out := make([]engine.Hit, len(keys))
	copy(out, f.hits)
	return out, nil
}

// The results of an array of 10,000, and those that are known of them, are never looked at
// one after the other.
func TestResultsAreLookedAtSideBySide(t *testing.T) {
	const n = 10_000
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	f := &farFiles{script: s}
	d.Files, d.Cache = f, f
	spec := &engine.TaskSpec{Command: []string{"x"}, Outputs: []engine.Output{{Name: "v", Kind: engine.OutputJSON, Path: "v"}}}
	s.tasks("a", n, spec)
	for i := range n {
		f.hits = append(f.hits, engine.Hit{Run: "old", Step: "a", Task: fmt.Sprint(i), Dir: fmt.Sprintf("/old/%d", i)})
		if i%2 == 0 {
			s.files[f.hits[i].Dir] = &engine.Manifest{Outputs: engine.Values{"v": []byte("1")}}
		}
	}
	run := s.load(t, d)
	s.tick(t, d, 0)
	same(t, "cached", n/2, run.Select("a", engine.Cached).Len())
	for i := range n {
		s.files[fmt.Sprintf("/w/%s/a/%d", simRun, i)] = &engine.Manifest{Attempt: 1, Outputs: engine.Values{"v": []byte("2")}}
	}
	s.ends(1, engine.Upto(n/2), engine.JobSucceeded, "", 0)
	s.tick(t, d, 10*time.Second)
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "value", "2", string(run.Task("a", 9999).Values["v"]))
	if f.singles > 0 || slices.Max(f.bulks) < 1000 || len(f.bulks) > n/1000+n/2/1000 {
		t.Errorf("%d looked at alone, and together %v", f.singles, f.bulks)
	}
}

// What a job needs to know of keys is the same as what the run knows, for everybody at once.
func TestJobHasCacheKeys(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true}, &engine.Step{Name: "b", FanOut: true}, &engine.Step{Name: "c"})
	spec := &engine.TaskSpec{Script: "echo $FLOW_INDEX"}
	s.tasks("a", 100, spec)
	for i := range 3 {
		s.steps["b"] = append(s.steps["b"], &engine.TaskSpec{Script: "x", Env: map[string]string{"N": fmt.Sprint(i)}, NoCache: i == 1})
	}
	s.tasks("c", 1, &engine.TaskSpec{Script: "x", NoCache: true})
	run := s.load(t, d)
	s.tick(t, d, 0)
	for _, job := range s.specs {
		keys := engine.NewTaskKeys(run.StepStatus(job.Step).Step, expanded(s, job.Step))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for k := range job.Size() {
					i := job.Tasks.At(k)
					none := job.Step == "c" || job.Step == "b" && i == 1
					if got := job.CacheKey(k); (got == engine.CacheKey{}) != none || !none && job.Step == "b" && got != engine.NewTaskKeys(run.StepStatus("b").Step, expanded(s, "b")).Key(i) {
						t.Errorf("%s[%d] has the key %x", job.Step, i, got)
					}
				}
			})
		}
		wg.Wait()
		for k := range job.Size() {
			if job.CacheKey(k) != keys.Key(job.Tasks.At(k)) {
				t.Fatalf("%s: child %d has another key than its task", job.Step, k)
			}
		}
	}
}

// expanded returns a step with its tasks, as it is recorded.
func expanded(s *script, step engine.StepName) *engine.Expanded {
	for _, e := range s.log {
		if e.Kind == engine.StepExpanded && e.Step == step {
			return e.Expanded
		}
	}
	return nil
}

// A pattern is all objects that match it; that none does is a mistake with a place.
func TestPatterns(t *testing.T) {
	at := engine.Pos{File: "w.hcl", Line: 7}
	for name, tc := range map[string]struct {
		paths []string
		list  bool
		want  []string // paths
		err   string
	}{
		"one":           {paths: []string{"s3://b/r_?.fq"}, want: []string{"s3://b/r_1.fq", "s3://b/r_2.fq"}},
		"in a list":     {paths: []string{"/x", "s3://b/r_[2]*", "s3://b/z"}, list: true, want: []string{"/x", "s3://b/r_2.fq", "s3://b/z"}},
		"a URL is none": {paths: []string{"https://x/y?a=*"}, want: []string{"https://x/y?a=*"}},
		"nor a file":    {paths: []string{"/data/[1]*"}, want: []string{"/data/[1]*"}},
		"a name":        {paths: []string{"s3://b/n[1]"}, want: []string{"s3://b/n[1]"}},
		"nothing":       {paths: []string{"s3://b/q*"}, err: `w.hcl:7: input "in": nothing matches s3://b/q*`},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newScript(&engine.Step{Name: "a", Reads: true, InputsPos: at})
			f := &farFiles{script: s, objects: []string{"s3://b/r_1.fq", "s3://b/r_2.fq", "s3://b/z", "s3://b/n[1]"}}
			d.Files = f
			s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, Inputs: []engine.Input{{Name: "in", List: tc.list, Paths: tc.paths}}})
			run := s.load(t, d)
			s.tick(t, d, 0)
			same(t, "error", tc.err, run.StepStatus("a").Reason)
			if tc.err != "" {
				return
			}
			var ids []string
			for _, p := range tc.want {
				ids = append(ids, "etag:"+p)
			}
			same(t, "input", engine.Input{Name: "in", List: len(tc.want) > 1, Paths: tc.want, IDs: ids}, run.Spec("a", 0).Inputs[0])
		})
	}
	s, d := newScript(&engine.Step{Name: "a", Reads: true, InputsPos: at})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, Inputs: []engine.Input{{Name: "in", Paths: []string{"s3://b/*"}}}})
	run := s.load(t, d)
	s.tick(t, d, 0)
	same(t, "without a store", `w.hcl:7: input "in": s3://b/* is a pattern, and objects of S3 cannot be listed here`, run.StepStatus("a").Reason)
}

// The name that a task gives its output is no pattern, whatever is in it.
func TestResultIsNoPattern(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"}, &engine.Step{Name: "b", Reads: true, Deps: []engine.Dep{{Step: "a", Need: engine.NeedTasks}}})
	s.log[0].Info.WorkDir = "s3://w"
	made := engine.ResultPath("s3://w/"+string(simRun)+"/a/_", "x[1].txt")
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "x[1].txt"}}})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, Inputs: []engine.Input{{Name: "in", Paths: []string{made}}}})
	run := s.load(t, d)
	s.tick(t, d, 0)
	in := run.Spec("b", 0).Inputs[0]
	same(t, "paths", []string{made}, in.Paths)
	if !strings.HasPrefix(in.IDs[0], "task:") {
		t.Errorf("it is known as %s", in.IDs[0])
	}
}

// What cannot be looked at now is looked at again: no step fails, and no result counts as
// not there. Who only plans is told.
func TestFilesAreLookedAtAgain(t *testing.T) {
	for name, unseen := range map[string]int{"inputs": 1, "known results": 2, "manifests": 3} {
		t.Run(name, func(t *testing.T) {
			s, d := newScript(&engine.Step{Name: "a", Reads: true})
			f := &farFiles{script: s, hits: []engine.Hit{{Run: "old", Step: "a", Dir: "/old"}}}
			s.files["/old"] = &engine.Manifest{}
			d.Files, d.Cache = f, f
			s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, Inputs: []engine.Input{{Name: "in", Paths: []string{"s3://b/x"}}}, Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "x"}}})
			f.unseen = unseen
			if _, err := engine.NewPlan(context.Background(), d, engine.RunInfo{Run: simRun, WorkDir: "/w"}); !errors.Is(err, engine.ErrLater) {
				t.Errorf("the plan: %v", err)
			}
			var told []string
			d.OnTrouble = func(op string, err error) { told = append(told, fmt.Sprint(op, ": ", err)) }
			f.unseen = unseen
			run := s.load(t, d)
			for range 200 {
				s.tick(t, d, time.Second)
				s.tick(t, d, 0)
			}
			same(t, "status", engine.Cached, run.StepStatus("a").Status)
			if len(told) != 2 || !strings.HasPrefix(told[0], "files: ") || !strings.HasSuffix(told[0], ": the network is down: not now") || told[1] != "files: <nil>" {
				t.Errorf("told %q", told)
			}
		})
	}
}
