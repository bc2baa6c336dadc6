package batch

import (
	"slices"
	"strings"
	"testing"

	"flow/engine"
)

// The prelude stands only where something differs that a program may want to know.
func TestWhereThePreludeStands(t *testing.T) {
	lost := []engine.EvaluateOn{{StatusReason: engine.ReasonHostLost + "*", Retry: true}, {StatusReason: engine.ReasonSpotFargate + "*", Retry: true}, {Reason: "*"}}
	program, shell := []string{"/app", "arg"}, []string{"/bin/bash", "-c", "true"}
	for _, test := range []struct {
		name     string
		command  []string
		size     int
		attempts int
		evaluate []engine.EvaluateOn
		want     bool
	}{
		{"one attempt", shell, 0, 1, nil, false},
		{"lost hosts", program, 0, 10, lost, false},
		{"lost hosts, with a shell", shell, 0, 10, lost, true},
		{"lost hosts, with a script", nil, 0, 10, lost, true},
		{"lost hosts, of an array", program, 2, 10, lost, true},
		{"all failures", program, 0, 2, nil, true},
		{"other failures as well", program, 0, 2, slices.Insert(slices.Clone(lost), 0, engine.EvaluateOn{ExitCode: "7", Retry: true}), true},
		{"what nothing names as well", program, 0, 2, lost[:2], true},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := &engine.JobSpec{Task: &engine.TaskSpec{Command: test.command}, ArraySize: test.size, Attempts: test.attempts, Evaluate: test.evaluate}
			if test.command == nil {
				spec.Task.Shell, spec.Task.Script = shell[:2], "true"
			}
			if got := slices.Contains(plainCommand(spec), prelude); got != test.want {
				t.Errorf("it has the prelude: %v, want %v", got, test.want)
			}
		})
	}
}

// What is handed over to ECS is as long as it may be, and not longer: above the first limit
// flow's agent reads it from a file, above the second the job is refused.
func TestOverridesUpToTheLimit(t *testing.T) {
	length := func(spec *engine.JobSpec) int {
		t.Helper()
		in, _, err := Request(spec, RequestOptions{AgentImage: "flow"})
		if err != nil {
			t.Fatal(err)
		}
		return overridesLength(in)
	}
	plain := arraySpec(engine.Upto(2))
	fill := func(spec *engine.JobSpec, to int) {
		spec.Task.Env = map[string]string{"V": "x"}
		spec.Task.Env["V"] = strings.Repeat("x", 1+to-length(spec))
	}
	fill(plain, maxPlain)
	if uses, why := usesAgent(plain); uses || length(plain) != maxPlain {
		t.Errorf("with %d characters: %s", length(plain), why)
	}
	fill(plain, maxPlain+1)
	if uses, _ := usesAgent(plain); !uses {
		t.Error("one more is plain as well")
	}
	plain.WorkDir = "/work"
	if n := length(plain); n < 2*reserve {
		t.Errorf("for the variables of two containers there is room in %d characters", n)
	}
}

// Fargate has 20 GiB of disk anyway, and takes 21 for the least that can be asked for.
func TestDiskOfFargate(t *testing.T) {
	for gib, want := range map[int]int32{0: 0, 20: 0, 21: 21} {
		spec := arraySpec(engine.Upto(2))
		spec.Task.Container, spec.DiskGiB = &engine.Container{Platform: platformFargate}, gib
		_, d, err := Request(spec, RequestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := value(d.Input.ContainerProperties.EphemeralStorage); value(got.SizeInGiB) != want {
			t.Errorf("%d GiB are asked for as %d", gib, value(got.SizeInGiB))
		}
	}
}
