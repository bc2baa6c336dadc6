package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// needsMounts skips a test where the kernel lets us make no mount namespace.
func needsMounts(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has mount namespaces")
	}
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("unshare(1) may make no mount namespace: %v, %s", err, out)
	}
}

// mounted returns a container that sees a volume.
func mounted(name, volume, path, text string, on ...string) Container {
	c := Container{Name: name, Essential: name == "main", Command: script(text), Mounts: []Mount{{Volume: volume, Path: path}}}
	for _, o := range on {
		c.DependsOn = append(c.DependsOn, ContainerDependency{Container: o, Condition: ContainerSucceeded})
	}
	return c
}

// Volumes are where the containers want them, and nothing of the machine has changed.
func TestMounts(t *testing.T) {
	needsMounts(t)
	host := t.TempDir()
	if err := os.WriteFile(host+"/given", []byte("given\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(host+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(host+"/sub", link); err != nil {
		t.Fatal(err)
	}
	missing := host + "/below/two"
	shared := []TaskVolume{{Name: "v"}}
	readOnly := mounted("main", "h", "/data", "cat /data/given; ! touch /data/x 2>&-")
	readOnly.Mounts[0].ReadOnly = true
	nested := mounted("main", "v", "/data", "touch /data/one /data/in/two; ls /data /data/in")
	nested.Mounts = append([]Mount{{Volume: "w", Path: "/data/in/"}}, nested.Mounts...)
	program := mounted("main", "v", "/flow-agent", "")
	program.Command, program.DependsOn = []string{"/flow-agent/bin/program", "an argument"}, []ContainerDependency{{Container: "init", Condition: ContainerSucceeded}}
	inPath := program
	inPath.Command, inPath.Env = []string{"program", "x y"}, []string{"PATH=/flow-agent/bin:" + os.Getenv("PATH")}
	initProgram := mounted("init", "v", "/shared/deep", `mkdir /shared/deep/bin; printf '#!/bin/sh\necho "ran $*"\n' > /shared/deep/bin/program; chmod +x /shared/deep/bin/program`)
	onFile := mounted("main", "v", host+"/given", "true")
	tests := []struct {
		name string
		task *Task
		want Exit
		log  string
	}{
		{"a program of the init container", teamOf(shared, initProgram, program), code(0), "ran an argument\n"},
		{"found in PATH", teamOf(shared, initProgram, inPath), code(0), "ran x y\n"},
		{"the directory stays", teamOf(shared, mounted("main", "v", "/v", "touch x; ls -A; test \"$PWD\" = \"$(pwd -P)\"; cd /; test -e v; test -e bin/sh; test -r proc/self/stat")), code(0), "x\n"},
		{"of the host", teamOf([]TaskVolume{{Name: "h", HostPath: host}}, mounted("main", "h", "/data", "cat /data/given; echo w > /data/written")), code(0), "given\n"},
		{"of the host at its own path", teamOf([]TaskVolume{{Name: "h", HostPath: host}}, mounted("main", "h", host, "cat "+host+"/given")), code(0), "given\n"},
		{"read-only", teamOf([]TaskVolume{{Name: "h", HostPath: host}}, readOnly), code(0), "given\n"},
		{"in place of something", teamOf(shared, mounted("main", "v", host, "ls -A "+host)), code(0), ""},
		{"below something", teamOf(shared, mounted("main", "v", missing, "touch "+missing+"/x "+host+"/sub/y; ls "+host+" "+missing)), code(0),
			host + ":\nbelow\ngiven\nsub\nwritten\n\n" + missing + ":\nx\n"},
		{"through a link", teamOf(shared, mounted("main", "v", link+"/new", "touch "+link+"/new/x; ls "+host+"/sub/new")), code(0), "x\n"},
		{"one in another", teamOf([]TaskVolume{{Name: "v"}, {Name: "w"}}, nested), code(0), "/data:\nin\none\n\n/data/in:\ntwo\n"},
		{"over where it starts", teamOf(shared, mounted("main", "v", os.TempDir(), "touch x; ls -A "+os.TempDir())), code(0), ""},
		{"exit code", teamOf(shared, mounted("main", "v", "/v", "exit 7")), code(7), ""},
		{"signal", teamOf(shared, mounted("main", "v", "/v", "kill -9 $$")), code(137), ""},
		{"no volume", teamOf(nil, mounted("main", "v", "/v", "true")),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: `CannotCreateContainerError: unknown volume "v"`}, ""},
		{"the root", teamOf(shared, mounted("main", "v", "/x/..", "true")),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: `CannotCreateContainerError: invalid mount path: "/x/.." must be absolute, and not /`}, ""},
		{"at a file", teamOf(shared, onFile),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: mount " + host + "/given: not a directory"}, ""},
		{"no program", teamOf(shared, Container{Name: "main", Essential: true, Command: []string{"nosuchprogram"}, Mounts: []Mount{{Volume: "v", Path: "/v"}}}),
			Exit{StatusReason: engine.ReasonStartFailed, Reason: `CannotStartContainerError: exec: "nosuchprogram": executable file not found in $PATH`}, ""},
	}
	logs := newTestLogs(t)
	scratch := t.TempDir()
	r := newTestRunner(t, RunnerOptions{Logs: logs, Scratch: scratch})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			try := taskTry(t, tt.task)
			exit, started := run(r, try)
			if started != (exit.ExitCode != nil) {
				t.Errorf("started is %v", started)
			}
			exit.Containers = nil
			if diff := cmp.Diff(tt.want, exit); diff != "" {
				t.Error(diff)
			}
			if started {
				if diff := cmp.Diff(tt.log, logs.read(t, "prefix/main/"+try.TaskID)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	assertEmpty(t, scratch)
	var left []string
	if err := filepath.WalkDir(host, func(path string, _ os.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, host))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "/given", "/sub", "/sub/y", "/written"}, left); diff != "" {
		t.Errorf("the machine has changed: %s", diff)
	}
	for _, path := range []string{"/flow-agent", "/shared", "/data", "/v"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("there is %s now", path)
		}
	}
}

// A container that sees mounts ends with the runner's thread, and by signals, as others do.
func TestMountsStop(t *testing.T) {
	needsMounts(t)
	dir := t.TempDir()
	r := newTestRunner(t, RunnerOptions{Logs: newTestLogs(t), Scratch: t.TempDir()})
	task := teamOf([]TaskVolume{{Name: "v"}}, mounted("main", "v", "/v", "trap 'exit 5' TERM; echo $$ > "+dir+"/pid; while :; do sleep 0.01; done"))
	try := taskTry(t, task)
	done := background(r, try)
	awaitFile(t, dir+"/pid")
	r.Stop(try.Job, time.Minute)
	exit := await(t, done)
	assertResults(t, exit.Containers, map[string]string{"main": "5"})
}

// Not root: the same with a user namespace. The test runs itself again as another user.
func TestMountsUnprivileged(t *testing.T) {
	needsMounts(t)
	if os.Getuid() != 0 {
		t.Skip("the other tests have shown it")
	}
	dir, err := os.MkdirTemp("/var/tmp", "flow-test") //nolint:usetesting // another user must get into it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "test")
	copyFile(t, os.Args[0], program)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestMounts(Stop)?$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: TestMounts") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Where no mounts can be made, a command that names what is mounted works all the same,
// and any other is refused. The test runs itself again where that is so.
func TestMountsForbidden(t *testing.T) {
	if os.Getenv("FLOW_TEST_NO_MOUNTS") == "" {
		needsMounts(t)
		cmd := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c", `echo 0 > /proc/sys/user/max_mnt_namespaces; exec "$0" "$@"`,
			os.Args[0], "-test.run=^TestMountsForbidden$", "-test.v")
		cmd.Env = append(os.Environ(), "FLOW_TEST_NO_MOUNTS=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestMountsForbidden") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	install := mounted("init", "v", "/flow-agent", "")
	install.Command = []string{"cp", "/bin/echo", "/flow-agent"}
	program := mounted("main", "v", "/flow-agent", "", "init")
	program.Command = []string{"/flow-agent/echo", "ran", "/flow-agents"}
	limited := program
	limited.Props = &engine.Container{Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 64, Hard: 64}}}
	const refused = "CannotStartContainerError: mount points need a mount namespace, which is not permitted here: "
	two := program
	two.Mounts = append([]Mount{{Volume: "w", Path: "/data"}}, program.Mounts...)
	logs := newTestLogs(t)
	r := newTestRunner(t, RunnerOptions{Logs: logs, Scratch: t.TempDir()})
	for _, tt := range []struct {
		name        string
		main        Container
		log, reason string
	}{
		{"named", program, "ran /flow-agents\n", ""},
		{"with limits", limited, "ran /flow-agents\n", ""},
		{"in a script", mounted("main", "v", "/flow-agent", "/flow-agent/echo 1; /flow-agent/echo 2", "init"), "", refused},
		{"one of two", two, "", refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			try := taskTry(t, teamOf([]TaskVolume{{Name: "v"}, {Name: "w"}}, install, tt.main))
			exit, started := run(r, try)
			if started != (tt.reason == "") || !strings.HasPrefix(exit.Reason, tt.reason) || (exit.Reason == "") != started {
				t.Errorf("it ends with %+v", exit)
			}
			if started {
				if diff := cmp.Diff(tt.log, logs.read(t, "prefix/main/"+try.TaskID)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Users and limits of containers that run as processes.
func TestProcessProperties(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this needs root")
	}
	logs := newTestLogs(t)
	scratch := t.TempDir()
	for _, dir := range []string{filepath.Dir(filepath.Dir(scratch)), filepath.Dir(scratch), scratch} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(os.TempDir(), 0o1777); err != nil {
		t.Fatal(err)
	}
	r := newTestRunner(t, RunnerOptions{Logs: logs, Scratch: scratch})
	who := `touch mine; echo "$(id -u):$(id -g) ${HOME##*/}"`
	tests := []struct {
		name   string
		props  *engine.Container
		script string
		want   Exit
		log    string
	}{
		{"user", &engine.Container{User: "nobody"}, who, code(0), "65534:65534 nonexistent\n"},
		{"number", &engine.Container{User: "12345:54321"}, `id -u; id -g; id -G`, code(0), "12345\n54321\n54321\n"},
		{"ourselves", &engine.Container{User: "root"}, "id -u", code(0), "0\n"},
		{"unknown", &engine.Container{User: "nosuchuser"}, who,
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotStartContainerError: unable to find user nosuchuser: no matching entries in passwd file"}, ""},
		{"limits", &engine.Container{Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}, {Name: "core", Soft: -1, Hard: -1}}},
			"ulimit -n; ulimit -Hn; ulimit -c", code(0), "100\n200\nunlimited\n"},
		{"limits of a user", &engine.Container{User: "nobody", Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}}}, who + "; ulimit -n", code(0), "65534:65534 nonexistent\n100\n"},
		{"no such limit", &engine.Container{Ulimits: []engine.Ulimit{{Name: "nosuch"}}}, who,
			Exit{StatusReason: engine.ReasonStartFailed, Reason: "CannotCreateContainerError: invalid ulimit type: nosuch"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			task := sh(tt.script)
			task.Containers[0].Props = tt.props
			try := taskTry(t, task)
			exit, _ := run(r, try)
			if diff := cmp.Diff(tt.want, exit); diff != "" {
				t.Error(diff)
			}
			if tt.want.ExitCode != nil {
				if diff := cmp.Diff(tt.log, logs.read(t, try.LogStream)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	t.Run("with a volume", func(t *testing.T) {
		c := mounted("main", "v", "/v", "id -u; touch /v/x mine")
		c.Props = &engine.Container{User: "nobody"}
		try := taskTry(t, teamOf([]TaskVolume{{Name: "v"}}, c))
		exit, _ := run(r, try)
		assertResults(t, exit.Containers, map[string]string{"main": "0"})
		if got := logs.read(t, "prefix/main/"+try.TaskID); got != "65534\n" {
			t.Errorf("log is %q", got)
		}
	})
	assertEmpty(t, scratch)
}

// Where flow is not root, it cannot run as somebody else.
func TestUserWithoutRoot(t *testing.T) {
	if os.Getuid() == 0 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUserWithoutRoot$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestUserWithoutRoot") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if c, err := credentialOf(&engine.Container{User: fmt.Sprint(os.Getuid())}); c != nil || err != nil {
		t.Errorf("ourselves: %v, %v", c, err)
	}
	if _, err := credentialOf(&engine.Container{User: "root"}); err == nil || !strings.Contains(err.Error(), "--runner container") {
		t.Errorf("somebody else: %v", err)
	}
}
