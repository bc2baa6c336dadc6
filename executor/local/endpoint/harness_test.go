package endpoint

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"

	"flow/engine"
	"flow/executor/local"
	"flow/executor/whole"
)

// A stage is a Runner whose tries end when the test says so.
type stage struct {
	mu   sync.Mutex
	cond sync.Cond
	on   map[engine.JobID]*act
	auto *local.Exit // how every try ends at once; nil: when it is told to
}

type act struct {
	try    *local.Try
	exit   *local.Exit
	killed bool
}

func newStage() *stage {
	s := &stage{on: map[engine.JobID]*act{}}
	s.cond.L = &s.mu
	return s
}

func (s *stage) Run(t *local.Try, started func()) local.Exit {
	started()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auto != nil {
		return *s.auto
	}
	a := &act{try: t}
	s.on[t.Job] = a
	s.cond.Broadcast()
	for a.exit == nil && !a.killed {
		s.cond.Wait()
	}
	delete(s.on, t.Job)
	s.cond.Broadcast()
	if a.killed {
		return exits(143)
	}
	return *a.exit
}

func (s *stage) Stop(id engine.JobID, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.on[id]; a != nil {
		a.killed = true
		s.cond.Broadcast()
	}
}

func (s *stage) Close() {}

// end ends the try of a job, once it runs.
func (s *stage) end(id string, e local.Exit) *local.Try {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.on[engine.JobID(id)] == nil {
		s.cond.Wait()
	}
	a := s.on[engine.JobID(id)]
	a.exit = &e
	s.cond.Broadcast()
	return a.try
}

// always lets every try end so.
func (s *stage) always(e local.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auto = &e
	for _, a := range s.on {
		if a.exit == nil {
			a.exit = &e
		}
	}
	s.cond.Broadcast()
}

func exits(code int) local.Exit {
	return local.Exit{ExitCode: &code, StatusReason: engine.ReasonExited}
}

// An emulator is one with a client of AWS's own.
type emulator struct {
	testing.TB
	*batch.Client
	stage  *stage
	server *Server
	url    string
	close  func()
}

// newWorld starts an emulator with an environment "ce", a queue "q" and a definition
// "job" of one container.
func newEmulator(t testing.TB, change ...func(*Options)) *emulator {
	t.Helper()
	w := newEmptyEmulator(t, change...)
	w.environment("ce", 8)
	w.queue("q", "ce")
	w.define("job", container("busybox", "sh", "-c", "true"))
	return w
}

func newEmptyEmulator(t testing.TB, change ...func(*Options)) *emulator {
	t.Helper()
	w := &emulator{TB: t, stage: newStage()}
	o := Options{Runner: w.stage}
	for _, c := range change {
		c(&o)
	}
	var err error
	if w.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(w.server)
	w.url = front.URL
	w.close = sync.OnceFunc(func() {
		front.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what runs is killed
		if err := w.server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.close)
	w.Client = batch.New(batch.Options{
		Region: "us-east-1", BaseEndpoint: &w.url, HTTPClient: &http.Client{Transport: whole.Transport{}}, Retryer: retry.AddWithMaxAttempts(retry.NewStandard(), 1),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
	return w
}

func (w *emulator) environment(name string, vcpus int32) {
	w.Helper()
	_, err := w.CreateComputeEnvironment(w.Context(), &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: &name, Type: types.CETypeManaged,
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeEc2, MinvCpus: new(int32(0)), MaxvCpus: &vcpus, InstanceTypes: []string{"optimal"},
			Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}, InstanceRole: new("ecsInstanceRole"),
		},
	})
	w.must(err)
}

func (w *emulator) queue(name, environment string) {
	w.Helper()
	_, err := w.CreateJobQueue(w.Context(), &batch.CreateJobQueueInput{
		JobQueueName: &name, Priority: new(int32(1)),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: new(int32(1)), ComputeEnvironment: &environment}},
	})
	w.must(err)
}

func container(image string, command ...string) *types.ContainerProperties {
	return &types.ContainerProperties{Image: &image, Command: command, ResourceRequirements: []types.ResourceRequirement{
		{Type: types.ResourceTypeVcpu, Value: new("1")}, {Type: types.ResourceTypeMemory, Value: new("128")},
	}}
}

func (w *emulator) define(name string, c *types.ContainerProperties) {
	w.Helper()
	_, err := w.RegisterJobDefinition(w.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer, ContainerProperties: c,
	})
	w.must(err)
}

// submit submits a job "job" to queue "q", changed as wanted, and returns its id.
func (w *emulator) submit(change ...func(*batch.SubmitJobInput)) string {
	w.Helper()
	out, err := w.SubmitJob(w.Context(), jobInQueue(change...))
	w.must(err)
	return *out.JobId
}

func jobInQueue(change ...func(*batch.SubmitJobInput)) *batch.SubmitJobInput {
	in := &batch.SubmitJobInput{JobName: new("job"), JobQueue: new("q"), JobDefinition: new("job")}
	for _, c := range change {
		c(in)
	}
	return in
}

func (w *emulator) describe(id string) types.JobDetail {
	w.Helper()
	out, err := w.DescribeJobs(w.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
	w.must(err)
	if len(out.Jobs) != 1 {
		w.Fatalf("DescribeJobs(%s) has %d jobs", id, len(out.Jobs))
	}
	return out.Jobs[0]
}

// until waits for a job to be in a status.
func (w *emulator) until(id string, status types.JobStatus) types.JobDetail {
	w.Helper()
	deadline := time.After(time.Minute)
	for {
		j := w.describe(id)
		if j.Status == status {
			return j
		}
		if j.Status == types.JobStatusFailed || j.Status == types.JobStatusSucceeded {
			w.Fatalf("job %s is %s (%s), want %s", id, j.Status, value(j.StatusReason), status)
		}
		select {
		case <-w.server.batch.Changed():
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			w.Fatalf("job %s is %s, want %s", id, j.Status, status)
		}
	}
}

func (w *emulator) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refuses checks that an error is a ClientException with a text.
func (w *emulator) refuses(err error, want string) {
	w.Helper()
	var api smithy.APIError
	switch {
	case err == nil:
		w.Errorf("no error, want ClientException with %q", want)
	case !errors.As(err, &api) || api.ErrorCode() != "ClientException" || !strings.Contains(api.ErrorMessage(), want):
		w.Errorf("the error is %v, want ClientException with %q", err, want)
	}
}
