package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// A listing shows a job that the run does not know. It is ended, unless another driver has
// taken the run over, whose job it is.
func TestSweepIsAlone(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		s, d := newScript(&engine.Step{Name: "a"})
		s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
		s.load(t, d)
		s.tick(t, d, 0)
		s.jobs = append(s.jobs, &engine.Job{ID: "j2", Name: engine.RunPrefix(simRun) + "a-2-abcdef", Status: engine.JobRunning})
		if replaced {
			s.log = append(s.log, engine.Event{Seq: s.log[len(s.log)-1].Seq + 1, At: s.now, Kind: engine.RunResumed})
		}
		s.did()
		s.now = s.now.Add(time.Hour)
		_, err := d.Tick(context.Background())
		ended := slices.ContainsFunc(s.did(), func(c string) bool { return strings.HasPrefix(c, "terminate j2") })
		if ended == replaced || errors.Is(err, engine.ErrConflict) != replaced {
			t.Errorf("replaced %v: the job was ended: %v; %v", replaced, ended, err)
		}
	}
}

// A job that the run thinks over, and that is alive, is ended.
func TestSweepOfJobsThatAreOver(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"}, &engine.Step{Name: "b"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.tasks("b", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	s.load(t, d)
	s.tick(t, d, 0)
	s.ends(1, nil, engine.JobSucceeded, "", 0)
	s.tick(t, d, time.Minute)
	s.jobs[0].Status = engine.JobRunning
	s.did()
	s.tick(t, d, time.Hour)
	if calls := s.did(); !slices.Contains(calls, "terminate j1: flow: run "+string(simRun)+" knows nothing of this job") {
		t.Errorf("%q", calls)
	}
}

// A blindScript does not find jobs.
type blindScript struct {
	*script
	err error
}

func (b *blindScript) Find(ctx context.Context, queue, name string) ([]engine.Job, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.script.Find(ctx, queue, name)
}

// A listing that failed shows nothing: the run does not end by it, and it is made again soon.
func TestSweepWithoutAnAnswer(t *testing.T) {
	s, d := newScript(&engine.Step{Name: "a"})
	s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
	blind := &blindScript{script: s}
	d.Executor = blind
	run := s.load(t, d)
	s.tick(t, d, 0)
	s.wishes = []engine.Request{{Kind: "cancel", Reason: "enough"}}
	s.tick(t, d, time.Second)
	s.ends(1, nil, engine.JobFailed, "flow: enough", 143)
	blind.err = errors.New("no answer")
	for range 5 {
		s.tick(t, d, 10*time.Second)
	}
	if run.Ended() {
		t.Error("the run has ended without a listing")
	}
	blind.err = nil
	s.tick(t, d, 10*time.Second)
	if run.Status() != engine.Cancelled {
		t.Errorf("after a listing: %s", run)
	}
}

// publishing is a template with an output that is to be published.
type publishing struct{ *script }

func (publishing) Results(engine.Scope) ([]engine.Result, error) {
	return []engine.Result{{Name: "o", Publish: "/there", Files: []string{"/w/f"}}}, nil
}

// A look ends a run, but not one whose outputs are to be published: that is for a driver.
func TestLookPublishesNothing(t *testing.T) {
	for _, publish := range []bool{false, true} {
		s, d := newScript(&engine.Step{Name: "a"})
		s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
		if publish {
			d.Template = publishing{s}
		}
		run := s.load(t, d)
		s.tick(t, d, 0)
		s.ends(1, nil, engine.JobSucceeded, "", 0)
		if err := d.Look(context.Background()); err != nil {
			t.Fatal(err)
		}
		if run.Ended() == publish || run.WantsConclusion() != publish {
			t.Errorf("publish %v: %s", publish, run)
		}
	}
}
