package endpoint

import (
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// When a job is forgotten, the logs of all its attempts go.
func TestLogsOfForgottenJobs(t *testing.T) {
	var mu sync.Mutex
	var removed []string
	w := newEmulator(t, func(o *Options) {
		o.RemoveLog = func(group, stream string) {
			mu.Lock()
			defer mu.Unlock()
			removed = append(removed, group+" "+stream)
		}
	})
	w.stage.always(exits(1))
	id := w.submit(array(2), func(in *batch.SubmitJobInput) { in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(2))} })
	w.untilEnded(id)
	var want []string
	for _, child := range []string{":0", ":1"} {
		for _, a := range w.describe(id + child).Attempts {
			want = append(want, defaultLogGroup+" "+*a.Container.LogStreamName)
		}
	}
	w.admin("forget", "job="+id)
	w.close()
	slices.Sort(want)
	slices.Sort(removed)
	if !slices.Equal(removed, want) || len(want) != 4 {
		t.Errorf("removed %q, want %q", removed, want)
	}
}
