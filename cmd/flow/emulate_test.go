package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"

	"flow/executor/whole"
)

// An emulation is a flow emulate that runs, in a process of its own.
type emulation struct {
	t   testing.TB
	cmd *exec.Cmd
	url string
}

func startEmulation(t testing.TB, args ...string) *emulation {
	t.Helper()
	return startEmulationWith(t, nil, os.Stderr, args...)
}

// startEmulationWith has the emulator write to stderr, with more variables in its environment.
func startEmulationWith(t testing.TB, env []string, stderr io.Writer, args ...string) *emulation {
	t.Helper()
	e := &emulation{t: t, cmd: exec.Command("flow", append([]string{"emulate", "--listen", "127.0.0.1:0"}, args...)...)}
	e.cmd.Env = append(os.Environ(), env...)
	e.cmd.Stderr = stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.end(syscall.SIGKILL) })
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("flow emulate says nothing: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	e.url = strings.TrimPrefix(strings.TrimSpace(line), "flow emulate: listening on ")
	return e
}

// end ends it with a signal and returns how it ended.
func (e *emulation) end(sig os.Signal) error {
	if e.cmd.ProcessState != nil {
		return nil
	}
	_ = e.cmd.Process.Signal(sig)
	return e.cmd.Wait()
}

func keys(id, secret string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
	})
}

func (e *emulation) client(id, secret string) *batch.Client {
	return batch.New(batch.Options{
		Region: "us-east-1", BaseEndpoint: &e.url, Credentials: keys(id, secret), Retryer: retry.AddWithMaxAttempts(retry.NewStandard(), 1),
		HTTPClient: &http.Client{Transport: whole.Transport{}},
	})
}

// prepare makes an environment, a queue "q" and a definition "sh" of a script.
func (e *emulation) prepare(c *batch.Client, script string) {
	e.t.Helper()
	ctx := e.t.Context()
	_, err := c.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("ce"), Type: types.CETypeManaged,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(16), InstanceTypes: []string{"optimal"},
			Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}, InstanceRole: aws.String("ecsInstanceRole"),
		},
	})
	if err != nil {
		e.t.Fatal(err)
	}
	for {
		_, err = c.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
			JobQueueName: aws.String("q"), Priority: aws.Int32(1),
			ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ce")}},
		})
		var refused *types.ClientException
		if !errors.As(err, &refused) || !strings.Contains(*refused.Message, "must be created and valid") {
			break // else the environment is CREATING
		}
	}
	if err != nil {
		e.t.Fatal(err)
	}
	_, err = c.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("sh"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), Command: []string{"sh", "-c", script},
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
			},
		},
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *emulation) submit(c *batch.Client, in *batch.SubmitJobInput) string {
	e.t.Helper()
	in.JobName, in.JobQueue, in.JobDefinition = aws.String("job"), aws.String("q"), aws.String("sh")
	out, err := c.SubmitJob(e.t.Context(), in)
	if err != nil {
		e.t.Fatal(err)
	}
	return *out.JobId
}

// await polls a job until it is in one of these statuses.
func (e *emulation) await(c *batch.Client, id string, statuses ...types.JobStatus) types.JobDetail {
	e.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-poll.C {
		out, err := c.DescribeJobs(e.t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			e.t.Fatal(err)
		}
		for _, j := range out.Jobs {
			for _, s := range statuses {
				if j.Status == s {
					return j
				}
			}
		}
	}
	e.t.Fatalf("job %s is not %v after a minute", id, statuses)
	return types.JobDetail{}
}

const succeeded, failed = types.JobStatusSucceeded, types.JobStatusFailed

func TestEmulateRunsAndLogs(t *testing.T) {
	e := startEmulation(t)
	c := e.client("any", "any")
	e.prepare(c, `echo "child $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE in $AWS_BATCH_JQ_NAME"; env | grep -c ^FLOW_; exit $AWS_BATCH_JOB_ARRAY_INDEX`)
	id := e.submit(c, &batch.SubmitJobInput{ArrayProperties: &types.ArrayProperties{Size: aws.Int32(3)}})
	parent := e.await(c, id, succeeded, failed)
	if parent.Status != failed || parent.ArrayProperties.StatusSummary["SUCCEEDED"] != 1 || parent.ArrayProperties.StatusSummary["FAILED"] != 2 {
		t.Errorf("the array is %s: %v", parent.Status, parent.ArrayProperties.StatusSummary)
	}
	child := e.await(c, id+":2", failed)
	if code := child.Container.ExitCode; code == nil || *code != 2 {
		t.Errorf("child 2 has exit code %v", code)
	}
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{Region: "us-east-1", BaseEndpoint: &e.url, Credentials: keys("any", "any"), HTTPClient: &http.Client{Transport: whole.Transport{}}})
	events, err := logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: child.Container.LogStreamName, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range events.Events {
		got = append(got, *l.Message)
	}
	if want := "child 2 of 3 in q\n0"; strings.Join(got, "\n") != want {
		t.Errorf("its log is %q, want %q", got, want)
	}
	if err := e.end(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C it ends with %v", err)
	}
}

// After kill -9 everything is as it was, and what ran has lost its host.
func TestEmulateKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	e := startEmulation(t, "--state", dir)
	c := e.client("any", "any")
	e.prepare(c, `test "$AWS_BATCH_JOB_ATTEMPT" = 2 && exit; echo first; exec sleep 600`)
	ran := e.submit(c, &batch.SubmitJobInput{RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(3)}})
	e.await(c, ran, types.JobStatusRunning)
	waits := e.submit(c, &batch.SubmitJobInput{
		DependsOn:          []types.JobDependency{{JobId: &ran}},
		ContainerOverrides: &types.ContainerOverrides{Command: []string{"true"}},
	})

	second := exec.Command("flow", "emulate", "--listen", "127.0.0.1:0", "--state", dir)
	if out, err := second.CombinedOutput(); second.ProcessState.ExitCode() != exitNotStarted || !strings.Contains(string(out), "runs jobs with the journal") {
		t.Errorf("a second one on the same state: %v %s", err, out)
	}
	if err := e.end(syscall.SIGKILL); err == nil {
		t.Error("it was not killed")
	}
	e = startEmulation(t, "--state", dir)
	c = e.client("any", "any")
	j := e.await(c, ran, succeeded, failed)
	if j.Status != succeeded || len(j.Attempts) != 2 || !strings.HasPrefix(aws.ToString(j.Attempts[0].StatusReason), "Host EC2 (instance i-") || j.Attempts[0].Container.ExitCode != nil {
		b, _ := json.Marshal(j.Attempts)
		t.Errorf("what ran is %s with attempts %s", j.Status, b)
	}
	if j := e.await(c, waits, succeeded, failed); j.Status != succeeded {
		t.Errorf("what waited is %s: %s", j.Status, aws.ToString(j.StatusReason))
	}
}

// With credentials, nobody else is let in; the file is made, and is that of the client.
func TestEmulateCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	e := startEmulation(t, "--credentials", file, "--runner", "instant")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	var id, secret string
	if _, err := fmt.Sscanf(string(text), "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", &id, &secret); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := e.client(id, secret).DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{}); err != nil {
		t.Errorf("with the credentials: %v", err)
	}
	for _, test := range []struct{ id, secret, want string }{
		{id, "other", "InvalidSignatureException"},
		{"other", secret, "UnrecognizedClientException"},
	} {
		_, err := e.client(test.id, test.secret).DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{})
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != test.want {
			t.Errorf("with others: %v, want %s", err, test.want)
		}
	}
}

// What -task-env says every container has, and nobody else is told: neither clients nor what
// is kept.
func TestEmulateTaskEnv(t *testing.T) {
	t.Setenv("FROM_HERE", "canary2")
	dir := filepath.Join(t.TempDir(), "state")
	e := startEmulation(t, "--state", dir, "--task-env", "GIVEN=canary1", "--task-env", "FROM_HERE")
	c := e.client("any", "any")
	e.prepare(c, `can=can; test "$GIVEN $FROM_HERE" = "${can}ary1 ${can}ary2"`)
	id := e.submit(c, &batch.SubmitJobInput{})
	job := e.await(c, id, succeeded, failed)
	if job.Status != succeeded {
		t.Fatalf("it is %s: %s", job.Status, aws.ToString(job.StatusReason))
	}
	b, err := json.Marshal(job)
	if err != nil || strings.Contains(string(b), "canary") {
		t.Errorf("%v: it is described as %s", err, b)
	}
	if err := e.end(os.Interrupt); err != nil {
		t.Error(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s has it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
