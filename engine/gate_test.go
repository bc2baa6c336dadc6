package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// A porch is a script in which step a waits for files before it runs.
type porch struct {
	*script
	gate  *engine.Gate
	there map[string]bool
	fails map[string]error // to look for
	looks []string         // and when, since the run began
}

func newPorch(sensors ...engine.Sensor) (*porch, *engine.Driver) {
	s, d := newScript(&engine.Step{Name: "a", Gated: true}, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a", Kind: engine.Whole, Need: engine.NeedTasks}}})
	p := &porch{script: s, gate: &engine.Gate{Sensors: sensors}, there: map[string]bool{}, fails: map[string]error{}}
	for _, name := range []engine.StepName{"a", "b"} {
		s.tasks(name, 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	}
	d.Template, d.Files, d.Requests = p, p, nil
	return p, d
}

func (p *porch) Gate(engine.StepName, engine.Scope) (*engine.Gate, error) { return p.gate, nil }

func (p *porch) Probe(_ context.Context, s *engine.Sensor) (bool, string, error) {
	p.looks = append(p.looks, fmt.Sprintf("%s %s", s.Target, p.now.Sub(p.log[0].At)))
	return p.there[s.Target], s.Target + " as it is", p.fails[s.Target]
}

// until drives by the driver's own wishes to be woken until it has been so long.
func (p *porch) until(t *testing.T, d *engine.Driver, passed time.Duration) {
	t.Helper()
	end := p.log[0].At.Add(passed)
	for {
		wake, err := d.Tick(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if wake.IsZero() || wake.After(end) {
			p.now = end
			return
		}
		p.now = p.now.Add(max(wake.Sub(p.now), time.Millisecond))
	}
}

// told returns the events about steps and lateness, with what is said of them.
func (p *porch) told() (out []string) {
	for _, e := range p.log {
		switch e.Kind {
		case engine.StepWaits, engine.StepGateOpened, engine.StepExpanded, engine.StepEnded, engine.RunLate, engine.RunEnded:
			text := fmt.Sprintf("%s %s %s", e.At.Sub(p.log[0].At), e.Kind, e.Step)
			if e.Status != engine.Pending {
				text += " " + e.Status.String()
			}
			if e.Reason != "" {
				text += ": " + e.Reason
			}
			out = append(out, text)
		}
	}
	return out
}

func file(target string, every, timeout time.Duration) engine.Sensor {
	return engine.Sensor{Kind: engine.SensorFile, Target: target, Count: 1, Every: every, Timeout: timeout}
}

// A step waits until all is there at once, each looked for as often as it says; a driver that
// comes later goes on waiting, and does not wait for what has come.
func TestGateOpens(t *testing.T) {
	p, d := newPorch(file("/x", 10*time.Second, 0), file("/y", 25*time.Second, 0))
	run := p.load(t, d)
	p.there["/x"] = true
	p.until(t, d, 26*time.Second)
	p.there["/x"], p.there["/y"] = false, true
	p.until(t, d, 51*time.Second)
	same(t, "looks", []string{"/x 0s", "/y 0s", "/x 10s", "/x 20s", "/y 25s", "/x 30s", "/x 40s", "/x 50s", "/y 50s"}, p.looks)
	same(t, "holds", []engine.Waiting{{Step: "a", Hold: engine.Hold{Reason: "waits for /x and /y"}}, {Step: "b", Hold: engine.Hold{Reason: "known after a", On: "a"}}}, run.Holds(p.now))
	if g := run.Waiting(); len(g) != 1 || !g[0].Waits || !g[0].Since.Equal(p.log[0].At) {
		t.Errorf("%+v", g)
	}

	run = p.load(t, d) // somebody else
	p.there["/x"], p.looks = true, nil
	p.until(t, d, 52*time.Second)
	same(t, "looks of the next driver", []string{"/x 51s", "/y 51s"}, p.looks)
	want := []string{"0s StepWaits a", "51s StepGateOpened a: /x as it is; /y as it is", "51.001s StepExpanded a", "51.001s StepExpanded b"}
	same(t, "told", want, p.told())
	p.load(t, d)
	p.until(t, d, time.Minute)
	same(t, "looks when it is open", 2, len(p.looks))
	if g := run.Gate("a"); g.Waits || g.Seen != "/x as it is; /y as it is" {
		t.Errorf("%+v", g)
	}
}

// What does not come in time fails the step at that time, however seldom it is looked for, or
// is as if the step were not there.
func TestGateTimesOut(t *testing.T) {
	down := fmt.Errorf("the network is down: %w", engine.ErrLater)
	skip := file("/x", time.Hour, 10*time.Minute)
	skip.Skip = true
	for name, c := range map[string]struct {
		sensor engine.Sensor
		fails  error
		want   []string
	}{
		"it fails": {file("/x", time.Hour, 10*time.Minute), nil, []string{
			"0s StepWaits a", "10m0s StepEnded a FAILED: waited 10m for /x: /x as it is", "10m0.001s StepEnded b SKIPPED: needs a",
			"10m0.001s RunEnded  FAILED: step a failed: waited 10m for /x: /x as it is"}},
		"it is skipped": {skip, nil, []string{
			"0s StepWaits a", "10m0s StepEnded a SKIPPED: waited 10m for /x: /x as it is", "10m0.001s StepExpanded b"}},
		"nobody knows for too long": {file("/x", 3*time.Minute, 10*time.Minute), down, []string{
			"0s StepWaits a", "13m0s StepEnded a FAILED: waited 10m for /x: the network is down: not now", "13m0.001s StepEnded b SKIPPED: needs a",
			"13m0.001s RunEnded  FAILED: step a failed: waited 10m for /x: the network is down: not now"}},
		"it can never be known": {file("/x", time.Hour, 0), errors.New("no such bucket"), []string{
			"0s StepWaits a", "0s StepEnded a FAILED: waiting for /x: no such bucket", "1ms StepEnded b SKIPPED: needs a",
			"1ms RunEnded  FAILED: step a failed: waiting for /x: no such bucket"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, d := newPorch(c.sensor)
			p.fails["/x"] = c.fails
			p.load(t, d)
			p.until(t, d, 20*time.Minute)
			same(t, "told", c.want, p.told())
		})
	}
}

// A step that waited in vain waits anew when it is to run again, and one that was skipped
// stays so when what failed is to run again.
func TestGateAgain(t *testing.T) {
	p, d := newPorch(file("/x", time.Minute, time.Hour))
	run := p.load(t, d)
	p.until(t, d, 2*time.Hour)
	events, err := run.Redo(engine.Redo{Failed: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	p.there["/x"] = true
	p.until(t, d, 2*time.Hour+time.Second)
	if got := strings.Join(p.told()[4:], "\n"); !strings.HasPrefix(got, "2h0m0s StepWaits a\n2h0m0s StepGateOpened a: /x as it is\n") {
		t.Error(got)
	}

	skip := file("/x", time.Minute, time.Hour)
	skip.Skip = true
	p, d = newPorch(skip)
	run = p.load(t, d)
	p.until(t, d, 2*time.Hour)
	if events, err := run.Redo(engine.Redo{Failed: true}); len(events) > 0 || err != nil {
		t.Errorf("%v %v", events, err)
	}
}

// A step has nothing to wait for if its gate says so, and waits after what it depends on.
func TestGateNothing(t *testing.T) {
	p, d := newPorch()
	p.gate = nil
	p.load(t, d)
	p.until(t, d, 0)
	same(t, "told", []string{"0s StepExpanded a", "0s StepExpanded b"}, p.told())

	p, d = newPorch(file("/x", time.Minute, 0))
	d.Workflow.Steps[0].Gated, d.Workflow.Steps[1].Gated = false, true
	run := p.load(t, d)
	p.until(t, d, time.Minute)
	same(t, "told", []string{"0s StepExpanded a"}, p.told())
	same(t, "holds", []engine.Waiting{{Step: "b", Hold: engine.Hold{Reason: "waits for files once a has run", On: "a"}}}, run.Holds(p.now))
}

// A run that is paused waits for nothing: the time does not count.
func TestGatePaused(t *testing.T) {
	p, d := newPorch(file("/x", time.Hour, time.Hour))
	run := p.load(t, d)
	p.until(t, d, 10*time.Minute)
	record := func(e engine.Event) {
		t.Helper()
		if err := d.Record(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	record(engine.Event{Kind: engine.RunPaused, Reason: "spent"})
	p.looks = nil
	p.until(t, d, 5*time.Hour)
	same(t, "looks", []string(nil), p.looks)
	record(engine.Event{Kind: engine.RunResumed, Allowance: engine.USD})
	same(t, "until", p.log[0].At.Add(5*time.Hour+50*time.Minute), run.Gate("a").Until[0])
}

// A plan looks for nothing, and says what is waited for.
func TestGatePlan(t *testing.T) {
	p, d := newPorch(file("/x", time.Minute, time.Hour))
	plan, err := engine.NewPlan(context.Background(), d, engine.RunInfo{Run: simRun, WorkDir: "/w", Executor: engine.ExecutorLocal})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "looks", []string(nil), p.looks)
	same(t, "hold", engine.Hold{Reason: "waits for /x, until 2026-01-01T01:00:00Z at most"}, plan.Steps[0].Hold)
	same(t, "size", -1, plan.Steps[0].Size)
}

// A log in which a step waits twice, or opens what is open, is corrupt.
func TestGateCorrupt(t *testing.T) {
	wait := engine.Event{Kind: engine.StepWaits, Step: "a", Gate: &engine.Gate{Sensors: []engine.Sensor{file("/x", 0, 0)}}}
	open := engine.Event{Kind: engine.StepGateOpened, Step: "a"}
	for name, events := range map[string][]engine.Event{
		"it waits twice":        {wait, wait},
		"it opens twice":        {wait, open, open},
		"it opens and was shut": {open},
		"it waits for nothing":  {{Kind: engine.StepWaits, Step: "a"}},
		"it has ended":          {{Kind: engine.StepEnded, Step: "a", Status: engine.Failed}, wait},
	} {
		t.Run(name, func(t *testing.T) {
			p, d := newPorch()
			run := p.load(t, d)
			for i, e := range events {
				e.At = p.now
				if err := run.Apply(e); (err != nil) != (i == len(events)-1) {
					t.Errorf("event %d: %v", i, err)
				}
			}
		})
	}
}
