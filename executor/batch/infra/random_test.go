package infra

import (
	"testing"

	"pgregory.net/rapid"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// drawInfra draws what somebody may want: a few environments of all types, queues on them,
// policies and definitions, each of which may be like another time or not.
func drawInfra(t *rapid.T) *engine.Infra {
	in := &engine.Infra{}
	classes := map[string][]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		var e *engine.ComputeEnvironment
		switch rapid.SampledFrom([]string{"", "EC2", "EC2", "SPOT", "FARGATE", "FARGATE", "FARGATE_SPOT"}).Draw(t, "type of "+name) {
		case "":
			continue
		case "EC2":
			e = onDemand(name, 4)
			e.AllocationStrategy = rapid.SampledFrom([]string{"BEST_FIT_PROGRESSIVE", "BEST_FIT", ""}).Draw(t, "strategy")
		case "SPOT":
			e = spot(name, 4)
		case "FARGATE":
			e = fargate(name, 4)
		case "FARGATE_SPOT":
			e = fargate(name, 4)
			e.Type = engine.TypeFargateSpot
		}
		class := "EC2"
		if e.Fargate() {
			class = "FARGATE"
		} else {
			e.InstanceTypes = rapid.SampledFrom([][]string{{"m6i"}, {"optimal"}, {"c6i", "m6i"}, {"m6i", "c6i"}}).Draw(t, "instances")
			e.MinVCPUs = rapid.IntRange(0, 2).Draw(t, "min")
		}
		e.MaxVCPUs, e.Disabled = rapid.IntRange(4, 6).Draw(t, "max"), rapid.IntRange(0, 5).Draw(t, "disabled") == 0
		e.TerminateJobsOnUpdate = rapid.IntRange(0, 4).Draw(t, "terminate") == 0
		if rapid.Bool().Draw(t, "tagged") {
			e.Tags = map[string]string{"t": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "tag")}
		}
		classes[class] = append(classes[class], name)
		in.Environments = append(in.Environments, e)
	}
	for _, name := range []string{"fair", "unfair"} {
		if rapid.Bool().Draw(t, name) {
			in.Policies = append(in.Policies, &engine.SchedulingPolicy{Block: named(name, 1), ComputeReservation: rapid.IntRange(0, 2).Draw(t, "reserved")})
		}
	}
	for _, name := range []string{"q", "r"} {
		of := classes[rapid.SampledFrom([]string{"EC2", "FARGATE"}).Draw(t, "class of "+name)]
		if len(of) == 0 {
			continue
		}
		order := rapid.Permutation(of).Draw(t, "order")
		q := queueOn(name, order[:rapid.IntRange(1, min(3, len(order))).Draw(t, "how many")]...)
		if len(in.Policies) > 0 && rapid.Bool().Draw(t, "with a policy") {
			q.Policy = rapid.SampledFrom(in.Policies).Draw(t, "policy").Name
		}
		q.Priority, q.Disabled = rapid.IntRange(1, 2).Draw(t, "priority"), rapid.IntRange(0, 5).Draw(t, "closed") == 0
		in.Queues = append(in.Queues, q)
	}
	if rapid.Bool().Draw(t, "defined") {
		in.Definitions = append(in.Definitions, definition("d", rapid.SampledFrom([]string{"true", "false"}).Draw(t, "command")))
	}
	if rapid.Bool().Draw(t, "consumes") {
		c := &engine.ConsumableResource{Block: named("c", 1), Total: 1, NonReplenished: rapid.Bool().Draw(t, "gone")}
		if !c.NonReplenished { // else it is what it begins with
			c.Total = int64(rapid.IntRange(1, 2).Draw(t, "total"))
		}
		in.Consumables = append(in.Consumables, c)
	}
	return in
}

// Whatever is there, whatever is wanted next: an apply gets there, also one that is cut in
// the middle and made again; then nothing is left to do, and it is as if it had been made so
// from the beginning.
func TestAnyToAny(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, "")
		var last *engine.Infra
		for i := range rapid.IntRange(1, 3).Draw(r, "steps") {
			in := drawInfra(r)
			if rapid.Bool().Draw(r, "cut") {
				w.cutAt, w.answer = len(w.changing())+rapid.IntRange(1, 12).Draw(r, "at call"), rapid.Bool().Draw(r, "its answer")
				m := w.manager("wf")
				if p, err := m.Plan(t.Context(), in); err == nil {
					_ = m.Apply(t.Context(), p) // it is cut, or it is done
				}
				w.mend()
			}
			m := w.manager("wf")
			p, err := m.Plan(t.Context(), in)
			if err != nil {
				r.Fatalf("step %d: %v", i, err)
			}
			if err := m.Apply(t.Context(), p); err != nil {
				r.Fatalf("step %d: %v\nplan: %s", i, err, describe(p))
			}
			if p, err = m.Plan(t.Context(), in); err != nil || !p.Empty() {
				r.Fatalf("step %d: there is still something to do: %v\n%s", i, err, describe(p))
			}
			last = in
		}
		fresh := newWorld(t, "")
		m := fresh.manager("wf")
		p, err := m.Plan(t.Context(), last)
		if err == nil {
			err = m.Apply(t.Context(), p)
		}
		if got, want := w.everything(), fresh.everything(); err != nil || got != want {
			r.Fatalf("%v: it is\n%s\nand made at once\n%s", err, got, want)
		}
	})
}

// What is sent is what AWS's own model of its API allows.
func TestJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.url = fetched.Judged(t, w.url)
	w.apply("wf", everyKind(false))
	w.apply("wf", changed(false))
	w.apply("wf", nil)
}
