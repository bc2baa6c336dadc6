package dsl

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// setResources evaluates resources for each attempt that may come, or once where they
// are the same for all.
func (t *task) setResources() {
	b := t.step.resources
	if b == nil {
		t.spec.Resources = nil
		return
	}
	tries := 1
	for _, a := range b.args {
		if a.refs.attempt {
			tries = max(t.spec.Retry.Attempts, 1)
		}
	}
	t.spec.Resources = make([]engine.Resources, tries)
	t.attempts(tries, func(i int) {
		r := engine.Resources{VCPUs: 1, MemoryMiB: engine.DefaultMemoryMiB}
		for _, a := range t.visited(b.args) {
			switch a.name {
			case "vcpus":
				if v, ok := value(t, a, toVCPUs); ok {
					r.VCPUs = v
				}
			case "memory":
				if v, ok := value(t, a, toMiB); ok {
					r.MemoryMiB = v
				}
			case "gpus":
				r.GPUs, _ = value(t, a, func(v cty.Value) (int, error) { return toInt(v, 0, 64) })
			case "disk":
				r.DiskGiB, _ = value(t, a, toGiB)
			}
		}
		t.spec.Resources[i] = r
	})
}

// attempts calls f once for each of n tries, with `attempt` set; it stops after one
// with mistakes, which the others would repeat. While validating `attempt` is unknown.
func (t *task) attempts(n int, f func(i int)) {
	defer delete(t.ctx.Variables, "attempt")
	had := len(t.diags)
	for i := range n {
		t.ctx.Variables["attempt"] = cty.NumberIntVal(int64(i + 1))
		if !t.final && !t.sketch {
			t.ctx.Variables["attempt"] = cty.UnknownVal(cty.Number).RefineNotNull()
		}
		if f(i); len(t.diags) > had {
			return
		}
	}
}

func toVCPUs(v cty.Value) (float64, error) {
	f, err := toFloat(v)
	if err == nil && (f <= 0 || f > maxVCPUs) {
		err = fmt.Errorf("the number of vCPUs must be above 0 and at most %d; AWS Batch takes whole numbers, and 0.25 and 0.5 on Fargate", maxVCPUs)
	}
	return f, err
}

func (t *task) setRetry() {
	t.spec.Retry = engine.Retry{}
	b := t.step.retry
	if b == nil || t.own && b.inherited {
		return
	}
	attempts := 1
	if b.attempts != nil {
		if n, ok := value(t, b.attempts, func(v cty.Value) (int, error) { return toInt(v, 1, maxAttempts) }); ok {
			attempts = n
		}
	}
	t.spec.Retry.Attempts = attempts
	for _, r := range b.rules {
		t.spec.Retry.Rules = append(t.spec.Retry.Rules, t.rule(r, attempts)...)
	}
}

// rule returns the rules that a `when` block stands for: one for each exit code in it.
func (t *task) rule(b *ruleConfig, attempts int) []engine.RetryRule {
	r := engine.RetryRule{Class: b.class}
	codes := []string{""}
	for _, a := range b.args {
		switch a.name {
		case "exit_code":
			if c, ok := value(t, a, toExitCodes); ok {
				codes = c
			}
		case "reason":
			r.Reason, _ = value(t, a, toReason)
		case "status_reason":
			r.StatusReason, _ = value(t, a, toReason)
		case "action":
			action, ok := value(t, a, oneOf("retry", "exit"))
			r.Exit = ok && action == "exit"
		case "delay":
			r.Delay, _ = value(t, a, toDuration)
		case "queue":
			r.Queue, _ = value(t, a, blockText)
		case "memory":
			r.MemoryMiB = each(t, a, attempts, toMiB)
		case "vcpus":
			r.VCPUs = each(t, a, attempts, toVCPUs)
		}
	}
	if r.Exit && r.Engine() {
		t.errorf(b.get("action").expr.Range(), "With action \"exit\" there is no further attempt, so %s has no meaning. Remove one.",
			firstName(b.args, "delay", "memory", "vcpus", "queue"))
	}
	rules := make([]engine.RetryRule, len(codes))
	for i, c := range codes {
		rules[i] = r
		rules[i].ExitCode = c
	}
	return rules
}

func firstName(as args, names ...string) string {
	for _, n := range names {
		if as.get(n) != nil {
			return n
		}
	}
	return ""
}

// each evaluates a for every attempt; once if it does not use `attempt`.
func each[T any](t *task, a *arg, attempts int, conv func(cty.Value) (T, error)) []T {
	if !a.refs.attempt {
		attempts = 1
	}
	var out []T
	t.attempts(attempts, func(int) {
		if x, ok := value(t, a, conv); ok {
			out = append(out, x)
		}
	})
	return out
}

// toExitCodes returns patterns over exit codes: of a number, a text, or a list of them.
func toExitCodes(v cty.Value) ([]string, error) {
	list := []cty.Value{v}
	if ty := v.Type(); !v.IsMarked() && v.IsKnown() && !v.IsNull() && (ty.IsTupleType() || ty.IsListType() || ty.IsSetType()) {
		list = elements(v)
		if len(list) == 0 || len(list) > maxExitCodes {
			return nil, fmt.Errorf("a list of exit codes has 1 to %d elements, since AWS Batch takes no more rules; use a pattern such as \"13*\", or other when blocks", maxExitCodes)
		}
	}
	out := make([]string, len(list))
	for i, e := range list {
		s, err := toText(e)
		if err != nil {
			return nil, err
		}
		if e.Type() == cty.Number {
			n, acc := e.AsBigFloat().Int64()
			if acc != big.Exact || n < 0 || n > 255 {
				return nil, errors.New("an exit code is a whole number from 0 to 255")
			}
		}
		if why := checkPattern(s, true); why != "" {
			return nil, errors.New(why)
		}
		out[i] = s
	}
	return out, nil
}

func toReason(v cty.Value) (string, error) {
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	if why := checkPattern(s, false); why != "" {
		return "", errors.New(why)
	}
	return s, nil
}

// oneOf returns a conversion to one of names, whatever the case of its letters.
func oneOf(names ...string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := toText(v)
		if err != nil {
			return "", err
		}
		for _, n := range names {
			if strings.EqualFold(s, n) {
				return n, nil
			}
		}
		quoted := make([]string, len(names))
		for i, n := range names {
			quoted[i] = fmt.Sprintf("%q", n)
		}
		return "", fmt.Errorf("%q is not possible; there are %s.%s", s, list(quoted, "and"), suggest(s, names))
	}
}

func (t *task) setContainer() {
	b := t.step.container
	t.spec.Container = nil
	if b == nil {
		return
	}
	c := &engine.Container{}
	for _, a := range t.visited(b.args) {
		switch a.name {
		case "user":
			c.User, _ = value(t, a, matching(fits(userPattern), "a user is a name or a number of at most 31 characters: lower-case letters, digits, _ and -"))
		case "job_role":
			c.JobRole, _ = t.text(a)
		case "execution_role":
			c.ExecutionRole, _ = t.text(a)
		case "init_process":
			c.InitProcess, _ = value(t, a, toTruth)
		case "read_only":
			c.ReadOnly, _ = value(t, a, toTruth)
		case "privileged":
			c.Privileged, _ = value(t, a, toTruth)
		case "ulimits":
			c.Ulimits = t.ulimits(a)
		case "network":
			c.Network, _ = value(t, a, oneOf("none", "host", "bridge", "public", "private"))
		case "architecture":
			c.Architecture, _ = value(t, a, oneOf("X86_64", "ARM64"))
		case "platform":
			c.Platform, _ = value(t, a, oneOf("EC2", "FARGATE"))
		case "shared_memory":
			c.SharedMemoryMiB, _ = value(t, a, toMiB)
		case "ephemeral_storage":
			c.EphemeralStorage, _ = value(t, a, toGiB)
		}
	}
	for _, v := range b.volumes {
		if len(t.visited(v.args)) == 0 {
			continue
		}
		c.Volumes = append(c.Volumes, t.volume(v))
	}
	if l := b.logging; l != nil {
		seen := t.visited(l.args)
		if a := seen.get("driver"); a != nil {
			c.LogDriver, _ = value(t, a, oneOf("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens"))
		}
		if a := seen.get("options"); a != nil {
			c.LogOptions = map[string]string{}
			t.pairs(a, func(name, value string, present bool) {
				if present {
					c.LogOptions[name] = value
				}
			})
		}
	}
	t.spec.Container = c
}

func matching(ok func(string) bool, why string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := toText(v)
		if err == nil && !ok(s) {
			err = fmt.Errorf("%q is not possible: %s", s, why)
		}
		return s, err
	}
}

// ulimitNames are those that Batch takes (Ulimit.name).
var ulimitNames = strings.Fields("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

// ulimits reads { nofile = 65536, nproc = [1024, 4096] }: one limit, or soft and hard.
func (t *task) ulimits(a *arg) []engine.Ulimit {
	entries, ok := value(t, a, toEntries)
	if !ok {
		return nil
	}
	var out []engine.Ulimit
	for _, e := range entries {
		name, val := keyRange(a.expr, e.key)
		if !slices.Contains(ulimitNames, e.key) {
			hint := suggest(e.key, ulimitNames)
			if hint == "" {
				hint = " There are " + list(ulimitNames, "and") + "."
			}
			t.errorf(name, "There is no ulimit %q.%s", e.key, hint)
			continue
		}
		u, err := toUlimit(e)
		if err != nil {
			t.wrong("ulimits."+e.key, val, err)
			continue
		}
		out = append(out, u)
	}
	return out
}

func toUlimit(e entry) (engine.Ulimit, error) {
	u := engine.Ulimit{Name: e.key}
	limits := []cty.Value{e.value, e.value}
	if ty := e.value.Type(); ty.IsTupleType() || ty.IsListType() {
		var err error
		if limits, err = toElements(e.value); err != nil {
			return u, err
		}
		if len(limits) != 2 {
			return u, errors.New("write one number, or the soft and the hard limit: [1024, 4096]")
		}
	}
	var err error
	if u.Soft, err = toInt(limits[0], 0, math.MaxInt32); err != nil {
		return u, err
	}
	u.Hard, err = toInt(limits[1], 0, math.MaxInt32)
	if err == nil && u.Soft > u.Hard {
		err = errors.New("the soft limit is above the hard one")
	}
	return u, err
}

func (t *task) volume(b *volumeConfig) engine.Volume {
	v := engine.Volume{Name: b.name}
	if !volumePattern().MatchString(b.name) {
		t.errorf(b.rng, "%q is no name of a volume: letters, digits, _ and - only.", b.name)
	}
	for _, a := range b.args {
		switch a.name {
		case "host":
			if s, ok := t.text(a); ok {
				v.HostPath = t.ev.p.abs(s)
			}
		case "efs":
			v.EFS, _ = t.text(a)
		case "path":
			v.Path, _ = value(t, a, matching(func(s string) bool { return strings.HasPrefix(s, "/") }, "a path in the container begins with /"))
		case "read_only":
			v.ReadOnly, _ = value(t, a, toTruth)
		case "efs_root":
			v.EFSRoot, _ = t.text(a)
		case "efs_access_point":
			v.EFSAccess, _ = t.text(a)
		}
	}
	return v
}

func (t *task) setOutputs() {
	outs := make([]engine.Output, 0, len(t.step.outputs))
	for _, o := range t.step.outputs {
		out := engine.Output{Name: o.name, Kind: o.kind, Optional: o.optional, Temporary: o.temporary && !o.kept}
		if o.path != nil {
			p, ok := t.text(o.path)
			if why := checkOutputPath(o.kind, p); ok && why != "" {
				t.errorf(o.path.expr.Range(), "%s", why)
			}
			out.Path = p
		}
		if o.publish != nil {
			out.Publish = t.target(o.publish)
		}
		outs = append(outs, out)
	}
	t.spec.Outputs = outs
}

// target evaluates where something is to be published; "" after a mistake, or if it is
// null: nowhere.
func (t *task) target(a *arg) string {
	s, ok := t.text(a)
	if !ok {
		return ""
	}
	if s == "" {
		t.errorf(a.expr.Range(), "The path to publish to is empty; if it is to be published nowhere, use null.")
		return ""
	}
	err := checkTarget(s)
	if err == nil && t.ev.publishTo != "" && !isLocation(s) {
		if s, err = below(t.ev.publishTo, s); err == nil {
			err = checkTarget(s)
		}
	}
	if err != nil {
		t.wrong("publish", a.expr.Range(), err)
		return ""
	}
	return t.ev.p.abs(s)
}

// outputVariables notes the variables that tell a script where to write.
func (t *task) outputVariables() {
	for _, o := range t.step.outputs {
		if !o.kind.Static() || o.path == nil {
			continue
		}
		if why := checkEnvName(o.name, false); why != "" {
			t.diags = append(t.diags, errorf(o.rng, "Invalid name", "%s", why))
			continue
		}
		if other := t.kinds[o.name]; other != "" {
			t.diags = append(t.diags, errorf(o.rng, "Duplicate name", "$%s would be both an %s and the path of an output. Rename one of them.", o.name, other))
			continue
		}
		t.kinds[o.name] = "output"
	}
}
