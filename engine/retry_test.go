package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func code(n int) *int { return &n }

// What becomes of a failed try (Batch User Guide, job_retries, and design 4.3).
func TestJudge(t *testing.T) {
	oom := RetryRule{Class: "oom", ExitCode: "137", MemoryMiB: []int{1, 2}}
	spot := RetryRule{Class: "spot", StatusReason: "Host EC2*"}
	exits := RetryRule{Class: "usage", ExitCode: "2", Exit: true}
	late := RetryRule{Class: "late", StatusReason: "Job attempt duration*", Delay: time.Minute}
	all := RetryRule{Class: "all", ExitCode: "*"}
	moves := RetryRule{Class: "moves", StatusReason: "Host EC2*", Queue: "on-demand"}
	stays := RetryRule{Class: "stays", StatusReason: "Host*", Exit: true}
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
		{"a rule says where to go then", Retry{3, []RetryRule{oom, moves}}, lost, 0, 1, TaskRetrying, "moves"},
		{"even with no tries left", Retry{1, []RetryRule{moves}}, lost, 1, 1, TaskRetrying, "moves"},
		{"the first that names the loss", Retry{3, []RetryRule{stays, moves}}, lost, 0, 1, TaskFailed, ""},
		{"what is about exit codes does not name it", Retry{3, []RetryRule{{Class: "all", ExitCode: "*", Exit: true}}}, lost, 0, 1, TaskRetrying, ""},
		{"no rule makes it go on for ever", Retry{3, []RetryRule{moves}}, lost, 0, maxInfra + 1, TaskFailed, ""},
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
func TestBatchRetries(t *testing.T) {
	plain := RetryRule{Class: "oom", ExitCode: "137"}
	hosts := RetryRule{Class: "spot", StatusReason: "Host EC2*"}
	fargate := RetryRule{Class: "spot", StatusReason: "Your Spot Task was interrupted*"}
	elsewhere := RetryRule{Class: "spot", StatusReason: "Host EC2*", Queue: "on-demand"}
	never := RetryRule{Class: "spot", StatusReason: "Host EC2*", Exit: true}
	neverFargate := RetryRule{Class: "spot", StatusReason: "Your Spot*", Exit: true}
	wait := RetryRule{Class: "x", ExitCode: "1", Delay: time.Second}
	any := RetryRule{Class: "any", ExitCode: "*"}
	entry := func(r RetryRule) EvaluateOn {
		return EvaluateOn{ExitCode: r.ExitCode, StatusReason: r.StatusReason, Retry: !r.Exit}
	}
	host, spot, closing := entry(hosts), entry(fargate), EvaluateOn{Reason: "*"}
	ten := batchRetries{10, true}
	for _, c := range []struct {
		name        string
		step        Step
		retry       Retry
		rule        int
		left, infra int
		near        bool
		want        batchRetries
		entries     []EvaluateOn
	}{
		{"no retry block: losses only", Step{}, Retry{}, 0, 1, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"one try, with rules", Step{}, Retry{1, []RetryRule{plain}}, 0, 1, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"every failure", Step{}, Retry{Attempts: 3}, 0, 3, 0, false, batchRetries{3, false}, nil},
		{"the last try", Step{}, Retry{Attempts: 3}, 0, 1, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"more tries than Batch takes", Step{}, Retry{Attempts: 30}, 0, 30, 0, false, batchRetries{10, false}, nil},
		{"with a rule", Step{}, Retry{3, []RetryRule{plain}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{host, spot, entry(plain), closing}},
		{"a rule that fits everything names no loss", Step{}, Retry{3, []RetryRule{any}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{host, spot, entry(any), closing}},
		{"a rule that names a loss stands for ours", Step{}, Retry{3, []RetryRule{hosts}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{spot, entry(hosts), closing}},
		{"a loss that is not to be tried again", Step{}, Retry{3, []RetryRule{never, plain}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{spot, entry(never), entry(plain), closing}},
		{"nor without other tries", Step{}, Retry{1, []RetryRule{never}}, 0, 1, 0, false, ten, []EvaluateOn{spot, closing}},
		{"nor either of them", Step{}, Retry{1, []RetryRule{never, neverFargate}}, 0, 1, 0, false, batchRetries{1, false}, nil},
		{"one entry is free", Step{}, Retry{3, []RetryRule{plain, plain, plain}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{host, entry(plain), entry(plain), entry(plain), closing}},
		{"none is", Step{}, Retry{3, []RetryRule{plain, plain, plain, plain}}, 0, 3, 0, false, batchRetries{3, false}, []EvaluateOn{entry(plain), entry(plain), entry(plain), entry(plain), closing}},
		{"more rules than Batch takes", Step{}, Retry{3, []RetryRule{plain, plain, plain, plain, plain}}, 0, 3, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"more memory each time", Step{EngineRetries: true}, Retry{Attempts: 3}, 0, 3, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"a rule that waits", Step{}, Retry{3, []RetryRule{wait}}, 0, 3, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"a loss that moves to another queue", Step{}, Retry{3, []RetryRule{elsewhere}}, 0, 3, 0, false, ten, []EvaluateOn{spot, closing}},
		{"after a rule of the engine", Step{}, Retry{3, []RetryRule{wait}}, 1, 2, 0, false, ten, []EvaluateOn{host, spot, closing}},
		{"losses are bounded over all jobs", Step{}, Retry{}, 0, 1, 8, false, batchRetries{3, true}, []EvaluateOn{host, spot, closing}},
		{"on this machine", Step{}, Retry{}, 0, 1, 0, true, batchRetries{1, false}, nil},
		{"on this machine, with a rule", Step{}, Retry{3, []RetryRule{plain}}, 0, 3, 0, true, batchRetries{3, false}, []EvaluateOn{entry(plain), closing}},
		{"until no more are left", Step{}, Retry{}, 0, 1, maxInfra, false, batchRetries{1, false}, nil},
	} {
		got := batchRetriesOf(&c.step, c.retry, c.rule, c.left, c.infra, c.near)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		var entries []EvaluateOn
		if got.attempts > 1 {
			entries = evaluateOnExit(c.retry, got.losses, c.near)
		}
		if diff := cmp.Diff(c.entries, entries); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
