package local

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow/engine"
	"flow/executor/local/model"
)

// nothing is a Task of one container that the instant runner makes of it what env says.
func nothing(env ...string) *Task {
	return &Task{Containers: []Container{{Name: DefaultContainer, Essential: true, Env: env, LogGroup: "group"}}}
}

func TestForesee(t *testing.T) {
	seconds := func(task *Task, each ...string) *Task {
		for i, s := range each {
			s, exit, _ := strings.Cut(s, "=")
			task.Containers[i].Env = []string{"FLOW_EMULATE_SECONDS=" + s, "FLOW_EMULATE_EXIT=" + exit}
		}
		return task
	}
	const s = time.Second
	tests := []struct {
		name    string
		task    *Task
		stop    time.Duration
		want    string // exit code, up, end
		results map[string]string
	}{
		{"default", nothing(), forever, "0 0s 5s", nil},
		{"seconds", nothing("FLOW_EMULATE_SECONDS=0.25"), forever, "0 0s 250ms", nil},
		{"no time", nothing("FLOW_EMULATE_SECONDS=0"), forever, "0 0s 0s", nil},
		{"what is no number", nothing("FLOW_EMULATE_SECONDS=x", "FLOW_EMULATE_EXIT=y"), forever, "0 0s 5s", nil},
		{"less than nothing", nothing("FLOW_EMULATE_SECONDS=-1"), forever, "0 0s 5s", nil},
		{"exit code", nothing("FLOW_EMULATE_EXIT= 3 "), forever, "3 0s 5s", nil},
		{"exit code of a process", nothing("FLOW_EMULATE_EXIT=256"), forever, "0 0s 5s", nil},
		{"stopped", nothing(), 2 * s, "143 0s 2s", nil},
		{"stopped too late", nothing(), 9 * s, "0 0s 5s", nil},
		{"init and main", seconds(crewOf("init\nmain! SUCCESS:init"), "1", "2"), forever, "0 1s 3s", map[string]string{"init": "0", "main": "0"}},
		{"init fails", seconds(crewOf("init\nmain! SUCCESS:init"), "1=4", "2"), forever, "- never 1s", map[string]string{"init": "4", "main": "143 CannotStartContainerError"}},
		{"a helper", seconds(crewOf("helper\nmain! START:helper"), "9", "2=7"), forever, "7 0s 2s", map[string]string{"helper": "143", "main": "7"}},
		{"stopped at once", seconds(crewOf("helper\nmain! START:helper"), "9", "2"), s, "143 0s 1s", map[string]string{"helper": "143", "main": "143"}},
		{"stopped in init", seconds(crewOf("init\nmain! SUCCESS:init"), "2", "2"), s, "- never 1s", map[string]string{"init": "143", "main": "-"}},
	}
	timeout := seconds(crewOf("init\nmain! SUCCESS:init"), "9", "2")
	timeout.Containers[0].StartTimeout = 2 * s
	tests = append(tests, tests[0])
	last := &tests[len(tests)-1]
	last.name, last.task, last.want, last.results = "init takes too long", timeout, "- never 2s", map[string]string{"init": "143", "main": "143 CannotStartContainerError"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := foresee(&Try{Task: tt.task}, 5*s, tt.stop)
			exit, up := "-", f.up.String()
			if f.exit.ExitCode != nil {
				exit = fmt.Sprint(*f.exit.ExitCode)
			}
			if f.up == forever {
				up = "never"
			}
			if got := fmt.Sprint(exit, " ", up, " ", f.end); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			have := map[string]string{}
			for _, r := range f.exit.Containers {
				have[r.Name] = "-"
				if r.ExitCode != nil {
					have[r.Name] = fmt.Sprint(*r.ExitCode)
				}
				if class, _, ok := strings.Cut(r.Reason, ":"); ok {
					have[r.Name] += " " + class
				}
			}
			if len(tt.results)+len(have) > 0 && !cmp.Equal(tt.results, have) {
				t.Error(cmp.Diff(tt.results, have))
			}
		})
	}
}

// A Batch with the instant runner.
func TestInstant(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	logs := newTestLogs(t)
	b := openBatch(t, BatchOptions{
		Runner: NewInstantRunner(InstantOptions{Logs: logs}), Journal: journalPath(t),
		Model: model.Config{Capacity: model.Capacity{VCPUs: 64, MemoryMiB: 1 << 20}},
	})
	array := do(t, b, submission{Name: "array", Size: 1000, Task: nothing()})
	failing := do(t, b, submission{Name: "failing", Attempts: 3, Task: nothing("FLOW_EMULATE_EXIT=3", "FLOW_EMULATE_LOG=hello")})
	short := do(t, b, submission{Name: "short", Task: nothing("FLOW_EMULATE_SECONDS=0.02")})
	long := do(t, b, submission{Name: "long", Task: nothing("FLOW_EMULATE_SECONDS=1000")})
	timeout := do(t, b, submission{Name: "timeout", Timeout: 10 * time.Millisecond, Task: nothing("FLOW_EMULATE_SECONDS=1000")})
	team := do(t, b, submission{Name: "team", Task: crewOf("init\nmain! SUCCESS:init")})
	noGroup := nothing("FLOW_EMULATE_LOG=x")
	noGroup.Containers[0].LogGroup = "none"
	unlogged := do(t, b, submission{Name: "unlogged", Task: noGroup})
	forever := do(t, b, submission{Name: "forever", Task: nothing("FLOW_EMULATE_SECONDS=1000")})

	if j := ended(t, b, array); j.Summary[engine.JobSucceeded] != 1000 {
		t.Errorf("array is %+v", j)
	}
	if j := ended(t, b, failing); len(j.Attempts) != 3 || *j.ExitCode != 3 {
		t.Errorf("what fails is %+v", j)
	} else if got := logs.read(t, j.Attempts[2].LogStream); got != "hello\n" {
		t.Errorf("its log is %q", got)
	}
	if j := ended(t, b, short); j.Status != engine.JobSucceeded || j.Stopped.Sub(j.Created) < 19*time.Millisecond {
		t.Errorf("what takes time is %+v", j)
	}
	untilBatch(t, b, long, func(j *engine.Job) bool { return j.Status == engine.JobRunning })
	terminate(t, b, long, "enough")
	if j := ended(t, b, long); j.StatusReason != "enough" || *j.ExitCode != 143 {
		t.Errorf("what is ended is %+v", j)
	}
	if j := ended(t, b, timeout); j.StatusReason != engine.ReasonTimeout || *j.ExitCode != 143 {
		t.Errorf("what takes too long is %+v", j)
	}
	if j := ended(t, b, team); j.Status != engine.JobSucceeded {
		t.Errorf("what has several containers is %+v", j)
	}
	if j := ended(t, b, unlogged); !strings.HasSuffix(j.Reason, "The specified log group does not exist.") || j.ExitCode != nil {
		t.Errorf("what has no log group is %+v", j)
	}
	untilBatch(t, b, forever, func(j *engine.Job) bool { return j.Status == engine.JobRunning })

	c := openBatch(t, BatchOptions{Runner: NewInstantRunner(InstantOptions{}), Journal: crashBatch(t, b)})
	if j := ended(t, c, forever); !strings.HasPrefix(j.StatusReason, engine.ReasonHostLost) {
		t.Errorf("what ran when the process died is %+v", j)
	}
	ids := []engine.JobID{array, failing, short, long, timeout, team, unlogged}
	for i := range 1000 {
		ids = append(ids, array.Child(i))
	}
	if diff := cmp.Diff(look(t, b, ids...), look(t, c, ids...)); diff != "" {
		t.Errorf("after a crash it is different:\n%s", diff)
	}
}

// The instant runner can be used as any other.
func TestInstantRun(t *testing.T) {
	r := NewInstantRunner(InstantOptions{Duration: time.Millisecond})
	defer r.Close()
	started := false
	exit := r.Run(taskTry(t, nothing("FLOW_EMULATE_EXIT=9")), func() { started = true })
	if !started || !cmp.Equal(exit, code(9)) {
		t.Errorf("started is %v, exit is %+v", started, exit)
	}
	r.Stop("nobody", 0)
}

// BenchmarkInstant is a child of an array of 10,000 on the instant runner, journal
// included.
func BenchmarkInstant(b *testing.B) {
	for _, limit := range []float64{2, 1 << 19} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			x := openBatch(b, BatchOptions{
				Runner: NewInstantRunner(InstantOptions{}), Journal: journalPath(b),
				Model: model.Config{Capacity: model.Capacity{VCPUs: limit, MemoryMiB: 1 << 30}},
			})
			const n = 10_000
			for b.Loop() {
				id := do(b, x, submission{Name: "bench", Size: n, VCPUs: 1, Task: nothing()})
				if j := ended(b, x, id); j.Status != engine.JobSucceeded {
					b.Fatalf("%+v", j)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "children/s")
		})
	}
}
