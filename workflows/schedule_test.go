package workflows_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flow/state"
)

// serve starts the service of the bench's state, with what it logs in a file. The function that
// is returned kills it.
func (b *bench) serve() (kill func()) {
	b.t.Helper()
	log, err := os.OpenFile(filepath.Join(b.temp, "serve.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(flowBinary, "serve", "--listen", "127.0.0.1:0", "--token-file", filepath.Join(b.temp, "token"), "--json",
		"--state", filepath.Join(b.temp, "flow.db"), "--work-dir", filepath.Join(b.temp, "work"), b.dir)
	cmd.Stderr, cmd.Stdout, cmd.Dir = log, log, b.temp
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	}
	b.t.Cleanup(kill)
	return kill
}

// until waits until the log of the service has a text.
func (b *bench) until(text string) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		log, err := os.ReadFile(filepath.Join(b.temp, "serve.log"))
		if err != nil {
			b.t.Fatal(err)
		}
		if bytes.Contains(log, []byte(text)) {
			return
		}
		select {
		case <-b.t.Context().Done():
			b.t.Fatalf("the service has not said %q", text)
		case <-tick.C:
		}
	}
}

// TestNightlyServed has the service run a night by its schedule, kills it in the middle, and
// starts it again: the run ends with the known result, and nothing that had ended is repeated.
func TestNightlyServed(t *testing.T) {
	t.Parallel()
	b := setUp(t, "nightly", nightlyData, nightlyTools)
	kill := b.serve()
	b.until(`"msg":"workflow read"`)
	b.flow(0, "schedule", "trigger", "nightly/daily", "--at", "2001-03-15T23:45")
	b.until(`"step":"ingest"`) // it has ended, and the others go on
	kill()
	b.serve()
	b.flow(0, "wait", "@last")
	if got, want := sumOf(b.published("2001-03-15/report.csv")), "923bd44cf0e968cef3ac2916c8855e3f"; got != want {
		t.Errorf("md5 of report.csv is %s, want %s", got, want)
	}
	var slots []struct {
		Time      time.Time `json:"time"`
		Status    string    `json:"status"`
		RunStatus string    `json:"run_status"`
	}
	text := b.flow(0, "schedule", "history", "-json")
	if err := json.Unmarshal([]byte(text), &slots); err != nil {
		t.Fatal(err)
	}
	if len(slots) != 1 || slots[0].Status != string(state.SlotStarted) || slots[0].RunStatus != "SUCCEEDED" {
		t.Errorf("slots: %s", text)
	}
	var ingest struct {
		Attempts int `json:"attempts"`
	}
	text = b.flow(0, "explain", "@last/ingest", "-json")
	if err := json.Unmarshal([]byte(text), &ingest); err != nil {
		t.Fatal(err)
	}
	if ingest.Attempts != 1 {
		t.Errorf("ingest had ended before the service was killed, and was run again: %s", text)
	}
}
