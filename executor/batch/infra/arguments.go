package infra

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// arguments are what a thing is told to be, named as in a workflow, each written as there.
// What says the same to AWS is written the same: lists whose order does not matter are
// sorted, defaults are filled in or left out, names stand for ARNs.
type arguments struct {
	names  []string
	values map[string]string
}

// set adds an argument; "" is one that is not given.
func (a *arguments) set(name, value string) {
	if value == "" {
		return
	}
	if a.values == nil {
		a.values = map[string]string{}
	}
	a.names = append(a.names, name)
	a.values[name] = value
}

// A Difference is an argument that is not as a workflow wants it.
type Difference struct {
	Name string `json:"name"`
	Old  string `json:"old,omitempty"` // as it would be written in a workflow; "": not given
	New  string `json:"new,omitempty"`
	// Forces says why the thing has to be replaced for it; "": it need not.
	Forces string `json:"forces_replacement,omitempty"`
}

// differences returns what has to change for have to be want.
func differences(have, want *arguments) []Difference {
	var out []Difference
	names := slices.Clone(want.names)
	for _, n := range have.names {
		if _, ok := want.values[n]; !ok {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if have.values[n] != want.values[n] {
			out = append(out, Difference{Name: n, Old: have.values[n], New: want.values[n]})
		}
	}
	return out
}

// Writers of values. A nil or empty one is not given.

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

func text(p *string) string { return quoted(value(p)) }

func number[T int32 | int64](p *T) string {
	if p == nil {
		return ""
	}
	return strconv.FormatInt(int64(*p), 10)
}

// positive writes a number for which 0 is not given.
func positive[T int32 | int64](p *T) string {
	if value(p) == 0 {
		return ""
	}
	return number(p)
}

// span writes seconds as a time: "2h", "90m", "45s".
func span(p *int32) string {
	switch n := value(p); {
	case n == 0:
		return ""
	case n%3600 == 0:
		return fmt.Sprintf(`"%dh"`, n/3600)
	case n%60 == 0:
		return fmt.Sprintf(`"%dm"`, n/60)
	default:
		return fmt.Sprintf(`"%ds"`, n)
	}
}

func yes(p *bool) string {
	if value(p) {
		return "true"
	}
	return ""
}

func list(of []string) string {
	if len(of) == 0 {
		return ""
	}
	parts := make([]string, len(of))
	for i, s := range of {
		parts[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func set(of []string) string { return list(slices.Compact(slices.Sorted(slices.Values(of)))) }

func mapping(of map[string]string) string {
	if len(of) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, strconv.Quote(k)+" = "+strconv.Quote(of[k]))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// block writes what is given of a block: pairs of a name and a written value.
func block(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			parts = append(parts, pairs[i]+" = "+pairs[i+1])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// blocks writes blocks of a name.
func blocks(of []string) string {
	if len(of) == 0 {
		return ""
	}
	return strings.Join(of, ", ")
}

// tags writes tags but for flow's own and those of AWS.
func tags(of map[string]string) string {
	own := maps.Clone(of)
	maps.DeleteFunc(own, func(k, _ string) bool { return k == TagInfra || strings.HasPrefix(k, "aws:") })
	return mapping(own)
}

// nameOf returns the name that an ARN ends with, or the name.
func nameOf(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// serviceLinkedRole is the role that AWS Batch uses when none is given (Batch User Guide,
// using-service-linked-roles).
const serviceLinkedRole = "AWSServiceRoleForBatch"

// argumentsOf returns the arguments of an input, of which Resource tells.
func argumentsOf(input any, update *types.UpdatePolicy) *arguments {
	a := &arguments{}
	switch in := input.(type) {
	case *batch.CreateComputeEnvironmentInput:
		environmentArguments(a, in, update)
	case *batch.CreateJobQueueInput:
		queueArguments(a, in)
	case *batch.CreateSchedulingPolicyInput:
		policyArguments(a, in)
	case *batch.CreateConsumableResourceInput:
		a.set("total_quantity", number(in.TotalQuantity))
		a.set("resource_type", text(in.ResourceType))
		a.set("tags", tags(in.Tags))
	case *batch.RegisterJobDefinitionInput:
		definitionArguments(a, in)
	case *Role:
		a.set("trust", quoted(in.Service))
		a.set("policies", set(in.Policies))
		if in.Profile {
			a.set("instance_profile", "true")
		}
	}
	return a
}

func environmentArguments(a *arguments, in *batch.CreateComputeEnvironmentInput, update *types.UpdatePolicy) {
	r := in.ComputeResources
	if r == nil {
		r = &types.ComputeResource{}
	}
	kind := strings.ToUpper(string(r.Type))
	a.set("type", quoted(kind))
	a.set("state", quoted(orText(strings.ToUpper(string(in.State)), "ENABLED")))
	if kind == "EC2" || kind == "SPOT" {
		instanceArguments(a, r, kind)
	}
	a.set("max_vcpus", number(r.MaxvCpus))
	a.set("subnets", set(r.Subnets))
	a.set("security_group_ids", set(r.SecurityGroupIds))
	a.set("service_role", quoted(orText(nameOf(value(in.ServiceRole)), serviceLinkedRole)))
	a.set("update_policy", updateArgument(update))
	if e := in.EksConfiguration; e != nil {
		a.set("eks_configuration", block("eks_cluster_arn", text(e.EksClusterArn), "kubernetes_namespace", text(e.KubernetesNamespace)))
	}
	a.set("tags", tags(in.Tags))
}

// instanceArguments adds what goes with EC2 only. desired_vcpus is not among it: it is what
// an environment starts with, and follows the load from then on.
func instanceArguments(a *arguments, r *types.ComputeResource, kind string) {
	strategy := orText(strings.ToUpper(string(r.AllocationStrategy)), "BEST_FIT")
	a.set("allocation_strategy", quoted(strategy))
	a.set("min_vcpus", orText(number(r.MinvCpus), "0"))
	if strings.HasSuffix(strategy, "_ORDERED") || strings.HasSuffix(strategy, "_PRIORITIZED") {
		a.set("instance_types", list(r.InstanceTypes))
	} else {
		a.set("instance_types", set(r.InstanceTypes))
	}
	if kind == "SPOT" {
		a.set("bid_percentage", orText(positive(r.BidPercentage), "100"))
		a.set("spot_iam_fleet_role", quoted(nameOf(value(r.SpotIamFleetRole))))
	}
	a.set("instance_role", quoted(nameOf(value(r.InstanceRole))))
	a.set("ec2_key_pair", text(r.Ec2KeyPair))
	a.set("placement_group", text(r.PlacementGroup))
	a.set("instance_tags", mapping(r.Tags))
	if t := r.LaunchTemplate; t != nil && value(t.LaunchTemplateId)+value(t.LaunchTemplateName) != "" {
		a.set("launch_template", block("id", text(t.LaunchTemplateId), "name", text(t.LaunchTemplateName), "version", quoted(orText(value(t.Version), "$Default"))))
	}
	a.set("ec2_configuration", imageArgument(r.Ec2Configuration))
	if p := r.ScalingPolicy; p != nil {
		a.set("scaling_policy", block("min_scale_down_delay_minutes", positive(p.MinScaleDownDelayMinutes)))
	}
}

// imageArgument writes the images of instances.
func imageArgument(of []types.Ec2Configuration) string {
	var parts []string
	for i := range of {
		c := &of[i]
		parts = append(parts, block("image_type", quoted(imageType(c)), "image_id_override", text(c.ImageIdOverride), "image_kubernetes_version", text(c.ImageKubernetesVersion)))
	}
	slices.Sort(parts)
	return blocks(parts)
}

func updateArgument(u *types.UpdatePolicy) string {
	if u == nil {
		return ""
	}
	minutes := value(u.JobExecutionTimeoutMinutes)
	if minutes == 0 {
		minutes = defaultUpdateTimeout
	}
	if !value(u.TerminateJobsOnUpdate) && minutes == defaultUpdateTimeout {
		return ""
	}
	return block("terminate_jobs_on_update", strconv.FormatBool(value(u.TerminateJobsOnUpdate)), "job_execution_timeout_minutes", strconv.FormatInt(minutes, 10))
}

func queueArguments(a *arguments, in *batch.CreateJobQueueInput) {
	a.set("priority", number(in.Priority))
	a.set("state", quoted(orText(strings.ToUpper(string(in.State)), "ENABLED")))
	a.set("compute_environments", list(namesOfOrder(in.ComputeEnvironmentOrder)))
	a.set("scheduling_policy", quoted(nameOf(value(in.SchedulingPolicyArn))))
	var limits []string
	for i := range in.JobStateTimeLimitActions {
		l := &in.JobStateTimeLimitActions[i]
		limits = append(limits, block("reason", text(l.Reason), "state", quoted(strings.ToUpper(string(l.State))),
			"max_time", span(l.MaxTimeSeconds), "action", quoted(strings.ToUpper(string(l.Action)))))
	}
	slices.Sort(limits)
	a.set("state_time_limit", blocks(limits))
	a.set("tags", tags(in.Tags))
}

// namesOfOrder returns the names of environments in the order in which they are tried.
func namesOfOrder(order []types.ComputeEnvironmentOrder) []string {
	sorted := slices.SortedStableFunc(slices.Values(order), func(x, y types.ComputeEnvironmentOrder) int { return int(value(x.Order) - value(y.Order)) })
	var names []string
	for i := range sorted {
		names = append(names, nameOf(value(sorted[i].ComputeEnvironment)))
	}
	return names
}

// orderOf is the other way round.
func orderOf(names []string) []types.ComputeEnvironmentOrder {
	var out []types.ComputeEnvironmentOrder
	for i, name := range names {
		out = append(out, types.ComputeEnvironmentOrder{Order: new(int32(i + 1)), ComputeEnvironment: &name})
	}
	return out
}

func policyArguments(a *arguments, in *batch.CreateSchedulingPolicyInput) {
	if f := in.FairsharePolicy; f != nil {
		if decay := value(f.ShareDecaySeconds); decay != 0 && decay != 600 { // AWS's default (API reference, FairsharePolicy)
			a.set("share_decay", span(f.ShareDecaySeconds))
		}
		a.set("compute_reservation", positive(f.ComputeReservation))
		var shares []string
		for i := range f.ShareDistribution {
			s := &f.ShareDistribution[i]
			weight := value(s.WeightFactor)
			if weight == 0 {
				weight = 1
			}
			shares = append(shares, text(s.ShareIdentifier)+" "+block("weight_factor", strconv.FormatFloat(float64(weight), 'f', -1, 32)))
		}
		slices.Sort(shares)
		a.set("share", blocks(shares))
	}
	a.set("tags", tags(in.Tags))
}
