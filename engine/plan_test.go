package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// groups expands its one step into 25,000 tasks, every other of which has an image of its
// own, behind a step whose tasks are not known.
type groups struct{ Template }

func (groups) Expand(step StepName, _ Scope) (*Expansion, error) {
	if step == "first" {
		return &Expansion{Specs: []*TaskSpec{{Command: []string{"true"}, Queue: "a"}}}, nil
	}
	a, b := &TaskSpec{Command: []string{"true"}, Queue: "a"}, &TaskSpec{Command: []string{"true"}, Queue: "b"}
	exp := &Expansion{Absent: map[int]string{0: ReasonWhen}}
	exp.Specs = append(exp.Specs, nil)
	for i := 1; i < 25_000; i++ {
		exp.Specs = append(exp.Specs, []*TaskSpec{a, a, a, b}[i%4])
	}
	return exp, nil
}

// TestToCome has the tasks of a step that is held in as few jobs as they can be.
func TestToCome(t *testing.T) {
	wf := &Workflow{Name: "w", Steps: []*Step{
		{Name: "first", Tolerate: Tolerance{Count: 1}, Partial: true},
		{Name: "held", FanOut: true, Deps: []Dep{{Step: "first", Kind: Whole}}},
	}}
	plan, err := NewPlan(t.Context(), &Driver{Workflow: wf, Template: groups{}}, RunInfo{Run: "01run", Workflow: "w", WorkDir: "/work"})
	if err != nil {
		t.Fatal(err)
	}
	type job struct {
		Queue            string
		Size, From, Last int
		Attempt          int
	}
	var got []job
	tasks := 0
	for _, spec := range plan.Run.ToCome("held") {
		got = append(got, job{spec.Queue, spec.ArraySize, spec.Tasks.At(0), spec.Tasks.At(spec.Size() - 1), spec.Attempt})
		tasks += spec.Size()
	}
	want := []job{{"a", 10_000, 1, 13_333, 1}, {"a", 8_749, 13_334, 24_998, 1}, {"b", 6_250, 3, 24_999, 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if tasks != 24_999 {
		t.Errorf("%d tasks", tasks)
	}
	if got := plan.Run.ToCome("first"); got != nil {
		t.Errorf("of a step that is handed over: %v", got)
	}
	if s := plan.Steps[0]; len(s.Jobs) != 1 || plan.Run.JobSpec(s.Jobs[0].Job).Step != "first" {
		t.Errorf("jobs of the first step: %+v", s.Jobs)
	}
}
