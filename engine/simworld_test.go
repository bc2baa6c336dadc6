package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// The world of the simulation: one goroutine, one seed, a virtual clock. AWS Batch is
// the model that runs everywhere else; the log, the files and the faults are here.

// simStep is a step of a random workflow, with what its tasks are going to do.
type simStep struct {
	*engine.Step
	size     int
	attempts int
	values   bool // has a json output
	when     int  // every when-th task is skipped by its `when`; 0: none
	retry    engine.Retry
	gate     *simGate // nil: it waits for nothing
}

type crash struct{ at string }

const endless = "the run does not end"

type world struct {
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	wf    *engine.Workflow
	steps []*simStep
	local bool // a crash of the driver takes the jobs that run with it, and the driver is told of changes
	bulk  bool // jobs can be submitted side by side

	lose, lag, hostLoss float64
	later               bool // at times, no job is taken
	slow                bool // listings lag for longer than anybody waits
	forget              bool // jobs that ended are forgotten while nobody looks
	repaired            bool // no task fails any more
	faultsEnd           time.Time

	m         *model.Model
	ids       int
	visible   map[engine.JobID]time.Time
	listed    map[engine.JobID]time.Time // where it is later
	tries     []*simTry
	begun     map[string]int // by task and attempt: commands begun
	used      map[string]int // by task: tries that count
	done      map[string]bool
	again     map[string]bool // steps that were made to run anew
	lost      map[string]bool // names of jobs that were forgotten
	manifests map[string]*engine.Manifest

	log       []engine.Event
	synced    int                  // events that survive a crash
	pauses    int                  // how often it was paused
	started   int                  // jobs that were seen STARTING
	measured  int                  // tasks of which it is known what they used
	cancelled bool                 // somebody asked
	probed    map[string]time.Time // when something was looked for last, since the driver came up
	opened    int                  // gates that opened
	timeouts  int                  // steps that waited in vain
	late      time.Time            // when the run is late; zero: never
	lates     int                  // how often it was told so

	files *simFiles // nil: they are near

	bug string // planted, to see whether it is found

	crashAt  int // boundaries left until the crash; negative: none
	passed   int // boundaries passed
	hash     interface{ Sum64() uint64 }
	trace    io.Writer
	problems []string
}

type simTry struct {
	effect model.Effect
	task   string
	up     time.Time // when it is RUNNING; zero: it is
	end    time.Time
	exit   model.Exit
	lost   bool
}

const simStart = "2026-01-01T00:00:00Z"

func newWorld(seed uint64) *world {
	start, err := time.Parse(time.RFC3339, simStart)
	if err != nil {
		panic(err)
	}
	h := fnv.New64a()
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: start, hash: h, trace: h, crashAt: -1,
		visible: map[engine.JobID]time.Time{}, listed: map[engine.JobID]time.Time{}, begun: map[string]int{}, used: map[string]int{}, done: map[string]bool{},
		again: map[string]bool{}, lost: map[string]bool{}, manifests: map[string]*engine.Manifest{},
		probed: map[string]time.Time{},
	}
	w.local = w.rng.IntN(2) == 0
	// Swarm: most seeds have few kinds of faults.
	if w.rng.IntN(2) == 0 {
		w.lose = 0.2
	}
	if w.rng.IntN(2) == 0 {
		w.lag = 0.5
	}
	if w.rng.IntN(3) == 0 {
		w.hostLoss = 0.15
	}
	w.faultsEnd = start.Add(6 * time.Hour)
	w.later = w.rng.IntN(4) == 0
	if !w.local {
		w.bulk = w.rng.IntN(2) == 0
		switch w.rng.IntN(6) {
		case 0:
			w.slow, w.lose, w.repaired, w.faultsEnd = true, 0.4, true, start.Add(60*24*time.Hour)
		case 1:
			w.forget = true
		}
	}
	w.m = model.New(model.Config{Capacity: model.Capacity{VCPUs: float64(1 + w.rng.IntN(8)), MemoryMiB: 1 << 20}, Instance: "i-1"})
	w.build()
	w.gates()
	return w
}

// build draws a workflow.
func (w *world) build() {
	w.wf = &engine.Workflow{Name: "sim", WorkDir: "/w", OnFailure: engine.Finish}
	if w.rng.IntN(8) == 0 {
		w.wf.OnFailure = engine.CancelOnErr
	}
	if w.rng.IntN(6) == 0 {
		w.wf.MaxParallel = 1 + w.rng.IntN(6)
	}
	if w.forget && w.rng.IntN(2) == 0 {
		w.wf.OnLost, w.repaired = engine.LostRetries, true
	}
	if w.seed%5 == 0 { // the worlds of other seeds are as they were
		w.wf.Budget = &engine.Budget{Max: engine.Money(1+w.seed%7) * engine.USD, Cancel: w.seed%4 == 0}
	}
	for n := range 1 + w.rng.IntN(7) {
		w.steps = append(w.steps, w.buildStep(n))
		w.wf.Steps = append(w.wf.Steps, w.steps[n].Step)
	}
}

func (w *world) buildStep(n int) *simStep {
	s := &simStep{Step: &engine.Step{Name: engine.StepName("s" + strconv.Itoa(n))}, size: 1, attempts: 1 + w.rng.IntN(3)}
	if w.rng.IntN(3) > 0 {
		s.FanOut, s.size = true, w.rng.IntN(9)
	}
	if w.rng.IntN(6) == 0 {
		s.FanOut, s.size = true, 30+w.rng.IntN(40)
	}
	for _, dep := range w.steps {
		if w.rng.IntN(n+1) > 1 {
			continue
		}
		d := engine.Dep{Step: dep.Name, Kind: engine.Whole, Need: engine.Need(w.rng.IntN(3))}
		if dep.FanOut && w.rng.IntN(2) == 0 && !slices.ContainsFunc(s.Deps, func(d engine.Dep) bool { return d.Kind == engine.Element }) {
			d.Kind = engine.Element
			d.Need = max(d.Need, engine.NeedTasks)
			s.FanOut, s.size = true, dep.size
			s.Partial = dep.Partial
		}
		if dep.Partial {
			d.Need = engine.NeedValues
		}
		s.Deps = append(s.Deps, d)
	}
	if s.FanOut {
		switch w.rng.IntN(6) {
		case 0:
			s.Sequential = true
		case 1:
			s.Tolerate.Count, s.Partial = 1+w.rng.IntN(3), true
		case 2:
			s.MaxParallel = 1 + w.rng.IntN(4)
		case 3:
			s.when = 2 + w.rng.IntN(3)
		}
	}
	s.values = w.rng.IntN(3) == 0
	s.retry = engine.Retry{Attempts: s.attempts}
	if w.rng.IntN(4) == 0 {
		s.EngineRetries = true
		s.retry.Rules = []engine.RetryRule{{Class: "any", ExitCode: "*", Delay: time.Duration(w.rng.IntN(3)) * time.Minute, MemoryMiB: []int{64, 128, 256}}}
	}
	return s
}

func (w *world) step(name engine.StepName) *simStep {
	for _, s := range w.steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func taskID(step engine.StepName, i int) string { return string(step) + "/" + strconv.Itoa(i) }

// succeeds says what the n-th counted try of a task does, always the same.
func (w *world) succeeds(task string, n int) bool {
	if w.repaired {
		return true
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, task, n)
	return h.Sum64()%100 >= 12
}

func (w *world) problem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// boundary is a place where the driver may die: between any two effects.
func (w *world) boundary(at string) {
	fmt.Fprintln(w.trace, at)
	w.passed++
	if w.crashAt == 0 {
		w.crashAt--
		panic(crash{at})
	}
	w.crashAt--
}

// Expand and Results make the world an engine.Template.
func (w *world) Expand(name engine.StepName, scope engine.Scope) (*engine.Expansion, error) {
	s := w.step(name)
	for _, d := range s.Deps {
		if v := scope.Step(d.Step); d.Need != engine.NeedOrder && v == nil {
			w.problem("%s is expanded before %s", name, d.Step)
		} else if d.Need == engine.NeedValues {
			for i := range v.Size {
				if t := v.Task(i); t.Status.OK() && w.step(d.Step).values && t.Values["v"] == nil {
					w.problem("%s is expanded without the value of %s", name, taskID(d.Step, i))
				}
			}
		}
	}
	spec := &engine.TaskSpec{Command: []string{"run"}, Retry: s.retry, NoCache: true}
	if w.files != nil {
		w.files.spec(s, spec)
	}
	if s.values {
		spec.Outputs = append(spec.Outputs, engine.Output{Name: "v", Kind: engine.OutputJSON, Path: "v.json"})
	}
	x := &engine.Expansion{Specs: make([]*engine.TaskSpec, s.size)}
	for i := range x.Specs {
		if s.when > 0 && i%s.when == 0 {
			if x.Absent == nil {
				x.Absent = map[int]string{}
			}
			x.Absent[i] = engine.ReasonWhen
			continue
		}
		x.Specs[i] = spec
	}
	if w.files != nil {
		w.files.expands(s, x.Specs)
	}
	return x, nil
}

func (w *world) Results(engine.Scope) ([]engine.Result, error) { return nil, nil }

// Identify, Manifest and Publish make the world an engine.Files.
func (w *world) Identify(_ context.Context, path string) (string, error) { return path, nil }
func (w *world) Manifest(_ context.Context, dir string) (*engine.Manifest, error) {
	if m := w.manifests[dir]; m != nil && w.bug != "manifests are not found" {
		return m, nil
	}
	return nil, engine.ErrNotFound
}
func (w *world) Publish(context.Context, string, string) error { return nil }

func (w *world) Failure(context.Context, string, int) string { return "" }

// Append and Events make it an engine.Log.
func (w *world) Append(_ context.Context, _ engine.RunID, after int64, events ...engine.Event) error {
	w.boundary("append")
	if int64(len(w.log)) != after {
		return engine.ErrConflict
	}
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprintln(w.trace, e.Seq, e.At.UnixMilli(), e.Kind, string(b))
		back := engine.Event{Seq: e.Seq, At: e.At, Kind: e.Kind}
		if err := json.Unmarshal(b, &back); err != nil {
			return err
		}
		if w.bug == "acknowledges what it has not kept" && e.Kind == engine.JobAccepted {
			back.JobID += "x"
		}
		if w.bug == "that a gate opened is forgotten" && e.Kind == engine.StepGateOpened {
			back.Kind = engine.StepReset
		}
		if w.bug == "that it was told to be late is forgotten" && e.Kind == engine.RunLate {
			back.Kind = engine.RunResumed
		}
		if w.bug == "a pause is forgotten" && e.Kind == engine.RunPaused {
			back.Kind, back.Spent = engine.RunResumed, 0
		}
		w.checkGate(&e)
		w.log = append(w.log, back)
		w.recorded(&e)
		if e.Kind == engine.StepReset {
			w.again[string(e.Step)] = true
		}
	}
	w.synced = int(after)
	if w.bug != "intents are not durable" {
		w.synced = len(w.log)
	}
	w.boundary("appended")
	return nil
}

func (w *world) Events(_ context.Context, _ engine.RunID, after int64) iter.Seq2[engine.Event, error] {
	return func(yield func(engine.Event, error) bool) {
		for _, e := range w.log[after:] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Now and Wait make it an engine.Clock.
func (w *world) Now() time.Time { return w.now }
func (w *world) Wait(_ context.Context, d time.Duration, _ <-chan struct{}) bool {
	w.advance(w.now.Add(max(d, time.Millisecond)))
	if w.now.Sub(w.log[0].At) > 100*24*time.Hour {
		w.problem(endless)
		panic(crash{endless})
	}
	return false
}

// advance lets Batch work until a time.
func (w *world) advance(to time.Time) {
	w.pump()
	for {
		at, next := to, (*simTry)(nil)
		for _, t := range w.tries {
			if due := t.due(); due.Before(at) {
				at, next = due, t
			}
		}
		if wake := w.m.Wake(); !wake.IsZero() && wake.Before(at) {
			at, next = wake, nil
		}
		if at.After(w.now) {
			w.now = at
		}
		switch {
		case next != nil && !next.up.IsZero() && !next.up.After(w.now):
			next.up = time.Time{}
			w.m.Started(w.now, next.effect.Job, next.effect.Index, next.effect.Attempt)
		case next != nil:
			w.finish(next)
		}
		w.pump()
		if next == nil && !at.Before(to) {
			return
		}
	}
}

// pump lets Batch's scheduler work, and carries out what it wants.
func (w *world) pump() {
	for {
		effects := slices.Clone(w.m.Tick(w.now))
		if len(effects) == 0 {
			return
		}
		for _, e := range effects {
			if e.Kind == model.Stop {
				for _, t := range w.tries {
					if t.effect.ID() == e.ID() {
						code := 143
						t.end, t.exit, t.lost = w.now.Add(time.Second), model.Exit{ExitCode: &code}, true
					}
				}
				continue
			}
			w.begin(e)
		}
	}
}

// begin starts a try, and checks that it may.
func (w *world) begin(e model.Effect) {
	spec := e.Request.Payload.(*engine.JobSpec)
	i := spec.Tasks.At(max(e.Index, 0))
	task := taskID(spec.Step, i)
	attempt := fmt.Sprintf("%s#%d", task, spec.Attempt+e.Attempt-1)
	w.begun[attempt]++
	if n := w.begun[attempt]; n > 1 && !w.slow {
		w.problem("%s ran %d times", attempt, n)
	}
	if w.done[task] && !w.again[string(spec.Step)] && !w.slow && w.wf.OnLost != engine.LostRetries && !w.mayAgain(task) {
		w.problem("%s runs though it has succeeded", task)
	}
	w.checkDeps(spec.Step, i)
	w.checkTemporary(spec.Step, i)
	if !w.slow {
		w.checkLimits(spec.Step)
	}
	takes := time.Duration(1+w.rng.IntN(600)) * time.Second
	if w.slow { // so that a twin is alive when it shows
		takes *= 20
	}
	t := &simTry{effect: e, task: task, end: w.now.Add(takes)}
	if w.starting() {
		t.up = w.now.Add(takes / 3)
	} else {
		w.m.Started(w.now, e.Job, e.Index, e.Attempt)
	}
	if w.now.Before(w.faultsEnd) && w.rng.Float64() < w.hostLoss {
		t.exit, t.lost = model.Exit{StatusReason: model.HostLost("i-1")}, true
	} else {
		code := 1
		t.exit = model.Exit{ExitCode: &code}
	}
	w.tries = append(w.tries, t)
}

// checkLimits checks that one more task may run.
func (w *world) checkLimits(step engine.StepName) {
	mine := 0
	for _, t := range w.tries {
		if strings.HasPrefix(t.task, string(step)+"/") {
			mine++
		}
	}
	if m := w.wf.MaxParallel; m > 0 && len(w.tries) >= m {
		w.problem("%d tasks run, and max_parallel is %d", len(w.tries)+1, m)
	}
	if m := w.step(step).MaxParallel; m > 0 && mine >= m {
		w.problem("%d tasks of %s run, and its max_parallel is %d", mine+1, step, m)
	}
	if w.step(step).Sequential && mine > 0 {
		w.problem("%d tasks of %s run, and it is sequential", mine+1, step)
	}
}

// checkDeps checks that what a task waits for has succeeded.
func (w *world) checkDeps(step engine.StepName, i int) {
	for _, d := range w.step(step).Deps {
		up := w.step(d.Step)
		if w.skipped(up.Name) {
			continue
		}
		for k := range up.size {
			if d.Kind == engine.Element && k != i {
				continue
			}
			if !w.done[taskID(d.Step, k)] && (up.when == 0 || k%up.when > 0) && !up.Partial {
				w.problem("%s runs before %s has succeeded", taskID(step, i), taskID(d.Step, k))
			}
		}
	}
}

func (w *world) finish(t *simTry) {
	w.tries = slices.DeleteFunc(w.tries, func(o *simTry) bool { return o == t })
	spec := t.effect.Request.Payload.(*engine.JobSpec)
	attempt := spec.Attempt + t.effect.Attempt - 1
	t.exit.Used = simUsed(t.task, attempt)
	if !t.lost {
		w.used[t.task]++
		if w.succeeds(t.task, w.used[t.task]) {
			*t.exit.ExitCode = 0
			w.done[t.task] = true
			if w.files != nil {
				w.files.there[t.task] = true
			}
			w.manifests[spec.TaskDir(max(t.effect.Index, 0))] = &engine.Manifest{Version: 1, Attempt: attempt, PeakMemory: t.exit.Used.PeakMemory, PeakAtMost: t.exit.Used.AtMost, Outputs: engine.Values{"v": json.RawMessage("1")}}
		}
	}
	w.m.Exited(w.now, t.effect.Job, t.effect.Index, t.effect.Attempt, t.exit)
}

// dies is what a crash of the driver does to the world, before it comes up again.
func (w *world) dies() {
	w.log = w.log[:max(w.synced, 1)]
	if w.local {
		for _, t := range w.tries {
			w.begun[fmt.Sprintf("%s lost", t.task)]++
		}
		w.tries = nil
		w.m.Restart(w.now, model.Capacity{VCPUs: 4, MemoryMiB: 1 << 20}, "i-2")
		return
	}
	w.advance(w.now.Add(time.Duration(w.rng.IntN(3600)) * time.Second))
	if !w.forget {
		return
	}
	known := map[engine.JobID]bool{} // of one whose submission is in doubt nobody could tell later
	for _, e := range w.log {
		known[e.JobID] = true
	}
	for _, v := range w.jobs() {
		if v.Status.Ended() && known[v.ID] && w.rng.IntN(2) == 0 {
			w.m.Forget(w.now, v.ID)
			w.lost[v.Name] = true
		}
	}
}

// jobs returns the jobs that Batch knows, oldest first.
func (w *world) jobs() []model.View {
	out := slices.Collect(w.m.JobsWhere("q", 0, func(time.Time, *model.Request) bool { return true }))
	slices.Reverse(out)
	return out
}

var errLost = errors.New("the answer was lost")

// batch is the world as an engine.Executor.
type batch struct{ *world }

// near is one that tells of changes, though it never does.
type near struct{ batch }

func (near) Changed() <-chan struct{} { return nil }
func (near) Idle() bool               { return true }

// bulk is one that takes several jobs at once. The driver may die between any two of them.
type bulk struct{ batch }

func (b bulk) SubmitAll(ctx context.Context, specs []*engine.JobSpec) []engine.Submission {
	out := make([]engine.Submission, len(specs))
	for i, spec := range specs {
		out[i].ID, out[i].Err = b.Submit(ctx, spec)
	}
	return out
}

func (w *world) executor() engine.Executor {
	switch {
	case w.local:
		return near{batch{w}}
	case w.bulk:
		return bulk{batch{w}}
	}
	return batch{w}
}

func (b batch) faulty(p float64) bool { return b.now.Before(b.faultsEnd) && b.rng.Float64() < p }

func (b batch) Submit(_ context.Context, spec *engine.JobSpec) (engine.JobID, error) {
	b.boundary("submit " + spec.Name)
	if b.isPaused() {
		b.problem("%s is submitted though the run is paused", spec.Name)
	}
	if b.later && b.now.Before(b.faultsEnd) && b.now.Minute() < 15 {
		if b.bug == "not now is taken for never" {
			return "", engine.ErrRefused
		}
		return "", engine.ErrLater
	}
	if b.faulty(b.lose / 2) {
		return "", errLost // it never arrived
	}
	b.ids++
	id := engine.JobID("j" + strconv.Itoa(b.ids))
	req := &model.Request{
		Name: spec.Name, Queue: "q", ArraySize: spec.ArraySize, DependsOn: spec.DependsOn,
		Attempts: spec.Attempts, Evaluate: spec.Evaluate, Resources: spec.Resources, Payload: spec,
	}
	switch b.bug {
	case "dependencies are dropped":
		req.DependsOn = nil
	case "one try too many":
		req.Attempts, req.Evaluate = min(req.Attempts+1, 10), nil
	case "what is sent again has the wrong indices":
		if spec.Attempt > 1 {
			spec.Tasks = engine.Upto(spec.Size())
		}
	}
	err := b.m.Submit(b.now, id, req)
	if err != nil {
		b.problem("%s is refused: %v", spec.Name, err)
		return "", err
	}
	if b.faulty(b.lag) {
		b.visible[id] = b.now.Add(time.Duration(b.rng.IntN(100)) * time.Second)
	}
	if b.slow && b.faulty(1) {
		b.listed[id] = b.now.Add(time.Duration(b.rng.IntN(900)) * time.Second)
	}
	b.pump()
	b.boundary("submitted")
	if b.faulty(b.lose / 2) {
		if b.bug == "the client retries by itself" {
			b.ids++
			id += "again"
			return id, b.m.Submit(b.now, id, req)
		}
		return "", errLost
	}
	return id, nil
}

func (b batch) seen(id engine.JobID) bool {
	parent, _ := id.Split()
	return !b.now.Before(b.visible[parent])
}

func (b batch) Find(_ context.Context, _, name string) (out []engine.Job, err error) {
	b.boundary("find " + name)
	if b.bug == "jobs are not looked for" {
		return nil, nil
	}
	if b.faulty(0.05) {
		return nil, errLost
	}
	prefix, many := strings.CutSuffix(name, "*")
	for _, v := range b.jobs() {
		match := v.Name == name || many && strings.HasPrefix(v.Name, prefix)
		if match && b.seen(v.ID) && !b.now.Before(b.listed[v.ID]) && (b.bug != "strays are not listed" || !b.stray(v)) {
			out = append(out, v.Job)
		}
	}
	return out, nil
}

// stray reports whether a job is not the one that the ledger has under its name.
func (w *world) stray(v model.View) bool {
	named := 0
	for _, e := range w.log {
		if e.Kind == engine.JobPlanned && e.Plan.Name == v.Name {
			named = e.Job
		}
		if e.Kind == engine.JobAccepted && e.Job == named {
			return e.JobID != v.ID
		}
	}
	return false
}

func (b batch) Describe(_ context.Context, ids []engine.JobID) (out []engine.Job, err error) {
	if b.faulty(0.05) {
		return nil, errLost
	}
	for _, id := range ids {
		if v, ok := b.m.Describe(id); ok && b.seen(id) {
			out = append(out, b.told(v.Job))
		}
	}
	return out, nil
}

func (b batch) Children(_ context.Context, id engine.JobID, s engine.JobStatus) iter.Seq2[engine.Job, error] {
	return func(yield func(engine.Job, error) bool) {
		buf := make([]model.View, 0, 16)
		for from := 0; from >= 0; {
			buf, from = b.m.Children(buf[:0], id, s, from)
			for _, v := range buf {
				if b.faulty(0.01) {
					yield(engine.Job{}, errLost)
					return
				}
				if !yield(b.told(v.Job), nil) {
					return
				}
			}
		}
	}
}

func (b batch) Terminate(_ context.Context, id engine.JobID, reason string) error {
	b.boundary("terminate")
	if b.faulty(b.lose) {
		return errLost
	}
	err := b.m.Terminate(b.now, id, reason)
	b.pump()
	return err
}

func (b batch) Logs(context.Context, engine.JobID, engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	return func(func(engine.LogLine, error) bool) {}
}

// outline is everything that can be seen of a run, to compare two of them.
func outline(r *engine.Run) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Status(), r.Reason(), r.Cause())
	if p, paused := r.Paused(); paused {
		fmt.Fprintln(&b, "paused", p.Reason)
	}
	if r.Ended() || len(r.Jobs()) == 0 {
		fmt.Fprintln(&b, "spent", r.Spent())
	}
	for _, s := range r.Steps() {
		fmt.Fprintln(&b, s.Step.Name, s.Status, s.Size, s.Reason, s.Cause, s.Counts)
		for i := range max(s.Size, 0) {
			t := r.Task(s.Step.Name, i)
			fmt.Fprintln(&b, " ", t.Name, t.Status, t.Attempts, t.Infra, t.Reason, t.Cause, t.Job, t.Child, t.PeakMemory, t.CPUMillis)
		}
	}
	return b.String()
}
