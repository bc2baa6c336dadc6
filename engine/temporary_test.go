package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// discarder is files that can be removed from.
type discarder struct {
	*publisher
	discarded []string
	refuses   error
}

func (d *discarder) Discard(_ context.Context, dir string, outputs []string) error {
	if d.refuses != nil {
		return d.refuses
	}
	d.discarded = append(d.discarded, strings.TrimPrefix(dir, "/w/"+string(simRun)+"/")+":"+strings.Join(outputs, ","))
	if m := d.files[dir]; m != nil {
		m.Gone = outputs
	}
	return nil
}

// manyDiscarder is one that removes from many results side by side.
type manyDiscarder struct {
	*discarder
	parts []int
}

func (d *manyDiscarder) DiscardAll(ctx context.Context, dirs, outputs []string) []error {
	d.parts = append(d.parts, len(dirs))
	out := make([]error, len(dirs))
	for i, dir := range dirs {
		out[i] = d.Discard(ctx, dir, outputs)
	}
	return out
}

// chain is the workflow a -> b -> c, of n tasks each; a and b leave a temporary file.
func chain(n int, kind engine.DepKind) (*discarder, *engine.Driver) {
	a := &engine.Step{Name: "a", FanOut: true}
	b := &engine.Step{Name: "b", FanOut: true, Reads: true, Deps: []engine.Dep{{Step: "a", Kind: kind, Need: engine.NeedTasks, Outputs: []string{"tmp"}}}}
	c := &engine.Step{Name: "c", FanOut: true, Deps: []engine.Dep{{Step: "b", Kind: kind, Need: engine.NeedTasks}}}
	s, d := newScript(a, b, c)
	dis := &discarder{publisher: &publisher{script: s}}
	d.Files, d.Cache = dis, dis
	leaves := []engine.Output{{Name: "tmp", Kind: engine.OutputFile, Path: "t", Temporary: true}, {Name: "kept", Kind: engine.OutputFile, Path: "k"}}
	s.tasks("a", n, &engine.TaskSpec{Command: []string{"a"}, Outputs: leaves})
	s.tasks("b", n, &engine.TaskSpec{Command: []string{"b"}, Outputs: leaves})
	s.tasks("c", n, &engine.TaskSpec{Command: []string{"c"}})
	for _, step := range []string{"a", "b"} {
		for i := range n {
			s.files[fmt.Sprintf("/w/%s/%s/%d", simRun, step, i)] = &engine.Manifest{Attempt: 1}
		}
	}
	return dis, d
}

// kinds returns what is recorded of removing, and what runs again.
func (d *discarder) kinds() (out []string) {
	for _, e := range d.log {
		switch e.Kind {
		case engine.OutputsUnneeded, engine.OutputsDiscarded, engine.TasksReset:
			text := fmt.Sprintf("%s %s[%s]", e.Kind, e.Step, e.Tasks)
			if e.Reason != "" {
				text += ": " + e.Reason
			}
			out = append(out, text)
		}
	}
	return out
}

func (d *discarder) succeed(n int) {
	job := d.specs[n-1]
	d.ends(n, engine.Upto(job.Size()), engine.JobSucceeded, "", 0)
}

// Temporary files are removed as soon as the last step that reads them has succeeded, and
// the run ends when they are gone.
func TestTemporaryIsDiscarded(t *testing.T) {
	d, drv := chain(3, engine.Whole)
	run := d.load(t, drv)
	d.tick(t, drv, 0)
	d.succeed(1)
	d.tick(t, drv, 10*time.Second)
	same(t, "while b runs", []string(nil), d.kinds())
	d.succeed(2)
	d.tick(t, drv, 10*time.Second)
	d.tick(t, drv, 10*time.Second)
	same(t, "when b has succeeded", []string{"OutputsUnneeded a[0-2]", "OutputsDiscarded a[0-2]"}, d.kinds())
	same(t, "removed", []string{"a/0:tmp", "a/1:tmp", "a/2:tmp"}, d.discarded)
	d.succeed(3)
	d.tick(t, drv, 10*time.Second) // nothing is to wait for
	same(t, "in the end", []string{"OutputsUnneeded a[0-2]", "OutputsDiscarded a[0-2]", "OutputsUnneeded b[0-2]", "OutputsDiscarded b[0-2]"}, d.kinds())
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "the last event", engine.RunEnded, d.log[len(d.log)-1].Kind)
}

// A driver that dies before it has removed anything, or has said so, is followed by one that
// does; a run that is there already is not touched again.
func TestDiscardIsTakenUp(t *testing.T) {
	d, drv := chain(3, engine.Whole)
	d.load(t, drv)
	for n := 1; n <= 3; n++ {
		d.tick(t, drv, 10*time.Second)
		d.succeed(n)
	}
	d.tick(t, drv, 10*time.Second)
	whole := slices.Clone(d.log)
	for cut := range whole {
		if cut == 0 {
			continue
		}
		d.log, d.discarded = slices.Clone(whole[:cut]), nil
		again := &engine.Driver{Workflow: drv.Workflow, Template: d, Executor: d, Log: d, Files: d, Cache: d, Clock: d, Quiet: drv.Quiet}
		run := d.load(t, again)
		for range 6 {
			known := len(d.specs)
			d.tick(t, again, 10*time.Second)
			for n := known + 1; n <= len(d.specs); n++ {
				d.succeed(n)
			}
		}
		done := map[engine.StepName]engine.Kind{}
		for _, e := range whole[:cut] {
			if e.Kind == engine.OutputsUnneeded || e.Kind == engine.OutputsDiscarded {
				done[e.Step] = e.Kind
			}
		}
		var want []string
		for _, step := range []engine.StepName{"a", "b"} {
			if done[step] != engine.OutputsDiscarded {
				want = append(want, string(step)+"/0:tmp", string(step)+"/1:tmp", string(step)+"/2:tmp")
			}
		}
		if run.Status() != engine.Succeeded || !cmp.Equal(want, d.discarded) {
			t.Errorf("cut at event %d: %s, removed %v, not %v", cut, run.Status(), d.discarded, want)
		}
	}
}

// Files that cannot be removed keep no run from ending; somebody is told.
func TestDiscardRefused(t *testing.T) {
	d, drv := chain(1, engine.Whole)
	d.refuses = errors.New("access denied")
	var told []string
	drv.OnTrouble = func(op string, err error) { told = append(told, fmt.Sprint(op, ": ", err)) }
	run := d.load(t, drv)
	for n := 1; n <= 3; n++ {
		d.tick(t, drv, 10*time.Second)
		d.succeed(n)
	}
	for range 3 {
		d.tick(t, drv, 10*time.Second)
	}
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "recorded", []string{"OutputsUnneeded a[0]", "OutputsDiscarded a[0]: access denied", "OutputsUnneeded b[0]", "OutputsDiscarded b[0]: access denied"}, d.kinds())
	if len(told) == 0 || told[0] != "files: temporary files of step a stay where they are: access denied" {
		t.Errorf("told %q", told)
	}
}

// Many are removed side by side, and nothing is where files cannot be removed.
func TestDiscardMany(t *testing.T) {
	d, drv := chain(1000, engine.Whole)
	many := &manyDiscarder{discarder: d}
	drv.Files = many
	run := d.load(t, drv)
	for n := 1; n <= 3; n++ {
		d.tick(t, drv, 10*time.Second)
		d.succeed(n)
	}
	for range 3 {
		d.tick(t, drv, 10*time.Second)
	}
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "removed", 2000, len(d.discarded))
	same(t, "at a time", slices.Repeat([]int{100}, 20), many.parts)

	d, drv = chain(1, engine.Whole)
	drv.Files = d.publisher
	run = d.load(t, drv)
	for n := 1; n <= 3; n++ {
		d.tick(t, drv, 10*time.Second)
		d.succeed(n)
	}
	d.tick(t, drv, 10*time.Second)
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "recorded", []string(nil), d.kinds())
}

// A result of which temporary files are gone counts as long as nothing that has to run reads
// them; else it is made again first, and so on up the graph.
func TestGoneIsMadeAgain(t *testing.T) {
	const why = ": its temporary files are gone, and step "
	for name, tc := range map[string]struct {
		kind  engine.DepKind
		known string // of which tasks results are known, with "!" those whose files are gone
		reads []string
		want  []string // that run again
		jobs  []string
	}{
		"nobody needs them":  {engine.Whole, "a0! a1! b0! b1! c0 c1", nil, nil, nil},
		"b has to run":       {engine.Whole, "a0! a1!", nil, []string{"TasksReset a[0-1]" + why + "b needs them"}, []string{"a[0-1]", "b[0-1]", "c[0-1]"}},
		"c has to run":       {engine.Whole, "a0! a1! b0! b1! c0", nil, []string{"TasksReset b[0-1]" + why + "c needs them", "TasksReset a[0-1]" + why + "b needs them"}, []string{"a[0-1]", "b[0-1]", "c[1]"}},
		"some are there":     {engine.Whole, "a0 a1!", nil, []string{"TasksReset a[1]" + why + "b needs them"}, []string{"a[1]", "b[0-1]", "c[0-1]"}},
		"one by one":         {engine.Element, "a0! a1! b0! b1! c0", nil, []string{"TasksReset b[1]" + why + "c needs them", "TasksReset a[1]" + why + "b needs them"}, []string{"a[1]", "b[1]", "c[1]"}},
		"others are read":    {engine.Whole, "a0! a1!", []string{"kept"}, nil, []string{"b[0-1]", "c[0-1]"}},
		"while others run":   {engine.Element, "a0!", nil, []string{"TasksReset a[0]" + why + "b needs them"}, []string{"a[0]", "a[1]", "b[0]", "b[1]", "c[0]", "c[1]"}},
		"and while all wait": {engine.Whole, "a0!", nil, []string{"TasksReset a[0]" + why + "b needs them"}, []string{"a[0]", "a[1]", "b[0-1]", "c[0-1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, drv := chain(2, tc.kind)
			if tc.reads != nil {
				drv.Workflow.Steps[1].Deps[0].Outputs = tc.reads
			}
			k := &knower{d, map[string][]engine.Hit{}}
			drv.Cache, drv.Files = k, k
			for _, word := range strings.Fields(tc.known) {
				word, gone := strings.CutSuffix(word, "!")
				dir := "/old/" + word
				k.know(drv.Workflow.Step(engine.StepName(word[:1])), d.steps[engine.StepName(word[:1])][0], word, dir)
				if d.files[dir] = (&engine.Manifest{}); gone {
					d.files[dir].Gone = []string{"tmp"}
				}
			}
			plan, err := engine.NewPlan(context.Background(), drv, *d.log[0].Info)
			if err != nil {
				t.Fatal(err)
			}
			run := d.load(t, drv)
			var jobs []string
			for range 12 {
				d.tick(t, drv, 10*time.Second)
				for _, spec := range d.specs[len(jobs):] {
					jobs = append(jobs, fmt.Sprintf("%s[%s]", spec.Step, spec.Tasks))
					d.succeed(len(jobs))
				}
			}
			var reset []string
			for _, line := range d.kinds() {
				if strings.HasPrefix(line, "TasksReset") {
					reset = append(reset, line)
				}
			}
			slices.Sort(jobs)
			same(t, "run again", tc.want, reset)
			same(t, "jobs", tc.jobs, jobs)
			same(t, "status", engine.Succeeded, run.Status())
			toRun := 0
			for _, spec := range d.specs {
				toRun += spec.Size()
			}
			planned, _ := plan.ToRun()
			same(t, "planned to run", toRun, planned)
			if len(tc.want) > 0 {
				step := engine.StepName(strings.TrimPrefix(tc.want[0], "TasksReset ")[:1])
				why := run.Task(step, 1).Again + run.Task(step, 0).Again
				if !strings.Contains(why, "its temporary files are gone") || plan.Run.Task(step, 1).Again != run.Task(step, 1).Again {
					t.Errorf("why it ran again: %q, and in the plan %q", why, plan.Run.Task(step, 1).Again)
				}
			}
		})
	}
}

// knower is a cache that knows results by their keys.
type knower struct {
	*discarder
	hits map[string][]engine.Hit // by step and index
}

func (k *knower) know(step *engine.Step, spec *engine.TaskSpec, task, dir string) {
	k.hits[task] = []engine.Hit{{Run: "old", Step: step.Name, Task: task[1:], Dir: dir}}
}

// Lookup answers for a step at a time: all tasks of one are asked for together.
func (k *knower) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	out := make([]engine.Hit, len(keys))
	for i, key := range keys {
		for _, step := range []string{"a", "b", "c"} {
			for n := range keys {
				spec := k.steps[engine.StepName(step)][0]
				x := &engine.Expanded{Size: 2, Groups: []*engine.TaskSpec{spec}}
				if engine.KeyOf(spec, x, engine.StepName(step), n) == key {
					if h := k.hits[fmt.Sprint(step, n)]; h != nil {
						out[i] = h[0]
					}
				}
			}
		}
	}
	return out, nil
}

// What is to be kept by now is no known result if it is gone.
func TestGoneIsKeptNow(t *testing.T) {
	d, drv := chain(1, engine.Whole)
	d.hits = []engine.Hit{{Run: "old", Step: "a", Dir: "/old"}}
	d.files["/old"] = &engine.Manifest{Gone: []string{"tmp"}}
	kept := *d.steps["a"][0]
	kept.Outputs = slices.Clone(kept.Outputs)
	kept.Outputs[0].Temporary = false
	d.tasks("a", 1, &kept)
	run := d.load(t, drv)
	d.tick(t, drv, 0)
	same(t, "cached", 0, run.Select("a", engine.Cached).Len())
}

// A step that is asked to run again makes those run before it whose files are gone.
func TestRedoAfterDiscard(t *testing.T) {
	d, drv := chain(2, engine.Whole)
	run := d.load(t, drv)
	for n := 1; n <= 3; n++ {
		d.tick(t, drv, 10*time.Second)
		d.succeed(n)
	}
	for range 3 {
		d.tick(t, drv, 10*time.Second)
	}
	same(t, "status", engine.Succeeded, run.Status())
	events, err := run.Redo(engine.Redo{Only: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if err := drv.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	var jobs []string
	for range 6 {
		d.tick(t, drv, 10*time.Second)
		for n := 4 + len(jobs); n <= len(d.specs); n++ {
			jobs = append(jobs, string(d.specs[n-1].Step))
			d.succeed(n)
			for i := range 2 {
				d.files[fmt.Sprintf("/w/%s/%s/%d", simRun, d.specs[n-1].Step, i)] = &engine.Manifest{Attempt: d.specs[n-1].Attempt}
			}
		}
	}
	same(t, "jobs", []string{"a", "b"}, jobs)
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "removed", 8, len(d.discarded))
}

// Sets of tasks add up and come apart.
func TestRangesSets(t *testing.T) {
	set := rapid.Map(rapid.SliceOfDistinct(rapid.IntRange(0, 30), func(i int) int { return i }), func(ix []int) engine.Ranges { return engine.RangesOf(ix...) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := set.Draw(t, "a"), set.Draw(t, "b")
		with, without := engine.With(a, b), engine.Without(a, b)
		for i := range 32 {
			if with.Contains(i) != (a.Contains(i) || b.Contains(i)) || without.Contains(i) != (a.Contains(i) && !b.Contains(i)) {
				t.Fatalf("%v and %v: together %v, without %v", a, b, with, without)
			}
		}
		if with.Len() != len(slices.Collect(with.All())) || !with.Equal(engine.RangesOf(slices.Collect(with.All())...)) {
			t.Fatalf("%v and %v: together %v", a, b, with)
		}
	})
}

// What a step reads stays as long as it may have to run, though its result is known: for who
// reads files of that which are gone, and still waits for something else.
func TestKeptForWhoMayRunAgain(t *testing.T) {
	d, drv := chain(1, engine.Whole)
	slow := &engine.Step{Name: "slow"}
	d.tasks("slow", 1, &engine.TaskSpec{Command: []string{"slow"}})
	c := drv.Workflow.Steps[2]
	c.Deps = append(c.Deps, engine.Dep{Step: "slow", Need: engine.NeedValues})
	drv.Workflow.Steps = append(drv.Workflow.Steps, slow)
	k := &knower{d, map[string][]engine.Hit{}}
	drv.Cache, drv.Files = k, k
	k.know(drv.Workflow.Steps[1], d.steps["b"][0], "b0", "/old/b0")
	d.files["/old/b0"] = &engine.Manifest{Gone: []string{"tmp"}}
	run := d.load(t, drv)
	d.tick(t, drv, 0)
	d.succeed(slices.IndexFunc(d.specs, func(s *engine.JobSpec) bool { return s.Step == "a" }) + 1)
	d.tick(t, drv, 10*time.Second)
	d.tick(t, drv, 10*time.Second)
	same(t, "while c waits", []string(nil), d.kinds())
	for n := 1; n <= 4; n++ {
		if n > len(d.specs) {
			t.Fatalf("%d jobs", len(d.specs))
		}
		if d.specs[n-1].Step != "a" {
			d.succeed(n)
		}
		for range 3 {
			d.tick(t, drv, 10*time.Second)
		}
	}
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "in the end", []string{"TasksReset b[0]: its temporary files are gone, and step c needs them",
		"OutputsUnneeded a[0]", "OutputsDiscarded a[0]", "OutputsUnneeded b[0]", "OutputsDiscarded b[0]"}, d.kinds())
}

// looker is a template that looks at what is known of step a when b is expanded.
type looker struct {
	*discarder
	seen engine.TaskView
}

func (l *looker) Expand(name engine.StepName, scope engine.Scope) (*engine.Expansion, error) {
	if name == "b" {
		l.seen = scope.Step("a").Task(0)
	}
	return l.discarder.Expand(name, scope)
}

// Files that are gone are named where they will be, if their task runs again: what is read
// is found there then.
func TestGoneFilesHaveAPlace(t *testing.T) {
	d, drv := chain(1, engine.Whole)
	l := &looker{discarder: d}
	drv.Template = l
	d.hits = []engine.Hit{{Run: "old", Step: "a", Dir: "/old"}}
	d.files["/old"] = &engine.Manifest{Gone: []string{"tmp"}}
	d.load(t, drv)
	d.tick(t, drv, 0)
	same(t, "where", []string{"/w/" + string(simRun) + "/a/0/result/x", "/old/result/x"}, []string{l.seen.PathOf("tmp", "x"), l.seen.PathOf("kept", "x")})
}
