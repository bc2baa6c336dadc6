package fetched

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// tail is how much of what a server said at last is shown of a test that failed, in bytes.
const tail = 4 << 10

// serve starts a server, with more variables in its environment, until the test has ended.
// It returns what running, in a line that the server prints when it listens, finds first.
func serve(t testing.TB, running *regexp.Regexp, env []string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	pipe, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Start()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	var said bytes.Buffer
	read := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it is killed
		<-read
		pipe.Close()
		if t.Failed() {
			t.Logf("%s: %s", command[0], said.Bytes()[max(0, said.Len()-tail):])
		}
	})
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if found := running.FindStringSubmatch(line); found != nil {
			go func() { defer close(read); _, _ = io.Copy(&said, lines) }()
			return found[1]
		}
		if err != nil {
			close(read)
			t.Fatalf("%s does not run: %v", command[0], err)
		}
	}
}
