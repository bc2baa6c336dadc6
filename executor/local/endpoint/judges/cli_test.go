package judges

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"flow/executor/executortest/fetched"
)

// The AWS CLI, unchanged, does all that one does with Batch.
func TestCommandLineInterface(t *testing.T) {
	t.Parallel()
	for version, c := range map[string]struct{ aws, python string }{
		"v1": {fetched.Path("py", "bin", "aws"), fetched.Path("py", "bin", "python")},
		"v2": {"/usr/bin/aws", "/usr/bin/python3"},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			fetched.Need(t, c.aws)
			ep := start(t, signed(t))
			env := environ(t, ep)
			cmd := exec.Command("testdata/walk.sh", ep.url, loadedCLI(t, fetched.Need(t, c.python), env), unique(t, "walk"))
			cmd.Env = env
			run(t, cmd)
		})
	}
}

// loadedCLI returns the path of an aws command whose process has loaded it already: see
// testdata/aws.py. python is the interpreter of the version wanted.
func loadedCLI(t *testing.T, python string, env []string) string {
	t.Helper()
	dir := t.TempDir()
	script, err := filepath.Abs("testdata/aws.py")
	if err != nil {
		t.Fatal(err)
	}
	socket, command := filepath.Join(dir, "socket"), filepath.Join(dir, "aws")
	server := exec.CommandContext(t.Context(), python, script, "serve", socket)
	server.Env, server.Stderr = env, os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Wait() }) // its context ends before
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("aws.py says %q: %v", line, err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %s -I -S %s %s \"$@\"\n", python, script, socket)
	if err := os.WriteFile(command, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return command
}
