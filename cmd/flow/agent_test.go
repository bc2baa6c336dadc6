package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/whole"
)

// An agentRig is a flow emulate whose jobs run their tasks by flow's agent, as
// executor/batch has them do it.
type agentRig struct {
	*emulation
	client *batch.Client
	work   string // the work_dir
}

func newAgentRig(t *testing.T) *agentRig {
	e := startEmulation(t)
	r := &agentRig{emulation: e, client: e.client("any", "any"), work: t.TempDir()}
	e.prepare(r.client, "true")
	return r
}

// spec returns a job that runs a script, with an input "given" and an output "out".
func (r *agentRig) spec(name, script string) *engine.JobSpec {
	r.t.Helper()
	given := filepath.Join(r.work, "given.txt")
	write(r.t, given, "given\n")
	return &engine.JobSpec{
		Name: name, Run: "run", Step: "step", WorkDir: r.work, Tasks: engine.Upto(1), Attempt: 1, Attempts: 1,
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64},
		Task: &engine.TaskSpec{
			Script: script, Shell: []string{"sh", "-euc"},
			Inputs:  []engine.Input{{Name: "given", Paths: []string{given}}},
			Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out.txt"}},
		},
	}
}

// agentDefinition is a definition of two containers, of which the first brings the agent.
func agentDefinition(name, jobFile string) *batch.RegisterJobDefinitionInput {
	requirements := []types.ResourceRequirement{
		{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")},
	}
	mount := types.MountPoint{SourceVolume: aws.String("flow-agent"), ContainerPath: aws.String("/flow-agent")}
	readOnly := mount
	readOnly.ReadOnly = aws.Bool(true)
	return &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{{
			Volumes: []types.Volume{{Name: aws.String("flow-agent")}},
			Containers: []types.TaskContainerProperties{
				{
					Name: aws.String("agent"), Image: aws.String("flow"), Essential: aws.Bool(false),
					Command:     []string{"flow", "agent", "install", "/flow-agent"},
					MountPoints: []types.MountPoint{mount}, ResourceRequirements: requirements,
				},
				{
					Name: aws.String("task"), Image: aws.String("busybox"), Essential: aws.Bool(true),
					Command:     []string{"/flow-agent/flow", "agent", "run", "--", jobFile},
					Environment: []types.KeyValuePair{{Name: aws.String("of_job"), Value: aws.String("job's")}},
					DependsOn:   []types.TaskContainerDependency{{ContainerName: aws.String("agent"), Condition: aws.String("SUCCESS")}},
					MountPoints: []types.MountPoint{readOnly}, ResourceRequirements: requirements,
				},
			},
		}}},
	}
}

// send writes the job file of a job and submits the job.
func (r *agentRig) send(spec *engine.JobSpec) string {
	r.t.Helper()
	path := agent.JobPath(r.work, spec.Run, spec.Name)
	if err := agent.WriteJob(path, spec); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.client.RegisterJobDefinition(r.t.Context(), agentDefinition(spec.Name, path)); err != nil {
		r.t.Fatal(err)
	}
	return r.again(spec)
}

// again submits a job whose definition and file are there.
func (r *agentRig) again(spec *engine.JobSpec) string {
	r.t.Helper()
	in := &batch.SubmitJobInput{JobName: &spec.Name, JobQueue: aws.String("q"), JobDefinition: &spec.Name}
	if spec.ArraySize > 0 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(spec.ArraySize))}
	}
	in.RetryStrategy = &types.RetryStrategy{Attempts: aws.Int32(int32(spec.Attempts))}
	out, err := r.client.SubmitJob(r.t.Context(), in)
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.JobId
}

// ended awaits the end of a job and returns it with the exit code of its task and what
// that has written.
func (r *agentRig) ended(id string) (job types.JobDetail, code int, log string) {
	r.t.Helper()
	job = r.await(r.client, id, succeeded, failed)
	c := job.EcsProperties.TaskProperties[0].Containers[1]
	code = -1
	if c.ExitCode != nil {
		code = int(*c.ExitCode)
	}
	if c.LogStreamName != nil {
		log = r.log(*c.LogStreamName)
	}
	return job, code, log
}

func (r *agentRig) log(stream string) string {
	r.t.Helper()
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{Region: "us-east-1", BaseEndpoint: &r.url, Credentials: keys("any", "any"), HTTPClient: &http.Client{Transport: whole.Transport{}}})
	events, err := logs.GetLogEvents(r.t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: &stream, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range events.Events {
		fmt.Fprintln(&b, *e.Message)
	}
	return b.String()
}

// A task and an array of them, as people write them: what they read, leave and say.
func TestAgentOnBatch(t *testing.T) {
	r := newAgentRig(t)
	one := r.spec("one", `cat "$given" > "$out"; echo "$FLOW_RUN_ID $FLOW_STEP $FLOW_KEY $FLOW_INDEX $FLOW_ATTEMPT $FLOW_VCPUS $FLOW_MEMORY_MIB $of_job $own"; pwd; ls`)
	one.Task.Env = map[string]string{"own": "task's"}
	id := r.send(one)
	job, code, log := r.ended(id)
	dir := one.TaskDir(0)
	if code != 0 || job.Status != succeeded {
		t.Fatalf("exit code %d, %s: %s", code, aws.ToString(job.StatusReason), log)
	}
	if diff := cmp.Diff("run step 0 0 1 1 64 job's task's\n"+dir+"/1\ninputs\nout.txt\n", log); diff != "" {
		t.Error(diff)
	}
	r.assertResult(one, 0, 1, id, "given\n")

	many := r.spec("many", `echo "$FLOW_KEY $FLOW_INDEX $mine" > "$out"`)
	many.Step, many.FanOut, many.ArraySize, many.Tasks = "many", true, 3, engine.RangesOf(4, 7, 8)
	many.Keys = []string{"a", "b/c", "d e"}
	for i := range many.Keys {
		many.Items = append(many.Items, &engine.Item{Env: map[string]string{"mine": fmt.Sprint("line\n", i)}})
	}
	id = r.send(many)
	if job := r.await(r.client, id, succeeded, failed); job.Status != succeeded {
		t.Fatalf("%s: %v", job.Status, job.ArrayProperties.StatusSummary)
	}
	for i, want := range []string{"a 4 line\n0\n", "b/c 7 line\n1\n", "d e 8 line\n2\n"} {
		r.assertResult(many, i, 1, fmt.Sprint(id, ":", i), want)
	}
}

// assertResult fails unless a task has this result, of this attempt, claimed by that job.
func (r *agentRig) assertResult(spec *engine.JobSpec, child, attempt int, id, out string) {
	r.t.Helper()
	dir := spec.TaskDir(child)
	m, err := (&agent.Files{}).Manifest(r.t.Context(), dir)
	if err != nil {
		r.t.Fatal(err)
	}
	if m.Attempt != attempt || m.Task != spec.Key(child) || m.Run != spec.Run || m.Step != spec.Step {
		r.t.Errorf("the manifest is that of %s/%s[%s], attempt %d", m.Run, m.Step, m.Task, m.Attempt)
	}
	if by, err := agent.ReadClaim(dir, attempt); string(by) != id {
		r.t.Errorf("claimed by %q, %v; want %s", by, err, id)
	}
	if got, err := os.ReadFile(engine.ResultPath(dir, "out.txt")); string(got) != out {
		r.t.Errorf("its output is %q, %v; want %q", got, err, out)
	}
}

// How a task fails around its command, and what is known of it then.
func TestAgentFailures(t *testing.T) {
	r := newAgentRig(t)
	noInput := r.spec("no-input", "true")
	noInput.Task.Inputs[0].Paths[0] = r.work + "/gone"
	noProgram := r.spec("no-program", "")
	noProgram.Task.Command = []string{"nosuchprogram"}
	longScript := r.spec("long-script", `echo long > "$out"; exit 9 #`+strings.Repeat("x", agent.MaxArg))
	own := r.spec("own", "exit 7")
	tests := []struct {
		spec    *engine.JobSpec
		code    int
		log     string // the last line
		failure string // as the driver shows it; "": none
	}{
		{r.spec("no-output", "touch other"), agent.ExitOutput, "flow: OutputMissing: ", `OutputMissing: output "out"`},
		{noInput, agent.ExitStageIn, "flow: StageInError: ", `StageInError: input "given": ` + r.work + "/gone is not there"},
		{noProgram, 127, "flow: CannotStartContainerError: ", `CannotStartContainerError: exec: "nosuchprogram": executable file not found in $PATH`},
		{longScript, 9, "", ""},
		{own, 7, "", ""},
	}
	ids := make([]string, len(tests))
	for i, tt := range tests {
		tt.spec.Step = engine.StepName(tt.spec.Name)
		ids[i] = r.send(tt.spec)
	}
	for i, tt := range tests {
		_, code, log := r.ended(ids[i])
		if code != tt.code || !strings.HasPrefix(log, tt.log) || strings.Count(log, "\n") > 1 {
			t.Errorf("%s: exit code %d, want %d; it says %q", tt.spec.Name, code, tt.code, log)
		}
		if got, _ := agent.Failure(tt.spec.TaskDir(0), 1); !strings.HasPrefix(got, tt.failure) || tt.failure == "" && got != "" {
			t.Errorf("%s: the failure is %q, want %q", tt.spec.Name, got, tt.failure)
		}
		if _, err := agent.ReadManifest(tt.spec.TaskDir(0), 1); err == nil {
			t.Errorf("%s: there is a manifest", tt.spec.Name)
		}
	}
}

// Of two jobs for one attempt, as after an answer that was lost, one runs the command. The
// other does not get a later attempt either, though Batch tries it again.
func TestAgentTwin(t *testing.T) {
	r := newAgentRig(t)
	spec := r.spec("twin", `echo ran >> "$(dirname "$given")/../../../ran"; echo x > "$out"`)
	spec.Attempts = 2
	first, second := r.send(spec), ""
	second = r.again(spec)
	codes := map[int]string{}
	for _, id := range []string{first, second} {
		_, code, log := r.ended(id)
		codes[code] = log
	}
	winner, err := agent.ReadClaim(spec.TaskDir(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{0: "", agent.ExitClaimed: "flow: another job (" + string(winner) + ") runs attempt 1: this one is a twin\n"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
	r.assertResult(spec, 0, 1, string(winner), "x\n")
	if b, err := os.ReadFile(spec.TaskDir(0) + "/ran"); string(b) != "ran\n" {
		t.Errorf("the command ran as %q, %v", b, err)
	}
	if _, err := agent.ReadClaim(spec.TaskDir(0), 2); err == nil {
		t.Error("the twin has claimed its second attempt")
	}
}

// Batch's second attempt has a directory, a claim and a number of its own, counted on from
// those of earlier jobs.
func TestAgentRetry(t *testing.T) {
	r := newAgentRig(t)
	spec := r.spec("retry", `echo "$FLOW_ATTEMPT" > "$out"; test "$FLOW_ATTEMPT" = 6`)
	spec.Attempt, spec.Attempts = 5, 3
	id := r.send(spec)
	job, code, log := r.ended(id)
	if code != 0 || len(job.Attempts) != 2 {
		t.Fatalf("exit code %d after %d attempts: %s", code, len(job.Attempts), log)
	}
	r.assertResult(spec, 0, 6, id, "6\n")
	if got, err := os.ReadFile(spec.TaskDir(0) + "/5/out.txt"); string(got) != "5\n" {
		t.Errorf("the first attempt has left %q, %v", got, err)
	}
}

// TerminateJob gets through to the command, which may clean up, and to all it has started.
func TestAgentTerminated(t *testing.T) {
	r := newAgentRig(t)
	marks := t.TempDir()
	spec := r.spec("terminated", `(trap '' TERM; exec sleep 600) & echo $! > `+marks+`/sleeper; trap 'echo cleaned; exit 5' TERM; touch `+marks+`/on; while :; do sleep 0.01; done`)
	id := r.send(spec)
	r.await(r.client, id, types.JobStatusRunning)
	awaitFile(t, marks+"/on")
	if _, err := r.client.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	job, code, log := r.ended(id)
	if code != 5 || !strings.HasSuffix(log, "cleaned\n") || aws.ToString(job.StatusReason) != "enough" {
		t.Errorf("exit code %d, %q, it says %q", code, aws.ToString(job.StatusReason), log)
	}
	pid, err := os.ReadFile(marks + "/sleeper")
	if err != nil {
		t.Fatal(err)
	}
	if line, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline"); err == nil && bytes.Contains(line, []byte("sleep")) {
		t.Error("what the command had started still runs")
	}
}

// The container has no work_dir, or another one.
func TestAgentWithoutWorkDir(t *testing.T) {
	work := t.TempDir()
	for path, want := range map[string]string{
		"/nowhere/run/.jobs/j.job":   "flow: StageInError: work_dir /nowhere is not there in this container: mount a shared file system at that path (container { volume ... })\n",
		work + "/run/.jobs/j.job":    "flow: StageInError: work_dir " + work + " has no run in this container: what is mounted there is not where flow keeps the run\n",
		os.DevNull + "/run/.jobs/j":  "flow: StageInError: " + os.DevNull + "/run/.jobs/j: not a directory\n",
		filepath.Join(work, "given"): "flow: StageInError: " + work + "/given is no job file of flow\n",
	} {
		write(t, filepath.Join(work, "given"), "#!/bin/sh\n")
		cmd := exec.Command("flow", "agent", "run", "--", path)
		cmd.Env = append(os.Environ(), "AWS_BATCH_JOB_ID=j")
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != agent.ExitStageIn || string(out) != want {
			t.Errorf("%s: exit code %d, %s want %s", path, code, out, want)
		}
	}
}

// However many signals come, it is for the command to end.
func TestAgentSignals(t *testing.T) {
	work := t.TempDir()
	spec := &engine.JobSpec{
		Run: "run", Step: "step", WorkDir: work, Tasks: engine.Upto(1),
		Task: &engine.TaskSpec{Shell: []string{"sh", "-c"}, Script: `n=0; trap 'n=$((n+1)); touch ../$n.term' TERM; touch ../0.term; while test $n -lt 3; do sleep 0.01; done; exit 9`},
	}
	path := agent.JobPath(work, spec.Run, "job")
	if err := agent.WriteJob(path, spec); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("flow", "agent", "run", "--", path)
	cmd.Env = append(os.Environ(), "AWS_BATCH_JOB_ID=j")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		awaitFile(t, fmt.Sprint(spec.TaskDir(0), "/", n, ".term"))
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("it ends with %v", cmd.ProcessState)
	}
}

// awaitFile waits until there is a file.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-poll.C {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s is not there after a minute", path)
}
