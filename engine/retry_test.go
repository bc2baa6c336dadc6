package engine

import (
	"testing"
	"time"
)

func code(n int) *int { return &n }

// What becomes of a failed try (Batch User Guide, job_retries, and design 4.3).
func TestJudge(t *testing.T) {
	oom := RetryRule{Class: "oom", ExitCode: "137", MemoryMiB: []int{1, 2}}
	spot := RetryRule{Class: "spot", StatusReason: "Host EC2*"}
	exits := RetryRule{Class: "usage", ExitCode: "2", Exit: true}
	late := RetryRule{Class: "late", StatusReason: "Job attempt duration*", Delay: time.Minute}
	all := RetryRule{Class: "all", ExitCode: "*"}
	exited := func(c int) *JobAttempt { return &JobAttempt{ExitCode: code(c), StatusReason: ReasonExited} }
	lost := &JobAttempt{StatusReason: "Host EC2 (instance i-1) terminated."}
	timeout := &JobAttempt{ExitCode: code(137), StatusReason: ReasonTimeout}
	for _, c := range []struct {
		name        string
		retry       Retry
		last        *JobAttempt
		used, infra int
		want        Outcome
		rule        string
	}{
		{"no retry block", Retry{}, exited(1), 1, 0, TaskFailed, ""},
		{"every failure is retried without rules", Retry{Attempts: 3}, exited(1), 2, 0, TaskRetrying, ""},
		{"until the tries are used up", Retry{Attempts: 3}, exited(1), 3, 0, TaskFailed, ""},
		{"a rule matches", Retry{3, []RetryRule{oom}}, exited(137), 1, 0, TaskRetrying, "oom"},
		{"no rule matches", Retry{3, []RetryRule{oom, spot}}, exited(1), 1, 0, TaskFailed, ""},
		{"the first rule that matches decides", Retry{3, []RetryRule{exits, all}}, exited(2), 1, 0, TaskFailed, ""},
		{"the second decides where the first does not match", Retry{3, []RetryRule{exits, all}}, exited(3), 1, 0, TaskRetrying, "all"},
		{"a lost host costs no try", Retry{}, lost, 0, 1, TaskRetrying, ""},
		{"nor does it need a rule", Retry{1, []RetryRule{oom}}, lost, 0, 3, TaskRetrying, ""},
		{"but not for ever", Retry{}, lost, 0, maxInfra + 1, TaskFailed, ""},
		{"a time-out is never retried", Retry{Attempts: 3}, timeout, 1, 0, TaskFailed, ""},
		{"not even by a rule for its exit code", Retry{3, []RetryRule{oom}}, timeout, 1, 0, TaskFailed, ""},
		{"only by one that names it", Retry{3, []RetryRule{late}}, timeout, 1, 0, TaskRetrying, "late"},
		{"no exit code does not match digits", Retry{3, []RetryRule{oom}}, &JobAttempt{StatusReason: ReasonStartFailed}, 1, 0, TaskFailed, ""},
	} {
		v := judge(&TaskSpec{Retry: c.retry}, c.last, c.used, c.infra)
		rule := ""
		if v.rule != nil {
			rule = v.rule.Class
		}
		if v.outcome != c.want || rule != c.rule {
			t.Errorf("%s: %s by %q, want %s by %q", c.name, v.outcome, rule, c.want, c.rule)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"*", "", true}, {"", "", true}, {"", "x", true}, {"137", "", false}, {"1*", "137", true}, {"1*", "1", true}, {"1*", "21", false}, {"1*", "", false},
		{"137", "137", true}, {"137", "1370", false}, {"Host EC2*", "Host EC2 (instance i-0) terminated.", true}, {"host*", "Host", false},
	} {
		if got := matchPattern(c.pattern, c.value); got != c.want {
			t.Errorf("%q against %q: %v", c.pattern, c.value, got)
		}
	}
}

// What Batch may do by itself, and what flow must.
func TestBatchAttempts(t *testing.T) {
	plain := RetryRule{Class: "oom", ExitCode: "137"}
	for _, c := range []struct {
		name  string
		step  Step
		retry Retry
		left  int
		want  int
	}{
		{"none", Step{}, Retry{}, 1, 1},
		{"plain", Step{}, Retry{Attempts: 3}, 3, 3},
		{"what is left", Step{}, Retry{Attempts: 3}, 1, 1},
		{"with rules", Step{}, Retry{3, []RetryRule{plain}}, 3, 3},
		{"more memory each time", Step{EngineRetries: true}, Retry{Attempts: 3}, 3, 1},
		{"a rule that waits", Step{}, Retry{3, []RetryRule{{Class: "x", ExitCode: "1", Delay: time.Second}}}, 3, 1},
		{"more rules than Batch takes", Step{}, Retry{3, []RetryRule{plain, plain, plain, plain, plain}}, 3, 1},
	} {
		if got := batchAttempts(&c.step, c.retry, c.left); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
