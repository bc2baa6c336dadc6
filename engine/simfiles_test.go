package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"flow/engine"
)

// Some worlds have their files far away: at times nobody can look at them, results of
// earlier runs are known, some of which are removed between the look at the cache and the
// look at them, steps leave temporary files, and one is to be replaced.

// simFiles is what such a world has more.
type simFiles struct {
	rng     *rand.Rand
	flaky   float64                  // how often nobody can look at something
	known   map[string]knownResult   // of earlier runs, by task
	temp    map[engine.StepName]bool // leaves a temporary file
	there   map[string]bool          // temporary files that are there, by task
	replace []engine.StepName
	asked   engine.StepName // the step that is being expanded, and its tasks that are not absent
	tasks   []int
	removed int // how often something was removed
	again   int // how often it was made again
}

type knownResult int

const (
	resultThere   knownResult = iota + 1
	resultGone                // of which the temporary files have been removed
	resultRemoved             // the cache still knows it
)

// distance makes the files of some worlds far away; the worlds of the others are as they were.
func (w *world) distance() {
	if w.seed%3 != 1 {
		return
	}
	f := &simFiles{rng: rand.New(rand.NewPCG(w.seed, 2)), known: map[string]knownResult{}, temp: map[engine.StepName]bool{}, there: map[string]bool{}}
	w.files = f
	if f.rng.IntN(2) == 0 {
		f.flaky = 0.1
	}
	want := w.expect()
	known := f.rng.IntN(3) > 0
	for _, s := range w.steps {
		f.temp[s.Name] = f.rng.IntN(2) == 0
		for i := range s.size {
			id := taskID(s.Name, i)
			if !known || want[id] != engine.Succeeded || !w.succeeds(id, 1) || f.rng.IntN(3) == 0 {
				continue
			}
			f.known[id] = knownResult(1 + f.rng.IntN(3))
			if f.known[id] == resultGone && !f.temp[s.Name] {
				f.known[id] = resultThere
			}
		}
	}
	if f.rng.IntN(4) == 0 {
		f.replace = []engine.StepName{w.steps[f.rng.IntN(len(w.steps))].Name}
	}
	if w.bug == "nobody is said to read anything" {
		for _, s := range w.steps {
			for k := range s.Deps {
				s.Deps[k].Outputs = []string{}
			}
		}
	}
}

// limits are those of the run.
func (w *world) limits() (l engine.Limits) {
	if w.files != nil && w.bug != "what is to be replaced is forgotten" {
		l.Replace = w.files.replace
	}
	return l
}

// spec makes the spec of a step fit for such a world.
func (f *simFiles) spec(s *simStep, spec *engine.TaskSpec) {
	spec.NoCache = false
	spec.Env = map[string]string{"STEP": string(s.Name)}
	if f.temp[s.Name] {
		spec.Outputs = append(spec.Outputs, engine.Output{Name: "tmp", Kind: engine.OutputFile, Path: "t", Temporary: true})
	}
}

// expands notes which tasks will be asked for.
func (f *simFiles) expands(s *simStep, specs []*engine.TaskSpec) {
	f.asked, f.tasks = s.Name, nil
	for i, spec := range specs {
		if spec != nil {
			f.tasks = append(f.tasks, i)
		}
	}
}

// remote is a world as its files that are far away, and the cache.
type remote struct{ *world }

func (r remote) later() error {
	f := r.files
	if !r.now.Before(r.faultsEnd) || f.rng.Float64() >= f.flaky {
		return nil
	}
	if r.bug == "not now is taken for not there" {
		return engine.ErrNotFound
	}
	return fmt.Errorf("the network is down: %w", engine.ErrLater)
}

func (r remote) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	f := r.files
	if err := r.later(); err != nil {
		return nil, fmt.Errorf("the index: %w", engine.ErrLater)
	}
	out := make([]engine.Hit, len(keys))
	for k, i := range f.tasks[:len(keys)] {
		id := taskID(f.asked, i)
		if f.known[id] > 0 {
			out[k] = engine.Hit{Run: "old", Step: f.asked, Task: fmt.Sprint(i), Dir: "/old/" + id}
			r.done[id] = r.done[id] || !r.leaves(f.asked) // else its manifest says so
		}
	}
	return out, nil
}

// leaves reports whether tasks of a step leave something, that may be removed.
func (w *world) leaves(step engine.StepName) bool { return w.files.temp[step] || w.step(step).values }

func (r remote) Manifest(ctx context.Context, dir string) (*engine.Manifest, error) {
	f := r.files
	if err := r.later(); err != nil {
		return nil, err
	}
	id, old := strings.CutPrefix(dir, "/old/")
	if !old {
		return r.world.Manifest(ctx, dir)
	}
	m := &engine.Manifest{Version: 1, Attempt: 1, Outputs: engine.Values{"v": []byte("1")}}
	switch f.known[id] {
	case resultGone:
		if r.bug != "what is gone is not told" {
			m.Gone = []string{"tmp"}
		}
	case resultThere:
		f.there[id] = f.temp[engine.StepName(id[:strings.IndexByte(id, '/')])]
	default:
		if r.bug != "what was removed is said to be there" {
			return nil, engine.ErrNotFound
		}
	}
	r.done[id] = true
	return m, nil
}

func (r remote) Manifests(ctx context.Context, dirs []string) []engine.ManifestAnswer {
	out := make([]engine.ManifestAnswer, len(dirs))
	for i, dir := range dirs {
		out[i].Manifest, out[i].Err = r.Manifest(ctx, dir)
	}
	return out
}

func (r remote) Discard(_ context.Context, dir string, outputs []string) error {
	r.boundary("discard " + dir)
	parts := strings.Split(strings.TrimPrefix(dir, "/w/"+string(simRun)+"/"), "/")
	step := r.step(engine.StepName(parts[0]))
	if step == nil || len(parts) != 2 || !r.files.temp[step.Name] || !slices.Equal(outputs, []string{"tmp"}) {
		r.problem("%v of %s are removed", outputs, dir)
		return nil
	}
	id := taskID(step.Name, 0)
	if step.FanOut {
		id = string(step.Name) + "/" + parts[1]
	}
	r.checkDiscard(step, id)
	r.files.there[id] = false
	r.files.removed++
	if m := r.manifests[dir]; m != nil {
		m.Gone = outputs
	}
	r.boundary("discarded")
	return nil
}

// recorded takes in an event: nobody may count on files any more of which that is recorded.
func (w *world) recorded(e *engine.Event) {
	if e.Kind == engine.OutputsUnneeded {
		for i := range e.Tasks.All() {
			w.files.there[taskID(e.Step, i)] = false
		}
	}
}

// checkDiscard checks that nobody needs a temporary file any more.
func (w *world) checkDiscard(step *simStep, id string) {
	if !w.done[id] {
		w.problem("the files of %s are removed before it has succeeded", id)
	}
	for _, t := range w.tries {
		name, _, _ := strings.Cut(t.task, "/")
		for _, d := range w.step(engine.StepName(name)).Deps {
			if d.Step == step.Name && d.Need != engine.NeedOrder && !w.slow {
				w.problem("the files of %s are removed while %s runs", id, t.task)
			}
		}
	}
}

// checkTemporary checks that the temporary files are there that a task reads.
func (w *world) checkTemporary(step engine.StepName, i int) {
	f := w.files
	if f == nil || w.slow || w.wf.OnLost == engine.LostRetries {
		return
	}
	for _, d := range w.step(step).Deps {
		for k := range w.step(d.Step).size {
			up := taskID(d.Step, k)
			if d.Need != engine.NeedOrder && (d.Kind == engine.Whole || k == i) && f.temp[d.Step] && w.done[up] && !f.there[up] {
				w.problem("%s runs without the files of %s", taskID(step, i), up)
			}
		}
	}
}

// mayAgain reports whether a task that has succeeded may run once more, since its temporary
// files are gone.
func (w *world) mayAgain(task string) bool {
	step, _, _ := strings.Cut(task, "/")
	if f := w.files; f == nil || !f.temp[engine.StepName(step)] || f.there[task] {
		return false
	}
	w.files.again++
	return true
}

// checkKnown checks how the tasks ended that had a result.
func (w *world) checkKnown(run *engine.Run) {
	f := w.files
	if f == nil {
		return
	}
	for _, s := range run.Steps() {
		replaced := slices.ContainsFunc(f.replace, func(name engine.StepName) bool {
			return name == s.Step.Name || slices.ContainsFunc(run.Graph().After(name), func(a *engine.Step) bool { return a.Name == s.Step.Name })
		})
		for i := range max(s.Size, 0) {
			t := run.Task(s.Step.Name, i)
			id := taskID(s.Step.Name, i)
			if t.Status == engine.Cached && (replaced || f.known[id] == 0 || w.leaves(s.Step.Name) && f.known[id] == resultRemoved) {
				w.problem("%s is CACHED", t.Name)
			}
			if t.Status == engine.Succeeded && !replaced && !w.again[string(s.Step.Name)] && f.known[id] == resultThere && f.flaky == 0 {
				w.problem("%s ran, and its result was known", t.Name)
			}
		}
	}
}

// counted is the status of a task or step for a comparison with what is expected.
func counted(s engine.Status) engine.Status {
	if s == engine.Cached {
		return engine.Succeeded
	}
	return s
}
