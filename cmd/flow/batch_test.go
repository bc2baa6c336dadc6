package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

// A cloud is a flow emulate with a queue "q", and a directory from which flow runs
// workflows on it.
type cloud struct {
	*emulation
	killBench
	client *batch.Client
	flags  []string // of commands that start runs
}

func newCloud(t testing.TB, emulate ...string) *cloud {
	t.Helper()
	c := &cloud{emulation: startEmulation(t, append([]string{"--queue", "q"}, emulate...)...)}
	c.client = c.emulation.client("any", "any")
	c.killBench = killBench{t: t, dir: t.TempDir()}
	if err := makeStateDir(filepath.Join(c.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	c.flags = []string{"-executor", "batch", "-endpoint", c.url, "-queue", "q", "-image", "busybox", "-poll", "100ms"}
	return c
}

// write writes a file of the directory.
func (c *cloud) write(name, text string) {
	c.killBench.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
		c.killBench.t.Fatal(err)
	}
}

// read returns a file of the directory.
func (c *cloud) read(name string) string {
	c.killBench.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.killBench.t.Fatal(err)
	}
	return string(text)
}

// run runs a workflow to its end, which must be good, and returns what flow prints.
func (c *cloud) run(args ...string) []byte {
	c.killBench.t.Helper()
	return c.output(append(append([]string{"run"}, args...), c.flags...)...)
}

// fails runs a command that must end with a code, and returns what it says.
func (c *cloud) fails(code int, args ...string) string {
	c.killBench.t.Helper()
	cmd := c.command(args...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		c.killBench.t.Fatalf("flow %s: exit code %d, want %d (%v)\n%s", strings.Join(args, " "), got, code, err, out)
	}
	return string(out)
}

// calls returns how often each operation of the server was called.
func (c *cloud) calls() map[string]int {
	t := c.killBench.t
	t.Helper()
	answer, err := http.Get(c.url + "/_flow/calls")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Calls map[string]struct{ Calls int }
	}
	if err := json.Unmarshal(body, &told); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	out := map[string]int{}
	for name, n := range told.Calls {
		out[name] = n.Calls
	}
	return out
}

// jobs returns all jobs of queue q that the server knows, newest first.
func (c *cloud) jobs() []types.JobSummary {
	t := c.killBench.t
	t.Helper()
	var out []types.JobSummary
	in := &batch.ListJobsInput{
		JobQueue: aws.String("q"),
		Filters:  []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{"flow-*"}}},
	}
	pages := batch.NewListJobsPaginator(c.client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.JobSummaryList...)
	}
	return out
}

// calm ends the chaos: whoever asks once from now on is answered.
func (c *cloud) calm() {
	t := c.killBench.t
	t.Helper()
	answer, err := http.Post(c.url+"/_flow/chaos", "text/plain", strings.NewReader("off"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

// shape tells the jobs of the server, oldest first: "1" a plain job, "array of 3".
func (c *cloud) shape() []string {
	var out []string
	for _, j := range c.jobs() {
		what := "1"
		if j.ArrayProperties != nil && j.ArrayProperties.Size != nil {
			what = fmt.Sprintf("array of %d", *j.ArrayProperties.Size)
		}
		out = append([]string{what}, out...)
	}
	return out
}

func alive(s types.JobStatus) bool { return s != succeeded && s != failed }

// status returns what flow says about a run.
func (c *cloud) status(args ...string) (status runJSON) {
	c.killBench.t.Helper()
	c.decode(&status, append([]string{"status", "-json"}, args...)...)
	return status
}

func (c *cloud) wantTasks(want map[string]int) {
	c.killBench.t.Helper()
	if diff := cmp.Diff(want, c.status().Tasks); diff != "" {
		c.killBench.t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

const chainWorkflow = `
workflow "chain" {}
step "a" {
  for_each = range(%[1]d)
  command  = ["true"]
}
step "b" {
  for_each = step.a.each
  command  = ["true"]
}
step "c" {
  for_each = step.b.each
  command  = ["true"]
}
step "gather" {
  depends_on = [step.c]
  command    = ["true"]
}
`

// Cost in API calls is by arrays, not by tasks: 3 chained steps of 10,000 tasks and a gather
// are 4 jobs, of one definition, which a second run finds again; and while nothing
// changes, a look is one call.
func TestBatchCalls(t *testing.T) {
	t.Parallel()
	const runs = 2 * time.Second
	size := often(0, 10_000, 200)
	c := newCloud(t, "--runner", "instant", "--latency", "run="+runs.String(), "--keep-jobs", "0")
	c.write("w.hcl", fmt.Sprintf(chainWorkflow, size))
	begun := time.Now()
	c.run("w.hcl", "-no-cache")
	took := time.Since(begun)
	c.wantTasks(map[string]int{"SUCCEEDED": 3*size + 1})
	first := c.calls()
	t.Logf("calls of %d tasks: %v in %v", 3*size+1, first, took)
	if first["SubmitJob"] > 4 {
		t.Errorf("%d SubmitJob calls, want at most 4", first["SubmitJob"])
	}
	if first["RegisterJobDefinition"] > 4 {
		t.Errorf("%d RegisterJobDefinition calls, want at most 4", first["RegisterJobDefinition"])
	}
	// 4 jobs are looked at with one call, every 100 ms at the most.
	if most := int(took/(100*time.Millisecond)) + 10; first["DescribeJobs"] > most {
		t.Errorf("%d DescribeJobs calls in %v, want at most %d", first["DescribeJobs"], took, most)
	}
	c.run("w.hcl", "-no-cache")
	second := c.calls()
	if n := second["RegisterJobDefinition"] - first["RegisterJobDefinition"]; n != 0 {
		t.Errorf("the second run registers %d definitions, want 0", n)
	}
	if n := second["SubmitJob"] - first["SubmitJob"]; n > 4 {
		t.Errorf("the second run has %d SubmitJob calls, want at most 4", n)
	}
}

// Submit and walk away: no process of flow is there while the whole DAG runs.
func TestBatchDetached(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--runner", "instant", "--latency", "run=300ms")
	c.write("w.hcl", fmt.Sprintf(chainWorkflow, 50))
	id := strings.TrimSpace(string(c.run("w.hcl", "-detach")))
	if got := c.status("-no-look"); got.Run != id || got.Status.Ended() || got.Driver != nil {
		t.Fatalf("run %q is %v, driven by %v", id, got.Status, got.Driver)
	}
	before := c.calls()["DescribeJobs"]
	until(t, func() bool {
		for _, j := range c.jobs() {
			if alive(j.Status) {
				return false
			}
		}
		return true
	})
	if n := c.calls()["DescribeJobs"] - before; n != 0 {
		t.Errorf("somebody looked %d times", n)
	}
	if got := c.status(); got.Status.String() != "SUCCEEDED" {
		t.Errorf("run is %v %s", got.Status, got.Reason)
	}
	c.wantTasks(map[string]int{"SUCCEEDED": 151})
}

// until waits until something is so.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it is not so after a minute")
		}
	}
}

// Only what failed is sent again: 37 of 10,000 as one array of 37, one as a plain job.
func TestBatchRetriesCompactly(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("10,000 processes; TestBatchRetriesFew has the same code under the race detector")
	}
	const size = 10_000
	c := newCloud(t, "--runner", "process", "--keep-jobs", "0")
	c.write("w.hcl", fmt.Sprintf(`
workflow "some" {}
variable "modulus" { type = number }
step "a" {
  for_each = range(%d)
  env      = { MODULUS = var.modulus }
  shell    = ["sh", "-c"]
  script   = "test $((FLOW_INDEX %% MODULUS)) != 0 || test $FLOW_ATTEMPT -gt 1"
}
`, size))
	c.fails(exitRunFailed, append([]string{"run", "w.hcl", "-no-cache", "-var", "modulus=271"}, c.flags...)...)
	c.wantTasks(map[string]int{"SUCCEEDED": size - 37, "FAILED": 37})
	c.output("resume", "@last", "-failed")
	c.wantTasks(map[string]int{"SUCCEEDED": size})
	want := []string{"array of 10000", "array of 37"}
	if diff := cmp.Diff(want, c.shape()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

// What one failed is a plain job, by resume as by flow's own retries; and with it goes what
// Batch failed because of it, element by element.
func TestBatchRetriesFew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fails string // which children fail the first time
		want  []string
	}{
		"one": {"7", []string{"array of 20", "array of 20", "1", "1"}},
		"two": {"[37]", []string{"array of 20", "array of 20", "array of 2", "array of 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, "--runner", "process")
			c.write("w.hcl", fmt.Sprintf(`
workflow "few" {}
step "a" {
  for_each = range(20)
  shell    = ["sh", "-c"]
  script   = "case $FLOW_INDEX in %s) test $FLOW_ATTEMPT -gt 1;; esac"
}
step "b" {
  for_each = step.a.each
  shell    = ["sh", "-c"]
  script   = "test $FLOW_KEY = $FLOW_INDEX"
}
`, test.fails))
			c.fails(exitRunFailed, append([]string{"run", "w.hcl", "-no-cache"}, c.flags...)...)
			c.output("resume", "@last", "-failed")
			c.wantTasks(map[string]int{"SUCCEEDED": 40})
			if diff := cmp.Diff(test.want, c.shape()); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

// A cancelled array costs one call, and flow says so only when nothing of it is alive.
func TestBatchCancel(t *testing.T) {
	t.Parallel()
	size := often(0, 10_000, 200)
	for _, driven := range []bool{false, true} {
		t.Run(fmt.Sprintf("driven=%v", driven), func(t *testing.T) {
			c := newCloud(t, "--runner", "instant", "--latency", "run=1h", "--keep-jobs", "0")
			c.write("w.hcl", fmt.Sprintf("step \"a\" {\n  for_each = range(%d)\n  command  = [\"true\"]\n}\n", size))
			var driver *exec.Cmd
			var said bytes.Buffer
			if driven {
				driver = c.command(append([]string{"run", "w.hcl"}, c.flags...)...)
				driver.Stderr = &said
				if err := driver.Start(); err != nil {
					t.Fatal(err)
				}
			} else {
				c.run("w.hcl", "-detach")
			}
			until(t, func() bool {
				jobs := c.jobs()
				return len(jobs) == 1 && jobs[0].ArrayProperties.StatusSummary["RUNNING"] == int32(size)
			})
			before := c.calls()["TerminateJob"]
			text := c.fails(0, "cancel", "@last")
			if !strings.HasSuffix(text, fmt.Sprintf("\n0 of %d tasks still alive\n", size)) {
				t.Errorf("cancel says:\n%s", text)
			}
			for _, j := range c.jobs() {
				if alive(j.Status) {
					t.Errorf("%s is %s", *j.JobName, j.Status)
				}
			}
			if n := c.calls()["TerminateJob"] - before; n != 1 {
				t.Errorf("%d TerminateJob calls, want 1", n)
			}
			if driven {
				_ = driver.Wait()
				if code := driver.ProcessState.ExitCode(); code != exitCancelled {
					t.Errorf("the driver ends with %d:\n%s", code, &said)
				}
			}
			if got := c.status().Status.String(); got != "CANCELLED" {
				t.Errorf("the run is %s", got)
			}
		})
	}
}
