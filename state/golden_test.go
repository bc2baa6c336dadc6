package state

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

var update = flag.Bool("update", false, "write testdata/events.jsonl anew: only to add kinds and fields, never to change what is there")

// A goldenRow is an event as some release of flow has stored it.
type goldenRow struct {
	Seq     int64  `json:"seq"`
	At      int64  `json:"at"`
	Kind    string `json:"kind"`
	Text    string `json:"text,omitempty"`    // a payload that is text
	Deflate string `json:"deflate,omitempty"` // one that is a blob, in base64
	CRC     int64  `json:"crc"`
}

// everyEvent has an event of each kind, and all fields of an event.
func everyEvent() []engine.Event {
	exit, script := 137, "echo $FLOW_KEY\n"
	resources := []engine.Resources{{VCPUs: 0.5, MemoryMiB: 2048, GPUs: 1, DiskGiB: 20}, {VCPUs: 2, MemoryMiB: 4096}}
	spec := &engine.TaskSpec{
		Command: []string{"bwa", "mem"}, Script: script, Shell: []string{"bash", "-euo", "pipefail", "-c"},
		Image: "public.ecr.aws/lab/tools:1", Queue: "spot", JobDefinition: "align:3", Parameters: map[string]string{"genome": "hg38"},
		Env: map[string]string{"A": "b <&> \u00e9"}, Secrets: map[string]string{"TOKEN": "env:TOKEN"},
		Inputs:    []engine.Input{{Name: "reads", List: true, Paths: []string{"/data/a b.fq"}, IDs: []string{"sha256:00"}}},
		Outputs:   []engine.Output{{Name: "bam", Kind: engine.OutputFile, Path: "a.bam", Optional: true, Publish: "/results/"}},
		Resources: resources, Timeout: 2 * time.Hour, Tags: map[string]string{"project": "hg38"}, Priority: 5,
		Retry: engine.Retry{Attempts: 3, Rules: []engine.RetryRule{{Class: "oom", ExitCode: "137", Reason: "Out*", StatusReason: "Host*", Exit: true,
			Delay: time.Minute, MemoryMiB: []int{1, 2}, VCPUs: []float64{1.5}, Queue: "big"}}},
		Container: &engine.Container{User: "nobody", JobRole: "r", ExecutionRole: "x", InitProcess: true, ReadOnly: true, Privileged: true,
			Ulimits:   []engine.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			Volumes:   []engine.Volume{{Name: "v", HostPath: "/h", EFS: "fs-1", Path: "/p", ReadOnly: true, EFSRoot: "/r", EFSAccess: "ap"}},
			LogDriver: "awslogs", LogOptions: map[string]string{"a": "b"}, Network: "none", Architecture: "ARM64", Platform: "EC2",
			SharedMemoryMiB: 64, EphemeralStorage: 30},
		NoCache: true, CacheVersion: "2",
	}
	key := cacheKey("golden", 1)
	events := []engine.Event{
		{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01kexample", Workflow: "genome", Version: "0.1", WorkDir: "s3://lab/flow", Executor: "local",
			Variables: map[string]string{"shards": "8"}, Limits: engine.Limits{MaxParallel: 4, NoCache: true}}},
		{Kind: engine.RunResumed, Reason: "process 7 on node1"},
		{Kind: engine.StepExpanded, Step: "align", Expanded: &engine.Expanded{
			Size: 3, Keys: []string{"chr1", "chr2", "x y"}, Groups: []*engine.TaskSpec{spec, {Command: []string{"true"}}}, Group: []int{0, 0, 1},
			Items: []*engine.Item{nil, {Command: []string{"c"}, Script: &script, Env: map[string]string{"K": "v"}, Inputs: []engine.Input{{Name: "i", Paths: []string{"/p"}}},
				Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFiles, Path: "*.fq"}}, Absent: "when"}, nil},
			Absent: engine.RangesOf(1), CacheKeys: append(append(make([]byte, 32), key[:]...), make([]byte, 32)...), Cached: engine.RangesOf(2),
			Hits: []engine.Hit{{Run: "01kolder", Step: "align", Task: "x y", Dir: "/work/01kolder/align/x%20y", Outputs: engine.Values{"n": json.RawMessage("3")}}},
		}},
		{Kind: engine.JobPlanned, Step: "align", Job: 1, Tasks: engine.RangesOf(0, 1), Plan: &engine.JobPlan{Queue: "spot", Name: "flow-01kexample-align-1-abcdef", Group: 1,
			DependsOn: []engine.PlannedDep{{Job: 1, Type: engine.DependNToN}}, Attempt: 1, Attempts: 2, Rule: 1}},
		{Kind: engine.JobAccepted, Job: 1, JobID: "00000000-1111"},
		{Kind: engine.JobRefused, Job: 2, Reason: "ClientException: no such queue"},
		{Kind: engine.JobInDoubt, Job: 3, Reason: "timeout"},
		{Kind: engine.JobEnded, Job: 1, Status: engine.Failed, Reason: engine.ReasonArrayChild},
		{Kind: engine.JobLost, Job: 3, Reason: "unknown to the executor"},
		{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.RangesOf(0, 1)},
		{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(0, 1), Outcome: engine.TaskRetrying, ExitCode: &exit, Attempts: []int{1, 2}, Infra: 1,
			Started: []int64{1, 2}, Stopped: []int64{3, 4}, Outputs: []engine.Values{{"n": json.RawMessage(`["a"]`)}, nil},
			After: epoch.Add(time.Hour), Rule: "oom", Reason: "OutOfMemoryError", Cause: `split["x"]`},
		{Kind: engine.TasksSkipped, Step: "align", Tasks: engine.RangesOf(2), Status: engine.Skipped, Reason: "when"},
		{Kind: engine.TasksReset, Step: "align", Tasks: engine.Upto(2)},
		{Kind: engine.StepReset, Step: "align", Reason: "resume --from align", NoCache: true},
		{Kind: engine.StepEnded, Step: "align", Status: engine.Cached},
		{Kind: engine.RunReopened, Reason: "resume --failed"},
		{Kind: engine.CancelRequested, Reason: "not needed", Cause: "user"},
		{Kind: engine.RunEnded, Status: engine.Cancelled, Reason: "not needed", Cause: "user",
			Results: []engine.Result{{Name: "bam", Value: json.RawMessage(`"/a"`), Sensitive: true, Files: []string{"/a"}, Publish: "/b"}}},
	}
	large := expanded("merge", 400, "large") // stored deflated
	large.Expanded.Keys = make([]string, 400)
	for i := range large.Expanded.Keys {
		large.Expanded.Keys[i] = strings.Repeat("k", i%9) + string(rune('a'+i%26))
	}
	times := make(engine.Times, 20)
	for i := range times {
		times[i] = epoch.UnixMilli() + int64(i*i*(7-i))
	}
	many := expanded("many", 20, "")
	many.Expanded.KeyBases, many.Expanded.CacheKeys = key[:], nil
	many.Expanded.HitRanges = []engine.HitRange{{Run: "01kolder", Step: "more", WorkDir: "/work", Tasks: engine.RangesOf(0, 1, 7)}}
	events = append(events, large,
		engine.Event{Kind: engine.TasksEnded, Step: "many", Job: 1, Tasks: engine.Upto(20), Outcome: engine.TaskSucceeded, Attempts: []int{1}, Started: times, Stopped: times},
		many,
		engine.Event{Kind: engine.JobPlanned, Step: "align", Job: 4, Tasks: engine.Upto(2), Plan: &engine.JobPlan{Name: "flow-01kexample-align-4-abcdef", Attempt: 2, Attempts: 10, Losses: true}},
		engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 4, Tasks: engine.RangesOf(0), Outcome: engine.TaskLost, Attempts: []int{11}, Reason: "lost: nobody can tell"},
		engine.Event{Kind: engine.JobLost, Job: 4, Attempts: []int{11}, Reason: "unknown to the executor"},
		engine.Event{Kind: engine.JobPlanned, Step: "align", Job: 5, Tasks: engine.Upto(2), Plan: &engine.JobPlan{Name: "flow-01kexample-align-5-abcdef", Attempt: 3, Attempts: 10,
			Rate: &engine.Rate{Hour: 96_000, Least: 60, Of: "m6i.large", Date: "2026-07-20"}}},
		engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 5, Tasks: engine.Upto(2), Outcome: engine.TaskRetrying, Attempts: []int{4}, Infra: 1, Reason: "Host EC2 (i-1) terminated.",
			Started: []int64{1, 2}, Stopped: []int64{3, 4}, TryLost: true, Before: &engine.Usage{Work: 1, Retried: 2, Lost: 3, Unknown: 4}},
		engine.Event{Kind: engine.RunPaused, Reason: "spent $1.02 of the budget of $1.00", Spent: 1_020_000},
		engine.Event{Kind: engine.RunResumed, Reason: "may cost $2.02", Allowance: 2_020_000},
		engine.Event{Kind: engine.StepExpanded, Step: "fold", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{
			{Command: []string{"fold"}, Consumables: []engine.Consumable{{Resource: "license", Quantity: 2}}}}}},
		engine.Event{Kind: engine.StepExpanded, Step: "spare", Expanded: &engine.Expanded{Size: 1, KeyName: "reserve", CacheKeys: key[:], Cached: engine.RangesOf(0),
			Groups: []*engine.TaskSpec{{Script: "echo $FLOW_STEP", Outputs: []engine.Output{{Name: "tmp", Kind: engine.OutputFile, Path: "t", Temporary: true}}}},
			Hits:   []engine.Hit{{Run: "01kolder", Step: "reserve", Dir: "/work/01kolder/reserve/_", Gone: []string{"tmp"}}}}},
		engine.Event{Kind: engine.TasksReset, Step: "spare", Tasks: engine.RangesOf(0), Reason: "its temporary files are gone, and step fold needs them"},
		engine.Event{Kind: engine.OutputsUnneeded, Step: "spare", Tasks: engine.RangesOf(0)},
		engine.Event{Kind: engine.OutputsDiscarded, Step: "spare", Tasks: engine.RangesOf(0), Reason: "access denied"},
		engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01knewer", Workflow: "genome", WorkDir: "/work", Executor: "batch",
			Limits: engine.Limits{Replace: []engine.StepName{"align", "fold"}}}},
		engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01klost", Workflow: "genome", WorkDir: "/work", Executor: "batch", Recovered: epoch.Add(time.Hour)}},
		engine.Event{Kind: engine.TasksEnded, Step: "fold", Tasks: engine.RangesOf(0), Outcome: engine.TaskRecovered, Attempts: []int{2}, Infra: 1, Reason: "recovered: it left traces and no result"},
		engine.Event{Kind: engine.JobStarts, Job: 5, Started: []int64{7}},
		engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 5, Tasks: engine.Upto(2), Outcome: engine.TaskSucceeded, Attempts: []int{5},
			Started: []int64{1, 2}, Stopped: []int64{3, 4}, Memory: []int64{3 << 30, -64 << 20}, CPU: []int64{1234, 5}},
		engine.Event{Kind: engine.TasksEnded, Step: "many", Job: 6, Tasks: engine.Upto(20), Outcome: engine.TaskSucceeded, Attempts: []int{1}, Memory: engine.Amounts(times)},
		engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01knightly", Workflow: "nightly", WorkDir: "/work", Executor: "local",
			Slot:   &engine.Slot{Schedule: "daily", Time: epoch, TimeZone: "Europe/Berlin", Backfill: true, Manual: true},
			LateAt: epoch.Add(3 * time.Hour), LateFor: "should be over by 06:00 (Europe/Berlin)"}},
		engine.Event{Kind: engine.StepWaits, Step: "load", Gate: &engine.Gate{Sensors: []engine.Sensor{
			{Kind: engine.SensorS3, Target: "s3://lab/in/", Prefix: true, Count: 3, Every: time.Minute, Timeout: 6 * time.Hour, Skip: true, Pos: engine.Pos{File: "w.hcl", Line: 3, Column: 2}},
			{Kind: engine.SensorFile, Target: "/data/*.csv", Pattern: true, Count: 1, Every: 10 * time.Second}}}},
		engine.Event{Kind: engine.StepGateOpened, Step: "load", Reason: "3 objects under s3://lab/in/"},
		engine.Event{Kind: engine.RunLate, Reason: "should be over by 06:00 (Europe/Berlin)"},
		engine.Event{Kind: engine.StepExpanded, Step: "load", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{
			{Command: []string{"load"}, Consumables: []engine.Consumable{{Resource: "db", Quantity: 1, Pool: true}}}}}})
	for i := range events {
		events[i].Seq = int64(i) + 1
		events[i].At = epoch.Add(time.Duration(i) * 1001 * time.Millisecond)
	}
	return events
}

// TestStoredEvents reads events as they have once been stored. They must stay readable
// for ever: fields and kinds are only added, and then also to testdata/events.jsonl.
func TestStoredEvents(t *testing.T) {
	const path = "testdata/events.jsonl"
	if *update {
		writeGolden(t, path)
	}
	file := value(os.Open(path))(t)
	defer file.Close()
	var got []engine.Event
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g goldenRow
		must(t, json.Unmarshal(lines.Bytes(), &g))
		r := row{at: g.At, kind: g.Kind, data: g.Text, crc: g.CRC}
		if g.Deflate != "" {
			r.data = value(base64.StdEncoding.DecodeString(g.Deflate))(t)
		}
		got = append(got, value(decode(g.Seq, &r))(t))
	}
	must(t, lines.Err())
	want := everyEvent()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored events are not read as they were written (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(value(os.ReadFile(path))(t)), `"deflate"`) {
		t.Error("there is no deflated event")
	}
}

func writeGolden(t *testing.T, path string) {
	var b strings.Builder
	for _, e := range everyEvent() {
		r := value(encode(&e, e.Seq))(t)
		g := goldenRow{Seq: e.Seq, At: r.at, Kind: r.kind, CRC: r.crc}
		switch data := r.data.(type) {
		case string:
			g.Text = data
		case []byte:
			g.Deflate = base64.StdEncoding.EncodeToString(data)
		}
		b.Write(value(json.Marshal(g))(t))
		b.WriteByte('\n')
	}
	must(t, os.WriteFile(path, []byte(b.String()), 0o600))
}

// TestStoredEventsAreComplete: every kind of event, and every field of one, is stored
// in testdata/events.jsonl.
func TestStoredEventsAreComplete(t *testing.T) {
	kinds := map[string]bool{}
	unset := map[string]bool{}
	for _, e := range everyEvent() {
		kinds[string(e.Kind)] = true
		markSet(reflect.ValueOf(e), "Event", unset)
	}
	file := value(parser.ParseFile(token.NewFileSet(), "../engine/event.go", nil, 0))(t)
	found := 0
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			v := spec.(*ast.ValueSpec)
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
				found++
				name := strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)
				if !kinds[name] {
					t.Errorf("no event of kind %s in everyEvent: add one, and run the test with -update", name)
				}
			}
		}
	}
	if found < 18 {
		t.Errorf("only %d kinds found in engine/event.go", found)
	}
	for field, missing := range unset {
		if missing {
			t.Errorf("%s is set in no event of everyEvent: set it, and run the test with -update", field)
		}
	}
}

// markSet notes which fields of structs have ever been set.
func markSet(v reflect.Value, name string, unset map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			markSet(v.Elem(), name, unset)
		}
	case reflect.Slice:
		for i := range v.Len() {
			markSet(v.Index(i), name, unset)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			field := v.Type().Name() + "." + v.Type().Field(i).Name
			if before, seen := unset[field]; !seen || before {
				unset[field] = v.Field(i).IsZero()
			}
			markSet(v.Field(i), field, unset)
		}
	}
}
