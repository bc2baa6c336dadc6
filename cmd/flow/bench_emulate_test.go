package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/whole"
)

// BenchmarkEmulateArray runs an array of 10,000 children that do nothing on flow emulate,
// and the same tasks by flow run, in turn.
func BenchmarkEmulateArray(b *testing.B) {
	const tasks, rounds = 10_000, 5
	flow := buildBinary(b)
	dir := b.TempDir()
	write(b, filepath.Join(dir, "noop.hcl"), fmt.Sprintf("step \"noop\" {\n  for_each = range(%d)\n  command  = [\"true\"]\n}\n", tasks))
	client := emulator(b, flow, "--state", filepath.Join(dir, "emulator"))
	times := map[string][]float64{}
	for b.Loop() {
		for round := range rounds {
			state := filepath.Join(dir, fmt.Sprint("state", round))
			cmd := exec.Command(flow, "run", "noop.hcl", "--no-cache", "-q", "--state", filepath.Join(state, "flow.db"), "--work-dir", filepath.Join(state, "work"))
			timed(b, times, "run", dir, cmd)
			start := time.Now()
			id := submit(b, client, &types.ArrayProperties{Size: aws.Int32(tasks)})
			awaitSuccess(b, client, id)
			times["emulate"] = append(times["emulate"], time.Since(start).Seconds())
		}
	}
	median := func(name string) float64 {
		t := slices.Sorted(slices.Values(times[name]))
		return t[len(t)/2]
	}
	b.ReportMetric(median("run"), "run-s")
	b.ReportMetric(median("emulate"), "emulate-s")
	b.ReportMetric(median("emulate")/median("run"), "emulate/run")
}

// BenchmarkEmulateSubmit submits jobs from one client, one after the other and 8 at a time.
func BenchmarkEmulateSubmit(b *testing.B) {
	flow := buildBinary(b)
	for _, inFlight := range []int{1, 8} {
		b.Run(fmt.Sprint(inFlight, " in flight"), func(b *testing.B) {
			const calls = 10_000
			client := emulator(b, flow, "--runner", "instant", "--state", b.TempDir())
			var took time.Duration
			for b.Loop() {
				start := time.Now()
				var next atomic.Int64
				var all sync.WaitGroup
				for range inFlight {
					all.Go(func() {
						for next.Add(1) <= calls {
							submit(b, client, nil)
						}
					})
				}
				all.Wait()
				took += time.Since(start)
			}
			b.ReportMetric(float64(calls*b.N)/took.Seconds(), "submits/s")
		})
	}
}

// BenchmarkEmulateAgent runs an array of tasks that do nothing as plain jobs, and with
// flow's agent around them: an output to check, hash and record.
func BenchmarkEmulateAgent(b *testing.B) {
	const tasks = 500
	flow := buildBinary(b)
	client := emulator(b, flow)
	work := b.TempDir()
	for _, def := range []string{"noop", "agent"} {
		b.Run(def, func(b *testing.B) {
			var took time.Duration
			for n := 0; b.Loop(); n++ {
				spec := &engine.JobSpec{
					Name: "agent", Run: engine.RunID(fmt.Sprint("run", b.N, "-", n)), Step: "step", FanOut: true, WorkDir: work,
					Tasks: engine.Upto(tasks), ArraySize: tasks,
					Task: &engine.TaskSpec{
						Command: []string{"touch", "out"}, Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out"}},
					},
				}
				path := agent.JobPath(work, spec.Run, spec.Name)
				if err := agent.WriteJob(path, spec); err != nil {
					b.Fatal(err)
				}
				if _, err := client.RegisterJobDefinition(b.Context(), agentDefinition("agent", path)); err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				awaitSuccess(b, client, submitTo(b, client, def, &types.ArrayProperties{Size: aws.Int32(tasks)}))
				took += time.Since(start)
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N*tasks)/1000, "ms/task")
		})
	}
}

// emulator starts flow emulate with a queue "q" and a definition "noop", and returns a
// client of it.
func emulator(b *testing.B, flow string, args ...string) *batch.Client {
	b.Helper()
	cmd := exec.Command(flow, append([]string{"emulate", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("flow emulate said nothing: %v", err)
	}
	client := batch.New(batch.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(strings.TrimSpace(line[strings.Index(line, "http://"):])),
		Credentials: keys("any", "any"), HTTPClient: &http.Client{Transport: whole.Transport{}},
	})
	setUp(b, client)
	return client
}

func setUp(b *testing.B, client *batch.Client) {
	b.Helper()
	ctx := b.Context()
	_, err := client.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String("ce"), Type: types.CETypeManaged,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(1 << 20), InstanceTypes: []string{"optimal"},
			Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}, InstanceRole: aws.String("ecsInstanceRole"),
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	for {
		ces, err := client.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{})
		if err != nil {
			b.Fatal(err)
		}
		if ces.ComputeEnvironments[0].Status == types.CEStatusValid {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, err = client.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
		JobQueueName: aws.String("q"), Priority: aws.Int32(1), State: types.JQStateEnabled,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String("ce")}},
	})
	if err != nil {
		b.Fatal(err)
	}
	_, err = client.RegisterJobDefinition(ctx, &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("noop"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), Command: []string{"true"},
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")},
			},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
}

func submit(b *testing.B, client *batch.Client, array *types.ArrayProperties) string {
	return submitTo(b, client, "noop", array)
}

func submitTo(b *testing.B, client *batch.Client, definition string, array *types.ArrayProperties) string {
	out, err := client.SubmitJob(b.Context(), &batch.SubmitJobInput{
		JobName: aws.String("noop"), JobQueue: aws.String("q"), JobDefinition: &definition, ArrayProperties: array,
	})
	if err != nil {
		b.Error(err)
		return ""
	}
	return *out.JobId
}

func awaitSuccess(b *testing.B, client *batch.Client, id string) {
	b.Helper()
	for {
		out, err := client.DescribeJobs(b.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			b.Fatal(err)
		}
		switch out.Jobs[0].Status {
		case types.JobStatusSucceeded:
			return
		case types.JobStatusFailed:
			b.Fatalf("the array failed: %v", out.Jobs[0].ArrayProperties.StatusSummary)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
