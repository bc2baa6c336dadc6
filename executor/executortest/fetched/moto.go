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

var running = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// Moto starts moto's server, which answers for many services of AWS, with more variables
// in its environment, until the test has ended. It returns the server's URL.
func Moto(t testing.TB, more ...string) string {
	t.Helper()
	server := Need(t, Path("engines", "bin", "moto_server"))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, server, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"), more...)
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
			t.Logf("moto_server: %s", said.String())
		}
	})
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if url := running.FindStringSubmatch(line); url != nil {
			go func() { defer close(read); _, _ = io.Copy(&said, lines) }()
			return url[1]
		}
		if err != nil {
			close(read)
			t.Fatalf("moto_server does not run: %v", err)
		}
	}
}
