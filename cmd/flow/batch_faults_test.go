package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// admin calls the admin API of the emulator.
func (c *cloud) admin(what string, form url.Values) {
	t := c.killBench.t
	t.Helper()
	answer, err := http.PostForm(c.url+"/_flow/"+what, form)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", what, answer.Status)
	}
}

// begin starts a command, to be awaited.
func (c *cloud) begin(args ...string) *exec.Cmd {
	c.killBench.t.Helper()
	cmd := c.command(args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.killBench.t.Fatal(err)
	}
	return cmd
}

func (c *cloud) ends(cmd *exec.Cmd, code int) {
	c.killBench.t.Helper()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		c.killBench.t.Errorf("%s: exit code %d, want %d", strings.Join(cmd.Args, " "), got, code)
	}
}

// inState waits until the newest job of a queue is in a state, and returns it.
func (c *cloud) inState(queue string, s types.JobStatus) (job types.JobSummary) {
	t := c.killBench.t
	t.Helper()
	until(t, func() bool {
		out, err := c.client.ListJobs(context.Background(), &batch.ListJobsInput{JobQueue: &queue, JobStatus: s})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.JobSummaryList) == 0 {
			return false
		}
		job = out.JobSummaryList[0]
		return true
	})
	return job
}

// tasks returns what flow says about the tasks of a step of the newest run.
func (c *cloud) tasks(step string) (tasks []taskJSON) {
	c.killBench.t.Helper()
	c.decode(&tasks, "status", "-json", "@last/"+step)
	return tasks
}

// The agent has only an exit code to say that an output is missing; flow shows what, and
// retry rules see it.
func TestBatchOutputMissing(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.write("w.hcl", `
workflow "w" {}
step "a" {
  shell  = ["sh", "-c"]
  script = "test $FLOW_ATTEMPT = 1 || echo there > $out"
  output "out" { file = "sub/out" }
  retry {
    attempts = 2
    when "missing" {
      reason = "OutputMissing:*"
      delay  = "1s"
    }
  }
}
step "b" {
  script = "true"
  output "never" { file = "never" }
}
`)
	said := c.fails(exitRunFailed, append([]string{"run", "w.hcl"}, c.flags...)...)
	if !strings.Contains(said, "OutputMissing: ") || !strings.Contains(said, "never") {
		t.Errorf("flow says:\n%s", said)
	}
	if a := c.tasks("a")[0]; a.Status.String() != "SUCCEEDED" || a.Attempts != 2 {
		t.Errorf("a is %+v", a)
	}
	if b := c.tasks("b")[0]; !strings.HasPrefix(b.Reason, "OutputMissing: ") {
		t.Errorf("b is %+v", b)
	}
}

// A lost host is nobody's fault: Batch tries again, and the task's own tries are left to it.
func TestBatchSpot(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.write("w.hcl", `
workflow "w" {}
variable "go" { type = string }
step "a" {
  env    = { GO = var.go }
  shell  = ["sh", "-c"]
  script = "until test -e $GO; do sleep 0.05; done; test $FLOW_ATTEMPT = 3"
  retry {
    attempts = 1
  }
}
`)
	gate := filepath.Join(c.dir, "go")
	cmd := c.begin(append([]string{"run", "w.hcl", "-var", "go=" + gate}, c.flags...)...)
	for range 2 {
		job := c.inState("q", types.JobStatusRunning)
		c.admin("lose", url.Values{"job": {*job.JobId}})
		until(t, func() bool { return *c.inState("q", types.JobStatusRunning).StartedAt > *job.StartedAt })
	}
	c.write("go", "")
	c.ends(cmd, 0)
	if a := c.tasks("a")[0]; a.Attempts != 3 || a.Infra != 2 {
		t.Errorf("a is %+v, want 3 attempts, 2 of them lost", a)
	}
	if got := c.shape(); len(got) != 1 {
		t.Errorf("jobs are %q, want one", got)
	}
}

// A rule for lost hosts can move what was lost to another queue.
func TestBatchSpotToOnDemand(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--queue", "ondemand")
	c.write("w.hcl", `
workflow "w" {}
step "a" {
  shell  = ["sh", "-c"]
  script = "test $AWS_BATCH_JQ_NAME = ondemand || exec sleep 600"
  retry {
    attempts = 1
    when "spot" {
      status_reason = "Host EC2*"
      queue         = "ondemand"
    }
  }
}
`)
	cmd := c.begin(append([]string{"run", "w.hcl"}, c.flags...)...)
	c.admin("lose", url.Values{"job": {*c.inState("q", types.JobStatusRunning).JobId}})
	c.inState("ondemand", types.JobStatusSucceeded)
	c.ends(cmd, 0)
}

// Jobs that vanish from Batch are lost: the run fails, or runs them again, as on_lost says.
func TestBatchOnLost(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]int{"fail": exitRunFailed, "retry": 0} {
		t.Run(policy, func(t *testing.T) {
			c := newCloud(t)
			c.write("w.hcl", `
workflow "w" { on_lost = "`+policy+`" }
variable "go" { type = string }
step "a" {
  env    = { GO = var.go }
  shell  = ["sh", "-c"]
  script = "until test -e $GO; do sleep 0.05; done"
}
`)
			cmd := c.begin(append([]string{"run", "w.hcl", "-doubt", "1s", "-var", "go=" + filepath.Join(c.dir, "go")}, c.flags...)...)
			job := c.inState("q", types.JobStatusRunning)
			c.admin("forget", url.Values{"job": {aws.ToString(job.JobId)}})
			if policy == "retry" {
				c.inState("q", types.JobStatusRunning)
				c.write("go", "")
			}
			c.ends(cmd, want)
			a := c.tasks("a")[0]
			if policy == "fail" && !strings.HasPrefix(a.Reason, "lost: ") {
				t.Errorf("a is %+v", a)
			}
		})
	}
}
