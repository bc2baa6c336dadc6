package local

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
)

// testImage is what testdata/containers.sh makes.
const testImage = "flow-test:1"

// daemons are the programs that an engine needs besides its command.
var daemons = map[string][]string{"podman": {"podman", "runc"}, "docker": {"docker", "dockerd"}}

// eachEngine runs a test with each container engine that is installed, or with those of
// FLOW_TEST_CONTAINERS. The engine is a private one, see testdata/containers.sh.
func eachEngine(t *testing.T, f func(t *testing.T, engineName string)) {
	t.Helper()
	names := strings.FieldsFunc(os.Getenv("FLOW_TEST_CONTAINERS"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(names) == 0 {
		for _, name := range []string{"podman", "docker"} {
			if !slices.ContainsFunc(daemons[name], func(p string) bool { _, err := exec.LookPath(p); return err != nil }) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		t.Skip("no container engine is installed: apt-get install --no-install-recommends podman runc busybox-static docker.io")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := func(action string) []byte {
				var said bytes.Buffer
				cmd := exec.Command("testdata/containers.sh", action, name, dir)
				cmd.Stderr = &said
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v\n%s", cmd, err, said.Bytes())
				}
				return out
			}
			t.Cleanup(func() { script("stop") })
			for line := range strings.Lines(string(script("start"))) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				t.Setenv(key, value)
			}
			f(t, name)
		})
	}
}

// inContainer returns a try that runs a script in the test image.
func inContainer(t *testing.T, spec engine.TaskSpec) *Try {
	if spec.Image == "" {
		spec.Image = testImage
	}
	if spec.Script != "" {
		spec.Shell = []string{"sh", "-euc"}
	}
	try := newTry(t, spec)
	try.Resources = engine.Resources{VCPUs: 1, MemoryMiB: 64}
	return try
}

// assertNoContainers fails if a container of a try's run is there.
func assertNoContainers(t *testing.T, engineName string, try *Try) {
	t.Helper()
	out, err := exec.Command(engineName, "ps", "-aq", "--filter", "label=flow.run="+string(try.Spec.Run)).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("containers are left: %s %v", out, err)
	}
}

func TestContainers(t *testing.T) {
	eachEngine(t, func(t *testing.T, name string) {
		r := newTestRunner(t, RunnerOptions{Containers: name, Secret: func(string) (string, error) { return "s3cr3t\nline", nil }})
		t.Run("exits", func(t *testing.T) { testContainerExits(t, r, name) })
		t.Run("environment", func(t *testing.T) { testContainerEnvironment(t, r) })
		t.Run("files", func(t *testing.T) { testContainerFiles(t, r) })
		t.Run("properties", func(t *testing.T) { testContainerProperties(t, r) })
		t.Run("stop", func(t *testing.T) { testContainerStop(t, r, name) })
		t.Run("leftovers", func(t *testing.T) { testContainerLeftovers(t, r, name) })
		t.Run("log", func(t *testing.T) { testContainerLog(t, r, name) })
		t.Run("scratch", func(t *testing.T) { testContainerScratch(t, name) })
		t.Run("tasks", func(t *testing.T) { testContainerTasks(t, name) })
		t.Run("no image", func(t *testing.T) {
			try := newTry(t, engine.TaskSpec{Script: "exit 7"})
			if exit, _ := run(r, try); !cmp.Equal(exit, code(7)) {
				t.Errorf("%+v", exit)
			}
		})
	})
}

func testContainerExits(t *testing.T, r Runner, name string) {
	oom := code(137)
	oom.Reason = engine.ReasonOutOfMemory
	tests := []struct {
		name    string
		spec    engine.TaskSpec
		want    Exit
		reason  string // how it begins
		started bool
	}{
		{"success", engine.TaskSpec{Command: []string{"true"}}, code(0), "", true},
		{"code", engine.TaskSpec{Script: "exit 3"}, code(3), "", true},
		{"the program's own 125", engine.TaskSpec{Script: "exit 125"}, code(125), "", true},
		{"the shell's 127", engine.TaskSpec{Script: "nosuchprogram"}, code(127), "", true},
		{"signal", engine.TaskSpec{Script: "sh -c 'kill -SEGV $$' || exit $?"}, code(139), "", true},
		{"kills itself", engine.TaskSpec{Script: "sh -c 'kill -KILL $$' || exit $?"}, code(137), "", true},
		{"out of memory", engine.TaskSpec{Command: []string{"awk", `BEGIN { s = "xxxxxxxxxxxxxxxx"; while (1) s = s s }`}}, oom, "", true},
		{"not found", engine.TaskSpec{Command: []string{"nosuchprogram"}},
			Exit{StatusReason: engine.ReasonStartFailed}, "CannotStartContainerError: ", false},
		{"no such user", engine.TaskSpec{Command: []string{"true"}, Container: &engine.Container{User: "nobody-at-all"}},
			Exit{StatusReason: engine.ReasonStartFailed}, "Cannot", false},
		{"bad property", engine.TaskSpec{Command: []string{"true"}, Container: &engine.Container{Ulimits: []engine.Ulimit{{Name: "nosuch", Soft: 1, Hard: 1}}}},
			Exit{StatusReason: engine.ReasonStartFailed}, "CannotCreateContainerError: ", false},
		{"no such image", engine.TaskSpec{Command: []string{"true"}, Image: "localhost:1/nosuch:1"},
			Exit{StatusReason: engine.ReasonStartFailed}, "CannotPullContainerError: ", false},
		{"EFS", engine.TaskSpec{Command: []string{"true"}, Container: &engine.Container{Volumes: []engine.Volume{{Name: "v", EFS: "fs-1", Path: "/v"}}}},
			Exit{StatusReason: engine.ReasonStartFailed}, `CannotCreateContainerError: volume "v" is on EFS`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := inContainer(t, tt.spec)
			got, started := run(r, try)
			if tt.reason != "" {
				if !strings.HasPrefix(got.Reason, tt.reason) || len(got.Reason) < len(tt.reason)+5 {
					t.Errorf("reason %q, want %s...", got.Reason, tt.reason)
				}
				t.Log(got.Reason)
				got.Reason = ""
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if started != tt.started {
				t.Errorf("started = %v", started)
			}
			assertNoContainers(t, name, try)
		})
	}
}

func testContainerEnvironment(t *testing.T, r Runner) {
	t.Setenv("FLOW_TEST_CANARY", "flow's own")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	env := map[string]string{
		"PLAIN": "x", "ODD": "a b\n'\"$(touch PWNED)`id` *", "EMPTY": "",
		"PATH": "/opt/bin:/bin", "LD_PRELOAD": "", "DOCKER_HOST": "unix:///nowhere", "XDG_RUNTIME_DIR": " spaces ",
		"CONTAINERS_CONF": "/nowhere", "GODEBUG": "madvdontneed=1", "HTTPS_PROXY": "http://task",
	}
	try := inContainer(t, engine.TaskSpec{Command: []string{"env", "-0"}, Env: env, Secrets: map[string]string{"TOKEN": "env:X"}})
	// busybox's env knows no -0.
	try.Spec.Task.Command = []string{"cat", "/proc/self/environ"}
	if exit, _ := run(r, try); exit.ExitCode == nil || *exit.ExitCode != 0 {
		t.Fatalf("%+v", exit)
	}
	got := map[string]string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(logOf(t, try), "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		got[name] = value
	}
	for _, name := range []string{"HOME", "HOSTNAME", "container", "TERM"} { // the engine's own
		delete(got, name)
	}
	want := map[string]string{"TOKEN": "s3cr3t\nline"}
	for k, v := range env {
		want[k] = v
	}
	for _, kv := range append((&processes{}).taskOf(try).Environ(0, try.Resources), try.Environment()...) {
		name, value, _ := strings.Cut(kv, "=")
		want[name] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testContainerFiles(t *testing.T, r Runner) {
	odd := []string{"plain.txt", "a b", "q'u\"o", "new\nline", "$(touch PWNED)", "-rf", "*", "co,mma", "co:lon", "\xff\xfe", strings.Repeat("n", 255)}
	src := t.TempDir()
	var paths []string
	for _, name := range odd {
		path := filepath.Join(src, name)
		if err := os.WriteFile(path, []byte("content of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	outside := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(outside, []byte("linked"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	try := inContainer(t, engine.TaskSpec{
		Script: `
			for f in "$all"/*; do cat "$f"; echo; done > "$out"
			while IFS= read -r f; do test -f "$f"; done < "$all_list"
			cat "$dir/link" >> "$out"
			test -f "$one"
			if echo x 2>/dev/null >> "$one"; then exit 9; fi
			test ! -e PWNED
			test "$(readlink -f .)" = "$(readlink -f "$PWD")"
			echo 7 > n.json
			# ` + strings.Repeat("x", agent.MaxArg),
		Inputs: []engine.Input{
			{Name: "all", List: true, Paths: paths},
			{Name: "dir", Paths: []string{dir}},
			{Name: "one", Paths: []string{paths[4]}},
		},
		Outputs: []engine.Output{
			{Name: "out", Kind: engine.OutputFile, Path: "sub/out.txt"},
			{Name: "n", Kind: engine.OutputJSON, Path: "n.json"},
		},
		Container: &engine.Container{User: "1000:1000"},
	})
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		t.Fatalf("%+v\n%s", exit, logOf(t, try))
	}
	m, err := (&agent.Files{}).Manifest(context.Background(), try.Spec.TaskDir(0))
	if err != nil || string(m.Outputs["n"]) != "7" {
		t.Fatal(m, err)
	}
	b, err := os.ReadFile(engine.ResultPath(try.Spec.TaskDir(0), "sub/out.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range odd {
		if !strings.Contains(string(b), "content of "+name+"\n") {
			t.Errorf("the content of %q is missing", name)
		}
	}
	if !strings.HasSuffix(string(b), "linked") {
		t.Error("the link in the directory did not work")
	}
}

func testContainerProperties(t *testing.T, r Runner) {
	host := t.TempDir()
	try := inContainer(t, engine.TaskSpec{
		Script: `id -u; nproc >/dev/null; ulimit -n; if touch /bin/x 2>/dev/null; then exit 8; fi; echo written > /mnt/out/x; touch scratch
			cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max; touch /empty/x`,
		Container: &engine.Container{
			ReadOnly: true, Network: "none", SharedMemoryMiB: 16,
			// nproc is for machines where podman may not set its own default.
			Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}, {Name: "nproc", Soft: 4096, Hard: 4096}},
			Volumes: []engine.Volume{{Name: "h", HostPath: host, Path: "/mnt/out"}, {Name: "e", Path: "/empty"}},
		},
	})
	exit, _ := run(r, try)
	if !cmp.Equal(exit, code(0)) {
		t.Fatalf("%+v\n%s", exit, logOf(t, try))
	}
	if diff := cmp.Diff("0\n100\n67108864\n", logOf(t, try)); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(host + "/x"); string(b) != "written\n" {
		t.Errorf("%q %v", b, err)
	}
}

func testContainerStop(t *testing.T, r Runner, name string) {
	tests := []struct {
		name, script string
		grace        time.Duration
		want         int
	}{
		{"trap", `trap 'exit 42' TERM; echo ready > ready; while :; do sleep 0.05; done`, time.Minute, 42},
		{"KILL after grace", `trap '' TERM; echo ready > ready; while :; do sleep 0.05; done`, time.Second, 137},
		{"KILL at once", `echo ready > ready; while :; do sleep 0.05; done`, 0, 137},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := inContainer(t, engine.TaskSpec{Script: tt.script})
			ended := background(r, try)
			awaitFile(t, try.Spec.TaskDir(0)+"/1/ready")
			r.Stop(try.Job, tt.grace)
			if diff := cmp.Diff(code(tt.want), await(t, ended)); diff != "" {
				t.Error(diff)
			}
			assertNoContainers(t, name, try)
		})
	}
}

func testContainerLeftovers(t *testing.T, r Runner, name string) {
	try := inContainer(t, engine.TaskSpec{Script: `echo ready > ready; while :; do sleep 0.05; done`})
	ended := background(r, try)
	awaitFile(t, try.Spec.TaskDir(0)+"/1/ready")
	if err := r.(Recoverer).Leftovers([]*Try{try}, 0); err != nil {
		t.Fatal(err)
	}
	assertNoContainers(t, name, try)
	if exit := await(t, ended); exit.ExitCode != nil && *exit.ExitCode == 0 {
		t.Errorf("%+v", exit)
	}
}

func testContainerLog(t *testing.T, r Runner, name string) {
	try := inContainer(t, engine.TaskSpec{Script: `head -c 3000000 /dev/zero; echo; for i in 1 2 3; do echo out$i; echo err$i >&2; done; printf end`})
	if exit, _ := run(r, try); !cmp.Equal(exit, code(0)) {
		t.Fatalf("%+v", exit)
	}
	got := logOf(t, try)
	if strings.Count(got, "\x00") != 3000000 {
		t.Errorf("%d bytes of 3000000", strings.Count(got, "\x00"))
	}
	tail := strings.TrimLeft(got, "\x00\n")
	if name == "podman" { // it hands the log itself to the program
		if diff := cmp.Diff("out1\nerr1\nout2\nerr2\nout3\nerr3\nend", tail); diff != "" {
			t.Error(diff)
		}
		return
	}
	// docker reads stdout and stderr apart: each is in order, the two are not.
	lines := strings.Fields(strings.ReplaceAll(got, "\x00", ""))
	slices.Sort(lines)
	if diff := cmp.Diff([]string{"end", "err1", "err2", "err3", "out1", "out2", "out3"}, lines); diff != "" {
		t.Error(diff)
	}
}
