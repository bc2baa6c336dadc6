package model

import (
	"time"

	"pgregory.net/rapid"

	"flow/engine"
)

const capacityReason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"

func drawConfig(t *rapid.T) Config {
	cfg := Config{Capacity: drawCapacity(t), Instance: "i-1", KeepEnded: rapid.SampledFrom([]int{0, 0, 6}).Draw(t, "keep")}
	if cfg.Declared = rapid.Bool().Draw(t, "declared"); !cfg.Declared {
		return cfg
	}
	cfg.Settle = rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "settle")
	cfg.Submitting = rapid.SampledFrom([]time.Duration{0, 0, 700 * time.Millisecond}).Draw(t, "submitting")
	if rapid.Bool().Draw(t, "no limit") {
		cfg.Capacity = Capacity{}
	}
	return cfg
}

func drawCapacity(t *rapid.T) Capacity {
	return Capacity{
		VCPUs:     float64(rapid.IntRange(1, 24).Draw(t, "quarters")) / 4,
		MemoryMiB: rapid.IntRange(64, 1024).Draw(t, "memory"),
		GPUs:      rapid.IntRange(0, 2).Draw(t, "gpus"),
	}
}

func (s *story) drawRequest() *Request {
	r := &Request{
		Name: rapid.SampledFrom([]string{"x", "X", "y"}).Draw(s.T, "name"), Queue: rapid.SampledFrom([]string{"q", "r"}).Draw(s.T, "queue"),
		ArraySize: rapid.SampledFrom([]int{0, 0, 2, 3, 3, 70}).Draw(s.T, "size"),
		Attempts:  rapid.IntRange(0, 3).Draw(s.T, "attempts"),
		Timeout:   rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(s.T, "timeout"),
		Payload:   "run",
	}
	if r.Attempts > 0 && rapid.Bool().Draw(s.T, "evaluate") {
		r.Evaluate = []engine.EvaluateOn{{ExitCode: "1*", Retry: true}, {StatusReason: "Host EC2*", Retry: true}, {Reason: "*"}}
	}
	r.VCPUs = float64(rapid.IntRange(1, 12).Draw(s.T, "quarters")) / 4
	r.MemoryMiB = rapid.IntRange(4, 700).Draw(s.T, "memory")
	r.GPUs = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(s.T, "gpus")
	for range rapid.IntRange(0, 3).Draw(s.T, "dependencies") {
		kind := rapid.SampledFrom([]engine.DependencyType{engine.DependAll, engine.DependNToN, engine.DependSequential}).Draw(s.T, "type")
		d := engine.Dependency{Type: kind}
		if kind != engine.DependSequential && len(s.order) > 0 {
			d.Job = rapid.SampledFrom(s.order).Draw(s.T, "on")
		}
		r.DependsOn = append(r.DependsOn, d)
	}
	if s.cfg.Declared {
		s.drawDeclared(r)
	}
	return r
}

// drawDeclared is what a job has in a world of declared queues: "q" is FIFO, "r" has
// shares, "f" is of Fargate and has shares as well.
func (s *story) drawDeclared(r *Request) {
	r.Queue = rapid.SampledFrom([]string{"q", "q", "r", "r", "f"}).Draw(s.T, "declared queue")
	r.Fargate = r.Queue == "f"
	r.Timeout = min(r.Timeout/time.Second, 1) * time.Minute
	if r.Queue != "q" {
		r.ShareID = rapid.SampledFrom([]string{"a", "b", "user1", "user2"}).Draw(s.T, "share")
		r.Priority = rapid.IntRange(0, 2).Draw(s.T, "priority")
	}
	if rapid.IntRange(0, 9).Draw(s.T, "overrides") == 0 {
		r.Undispatchable = "Container Overrides length must be at most 8192"
	}
	for _, name := range []string{"license", "tokens"} {
		if n := rapid.IntRange(-3, 2).Draw(s.T, name); n >= 0 {
			r.Consumables = append(r.Consumables, Need{name, int64(n)})
		}
	}
}

func (s *story) drawEnvironment(name string) Environment {
	e := Environment{Name: name, Fargate: name == "fargate", MaxVCPUs: float64(rapid.IntRange(0, 30).Draw(s.T, "max")) / 4}
	e.Disabled = rapid.IntRange(0, 5).Draw(s.T, "disabled") == 0
	if rapid.Bool().Draw(s.T, "largest") {
		e.Largest = drawCapacity(s.T)
	}
	return e
}

func (s *story) drawQueue(name string) Queue {
	q := Queue{Name: name, Priority: rapid.IntRange(0, 2).Draw(s.T, "priority"), Environments: []string{"fargate"}}
	if name != "f" {
		q.Environments = rapid.SampledFrom([][]string{{"one"}, {"two"}, {"one", "two"}, {"two", "one"}}).Draw(s.T, "environments")
	}
	if name != "q" {
		q.Policy = "p"
	}
	if rapid.Bool().Draw(s.T, "limits") {
		q.Limits = []StateLimit{{capacityReason, 10 * time.Minute}, {"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", 20 * time.Minute}}
	}
	return q
}

func (s *story) drawPolicy() Policy {
	p := Policy{Name: "p", Decay: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(s.T, "decay")}
	p.Reservation = rapid.SampledFrom([]int{0, 0, 30, 90}).Draw(s.T, "reservation")
	if rapid.Bool().Draw(s.T, "weights") {
		p.Weights = []Weight{{"user*", 0.5}, {"a", 2}}
	}
	return p
}

func (s *story) drawConsumable(name string) Consumable {
	return Consumable{Name: name, Total: rapid.Int64Range(0, 9).Draw(s.T, "total"), Replenishes: name == "license"}
}

// declare creates the environments and queues of a world that has them.
func (s *story) declare() {
	if !s.cfg.Declared {
		return
	}
	must := func(err error) {
		if err != nil {
			s.Fatal(err)
		}
	}
	for _, name := range []string{"one", "two", "fargate"} {
		e := s.drawEnvironment(name)
		s.call(func(m *Model, now time.Time) { must(m.CreateEnvironment(now, e)) })
	}
	s.now = s.now.Add(s.cfg.Settle)
	p := s.drawPolicy()
	s.call(func(m *Model, now time.Time) { must(m.PutPolicy(now, p)) })
	for _, name := range []string{"q", "r", "f"} {
		q := s.drawQueue(name)
		s.call(func(m *Model, now time.Time) { must(m.CreateQueue(now, q)) })
	}
	for _, name := range []string{"license", "tokens"} {
		c := s.drawConsumable(name)
		s.call(func(m *Model, now time.Time) { must(m.CreateConsumable(now, c)) })
	}
}

// declaredActions are random changes of what was declared. Some are refused.
func (s *story) declaredActions() map[string]func() {
	return map[string]func(){
		"environment": func() {
			e := s.drawEnvironment(rapid.SampledFrom([]string{"one", "two", "fargate"}).Draw(s.T, "environment"))
			s.call(func(m *Model, now time.Time) { _ = m.UpdateEnvironment(now, e) })
		},
		"queue": func() {
			q := s.drawQueue(rapid.SampledFrom([]string{"q", "r", "f"}).Draw(s.T, "queue"))
			q.Disabled = rapid.IntRange(0, 4).Draw(s.T, "disabled") == 0
			s.call(func(m *Model, now time.Time) { _ = m.UpdateQueue(now, q) })
		},
		"policy": func() {
			p := s.drawPolicy()
			s.call(func(m *Model, now time.Time) { _ = m.PutPolicy(now, p) })
		},
		"consumable": func() {
			c := s.drawConsumable(rapid.SampledFrom([]string{"license", "tokens"}).Draw(s.T, "consumable"))
			s.call(func(m *Model, now time.Time) { _ = m.SetConsumable(now, c) })
		},
		"invalidate": func() {
			name := rapid.SampledFrom([]string{"one", "two", "fargate"}).Draw(s.T, "environment")
			reason := rapid.SampledFrom([]string{"", "", "CLIENT_ERROR"}).Draw(s.T, "reason")
			s.call(func(m *Model, now time.Time) { _ = m.Invalidate(now, name, reason) })
		},
		"delete": func() { // refused but for a DISABLED queue
			s.call(func(m *Model, now time.Time) { _ = m.DeleteQueue(now, "q"); _ = m.DeleteEnvironment(now, "two") })
		},
	}
}

// open makes room for all that waits.
func (s *story) open() {
	for _, name := range []string{"q", "r", "f"} {
		s.call(func(m *Model, now time.Time) { _ = m.Block(now, name, "") })
	}
	if !s.cfg.Declared {
		return
	}
	s.now = s.now.Add(s.cfg.Settle)
	for _, name := range []string{"one", "two", "fargate"} {
		e := Environment{Name: name, Fargate: name == "fargate", MaxVCPUs: 1000}
		s.call(func(m *Model, now time.Time) { _ = m.UpdateEnvironment(now, e) })
	}
	for _, name := range []string{"license", "tokens"} {
		s.call(func(m *Model, now time.Time) { _ = m.SetConsumable(now, Consumable{Name: name, Total: 1 << 40}) })
	}
}
