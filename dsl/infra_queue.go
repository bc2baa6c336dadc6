package dsl

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// limitReasons are those of jobStateTimeLimitActions (Batch User Guide,
// job_queue_parameters).
var limitReasons = []string{
	"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
	"MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
}

// Limits of queues and policies.
const (
	maxQueueEnvironments = 3 // Batch User Guide, service_limits
	minStateLimit        = 600 * time.Second
	maxStateLimit        = 86400 * time.Second  // JobStateTimeLimitAction.maxTimeSeconds
	maxShareDecay        = 604800 * time.Second // FairsharePolicy.shareDecaySeconds
	maxReservation       = 99                   // FairsharePolicy.computeReservation
	maxShares            = 500                  // FairsharePolicy.shareDistribution
	minWeight, maxWeight = 0.0001, 999.9999     // ShareAttributes.weightFactor
	defaultQueuePriority = 1                    // where a queue says none; AWS wants one
	stateRunnable        = "RUNNABLE"
	actionCancel         = "CANCEL"
)

var (
	sharePattern = lazily(`^[A-Za-z0-9]{1,255}\*?$`) // ShareAttributes.shareIdentifier
	batchARN     = lazily(`^arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:([a-z-]+)/[a-zA-Z0-9_-]{1,128}$`)
)

// queue reads a job queue (CreateJobQueue).
func (b *infraBlock) queue(blk engine.Block, envs map[string]*engine.ComputeEnvironment) *engine.JobQueue {
	q := &engine.JobQueue{Block: blk}
	if blk.Existing {
		return q
	}
	q.Priority = defaultQueuePriority
	read(b, "priority", &q.Priority, notNegative)
	read(b, "state", &q.Disabled, toDisabled)
	q.Environments = b.blockNames("compute_environments", kindEnvironment)
	read(b, "scheduling_policy", &q.Policy, toBlockName(kindPolicy))
	if !b.has("existing") {
		b.require(`compute_environments = [compute_environment.spot]`)
	}
	b.checkOrder(q, envs)
	seen := map[string]*partConfig{}
	for _, p := range b.c.parts {
		l, ok := b.part(p).stateLimit()
		if first := seen[l.Reason]; ok && first != nil {
			b.errorf(p.rng, "There is already a time limit for %s, at line %d, and AWS Batch takes one. Remove one.", l.Reason, first.rng.Start.Line)
		} else if ok {
			seen[l.Reason] = p
		}
		q.Limits = append(q.Limits, l)
	}
	return q
}

// stateLimit reads a state_time_limit block. It is not ok if its reason is not known.
func (b *infraBlock) stateLimit() (engine.StateLimit, bool) {
	l := engine.StateLimit{State: stateRunnable, Action: actionCancel}
	read(b, "reason", &l.Reason, oneOf(limitReasons...))
	read(b, "state", &l.State, oneOf(stateRunnable))
	read(b, "max_time", &l.After, between(minStateLimit, maxStateLimit))
	read(b, "action", &l.Action, oneOf(actionCancel))
	b.require(fmt.Sprintf("reason = %q", limitReasons[0]), `max_time = "30m"`)
	return l, b.known["reason"]
}

// between reads a duration of whole seconds from lo to hi.
func between(lo, hi time.Duration) func(cty.Value) (time.Duration, error) {
	return func(v cty.Value) (time.Duration, error) {
		d, err := toDuration(v)
		if err == nil && (d < lo || d > hi || d%time.Second != 0) {
			err = fmt.Errorf("AWS Batch takes whole seconds, %d to %d of them; this is %v", lo/time.Second, hi/time.Second, d)
		}
		return d, err
	}
}

// blockText reads the name of a block that is given as a whole, or a text.
func blockText(v cty.Value) (string, error) {
	null := v.IsKnown() && v.IsNull()
	if ty := v.Type(); !v.IsMarked() && !null && ty.IsObjectType() && ty.HasAttribute(infraName) {
		v = v.GetAttr(infraName)
	}
	return toText(v)
}

// toBlockName reads a block of a kind, its name, or an ARN.
func toBlockName(kind string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := blockText(v)
		if err != nil {
			return "", err
		}
		if resourcePattern().MatchString(s) {
			return s, nil
		}
		if m := batchARN().FindStringSubmatch(s); m != nil && m[1] == strings.ReplaceAll(kind, "_", "-") {
			return s, nil
		}
		return "", fmt.Errorf("%q is neither the name of a %s nor its ARN", s, infraNouns[kind])
	}
}

// blockNames reads a list of blocks of a kind, names or ARNs. It is left out if an element
// is not known yet.
func (b *infraBlock) blockNames(name, kind string) []string {
	a := b.as.get(name)
	if a == nil {
		return nil
	}
	elems, ok := value(b.task, a, func(v cty.Value) ([]cty.Value, error) {
		if v.Type().IsObjectType() && v.Type().HasAttribute(infraName) {
			return nil, errors.New("it is a list; put the block in brackets: [compute_environment.spot]")
		}
		return toElements(v)
	})
	if !ok {
		return nil
	}
	out := make([]string, len(elems))
	for i, e := range elems {
		s, err := toBlockName(kind)(e)
		switch {
		case errors.Is(err, errUnknown):
		case err != nil:
			b.wrong(fmt.Sprintf("%s, element %d", name, i), itemRange(a.expr, i), err)
			return nil
		case slices.Contains(out[:i], s):
			b.errorf(itemRange(a.expr, i), "%s has %q twice. Remove one.", name, s)
			return nil
		}
		out[i] = s
	}
	if n := len(out); n < 1 || n > maxQueueEnvironments {
		b.errorf(a.expr.Range(), "A job queue has 1 to %d compute environments, which are tried in order; this one has %d.", maxQueueEnvironments, n)
		return nil
	}
	if slices.Contains(out, "") {
		return nil
	}
	b.known[name] = true
	return out
}

// checkOrder checks that the compute environments of a queue go together, as far as they
// are blocks of the workflow.
func (b *infraBlock) checkOrder(q *engine.JobQueue, envs map[string]*engine.ComputeEnvironment) {
	var first *engine.ComputeEnvironment
	for i, name := range q.Environments {
		e := envs[name]
		if e == nil || e.Existing || e.Type == "" {
			continue
		}
		if first == nil {
			first = e
			continue
		}
		rng := itemRange(b.as.get("compute_environments").expr, i)
		switch {
		case e.Fargate() != first.Fargate():
			b.errorf(rng, "%s is of %s and %s of %s; a job queue has either Fargate or EC2 and Spot instances. Make two job queues.", first.Label, first.Type, e.Label, e.Type)
			return
		case (e.EKSCluster != "") != (first.EKSCluster != ""):
			b.errorf(rng, "One of %s and %s is on Amazon EKS and the other on ECS; a job queue has either. Make two job queues.", first.Label, e.Label)
			return
		case len(e.InstanceTypes) > 0 && len(first.InstanceTypes) > 0 && onARM(e.InstanceTypes[0]) != onARM(first.InstanceTypes[0]):
			b.errorf(rng, "One of %s and %s has instances of ARM64 and the other of X86_64; a job queue has one architecture. Make two job queues.", first.Label, e.Label)
			return
		}
	}
}

// policy reads a scheduling policy (CreateSchedulingPolicy, FairsharePolicy).
func (b *infraBlock) policy(blk engine.Block) *engine.SchedulingPolicy {
	p := &engine.SchedulingPolicy{Block: blk}
	if blk.Existing {
		return p
	}
	read(b, "share_decay", &p.ShareDecay, between(time.Second, maxShareDecay))
	read(b, "compute_reservation", &p.ComputeReservation, func(v cty.Value) (int, error) { return toInt(v, 0, maxReservation) })
	if len(b.c.parts) > maxShares {
		b.errorf(b.c.parts[maxShares].rng, "There are %d shares; AWS Batch takes at most %d.", len(b.c.parts), maxShares)
	}
	for _, c := range b.c.parts {
		s := engine.Share{Identifier: c.label}
		b.checkShare(c, p.Shares)
		read(b.part(c), "weight_factor", &s.Weight, toWeight)
		p.Shares = append(p.Shares, s)
	}
	return p
}

func toWeight(v cty.Value) (float64, error) {
	f, err := toFloat(v)
	if err == nil && (f < minWeight || f > maxWeight) {
		err = fmt.Errorf("it must be from %v to %v; a share with a lower one gets more", minWeight, maxWeight)
	}
	return f, err
}

// checkShare checks the identifier of a share, which none of those before may cover.
func (b *infraBlock) checkShare(c *partConfig, before []engine.Share) {
	if !sharePattern().MatchString(c.label) {
		b.errorf(c.rng, "%q is no identifier of a share: 1 to 255 letters and digits, and * at the end if it stands for all that begin so.", c.label)
		return
	}
	covers := func(pattern, s string) bool {
		prefix, ok := strings.CutSuffix(pattern, "*")
		return ok && strings.HasPrefix(strings.TrimSuffix(s, "*"), prefix)
	}
	for _, o := range before {
		if covers(o.Identifier, c.label) || covers(c.label, o.Identifier) {
			b.errorf(c.rng, "The share %q overlaps with %q. AWS Batch wants each job to be of one share only: change one of them.", c.label, o.Identifier)
			return
		}
	}
}

// consumable reads a consumable resource (CreateConsumableResource).
func (b *infraBlock) consumable(blk engine.Block) *engine.ConsumableResource {
	c := &engine.ConsumableResource{Block: blk}
	if blk.Existing {
		return c
	}
	read(b, "total_quantity", &c.Total, toQuantity)
	read(b, "resource_type", &c.NonReplenished, func(v cty.Value) (bool, error) {
		s, err := oneOf("REPLENISHABLE", "NON_REPLENISHABLE")(v)
		return s == "NON_REPLENISHABLE", err
	})
	if !b.has("existing") {
		b.require("total_quantity = 10")
	}
	return c
}

func toQuantity(v cty.Value) (int64, error) {
	n, err := toInt(v, 0, math.MaxInt)
	if err != nil && !errors.Is(err, errUnknown) && !errors.Is(err, errSensitive) {
		if _, numErr := toFloat(v); numErr == nil {
			err = errors.New("it must be a whole number, at least 0")
		}
	}
	return int64(n), err
}
