package executortest

import (
	"slices"
	"strings"

	"flow/engine"
)

func plainSucceeds(s *suite) {
	id := s.submit("ok", "echo out; echo err >&2; echo more")
	j := s.succeeded(id)
	if code(j.ExitCode) != "0" || j.StatusReason != engine.ReasonExited || j.Terminated || j.Size != 0 {
		s.Errorf("job is %+v, exit code %s", j, code(j.ExitCode))
	}
	if j.Created.IsZero() || j.Started.Before(j.Created) || j.Stopped.Before(j.Started) {
		s.Errorf("created %v, started %v, stopped %v", j.Created, j.Started, j.Stopped)
	}
	if len(j.Attempts) != 1 {
		s.Fatalf("attempts: %+v, want one", j.Attempts)
	}
	if a := j.Attempts[0]; code(a.ExitCode) != "0" || a.StatusReason != engine.ReasonExited || !a.Started.Equal(j.Started) || !a.Stopped.Equal(j.Stopped) {
		s.Errorf("attempt is %+v of %+v", a, j)
	}
	// Stdout and stderr are one stream, in order.
	if got, want := s.lines(id, engine.LogOptions{}), []string{"out", "err", "more"}; !slices.Equal(got, want) {
		s.Errorf("log is %q, want %q", got, want)
	}
}

func plainFails(s *suite) {
	j := s.failed(s.submit("bad", "exit 3"), engine.ReasonExited)
	if code(j.ExitCode) != "3" || len(j.Attempts) != 1 || code(j.Attempts[0].ExitCode) != "3" {
		s.Errorf("job is %+v, exit code %s", j, code(j.ExitCode))
	}
}

func exitCodes(s *suite) {
	for script, want := range map[string]string{
		"exit 1": "1", "exit 125": "125", "exit 255": "255",
		"no-such-program-here": "127", "kill -KILL $$": "137", "kill -TERM $$": "143",
	} {
		j := s.failed(s.submit("code", script), engine.ReasonExited)
		if code(j.ExitCode) != want {
			s.Errorf("%q has exit code %s, want %s", script, code(j.ExitCode), want)
		}
	}
}

// A program that is not there has no exit code (Batch User Guide, job_retries:
// "Task failed to start"), and its failed start is an attempt.
func cannotStart(s *suite) {
	spec := s.job("nostart", "")
	spec.Task.Command, spec.Task.Script, spec.Task.Shell = []string{"/no/such/program"}, "", nil
	j := s.failed(s.send(spec), engine.ReasonStartFailed)
	if j.ExitCode != nil || !strings.HasPrefix(j.Reason, "CannotStartContainerError: ") {
		s.Errorf("exit code %s, reason %q, want none, and CannotStartContainerError", code(j.ExitCode), j.Reason)
	}
	if len(j.Attempts) != 1 || !j.Started.IsZero() {
		s.Errorf("job is %+v, want one attempt that never ran", j)
	}
}

// The variables of a job (Batch User Guide, job_env_vars).
func environment(s *suite) {
	const show = `echo "$AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ATTEMPT [$AWS_BATCH_JOB_ARRAY_INDEX] [$AWS_BATCH_JOB_ARRAY_SIZE] ${AWS_BATCH_JQ_NAME:+queue} ${AWS_BATCH_CE_NAME:+environment} $MINE"`
	mine := func(spec *engine.JobSpec) { spec.Task.Env = map[string]string{"MINE": "a $b 'c'"} }
	plain := s.submit("env", show, mine)
	s.succeeded(plain)
	if got, want := s.lines(plain, engine.LogOptions{}), string(plain)+" 1 [] [] queue environment a $b 'c'"; !slices.Equal(got, []string{want}) {
		s.Errorf("plain job: %q, want %q", got, want)
	}
	parent := s.submit("envs", show, mine, array(2))
	s.succeeded(parent)
	if got, want := s.lines(parent.Child(1), engine.LogOptions{}), string(parent)+":1 1 [1] [2] queue environment a $b 'c'"; !slices.Equal(got, []string{want}) {
		s.Errorf("child: %q, want %q", got, want)
	}
}

// What is seen of a job moves on: first by its attempts, then by status; the end is final.
func statusesOnlyMoveOn(s *suite) {
	id := s.submit("twice", `test "$AWS_BATCH_JOB_ATTEMPT" = 2`, attempts(2))
	var seen [][2]int
	s.until(id, "ended", func(j *engine.Job) bool {
		at := [2]int{len(j.Attempts), int(j.Status)}
		if j.Status.Ended() { // the last attempt is one of the ended ones now
			at[0] = 99
		}
		seen = append(seen, at)
		return j.Status.Ended()
	})
	for i := 1; i < len(seen); i++ {
		if slices.Compare(seen[i-1][:], seen[i][:]) > 0 {
			s.Errorf("attempts and status went back: %v", seen)
		}
	}
	before := s.ended(id)
	s.terminate(id, "too late")
	if j := s.ended(id); j.Status != before.Status || j.StatusReason != before.StatusReason || !j.Stopped.Equal(before.Stopped) {
		s.Errorf("an ended job changed from %+v to %+v", before, j)
	}
}

func retryUntilSuccess(s *suite) {
	id := s.submit("retry", `echo try $AWS_BATCH_JOB_ATTEMPT; test "$AWS_BATCH_JOB_ATTEMPT" -ge 3`, attempts(5))
	j := s.succeeded(id)
	var codes []string
	for _, a := range j.Attempts {
		codes = append(codes, code(a.ExitCode))
	}
	if want := []string{"1", "1", "0"}; !slices.Equal(codes, want) {
		s.Errorf("attempts have exit codes %v, want %v", codes, want)
	}
	streams := map[string]bool{}
	for _, a := range j.Attempts {
		streams[a.LogStream] = true
	}
	if len(streams) != 3 {
		s.Errorf("3 attempts have the log streams %v, want one each", streams)
	}
}

func retryUntilSpent(s *suite) {
	j := s.failed(s.submit("spent", "exit 4", attempts(3)), engine.ReasonExited)
	if len(j.Attempts) != 3 {
		s.Errorf("%d attempts, want 3", len(j.Attempts))
	}
}

// evaluateOnExit: the first entry that matches decides; what none matches is retried
// (Batch User Guide, job_retries).
func retryEvaluatesExit(s *suite) {
	exit := engine.EvaluateOn{Reason: "*"}
	for _, test := range []struct {
		name, script string
		evaluate     []engine.EvaluateOn
		want         int
	}{
		{"named code is retried", "exit 13", []engine.EvaluateOn{{ExitCode: "13", Retry: true}, exit}, 3},
		{"prefix is retried", "exit 13", []engine.EvaluateOn{{ExitCode: "1*", Retry: true}, exit}, 3},
		{"other code is not", "exit 2", []engine.EvaluateOn{{ExitCode: "13", Retry: true}, exit}, 1},
		{"first match decides", "exit 13", []engine.EvaluateOn{{ExitCode: "1*"}, {ExitCode: "13", Retry: true}}, 1},
		{"all conditions must match", "exit 13", []engine.EvaluateOn{{ExitCode: "13", StatusReason: "Host EC2*", Retry: true}, exit}, 1},
		{"status reason", "exit 13", []engine.EvaluateOn{{StatusReason: "Essential*", Retry: true}, exit}, 3},
		{"no match is retried", "exit 13", []engine.EvaluateOn{{ExitCode: "99"}}, 3},
	} {
		j := s.failed(s.submit("eval", test.script, attempts(3, test.evaluate...)), engine.ReasonExited)
		if len(j.Attempts) != test.want {
			s.Errorf("%s: %d attempts, want %d", test.name, len(j.Attempts), test.want)
		}
	}
}

// A timeout ends an attempt, and is never retried (Batch User Guide, job_timeouts).
func timeout(s *suite) {
	spec := s.job("slow", "exec sleep 600", attempts(3))
	spec.Timeout = 1e9
	id, err := s.x.Submit(s.ctx, spec)
	if err != nil { // as AWS has it, at least 60 s
		spec.Timeout *= 60
		id = s.send(spec)
	}
	j := s.failed(id, engine.ReasonTimeout)
	if len(j.Attempts) != 1 || j.Terminated {
		s.Errorf("job is %+v, want one attempt, not terminated", j)
	}
	if ran := j.Stopped.Sub(j.Started); ran < spec.Timeout {
		s.Errorf("it ran for %v of %v", ran, spec.Timeout)
	}
}

func terminateRunning(s *suite) {
	id := s.submit("run", "exec sleep 600", attempts(3))
	s.running(id)
	s.terminate(id, "enough of it")
	j := s.failed(id, "enough of it")
	if !j.Terminated || len(j.Attempts) != 1 {
		s.Errorf("job is %+v, want terminated, and not retried", j)
	}
}

func terminatePending(s *suite) {
	first := s.submit("first", "exec sleep 600")
	second := s.submit("second", "true", after(first))
	third := s.submit("third", "true", after(second))
	s.until(second, "PENDING", func(j *engine.Job) bool { return j.Status == engine.JobPending })
	s.terminate(second, "not wanted")
	j := s.failed(second, "not wanted")
	if !j.Terminated || len(j.Attempts) != 0 || !j.Started.IsZero() {
		s.Errorf("job is %+v, want terminated without an attempt", j)
	}
	s.failed(third, engine.ReasonDependency)
	if j, _ := s.describe(first); j.Status.Ended() {
		s.Errorf("the job it depended on ended as well: %+v", j)
	}
	s.terminate(first, "done")
	s.failed(first, "done")
}

func terminateEndedAndUnknown(s *suite) {
	id := s.submit("ended", "true")
	s.succeeded(id)
	s.terminate(id, "too late")
	if j := s.succeeded(id); j.Terminated {
		s.Errorf("an ended job was terminated: %+v", j)
	}
	s.terminate("00000000-0000-4000-8000-000000000000", "nobody")
	s.terminate("00000000-0000-4000-8000-000000000000:3", "nobody")
	s.terminate(id.Child(3), "nobody")
}
