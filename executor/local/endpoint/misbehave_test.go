package endpoint

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"flow/engine"
)

func chaos(c Chaos) func(*Options) { return func(o *Options) { o.Chaos = c } }

func TestThrottle(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := newEmulator(t, chaos(Chaos{Throttle: 2}), func(o *Options) { o.Now = func() time.Time { return now } })
	w.submit()
	w.submit()
	_, err := w.SubmitJob(t.Context(), jobInQueue())
	var api smithy.APIError
	var http *smithyhttp.ResponseError
	if !errors.As(err, &api) || api.ErrorCode() != "TooManyRequestsException" || !errors.As(err, &http) || http.HTTPStatusCode() != 429 {
		t.Errorf("the third call in a moment: %v", err)
	}
	if _, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{"x"}}); err != nil {
		t.Errorf("other calls: %v", err)
	}
}

// A call whose answer is lost was carried out all the same.
func TestLostReply(t *testing.T) {
	w := newEmulator(t)
	w.server.gremlin.set(Chaos{LostReply: 1})
	_, err := w.SubmitJob(t.Context(), jobInQueue(withName("lost")))
	var api smithy.APIError
	if err == nil || errors.As(err, &api) {
		t.Fatalf("the answer is %v, want none", err)
	}
	list, err := w.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: new("q"), Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{"lost"}}}})
	w.must(err)
	if len(list.JobSummaryList) != 1 {
		t.Errorf("%d jobs of that name, want 1", len(list.JobSummaryList))
	}
}

func TestServerErrors(t *testing.T) {
	w := newEmulator(t, chaos(Chaos{Seed: 3}))
	w.server.gremlin.set(Chaos{ServerError: 1, Seed: 3})
	const calls = 40
	for range calls {
		_, err := w.SubmitJob(t.Context(), jobInQueue())
		var e *types.ServerException
		if !errors.As(err, &e) {
			t.Fatalf("the error is %v, want ServerException", err)
		}
	}
	w.server.gremlin.set(Chaos{})
	list, err := w.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: new("q"), Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{"job"}}}})
	w.must(err)
	if n := len(list.JobSummaryList); n < calls/4 || n > 3*calls/4 {
		t.Errorf("%d of %d calls were carried out, want about half", n, calls)
	}
}

func TestLags(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	w := newEmulator(t, func(o *Options) { o.Now = func() time.Time { return time.Unix(clock.Load(), 0) } })
	w.server.gremlin.set(Chaos{ListLag: 30 * time.Second, DescribeLag: 10 * time.Second})
	id := w.submit()
	count := func() (listed, described int) {
		l, err := w.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: new("q"), Filters: []types.KeyValuesPair{{Name: new("JOB_NAME"), Values: []string{"job"}}}})
		w.must(err)
		d, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		w.must(err)
		return len(l.JobSummaryList), len(d.Jobs)
	}
	for _, step := range []struct {
		after             time.Duration
		listed, described int
	}{{0, 0, 0}, {10 * time.Second, 0, 1}, {19 * time.Second, 0, 1}, {time.Second, 1, 1}} {
		clock.Add(int64(step.after.Seconds()))
		if l, d := count(); l != step.listed || d != step.described {
			t.Errorf("after %v it is listed %d times and described %d times, want %d and %d", step.after, l, d, step.listed, step.described)
		}
	}
}

// Ended jobs vanish though nothing else happens, for as long as the setting says that is in
// force, also after a restart with another one.
func TestPurgeAfter(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	journal := filepath.Join(t.TempDir(), "jobs")
	open := func(o *Options) { o.Journal, o.Now = journal, func() time.Time { return time.Unix(clock.Load(), 0) } }
	w := newEmulator(t, open, chaos(Chaos{PurgeAfter: time.Minute}))
	known := func(id string) bool {
		t.Helper()
		out, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		w.must(err)
		return len(out.Jobs) == 1
	}
	ended := func() string {
		id := w.submit()
		w.stage.end(id, exits(0))
		w.untilEnded(id)
		return id
	}
	first := ended()
	clock.Add(59)
	if !known(first) {
		t.Error("a job is gone too soon")
	}
	clock.Add(1)
	if known(first) {
		t.Error("a job is known for longer than the setting says")
	}
	w.admin("chaos", "purge-after=1h")
	second := ended()
	clock.Add(3599)
	if !known(second) {
		t.Error("a setting that was made longer is not heeded")
	}
	w.admin("chaos", "purge-after=10s")
	if known(second) {
		t.Error("a setting that was made shorter is not heeded")
	}
	third := ended()
	w.close()
	w = newEmptyEmulator(t, open)
	clock.Add(24 * 3600)
	if !known(third) || known(second) {
		t.Error("after a restart the setting of the process before holds, or did not hold then")
	}
	clock.Add(6 * 24 * 3600)
	if known(third) {
		t.Error("a job is known for more than seven days")
	}
}

// What waits for a host is there after a restart that forgets what it depended on.
func TestRestartForgetsMore(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"purge-after": chaos(Chaos{PurgeAfter: time.Second}),
		"keep-jobs":   func(o *Options) { o.KeepEnded = 1 },
	} {
		t.Run(name, func(t *testing.T) { restartForgetting(t, change) })
	}
}

func restartForgetting(t *testing.T, change func(*Options)) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	journal := filepath.Join(t.TempDir(), "jobs")
	open := func(o *Options) { o.Journal, o.Now = journal, func() time.Time { return time.Unix(clock.Load(), 0) } }
	w := newEmulator(t, open)
	first := w.submit()
	w.stage.end(first, exits(0))
	w.untilEnded(first)
	other := w.submit()
	w.stage.end(other, exits(0))
	w.untilEnded(other)
	clock.Add(60)
	w.admin("block", "queue=q&reason=CAPACITY%3AX")
	second := w.submit(after(first, ""))
	w.until(second, types.JobStatusRunnable)
	w.close()
	w = newEmptyEmulator(t, open, change)
	if j := w.describe(second); j.Status != types.JobStatusRunnable {
		t.Errorf("it is %s", j.Status)
	}
	out, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{first}})
	w.must(err)
	if len(out.Jobs) != 0 {
		t.Error("the first job is known for longer than the setting says")
	}
}

func TestSpot(t *testing.T) {
	w := newEmulator(t)
	w.server.gremlin.set(Chaos{Spot: 1})
	id := w.submit(func(in *batch.SubmitJobInput) { in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(2))} })
	j := w.untilEnded(id)
	if j.Status != types.JobStatusFailed || len(j.Attempts) != 2 || !strings.HasPrefix(value(j.StatusReason), engine.ReasonHostLost) || j.Container.ExitCode != nil {
		t.Errorf("a job that loses each host is %s", encode(&j))
	}
}

// admin sends a form to the admin API.
func (w *emulator) admin(what, body string) {
	w.Helper()
	r, err := http.Post(w.url+adminPath+what, "application/x-www-form-urlencoded", strings.NewReader(body))
	w.must(err)
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		w.Errorf("admin %s %s: %d", what, body, r.StatusCode)
	}
}

func TestAdmin(t *testing.T) {
	w := newEmulator(t)
	id := w.submit()
	w.until(id, types.JobStatusRunning)
	w.admin("lose", "job="+id)
	if j := w.untilEnded(id); !strings.HasPrefix(value(j.StatusReason), engine.ReasonHostLost) {
		t.Errorf("after its host is lost it is %s: %s", j.Status, value(j.StatusReason))
	}
	w.admin("forget", "job="+id)
	out, err := w.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
	w.must(err)
	if len(out.Jobs) != 0 {
		t.Error("a job that was forgotten is described")
	}

	const reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]"
	w.admin("block", url.Values{"queue": {"q"}, "reason": {reason}}.Encode())
	id = w.submit()
	if j := w.until(id, types.JobStatusRunnable); value(j.StatusReason) != reason {
		t.Errorf("the head of a blocked queue says %q", value(j.StatusReason))
	}
	snapshot, err := w.GetJobQueueSnapshot(t.Context(), &batch.GetJobQueueSnapshotInput{JobQueue: new("q")})
	w.must(err)
	if jobs := snapshot.FrontOfQueue.Jobs; len(jobs) != 1 || !strings.HasSuffix(*jobs[0].JobArn, id) {
		t.Errorf("the snapshot has %s", encode(snapshot))
	}
	w.admin("block", "queue=q")
	w.until(id, types.JobStatusRunning)

	w.admin("chaos", "spot=50%,seed=9")
	if got := w.server.gremlin.chaos.Load().String(); got != "spot=0.5,seed=9" {
		t.Errorf("settings are %q", got)
	}
	w.post(adminPath+"chaos", "nonsense=1", 400)
	w.admin("chaos", "off")
	if got := w.server.gremlin.chaos.Load().String(); got != "" {
		t.Errorf("settings are %q", got)
	}
}

// What is kept in a journal is there after a restart; what ran has lost its host.
func TestRestart(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "jobs")
	keep := func(o *Options) { o.Journal = journal }
	w := newEmulator(t, keep)
	ended := w.submit(withName("ended"), func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"a": "b"} })
	w.stage.end(ended, exits(3))
	before := w.untilEnded(ended)
	running := w.submit(withName("running"), func(in *batch.SubmitJobInput) { in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(2))} })
	w.until(running, types.JobStatusRunning)
	waiting := w.submit(withName("waiting"), after(running, ""), array(2))
	w.close()

	again := newEmptyEmulator(t, keep)
	if got, want := again.describe(ended), before; string(encode(&got)) != string(encode(&want)) {
		t.Errorf("an ended job is\n%s\nand was\n%s", encode(&got), encode(&want))
	}
	again.stage.end(running, exits(0))
	j := again.untilEnded(running)
	if j.Status != types.JobStatusSucceeded || len(j.Attempts) != 2 || !strings.HasPrefix(value(j.Attempts[0].StatusReason), engine.ReasonHostLost) {
		t.Errorf("what ran is %s", encode(&j))
	}
	again.stage.always(exits(0))
	if j := again.untilEnded(waiting); j.Status != types.JobStatusSucceeded {
		t.Errorf("what waited is %s: %s", j.Status, value(j.StatusReason))
	}
	defs, err := again.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{JobDefinitions: []string{"job:1"}})
	again.must(err)
	if len(defs.JobDefinitions) != 1 {
		t.Error("the job definition is gone")
	}
}
