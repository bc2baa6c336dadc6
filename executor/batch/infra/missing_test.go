package infra

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// What steps use and flow is to make is looked for, and nothing else.
func TestMissing(t *testing.T) {
	t.Parallel()
	block := func(name string, line int) engine.Block {
		return engine.Block{Name: name, Pos: engine.Pos{File: "w.hcl", Line: line}}
	}
	in := &engine.Infra{
		Queues: []*engine.JobQueue{
			{Block: block("q", 1)}, {Block: block("idle", 2)}, {Block: engine.Block{Name: "theirs", Existing: true}},
		},
		Definitions: []*engine.JobDefinition{{Block: block("d", 3)}, {Block: block("unused", 4)}, {Block: engine.Block{Name: "known", Existing: true}}},
	}
	absent := []Absence{{KindQueue, "q", engine.Pos{File: "w.hcl", Line: 1}}, {KindDefinition, "d", engine.Pos{File: "w.hcl", Line: 3}}}
	w := newWorld(t, "")
	for name, test := range map[string]struct {
		in    *engine.Infra
		used  Used
		want  []Absence
		calls int
	}{
		"all":           {in, Used{[]string{"q", "theirs"}, []string{"d", "known"}}, absent, 2},
		"a revision":    {in, Used{nil, []string{"d:3"}}, absent[1:], 1},
		"ARNs":          {in, Used{[]string{"arn:aws:batch:us-east-1:1:job-queue/q"}, []string{"arn:aws:batch:us-east-1:1:job-definition/d:3"}}, absent, 2},
		"others' names": {in, Used{[]string{"theirs", "else"}, []string{"known"}}, nil, 0},
		"no blocks":     {nil, Used{[]string{"q"}, []string{"d"}}, nil, 0},
	} {
		calls := 0
		api := w.batchClient(counting(&calls), aws.NopRetryer{})
		got, err := Missing(t.Context(), api, test.in, test.used)
		w.must(err)
		if diff := cmp.Diff(test.want, got); diff != "" || calls != test.calls {
			t.Errorf("%s: %d calls, want %d; (-want +got):\n%s", name, calls, test.calls, diff)
		}
	}
	w.apply("wf", everyKind(false))
	got, err := Missing(t.Context(), w.batch, everyKind(false), Used{[]string{"first"}, []string{"align"}})
	if err != nil || len(got) > 0 {
		t.Errorf("of what is there: %v, %v", got, err)
	}
	first := aws.String("first") // is on its way out, and takes no jobs
	_, err = w.batch.UpdateJobQueue(t.Context(), &batch.UpdateJobQueueInput{JobQueue: first, State: types.JQStateDisabled})
	w.must(err)
	w.must(w.sleep(t.Context(), settling))
	_, err = w.batch.DeleteJobQueue(t.Context(), &batch.DeleteJobQueueInput{JobQueue: first})
	w.must(err)
	if got, err = Missing(t.Context(), w.batch, everyKind(false), Used{Queues: []string{"first"}}); err != nil || len(got) != 1 {
		t.Errorf("of what is being deleted: %v, %v", got, err)
	}
}

// Who may not look is told so.
func TestMissingUnknown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := newWorld(t, "")
	w.url = server.URL
	in := &engine.Infra{Queues: []*engine.JobQueue{{Block: engine.Block{Name: "q"}}}}
	if got, err := Missing(t.Context(), w.batchClient(http.DefaultTransport, aws.NopRetryer{}), in, Used{Queues: []string{"q"}}); err == nil {
		t.Errorf("no error, and %v", got)
	}
}

// counting counts the requests that go through it.
func counting(n *int) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		*n++
		return http.DefaultTransport.RoundTrip(r)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
