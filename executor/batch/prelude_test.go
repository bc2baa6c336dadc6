package batch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// shells are the shells that the prelude must run in, as they are called.
func shells(t testing.TB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, argv := range map[string][]string{"dash": {"dash"}, "bash": {"bash"}, "bash as sh": {"bash", "--posix"}, "ash": {"busybox", "sh"}} {
		if path, err := exec.LookPath(argv[0]); err == nil {
			out[name] = append([]string{path}, argv[1:]...)
		}
	}
	if len(out) == 0 {
		t.Fatal("there is no dash, bash or busybox here")
	}
	return out
}

// runPrelude runs the prelude of a child with a program that shows its environment, and
// returns that, sorted by the program itself: nothing is in PATH.
func runPrelude(t testing.TB, shell []string, spec *engine.JobSpec, child, attempt int) map[string]string {
	t.Helper()
	env, why := plainEnviron(spec)
	if why != "" {
		t.Fatal(why)
	}
	argv := preluded([]string{envProgram(t), "-0"})
	cmd := exec.Command(shell[0], append(shell[1:len(shell):len(shell)], argv[1:]...)...)
	cmd.Env = []string{"AWS_BATCH_JOB_ATTEMPT=" + strconv.Itoa(attempt), "PATH=/nonexistent", "IFS=0123456789 ,-"}
	if spec.ArraySize > 0 {
		cmd.Env = append(cmd.Env, "AWS_BATCH_JOB_ARRAY_INDEX="+strconv.Itoa(child))
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", shell, err)
	}
	got := map[string]string{}
	for kv := range strings.SplitSeq(string(out), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case "", "_", "PWD", "OLDPWD", "SHLVL", "PATH", "IFS", "AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JOB_ARRAY_INDEX", "POSIXLY_CORRECT":
		default:
			got[name] = value
		}
	}
	return got
}

func envProgram(t testing.TB) string {
	path, err := exec.LookPath("env")
	if err != nil {
		t.Fatal(err)
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(path) != "env" { // of busybox: it goes by its name
		link := filepath.Join(t.TempDir(), "env")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		return link
	}
	return path
}

// wantEnviron is what a child is to have, by the words of the language.
func wantEnviron(spec *engine.JobSpec, child, attempt int) map[string]string {
	task := spec.Task.With(spec.Item(child))
	want := map[string]string{
		"FLOW_RUN_ID": string(spec.Run), "FLOW_STEP": string(spec.Step), "FLOW_KEY": spec.Key(child), "FLOW_INDEX": strconv.Itoa(spec.Tasks.At(child)),
		"FLOW_ATTEMPT": strconv.Itoa(spec.Attempt + attempt - 1), "FLOW_VCPUS": "2", "FLOW_MEMORY_MIB": "512",
	}
	for name, value := range task.Env {
		want[name] = value
	}
	return want
}

func arraySpec(tasks engine.Ranges) *engine.JobSpec {
	return &engine.JobSpec{
		Name: "flow-run-step-1-abcdef", Run: "01jrun", Step: "step", FanOut: true, Queue: "q", ArraySize: tasks.Len(), Tasks: tasks, WorkDir: "/work", Attempt: 1, Attempts: 3,
		Task: &engine.TaskSpec{Command: []string{"true"}, Image: "busybox"}, Resources: engine.Resources{VCPUs: 2, MemoryMiB: 512},
	}
}

// hostile are values that a shell might take for something else.
var hostile = []string{
	"", " ", "a b", " lead", "trail ", "'", `"`, `a'b"c`, `\`, `\\n`, "$HOME", "$(id)", "`id`", "${x}", "*", "?", "[a-z]*", "~", "-n", "-e", "=", "==x", "a=b", ";id", "&", "|",
	"(", ")", "!", "#", "%", "%%,*", "a,b", "\t", "\r", "ä ö", "日本", "\x1f", "\x7f", "é\u0301", "0", "-1", "00", "a\tb", "{a,b}", "%s", "\\c",
}

func TestPreludeWithHostileValues(t *testing.T) {
	tasks := engine.Upto(len(hostile))
	spec := arraySpec(tasks)
	spec.Task.Env = map[string]string{"SHARED": "all $of 'it'", "N": "user's", "i": "mine"}
	for i, v := range hostile {
		spec.Keys = append(spec.Keys, v)
		it := &engine.Item{Env: map[string]string{"V": v, "W": v + v}}
		if i%3 == 0 {
			it.Env["SHARED"] = v
		}
		if i%7 == 0 {
			it = nil
		}
		spec.Items = append(spec.Items, it)
	}
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			for i := range hostile {
				if diff := cmp.Diff(wantEnviron(spec, i, 2), runPrelude(t, shell, spec, i, 2)); diff != "" {
					t.Errorf("child %d, %q (-want +got):\n%s", i, hostile[i], diff)
				}
			}
		})
	}
}

func TestPreludeMapsIndices(t *testing.T) {
	for _, ix := range [][]int{{0, 1}, {7, 9}, {0, 1, 2, 5, 6, 9_999}, {3, 5, 7, 1_000_000}, {10, 11, 12, 13}} {
		spec := arraySpec(engine.RangesOf(ix...))
		spec.Attempt = 4
		for name, shell := range shells(t) {
			for child := range ix {
				if diff := cmp.Diff(wantEnviron(spec, child, 3), runPrelude(t, shell, spec, child, 3)); diff != "" {
					t.Errorf("%s, child %d of %v (-want +got):\n%s", name, child, ix, diff)
				}
			}
		}
	}
}

// Any line of text comes out of the prelude as it went in.
func TestPreludeAnyValue(t *testing.T) {
	all := shells(t)
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(r, "n")
		line := rapid.StringOfN(rapid.RuneFrom([]rune("ab01 '\"\\$`*?[]!~#%,=-\t\x1fäж")), 0, 12, -1)
		spec := arraySpec(engine.Upto(n))
		for range n {
			spec.Keys = append(spec.Keys, line.Draw(r, "key"))
			spec.Items = append(spec.Items, &engine.Item{Env: map[string]string{"V": line.Draw(r, "value")}})
		}
		child := rapid.IntRange(0, n-1).Draw(r, "child")
		for name, shell := range all {
			if diff := cmp.Diff(wantEnviron(spec, child, 1), runPrelude(t, shell, spec, child, 1)); diff != "" {
				r.Fatalf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestItemsThatDoNotFitTheEnvironment(t *testing.T) {
	script := "other"
	for name, change := range map[string]func(*engine.JobSpec){
		"newline in a value": func(s *engine.JobSpec) { s.Items = []*engine.Item{{Env: map[string]string{"V": "a\nb"}}, nil} },
		"newline in a key":   func(s *engine.JobSpec) { s.Keys = []string{"a\nb", "c"} },
		"NUL":                func(s *engine.JobSpec) { s.Keys = []string{"a\x00b", "c"} },
		"no UTF-8":           func(s *engine.JobSpec) { s.Keys = []string{"a\xff", "c"} },
		"scripts differ":     func(s *engine.JobSpec) { s.Items = []*engine.Item{{Script: &script}, nil} },
		"commands differ":    func(s *engine.JobSpec) { s.Items = []*engine.Item{{Command: []string{"other"}}, nil} },
		"inputs":             func(s *engine.JobSpec) { s.Items = []*engine.Item{{Inputs: []engine.Input{{Name: "in"}}}, nil} },
		"no name of a shell": func(s *engine.JobSpec) { s.Items = []*engine.Item{{Env: map[string]string{"a-b": "c"}}, nil} },
		"too long":           func(s *engine.JobSpec) { s.Keys = []string{strings.Repeat("a", 7000), "c"} },
	} {
		spec := arraySpec(engine.Upto(2))
		change(spec)
		if is, why := usesAgent(spec); !is || why == "" {
			t.Errorf("%s: usesAgent = %v, %q, want true and why", name, is, why)
		}
	}
}
