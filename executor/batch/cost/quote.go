// Package cost reckons what tasks cost on AWS Batch: from what is known of a queue's compute
// environments, what a task asks for, and the price table of executor/instances. Batch itself
// costs nothing; what is paid is instances and Fargate.
package cost

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"flow/engine"
	"flow/executor/batch/capacity"
	"flow/executor/instances"
)

const (
	// SpotFloor is what Spot costs at least, in per cent of the price on demand. Spot prices
	// move; that of most types is between this and 60 (EC2 Spot Instance Advisor, which has
	// savings of up to 70 to 90 per cent; AWS Fargate has up to 70).
	SpotFloor = 30
	// FargateLeast is for how many seconds a task of Fargate is billed at least (AWS Fargate
	// Pricing).
	FargateLeast = 60
)

// An Environment is a compute environment that jobs of a queue may be placed in.
type Environment struct {
	capacity.Environment
	Bid int // the most that is paid for Spot, in per cent of the price on demand; 0: 100
}

func (e *Environment) spot() bool {
	return e.Type == engine.TypeSpot || e.Type == engine.TypeFargateSpot
}

func (e *Environment) fargate() bool {
	return e.Type == engine.TypeFargate || e.Type == engine.TypeFargateSpot
}

// A Quote is what an hour of a task costs.
type Quote struct {
	Low, High engine.Money // of the cheapest and the dearest place that it may run at
	Likely    engine.Money // what is reckoned with; 0: no price is known
	Least     int          // seconds that a try is billed for at least
	Of        string       // what Likely is the price of, for people
	Spot      bool         // Likely is a guess between SpotFloor and what is paid at most
	Assumed   bool         // nothing is known of the queue
	Why       string       // why no price is known
}

// Rate returns what is recorded with a job; nil: no price is known.
func (q *Quote) Rate() *engine.Rate {
	if q.Likely == 0 {
		return nil
	}
	of := q.Of
	if q.Assumed {
		of += ", assumed"
	}
	return &engine.Rate{Hour: q.Likely, Least: q.Least, Of: of, Date: instances.Date}
}

// Quote returns what an hour of a task costs that runs on a queue with those resources. It
// makes no call, and has the same answer to the same question.
func (k *Known) Quote(task *engine.TaskSpec, queue string, r engine.Resources) Quote {
	spec := k.specOf(task, queue, r)
	need := capacity.NeedOf(spec)
	environments, known := k.queues[queueName(queue)]
	if !known {
		environments = assumed(need)
	}
	q := Quote{Assumed: !known}
	var unknown []string
	for i := range environments {
		e := &environments[i]
		one := e.quote(need, disk(spec))
		if one.Likely == 0 {
			unknown = append(unknown, e.Name+": "+one.Why)
			continue
		}
		if q.Likely == 0 {
			q.Low, q.High, q.Likely, q.Least, q.Of, q.Spot = one.Low, one.High, one.Likely, one.Least, one.Of, one.Spot
		}
		q.Low, q.High = min(q.Low, one.Low), max(q.High, one.High)
	}
	if q.Likely == 0 {
		q.Why = strings.Join(unknown, "; ")
	}
	return q
}

// specOf returns a job of the task. What a step leaves to a job definition of the workflow
// is that of the definition.
func (k *Known) specOf(task *engine.TaskSpec, queue string, r engine.Resources) *engine.JobSpec {
	if d := k.definitions[task.JobDefinition]; d != nil && task.JobDefinition != "" {
		own := *task
		if len(task.Resources) == 0 {
			own.Resources = d.Resources
			r = own.ResourcesFor(1)
		}
		if own.Container == nil {
			own.Container = d.Container
		}
		own.JobDefinition = "" // all of it is known
		task = &own
	}
	return &engine.JobSpec{Task: task, Queue: queue, Tasks: engine.Upto(1), Attempt: 1, Attempts: 1, Resources: r}
}

// disk returns the GB of ephemeral storage that a task of Fargate asks for; 0: what it has.
func disk(spec *engine.JobSpec) int {
	if spec.DiskGiB > 0 || spec.Task.Container == nil {
		return spec.DiskGiB
	}
	return spec.Task.Container.EphemeralStorage
}

// assumed is where a job is taken to run if nothing is known of its queue.
func assumed(n capacity.Need) []Environment {
	e := Environment{Environment: capacity.Environment{Name: "assumed", Type: engine.TypeEC2, MaxVCPUs: math.MaxInt32, InstanceTypes: []string{"optimal"}}}
	switch {
	case n.Platform == capacity.Fargate:
		e.Type, e.InstanceTypes = engine.TypeFargate, nil
	case n.GPUs > 0:
		e.InstanceTypes = []string{"g4dn", "g5", "g6", "p4d"}
	case n.Arch == instances.ARM:
		e.InstanceTypes = []string{"default_arm64"}
	}
	return []Environment{e}
}

func (e *Environment) quote(n capacity.Need, disk int) (q Quote) {
	switch {
	case e.fargate():
		q = fargate(n, disk)
	case e.Unmanaged || e.EKS:
		return Quote{Why: "nothing is known of its instances"}
	default:
		q = onInstances(n, e.Fitting(n))
	}
	if q.Likely == 0 {
		if q.Why == "" {
			q.Why = fmt.Sprintf("no instance type of it with a known price holds %s", n)
		}
		return q
	}
	if e.spot() {
		bid := e.Bid
		if bid == 0 || bid > 100 {
			bid = 100
		}
		floor := min(SpotFloor, bid)
		q.Likely = percent(q.Likely, (floor+bid)/2)
		q.Low, q.High = percent(q.Low, floor), percent(q.High, bid)
		q.Of, q.Spot = fmt.Sprintf("%s Spot at %d%%", q.Of, (floor+bid)/2), true
	}
	return q
}

// fargate returns the price of a task of Fargate.
func fargate(n capacity.Need, disk int) Quote {
	rate := instances.Fargate(n.Arch)
	hour := part(rate.VCPU, milli(n.VCPUs), 1000) + part(rate.GB, int64(n.MemoryMiB), 1024)
	if more := disk - instances.FargateDiskGB; more > 0 {
		hour += engine.Money(more) * instances.FargateDisk
	}
	of := "Fargate"
	if n.Arch == instances.ARM {
		of = "Fargate on ARM64"
	}
	return Quote{Low: hour, High: hour, Likely: hour, Least: FargateLeast, Of: of}
}

// sameShare is how much dearer than the cheapest share of an instance, in per cent, one may
// be to count as the same: of the sizes of a family only the rounding differs.
const sameShare = 5

// onInstances returns the share of an instance that a job has: of vCPUs, of memory or of
// GPUs, whichever is most, since the rest is of no use to others. The likely one is the
// cheapest, which AWS Batch prefers (Batch User Guide, allocation-strategies); of several
// that cost about the same, that of the smallest instance.
func onInstances(n capacity.Need, fitting []instances.Type) (q Quote) {
	for _, t := range fitting {
		if t.Hour == 0 {
			continue
		}
		cost := Share(t, n)
		if q.Low == 0 || cost < q.Low {
			q.Low = cost
		}
		q.High = max(q.High, cost)
	}
	var best instances.Type
	for _, t := range fitting {
		if t.Hour == 0 || Share(t, n) > percent(q.Low, 100+sameShare) {
			continue
		}
		if cost := Share(t, n); q.Likely == 0 || smaller(t, best) {
			best, q.Likely, q.Of = t, cost, t.Name
		}
	}
	return q
}

// smaller compares instance types by their size, and then by their price.
func smaller(a, b instances.Type) bool {
	return cmp.Or(cmp.Compare(a.GPUs, b.GPUs), cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.Hour, b.Hour)) < 0
}

// Share returns the price of an hour of the part of an instance that a job of that need has.
func Share(t instances.Type, n capacity.Need) engine.Money {
	cost := max(part(t.Hour, milli(n.VCPUs), int64(t.VCPUs)*1000), part(t.Hour, int64(n.MemoryMiB), int64(t.Usable())))
	if n.GPUs > 0 && t.GPUs > 0 {
		cost = max(cost, part(t.Hour, int64(n.GPUs), int64(t.GPUs)))
	}
	return cost
}

func milli(vcpus float64) int64 { return int64(math.Round(vcpus * 1000)) }

// part returns up of down parts of an amount, rounded half up.
func part(m engine.Money, up, down int64) engine.Money {
	return engine.Money((int64(m)*up + down/2) / down)
}

func percent(m engine.Money, n int) engine.Money { return part(m, int64(n), 100) }
