package batch

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/local/endpoint"
)

// A registry answers as Batch does about job definitions, and takes every job.
type registry struct {
	mu   sync.Mutex
	list []map[string]any
	gone int // so many submissions are told that their definition is not there
	jobs int
}

func (r *registry) answer(w http.ResponseWriter, operation string, body map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch operation {
	case "describejobdefinitions":
		var found []any
		for _, d := range r.list {
			if d["jobDefinitionName"] == body["jobDefinitionName"] && d["status"] == body["status"] {
				found = append(found, d)
			}
		}
		// In pages of one.
		at := 0
		_, _ = fmt.Sscan(fmt.Sprint(body["nextToken"]), &at)
		page := map[string]any{"jobDefinitions": found[min(at, len(found)):min(at+1, len(found))]}
		if at+1 < len(found) {
			page["nextToken"] = fmt.Sprint(at + 1)
		}
		give(w, page)
	case "registerjobdefinition":
		body["revision"] = len(r.list) + 1
		body["jobDefinitionArn"] = fmt.Sprintf("arn:aws:batch:us-east-1:1:job-definition/%s:%d", body["jobDefinitionName"], len(r.list)+1)
		body["status"] = "ACTIVE"
		r.list = append(r.list, body)
		give(w, map[string]any{"jobDefinitionName": body["jobDefinitionName"], "jobDefinitionArn": body["jobDefinitionArn"], "revision": body["revision"]})
	default:
		if r.gone > 0 {
			r.gone--
			says(w, 400, "ClientException", fmt.Sprintf("JobDefinition name %s does not exist or is not in ACTIVE status", body["jobDefinition"]))
			return
		}
		r.jobs++
		give(w, map[string]any{"jobId": fmt.Sprint(r.jobs), "jobName": body["jobName"]})
	}
}

func count3(calls []string) (describe, register, submit int) {
	for _, c := range calls {
		switch c {
		case "describejobdefinitions":
			describe++
		case "registerjobdefinition":
			register++
		case "submitjob":
			submit++
		}
	}
	return describe, register, submit
}

func (f *fakeAWS) check(t *testing.T, what string, describe, register, submit int) {
	t.Helper()
	d, r, s := count3(f.called())
	if d != describe || r != register || s != submit {
		t.Errorf("%s: %d DescribeJobDefinitions, %d RegisterJobDefinition, %d SubmitJob, want %d, %d, %d", what, d, r, s, describe, register, submit)
	}
}

// One definition for each content, in one run and in all.
func TestDefinitionsAreFoundAgain(t *testing.T) {
	r := &registry{}
	f, x := newFake(t, r.answer)
	for i := range 3 {
		spec := arraySpec(engine.Upto(2))
		spec.VCPUs, spec.Attempts = float64(i+1), i+1 // which is not in the definition
		spec.Task.Env = map[string]string{"N": fmt.Sprint(i)}
		if _, err := x.Submit(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	f.check(t, "three jobs", 1, 1, 3)

	next, err := Open(t.Context(), Options{Endpoint: f.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Submit(t.Context(), arraySpec(engine.Upto(2))); err != nil {
		t.Fatal(err)
	}
	f.check(t, "another run", 2, 1, 4)

	// A revision by the same name that somebody else has made is never used, nor is one
	// whose tag lies.
	mine := r.list[0]
	other := map[string]any{}
	for k, v := range mine {
		other[k] = v
	}
	other["jobDefinitionArn"], other["revision"], other["tags"] = "another's", 7, map[string]any{tagContent: strings.Repeat("0", 64)}
	liar := map[string]any{}
	for k, v := range mine {
		liar[k] = v
	}
	liar["jobDefinitionArn"], liar["revision"], liar["containerProperties"] = "a liar's", 9, map[string]any{"image": "another"}
	r.list = []map[string]any{other, liar, mine}
	third, err := Open(t.Context(), Options{Endpoint: f.url})
	if err != nil {
		t.Fatal(err)
	}
	_, def, err := Request(arraySpec(engine.Upto(2)), RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if arn, err := third.arn(t.Context(), def); err != nil || arn != mine["jobDefinitionArn"] {
		t.Errorf("the definition found is %s, %v, want %s", arn, err, mine["jobDefinitionArn"])
	}
}

// A definition that somebody has deregistered is made again.
func TestDefinitionGone(t *testing.T) {
	r := &registry{}
	f, x := newFake(t, r.answer)
	spec := arraySpec(engine.Upto(2))
	if _, err := x.Submit(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	r.list[0]["status"], r.gone = "INACTIVE", 1
	if _, err := x.Submit(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	f.check(t, "deregistered in between", 2, 2, 3)
	r.gone = 2
	if _, err := x.Submit(t.Context(), spec); outcome(err) != wantLater {
		t.Errorf("of one that does not appear: %s: %v", outcome(err), err)
	}
}

// When a step before SubmitJob fails, no job was submitted, whatever became of the step.
func TestFailureBeforeSubmitting(t *testing.T) {
	for _, broken := range []string{"describejobdefinitions", "registerjobdefinition"} {
		r := &registry{}
		f, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
			if operation == broken {
				drop(w)
				return
			}
			r.answer(w, operation, body)
		})
		if _, err := x.Submit(t.Context(), arraySpec(engine.Upto(2))); outcome(err) != wantLater {
			t.Errorf("%s is lost: %s: %v", broken, outcome(err), err)
		}
		_, register, submit := count3(f.called())
		if submit != 0 || register > 1 {
			t.Errorf("%s is lost: %v", broken, f.called())
		}
	}
	_, x := newFake(t, func(w http.ResponseWriter, operation string, _ map[string]any) {
		says(w, 403, "AccessDeniedException", "User: arn:aws:iam::1:user/u is not authorized to perform: batch:DescribeJobDefinitions")
	})
	if _, err := x.Submit(t.Context(), arraySpec(engine.Upto(2))); outcome(err) != wantRefused || !strings.Contains(err.Error(), "batch:DescribeJobDefinitions") {
		t.Errorf("%s: %v", outcome(err), err)
	}
}

func TestSubmitAll(t *testing.T) {
	var mu sync.Mutex
	flying, most := 0, 0
	full := make(chan struct{})
	_, x := newFake(t, func(w http.ResponseWriter, _ string, body map[string]any) {
		mu.Lock()
		flying++
		if most = max(most, flying); most == maxInFlight {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full
		mu.Lock()
		flying--
		mu.Unlock()
		if body["jobName"] == "job-7" {
			says(w, 400, "ClientException", "no")
			return
		}
		give(w, map[string]any{"jobId": "id of " + fmt.Sprint(body["jobName"])})
	})
	var specs []*engine.JobSpec
	for i := range 40 {
		specs = append(specs, ownJob(fmt.Sprint("job-", i)))
	}
	for i, s := range x.SubmitAll(t.Context(), specs) {
		switch want := engine.JobID("id of " + specs[i].Name); {
		case i == 7 && outcome(s.Err) != wantRefused:
			t.Errorf("job 7 is %s: %v", outcome(s.Err), s.Err)
		case i != 7 && (s.ID != want || s.Err != nil):
			t.Errorf("job %d is %q, %v, want %q", i, s.ID, s.Err, want)
		}
	}
	if most != maxInFlight {
		t.Errorf("%d were under way at once, want %d", most, maxInFlight)
	}
	if got := x.SubmitAll(t.Context(), nil); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// When there are too many calls, those behind are not tried.
func TestSubmitAllThrottled(t *testing.T) {
	f, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
		says(w, 429, "TooManyRequestsException", "Too Many Requests")
	})
	var specs []*engine.JobSpec
	for i := range 500 {
		specs = append(specs, ownJob(fmt.Sprint("job-", i)))
	}
	for i, s := range x.SubmitAll(t.Context(), specs) {
		if outcome(s.Err) != wantLater {
			t.Errorf("job %d is %s: %v", i, outcome(s.Err), s.Err)
		}
	}
	if n := len(f.called()); n > 2*maxInFlight*maxThrottled {
		t.Errorf("%d calls, want about %d", n, maxInFlight*maxThrottled)
	}
}

// agentSpec is a job that flow's agent runs.
func agentSpec(work string) *engine.JobSpec {
	spec := arraySpec(engine.Upto(2))
	spec.WorkDir = work
	spec.Task.Outputs = []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out.txt"}}
	return spec
}

// The job file is there, and whole, before the job is submitted.
func TestJobFileComesFirst(t *testing.T) {
	work := t.TempDir()
	spec := agentSpec(work)
	r := &registry{}
	there := false
	_, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "submitjob" {
			_, err := os.Stat(jobFile(spec))
			there = err == nil
		}
		r.answer(w, operation, body)
	})
	if _, err := x.Submit(t.Context(), spec); err != nil || !there {
		t.Errorf("Submit: %v; the job file was there: %v", err, there)
	}
	if want := agent.JobPath(work, spec.Run, spec.Name); jobFile(spec) != want {
		t.Errorf("the job file is %s, want %s", jobFile(spec), want)
	}
	fargate := agentSpec(work)
	fargate.Name, fargate.Task.Container = "fargate", &engine.Container{Platform: "FARGATE", ExecutionRole: "er"}
	fargate.Resources = engine.Resources{VCPUs: 2, MemoryMiB: 4096}
	want := filepath.Join(work, "want")
	if _, err := x.Submit(t.Context(), fargate); err != nil {
		t.Fatal(err)
	}
	if err := agent.WriteJob(want, jobFileSpec(fargate)); err != nil {
		t.Fatal(err)
	}
	if got := jobFileSpec(fargate).MemoryMiB; got != 4096-agentResources(fargate.Task).MemoryMiB {
		t.Errorf("its container has %d MiB", got)
	}
	a, errA := os.ReadFile(jobFile(fargate))
	b, errB := os.ReadFile(want)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("on Fargate the job file does not say what its container has: %v, %v", errA, errB)
	}
	file := filepath.Join(work, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Submit(t.Context(), agentSpec(file)); outcome(err) != wantRefused || !strings.Contains(err.Error(), file) {
		t.Errorf("with a file for a work_dir: %s: %v", outcome(err), err)
	}
	if r.jobs != 2 {
		t.Errorf("%d jobs were submitted, want 2", r.jobs)
	}
}

// Of several revisions with a job's content it runs by the newest, in whatever order they come.
func TestNewestDefinition(t *testing.T) {
	r := &registry{}
	used := ""
	f, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "submitjob" {
			used = fmt.Sprint(body["jobDefinition"])
		}
		r.answer(w, operation, body)
	})
	if _, err := x.Submit(t.Context(), arraySpec(engine.Upto(2))); err != nil {
		t.Fatal(err)
	}
	newer := maps.Clone(r.list[0])
	newer["revision"], newer["jobDefinitionArn"] = 7, "arn:newer"
	r.list = append([]map[string]any{newer}, r.list...)
	next, err := Open(t.Context(), Options{Endpoint: f.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Submit(t.Context(), arraySpec(engine.Upto(2))); err != nil || used != "arn:newer" {
		t.Errorf("it runs by %s: %v", used, err)
	}
}

// A list of definitions that begins anew for ever has an end.
func TestDefinitionsGivenTwice(t *testing.T) {
	r := &registry{}
	f, x := newFake(t, func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "describejobdefinitions" {
			give(w, map[string]any{"jobDefinitions": []any{}, "nextToken": "again"})
			return
		}
		r.answer(w, operation, body)
	})
	if _, err := x.Submit(t.Context(), arraySpec(engine.Upto(2))); err != nil {
		t.Fatal(err)
	}
	f.check(t, "a list that begins anew", 2, 1, 1)
}

// Jobs of flow run on the emulator with all that the prelude says.
func TestArrayOnEmulator(t *testing.T) {
	e := newEmulated(t, endpoint.Options{})
	spec := arraySpec(engine.RangesOf(3, 5, 6, 9))
	spec.Name, spec.Attempt = "flow-01jrun-step-1-abcdef", 2
	spec.Task.Command = []string{"sh", "-c", `echo "$FLOW_INDEX|$FLOW_KEY|$FLOW_ATTEMPT|$FLOW_STEP|$V|$MINE"`}
	spec.Task.Env = map[string]string{"MINE": "a  b"}
	spec.VCPUs = 1
	spec.Keys = []string{"three", "$(five)", "six \"6\"", "nine's"}
	for _, k := range spec.Keys {
		spec.Items = append(spec.Items, &engine.Item{Env: map[string]string{"V": k + " *"}})
	}
	id, err := e.x.Submit(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 4 {
		for l, err := range e.x.Logs(t.Context(), id.Child(i), engine.LogOptions{Follow: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l.Text)
		}
	}
	want := []string{"3|three|2|step|three *|a  b", "5|$(five)|2|step|$(five) *|a  b", `6|six "6"|2|step|six "6" *|a  b`, "9|nine's|2|step|nine's *|a  b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the children say (-want +got):\n%s", diff)
	}
}
