package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/notice"
	"flow/executor/executortest/fetched"
	"flow/executor/scheduler"
)

// headOf returns the command of a head for a slot, as its job definition has it, which takes
// over from a dead one soon. What it says is in the buffer.
func (b *deployBench) headOf(schedule string, slot time.Time) (*exec.Cmd, *bytes.Buffer) {
	t := b.killBench.t
	t.Helper()
	out, err := b.client.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{Status: aws.String("ACTIVE")})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(out.JobDefinitions, func(d batchtypes.JobDefinition) bool { return strings.HasPrefix(*d.JobDefinitionName, "flow-head-") })
	if i < 0 {
		t.Fatal("there is no definition of a head")
	}
	args := slices.Clone(out.JobDefinitions[i].ContainerProperties.Command[1:])
	for i := range args {
		args[i] = strings.NewReplacer("Ref::schedule", schedule, "Ref::slot", slot.Format(time.RFC3339)).Replace(args[i])
	}
	cmd := b.command(append(args, "-beat", "200ms", "-dead", "4s", "-poll", "100ms")...)
	cmd.Env = append(cmd.Env, "TMPDIR="+b.temp)
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

// starts starts a head for a slot. The function that is returned waits until it has ended, with a
// code.
func (b *deployBench) starts(schedule string, slot time.Time) (cmd *exec.Cmd, ends func(code int)) {
	t := b.killBench.t
	t.Helper()
	cmd, said := b.headOf(schedule, slot)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, func(code int) {
		t.Helper()
		err := cmd.Wait()
		if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Fatalf("the head of %s at %s ends with %d (%v), want %d:\n%s", schedule, slot, got, err, code, said)
		}
	}
}

// marks waits until a file has a line, and returns all.
func (b *deployBench) marks(file, line string) []string {
	t := b.killBench.t
	t.Helper()
	var lines []string
	until(t, func() bool {
		text, err := os.ReadFile(filepath.Join(b.dir, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		lines = strings.Fields(string(text))
		return slices.Contains(lines, line)
	})
	return lines
}

// failed returns the names of jobs that failed for that reason.
func (b *deployBench) failed(reason string) (names []string) {
	t := b.killBench.t
	t.Helper()
	out, err := b.client.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: aws.String("q"), JobStatus: batchtypes.JobStatusFailed})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range out.JobSummaryList {
		if strings.Contains(aws.ToString(j.StatusReason), reason) {
			names = append(names, *j.JobName)
		}
	}
	return names
}

// hourly is a slot of the schedules of tests, which are hourly.
func hourly(hour int) time.Time { return time.Date(2026, 3, 2, hour, 0, 0, 0, time.UTC) }

// Each task notes in a file of its slot that it begins, and the second one waits there for
// a file.
const stoppedWorkflow = `
workflow "stopped" {}
schedule "s" {
  cron = "0 * * * *"
  vars = { marks = "DIR/${formatdate("hh", schedule.time)}" }
}
variable "marks" { type = string }
step "first" {
  inputs = { words = "words.txt" }
  env    = { marks = var.marks }
  script = "echo first >> $marks; cp $words $out"
  output "out" { file = "out" }
}
step "second" {
  inputs = { in = step.first.outputs.out }
  env    = { marks = var.marks }
  script = "n=$(grep -c second $marks || true); echo second$n >> $marks; while ! test -e $marks.go; do sleep 0.05; done; cp $in lines.txt"
  output "lines" { text = "lines.txt" }
}
step "third" {
  for_each = compact(split("\n", step.second.outputs.lines))
  env      = { marks = var.marks }
  script   = "echo third >> $marks"
}
`

// A head that is told to stop or killed in the middle of a run is followed by another one, which
// goes on with it: there is one run, and nothing that has finished is done again.
func TestScheduleHeadStopped(t *testing.T) {
	t.Parallel()
	b := newDeployBench(t, "stopped")
	b.write("stopped.hcl", strings.ReplaceAll(stoppedWorkflow, "DIR", b.dir))
	b.write("words.txt", "one\n")
	b.schedule("deploy", "stopped.hcl")

	// SIGTERM: the state says what was submitted, and the job goes on.
	first, ends := b.starts("s", hourly(3))
	b.marks("03", "second0")
	_, againEnds := b.starts("s", hourly(3)) // delivered again: its head finds that the slot is taken
	againEnds(0)
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ends(scheduler.ExitAgain)
	if runs, _ := b.published(); len(runs) != 1 || !runs[0].Ended.IsZero() {
		t.Fatalf("the runs are %+v", runs)
	}
	b.write("03.go", "")
	_, ends = b.starts("s", hourly(3))
	ends(0)
	if d := cmp.Diff([]string{"first", "second0", "third"}, b.marks("03", "third")); d != "" {
		t.Errorf("after SIGTERM (-want +got):\n%s", d)
	}

	// SIGKILL: the state says nothing of the jobs. What the first one has left is taken, and the
	// second one is ended, and submitted again.
	first, _ = b.starts("s", hourly(4))
	b.marks("04", "second0")
	_ = first.Process.Kill()
	_ = first.Wait()
	_, ends = b.starts("s", hourly(4))
	b.marks("04", "second1")
	var names []string
	until(t, func() bool { names = b.failed("knows nothing of this job"); return len(names) > 0 })
	if len(names) != 1 || !strings.Contains(names[0], "-second-") {
		t.Errorf("jobs that were ended: %v", names)
	}
	b.write("04.go", "")
	ends(0)
	if d := cmp.Diff([]string{"first", "second0", "second1", "third"}, b.marks("04", "third")); d != "" {
		t.Errorf("after SIGKILL (-want +got):\n%s", d)
	}
	runs, _ := b.published()
	for _, r := range runs {
		if r.Status.String() != "SUCCEEDED" {
			t.Errorf("run %s of %s is %s", r.ID, r.Slot, r.Status)
		}
	}
	if len(runs) != 2 {
		t.Errorf("there are %d runs, want 2", len(runs))
	}
}

const overlapWorkflow = `
workflow "overlap" {}
schedule "allow" {
  cron    = "0 * * * *"
  overlap = "allow"
  vars    = { marks = "DIR/allow", go = "2" }
}
schedule "replace" {
  cron    = "0 * * * *"
  overlap = "replace"
  vars    = { marks = "DIR/replace", go = formatdate("h", schedule.time) }
}
schedule "late" {
  cron         = "0 * * * *"
  start_within = "1h"
  vars         = { marks = "DIR/late", go = "1" }
}
variable "marks" { type = string }
variable "go" { type = number }
notify "all" {
  on = ["succeeded", "cancelled", "missed"]
  webhook { url = "URL" }
}
step "work" {
  cache  = false
  env    = { marks = var.marks, go = var.go }
  script = "echo $go >> $marks; while test $(wc -l < $marks) -lt $go; do sleep 0.05; done"
}
`

// A slot that comes while a head drives a run is seen to by that head, as overlap says. The head
// sends notices, also of a slot that has no run.
func TestScheduleHeadOverlap(t *testing.T) {
	t.Parallel()
	b := newDeployBench(t, "overlap")
	told := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m notice.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		told <- m.Schedule + " " + m.Type
	}))
	t.Cleanup(hook.Close)
	b.write("overlap.hcl", strings.NewReplacer("DIR", b.dir, "URL", hook.URL).Replace(overlapWorkflow))
	b.schedule("deploy", "overlap.hcl")

	// Either run goes on only once the other one is there as well.
	_, allowEnds := b.starts("allow", hourly(3))
	b.marks("allow", "2")
	_, secondEnds := b.starts("allow", hourly(4))
	secondEnds(0)
	allowEnds(0)
	runs, _ := b.published()
	if len(runs) != 2 || runs[0].Status.String() != "SUCCEEDED" || runs[1].Status.String() != "SUCCEEDED" {
		t.Errorf("allow: the runs are %+v", runs)
	}

	// The run of 9 o'clock would not end for lack of lines.
	_, firstEnds := b.starts("replace", hourly(9))
	b.marks("replace", "9")
	_, secondEnds = b.starts("replace", hourly(1).AddDate(0, 0, 1))
	secondEnds(0)
	firstEnds(exitCancelled)
	all, slots := b.published()
	var got []string
	for _, r := range all {
		if r.Schedule == "overlap/replace" {
			got = append(got, r.Slot.Format("02T15 ")+r.Status.String())
		}
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"02T09 CANCELLED", "03T01 SUCCEEDED"}, got); d != "" {
		t.Errorf("replace (-want +got):\n%s\nslots: %+v", d, slots)
	}

	// It is long after that slot.
	_, ends := b.starts("late", hourly(3))
	ends(exitNotStarted)
	close(told)
	messages := slices.Sorted(func(yield func(string) bool) {
		for m := range told {
			if !yield(m) {
				return
			}
		}
	})
	want := []string{
		"overlap/allow run.succeeded", "overlap/allow run.succeeded", "overlap/late schedule.missed", "overlap/replace run.cancelled", "overlap/replace run.succeeded",
	}
	if d := cmp.Diff(want, messages); d != "" {
		t.Errorf("notices (-want +got):\n%s", d)
	}
}

// The head of the real workflow, which the schedule submits for a night of 2001, ends with the
// known result on S3, and what is delivered again makes no second run.
func TestScheduleNightly(t *testing.T) {
	t.Parallel()
	from, err := filepath.Abs("../../workflows/nightly")
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"node", "sqlite3", "jq", "awk", filepath.Join(from, "data", "flights-3m.parquet"), filepath.Join(from, "data", "node_modules", "hyparquet")} {
		fetched.Need(t, what)
	}
	b := newDeployBench(t, "nightly")
	for _, name := range []string{"ingest.mjs", "page.mjs", "validate.awk"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		b.write(name, string(text))
	}
	if err := os.Symlink(filepath.Join(from, "data"), filepath.Join(b.dir, "data")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from, "nightly.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	// The data is of 2001, and no slot starts six hours after it was due.
	b.write("nightly.hcl", strings.Replace(string(text), "start_within = \"6h\"", "", 1))
	b.schedule("deploy", "nightly.hcl", "-var", "parts=2")

	slot := time.Date(2001, 3, 16, 4, 45, 0, 0, time.UTC) // 2001-03-15T23:45 in New York
	b.succeeds(b.deliver("daily", slot))
	b.succeeds(b.deliver("daily", slot))
	runs, slots := b.published()
	if len(runs) != 1 || runs[0].Status.String() != "SUCCEEDED" || runs[0].Schedule != "nightly/daily" || !runs[0].Slot.Equal(slot) || len(slots) != 1 {
		t.Errorf("the runs are %+v, the slots %+v", runs, slots)
	}
	table, err := os.ReadFile(filepath.Join(b.place, "published", "results", "2001-03-15", "report.csv"))
	if err != nil {
		t.Fatalf("%v; objects: %v", err, objects(t, b.server))
	}
	if sum := md5.Sum(table); hex.EncodeToString(sum[:]) != "923bd44cf0e968cef3ac2916c8855e3f" {
		t.Errorf("the md5 of report.csv is %x:\n%s", sum, table)
	}
}
