package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-cmp/cmp"
)

// A queue that was made takes jobs at once, and is made once only.
func TestMakeQueues(t *testing.T) {
	w := newEmptyEmulator(t)
	for range 2 {
		if err := w.server.MakeQueues(t.Context(), "one", "two"); err != nil {
			t.Fatal(err)
		}
	}
	out, err := w.DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{})
	w.must(err)
	var names []string
	for _, q := range out.JobQueues {
		names = append(names, *q.JobQueueName)
	}
	if diff := cmp.Diff([]string{"one", "two"}, names); diff != "" {
		t.Error(diff)
	}
	w.define("job", container("busybox", "true"))
	_, err = w.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("two"), JobDefinition: aws.String("job")})
	w.must(err)
	if err := w.server.MakeQueues(t.Context(), "no name"); err == nil {
		t.Error("a name with a blank was taken")
	}
}

// An environment that takes its time is waited for, as long as somebody wants it.
func TestMakeQueuesSlowly(t *testing.T) {
	t.Parallel()
	w := newEmptyEmulator(t, func(o *Options) { o.Settle = 2 * patience })
	if err := w.server.MakeQueues(t.Context(), "q"); err != nil {
		t.Error(err)
	}
	slow := newEmptyEmulator(t, func(o *Options) { o.Settle = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := slow.server.MakeQueues(ctx, "q"); !errors.Is(err, context.Canceled) {
		t.Errorf("an environment that takes an hour: %v", err)
	}
}

// The server counts what it is asked, and what became of it.
func TestCalls(t *testing.T) {
	w := newEmulator(t)
	submit := func(definition string) {
		_, _ = w.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("q"), JobDefinition: &definition})
	}
	submit("job")
	submit("none")
	w.server.gremlin.set(Chaos{LostReply: 1})
	submit("job")
	w.server.gremlin.set(Chaos{Throttle: 1e-9})
	submit("job")
	submit("job")
	calls := w.calls()
	got := calls["SubmitJob"]
	if got.Calls != 5 || got.Failed != 1 || got.Lost != 1 || got.Throttled == 0 {
		t.Errorf("SubmitJob: %+v", got)
	}
	if got := calls["RegisterJobDefinition"]; got != (callCount{Calls: 1}) {
		t.Errorf("RegisterJobDefinition: %+v, want one call", got)
	}
	for name := range w.calls() {
		if _, ok := operations[name]; !ok {
			t.Errorf("%s is counted, which is no operation", name)
		}
	}
}

func (w *emulator) calls() map[string]callCount {
	w.Helper()
	answer, err := http.Get(w.url + "/_flow/calls")
	w.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	w.must(err)
	var out struct{ Calls map[string]callCount }
	w.must(json.Unmarshal(body, &out))
	return out.Calls
}
