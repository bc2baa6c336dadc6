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
