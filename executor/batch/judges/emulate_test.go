package judges

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// emulate starts `flow emulate` with a queue "judged" until the test has ended, and a recorder
// before it. All that is said is checked against AWS's model.
func emulate(t *testing.T, flags ...string) *apimodel.Recorder {
	t.Helper()
	m := fetched.Model(t)
	cmd := exec.Command(binary(t), append([]string{"emulate", "--listen", "127.0.0.1:0", "--queue", "judged"}, flags...)...)
	cmd.Dir = t.TempDir()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("flow emulate: %v\n%s", err, &stderr)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("flow emulate: %q %v", line, err)
	}
	r := apimodel.Record(t, url)
	t.Cleanup(func() {
		r.JudgeRequests(t, m)
		r.Judge(t, m)
	})
	return r
}
