package batch

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"flow/engine"
	"flow/executor/executortest"
	"flow/executor/executortest/fetched"
	"flow/executor/local"
	"flow/executor/local/cloudwatch"
	"flow/executor/local/endpoint"
	"flow/executor/local/logstore"
)

// The contract holds over the endpoint of flow emulate, with processes. Its clock is
// thirty times as fast as ours: a time-out has at least 60 s.
func TestContract(t *testing.T) {
	begin := time.Now()
	fast := func() time.Time { return begin.Add(30 * time.Since(begin)) }
	executortest.Run(t, func(t *testing.T) engine.Executor { return newEmulated(t, endpoint.Options{Now: fast}).x },
		func(spec *engine.JobSpec) { spec.Queue, spec.Task.Image = "q", "busybox" })
}

// An emulated is an executor with an emulator behind it, in this very process.
type emulated struct {
	x      *Executor
	server *endpoint.Server
	url    string
}

// newEmulated starts an emulator that runs processes, with a queue "q".
func newEmulated(t testing.TB, o endpoint.Options) *emulated {
	t.Helper()
	isolate(t)
	store, err := logstore.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if o.Runner == nil {
		if o.Runner, err = local.NewRunner(local.RunnerOptions{Logs: store, Scratch: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
	}
	o.Logs = cloudwatch.New(store, "us-east-1", "123456789012")
	e := &emulated{}
	if e.server, err = endpoint.New(o); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(e.server)
	e.url = fetched.Judged(t, front.URL)
	t.Cleanup(func() {
		front.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what runs is killed
		if err := e.server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := e.server.MakeQueues(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	if e.x, err = Open(t.Context(), Options{Endpoint: e.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.x.Close() })
	return e
}

// isolate lets nothing of the machine's configuration of AWS into a test.
func isolate(t testing.TB) {
	t.Helper()
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"XDG_CACHE_HOME": t.TempDir(), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
}
