package main

import (
	"encoding/json"
	"time"

	"flow/engine"
	"flow/state"
)

// What follows are the JSON forms of what commands show. Fields are only ever added.

// A runJSON is a run.
type runJSON struct {
	Run      string        `json:"run"`
	Workflow string        `json:"workflow"`
	Status   engine.Status `json:"status"`
	Reason   string        `json:"reason,omitempty"`
	Cause    string        `json:"cause,omitempty"`
	Schedule string        `json:"schedule,omitempty"` // that has begun it
	Slot     time.Time     `json:"slot,omitzero"`      // for which time
	Created  time.Time     `json:"created"`
	Ended    time.Time     `json:"ended,omitzero"`
	Seconds  float64       `json:"seconds"`
	WorkDir  string        `json:"work_dir"`
	Executor string        `json:"executor"`
	Note     string        `json:"note,omitempty"`      // why it may not be the newest
	WaitsFor string        `json:"waits_for,omitempty"` // pools, and who has them
	Paused   *pausedJSON   `json:"paused,omitempty"`
	Late     *lateJSON     `json:"late,omitempty"`     // it is late, or was when it ended
	Waiting  []waitingJSON `json:"waiting,omitempty"`  // steps that wait for files
	CostUSD  *float64      `json:"cost_usd,omitempty"` // so far, as flow cost has it; absent: not known
	Driver   *driverJSON   `json:"driver"`             // null: nobody drives it
	// Entrusted says why the service does not drive it yet, which is to do so; "": it is not.
	Entrusted string                     `json:"entrusted,omitempty"`
	Vars      map[string]json.RawMessage `json:"variables,omitempty"`
	Tasks     map[string]int             `json:"tasks"`
	Steps     []*stepJSON                `json:"steps"`
	Failed    []*taskJSON                `json:"failed,omitempty"`
	Held      []heldJSON                 `json:"held,omitempty"`
	Outputs   map[string]*outputJSON     `json:"outputs,omitempty"`
}

// A driverJSON is the process that drives a run.
type driverJSON struct {
	Service bool   `json:"service,omitempty"` // it is the service, which drives the run among others
	Host    string `json:"host"`
	PID     int    `json:"pid"`
}

func driverData(held *state.HeldError) *driverJSON {
	return &driverJSON{Host: held.Owner.Host, PID: held.Owner.PID, Service: held.Service}
}

// A heldJSON is a step that is not handed over to the executor yet, and why.
type heldJSON struct {
	Step   string `json:"step"`
	Reason string `json:"reason"`
}

func heldData(run *engine.Run, now time.Time) (out []heldJSON) {
	if run.Ended() {
		return nil
	}
	for _, h := range run.Holds(now) {
		out = append(out, heldJSON{string(h.Step), h.Hold.Reason})
	}
	return out
}

// A stepJSON is a step of a run.
type stepJSON struct {
	Step    string         `json:"step"`
	Status  engine.Status  `json:"status"`
	FanOut  bool           `json:"fan_out"`
	Size    *int           `json:"size"` // null: not known yet
	Tasks   map[string]int `json:"tasks"`
	Reason  string         `json:"reason,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Started time.Time      `json:"started,omitzero"`
	Ended   time.Time      `json:"ended,omitzero"`
	Memory  *memoryJSON    `json:"memory,omitempty"` // absent: not known
}

// A memoryJSON is the highest peak that a task of a step has had, in bytes.
type memoryJSON struct {
	Peak   int64 `json:"peak"`
	AtMost bool  `json:"at_most,omitempty"` // the peaks of its tasks are not known, but that they were no higher
	Asked  int64 `json:"asked,omitempty"`   // by that task; absent: not known
}

// A taskJSON is a task of a run.
type taskJSON struct {
	Task     string        `json:"task"`
	Step     string        `json:"step"`
	Key      *string       `json:"key"` // null: the only task of its step
	Status   engine.Status `json:"status"`
	Attempts int           `json:"attempts"`
	Infra    int           `json:"infrastructure_failures,omitempty"`
	ExitCode *int          `json:"exit_code,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Cause    string        `json:"cause,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Job      string        `json:"job,omitempty"`
	Dir      string        `json:"dir"`
	From     *originJSON   `json:"cached_from,omitempty"`

	// Of the last try that ended; absent: not known.
	Memory     int64   `json:"peak_memory,omitempty"`  // bytes
	AtMost     bool    `json:"peak_at_most,omitempty"` // peak_memory is not its peak, but what it did not exceed
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
}

// An originJSON is the task whose result another one took over.
type originJSON struct {
	Run  string `json:"run"`
	Task string `json:"task"`
}

// An outputJSON is the value of a workflow's output.
type outputJSON struct {
	Value     json.RawMessage `json:"value"` // null: sensitive
	Sensitive bool            `json:"sensitive,omitempty"`
	Published []string        `json:"published,omitempty"`
}

// countsData names the counts that are not zero.
func countsData(counts [7]int) map[string]int {
	out := map[string]int{}
	for st, n := range counts {
		if n > 0 {
			out[engine.Status(st).String()] = n
		}
	}
	return out
}

func stepData(v *engine.StepStatus) *stepJSON {
	s := &stepJSON{
		Step: string(v.Step.Name), Status: v.Status, FanOut: v.Step.FanOut, Tasks: countsData(v.Counts),
		Reason: v.Reason, Cause: v.Cause, Started: v.Started, Ended: v.Ended,
	}
	if v.Size >= 0 {
		s.Size = &v.Size
	}
	return s
}

func taskData(run *engine.Run, t *engine.TaskStatus) *taskJSON {
	out := &taskJSON{
		Task: t.Name, Step: string(t.Step), Status: t.Status, Attempts: t.Attempts, Infra: t.Infra, ExitCode: t.ExitCode,
		Reason: t.Reason, Cause: t.Cause, Started: t.Started, Ended: t.Stopped, Job: string(t.Job), Dir: t.Dir,
		Memory: t.PeakMemory, AtMost: t.PeakAtMost, CPUSeconds: float64(t.CPUMillis) / 1000,
	}
	if t.Child >= 0 {
		out.Job = string(t.Job.Child(t.Child))
	}
	fanOut := run.Workflow().Step(t.Step).FanOut
	if fanOut {
		out.Key = &t.Key
	}
	if t.Hit != nil {
		out.From = &originJSON{Run: string(t.Hit.Run), Task: engine.TaskName(t.Hit.Step, fanOut, t.Hit.Task)}
	}
	return out
}

// runData is a run as its events tell it, with the state of its tasks that failed.
func runData(run *engine.Run, now time.Time) *runJSON {
	created, ended := run.Times()
	info := run.Info()
	out := &runJSON{
		Run: string(run.ID()), Workflow: run.Workflow().Name, Status: run.Status(), Reason: run.Reason(), Cause: run.Cause(),
		Created: created, Ended: ended, Seconds: span(created, ended, now).Round(time.Millisecond).Seconds(), WorkDir: info.WorkDir, Executor: info.Executor,
		Steps: []*stepJSON{},
	}
	if info.Slot != nil {
		out.Schedule, out.Slot = out.Workflow+"/"+info.Slot.Schedule, info.Slot.Time
	}
	out.Paused, out.CostUSD = pausedData(run), costData(run)
	out.Late, out.Waiting = lateData(run, now), waitingData(run)
	if len(info.Variables) > 0 {
		out.Vars = make(map[string]json.RawMessage, len(info.Variables))
		for name, value := range info.Variables {
			out.Vars[name] = json.RawMessage(value)
		}
	}
	var counts [7]int
	for _, v := range run.Steps() {
		for st, n := range v.Counts {
			counts[st] += n
		}
		step := stepData(&v)
		step.Memory = memoryData(run, v.Step.Name)
		out.Steps = append(out.Steps, step)
		for i := range run.Select(v.Step.Name, engine.Failed).All() {
			t := run.Task(v.Step.Name, i)
			out.Failed = append(out.Failed, taskData(run, &t))
		}
	}
	out.Tasks = countsData(counts)
	if results := run.Results(); len(results) > 0 {
		out.Outputs = outputsData(results)
	}
	return out
}

func outputsData(results []engine.Result) map[string]*outputJSON {
	out := make(map[string]*outputJSON, len(results))
	for i := range results {
		r := &results[i]
		o := &outputJSON{Value: r.Value, Sensitive: r.Sensitive, Published: publishedAt(r)}
		if r.Sensitive {
			o.Value = nil
		}
		out[r.Name] = o
	}
	return out
}
