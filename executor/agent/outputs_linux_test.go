package agent

import (
	"os"
	"syscall"
	"testing"

	"flow/engine"
)

func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("flow-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs root, to mount a small file system: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	task := &Task{Run: "run", Step: "s", Attempt: 1, Dir: dir + "/run/s/_", Spec: &engine.TaskSpec{
		Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}},
	}}
	_, err := finish(t, task, func(at string) {
		write(t, at+"/o", "x")
		_ = os.WriteFile(at+"/full", make([]byte, 1<<20), 0o666) // fails, and leaves no room
	})
	assertError(t, err, StageOut, "/1.json.tmp: no space left on device (0 MiB are free)")
	if _, err := os.Lstat(task.Dir + "/1.json.tmp"); err == nil {
		t.Error("half a manifest is left")
	}
}
