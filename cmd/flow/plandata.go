package main

import (
	"slices"

	"flow/engine"
)

// A planJSON is a plan.
type planJSON struct {
	Workflow string          `json:"workflow"`
	Steps    []*planStepJSON `json:"steps"`
	ToRun    int             `json:"to_run"`
	Cached   int             `json:"cached"`
	Complete bool            `json:"complete"` // all tasks are known
	Batch    *planBatchJSON  `json:"batch,omitempty"`
	Cost     *planCostJSON   `json:"cost,omitempty"` // of a run on AWS Batch
}

type planStepJSON struct {
	Step      string         `json:"step"`
	FanOut    bool           `json:"fan_out"`
	Size      *int           `json:"size"` // null: not known yet
	Cached    int            `json:"cached"`
	Absent    int            `json:"absent,omitempty"`
	ToRun     int            `json:"to_run"`
	Jobs      []planJobJSON  `json:"jobs"`
	DependsOn []planDepJSON  `json:"depends_on"`
	Held      string         `json:"held,omitempty"` // why it is not handed over at once
	Error     string         `json:"error,omitempty"`
	NotCached map[string]int `json:"not_cached,omitempty"` // why, and how many tasks

	Batch *planBatchStepJSON `json:"batch,omitempty"`
}

type planJobJSON struct {
	Size      int                 `json:"size"`
	DependsOn []engine.PlannedDep `json:"depends_on,omitempty"`
}

type planDepJSON struct {
	Step string `json:"step"`
	Kind string `json:"kind"`
}

func (r *planReport) data() *planJSON {
	out := &planJSON{Workflow: r.plan.Run.Workflow().Name, Steps: []*planStepJSON{}, Batch: r.batch.data()}
	if r.batch != nil {
		out.Cost = r.batch.cost.data(r.plan)
	}
	n, more := r.plan.ToRun()
	out.ToRun, out.Complete = n, !more
	for i := range r.plan.Steps {
		p := &r.plan.Steps[i]
		s := &planStepJSON{
			Step: string(p.Step.Name), FanOut: p.Step.FanOut, Cached: p.Cached, Absent: p.Absent, ToRun: p.ToRun,
			Jobs: []planJobJSON{}, DependsOn: []planDepJSON{}, Held: p.Hold.Reason, Error: p.Err, NotCached: r.notCached(p.Step.Name),
			Batch: r.batch.stepData(i),
		}
		if p.Size >= 0 {
			s.Size = &p.Size
		}
		for _, j := range p.Jobs {
			s.Jobs = append(s.Jobs, planJobJSON{j.Size, j.DependsOn})
		}
		for _, d := range p.Step.Deps {
			s.DependsOn = append(s.DependsOn, planDepJSON{string(d.Step), string(d.Kind)})
		}
		out.Cached += p.Cached
		out.Steps = append(out.Steps, s)
	}
	return out
}

// notCached says why tasks of a step are not CACHED, and of how many it is true.
func (r *planReport) notCached(step engine.StepName) map[string]int {
	if len(r.why[step]) == 0 {
		return nil
	}
	out := map[string]int{}
	for cause, n := range r.why[step] {
		out[n.text(cause)] += n.tasks
	}
	return out
}

// byCount returns the keys of m, those with the highest number first.
func byCount(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := m[b] - m[a]; d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	return keys
}
