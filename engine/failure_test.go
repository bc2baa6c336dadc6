package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"flow/engine"
)

// noted is files of tasks whose agents have noted why they failed.
type noted struct{ *script }

func (noted) Failure(_ context.Context, dir string, attempt int) string {
	return fmt.Sprintf("StageInError: %s of attempt %d is gone", dir, attempt)
}

// What an agent has noted of a failure is its reason, where Batch has a number only.
func TestReasonOfAgent(t *testing.T) {
	for reason, want := range map[string]string{
		"": "StageInError: /w/" + string(simRun) + "/a/_ of attempt 1 is gone",
		engine.ReasonStageIn + engine.ReasonInLog: "StageInError: /w/" + string(simRun) + "/a/_ of attempt 1 is gone",
		engine.ReasonOutOfMemory:                  engine.ReasonOutOfMemory,
	} {
		s, d := newScript(&engine.Step{Name: "a"})
		d.Files = noted{s}
		s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true})
		run := s.load(t, d)
		s.tick(t, d, 0)
		s.ends(1, nil, engine.JobFailed, engine.ReasonExited, 221)
		s.jobs[0].Reason, s.jobs[0].Started = reason, s.now
		s.tick(t, d, time.Minute)
		if got := run.Task("a", 0).Reason; got != want {
			t.Errorf("of %q the reason is %q, want %q", reason, got, want)
		}
	}
}

// A job whose attempt belongs to a twin that nobody knows of has not failed: what the twin has
// left counts, and else the task is tried again, at no cost to its own retries.
func TestTwin(t *testing.T) {
	for name, whole := range map[string]bool{"the twin has succeeded": true, "it is ended": false} {
		t.Run(name, func(t *testing.T) {
			s, d := newScript(&engine.Step{Name: "a", Outputs: []engine.OutputDecl{{Name: "o", Kind: engine.OutputFile}}})
			s.tasks("a", 1, &engine.TaskSpec{Command: []string{"x"}, NoCache: true, Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}, Retry: engine.Retry{Attempts: 2, Rules: []engine.RetryRule{{ExitCode: "1"}}}})
			run := s.load(t, d)
			s.tick(t, d, 0)
			s.ends(1, nil, engine.JobFailed, engine.ReasonExited, 224)
			s.jobs[0].Reason, s.jobs[0].Started = engine.ReasonTwin+", and so on", s.now
			dir := "/w/" + string(simRun) + "/a/_"
			if whole {
				s.files[dir] = &engine.Manifest{Attempt: 1}
			}
			s.tick(t, d, time.Minute)
			if !whole {
				if got := s.specs[len(s.specs)-1]; len(s.specs) != 2 || got.Attempt != 2 {
					t.Fatalf("%d jobs, the last begins with attempt %d", len(s.specs), got.Attempt)
				}
				s.files[dir] = &engine.Manifest{Attempt: 2}
				s.ends(2, nil, engine.JobSucceeded, engine.ReasonExited, 0)
				s.tick(t, d, time.Minute)
			}
			if got := run.Task("a", 0); got.Status != engine.Succeeded {
				t.Errorf("the task is %s: %s", got.Status, got.Reason)
			}
		})
	}
}
