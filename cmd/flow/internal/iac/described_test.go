package iac_test

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/executor/batch/infra"
)

// ofServer are members of answers that are not given by anybody.
var ofServer = map[string]bool{
	"ComputeEnvironmentArn": true, "EcsClusterArn": true, "Status": true, "StatusReason": true, "Uuid": true, "ContainerOrchestrationType": true,
	"JobQueueArn": true, "JobDefinitionArn": true, "Revision": true, "Arn": true, "CreatedAt": true, "AvailableQuantity": true, "InUseQuantity": true, "ConsumableResourceArn": true,
}

// described returns what AWS Batch says of everything that is there: by kind and name, a
// map whose keys are as names says.
func (c *server) described(names func(string) string) map[string]map[string]any {
	c.t.Helper()
	out := map[string]map[string]any{}
	add := func(kind infra.Kind, name *string, v any) {
		out[string(kind)+" "+*name] = given(reflect.ValueOf(v), names).(map[string]any)
	}
	ctx := c.t.Context()
	environments, err := c.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{})
	c.must(err)
	for i := range environments.ComputeEnvironments {
		add(infra.KindEnvironment, environments.ComputeEnvironments[i].ComputeEnvironmentName, environments.ComputeEnvironments[i])
	}
	queues, err := c.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{})
	c.must(err)
	for i := range queues.JobQueues {
		add(infra.KindQueue, queues.JobQueues[i].JobQueueName, queues.JobQueues[i])
	}
	definitions, err := c.DescribeJobDefinitions(ctx, &batch.DescribeJobDefinitionsInput{})
	c.must(err)
	for i := range definitions.JobDefinitions {
		add(infra.KindDefinition, definitions.JobDefinitions[i].JobDefinitionName, definitions.JobDefinitions[i])
	}
	c.describeOthers(add)
	return out
}

func (c *server) describeOthers(add func(kind infra.Kind, name *string, v any)) {
	ctx := c.t.Context()
	policies, err := c.ListSchedulingPolicies(ctx, &batch.ListSchedulingPoliciesInput{})
	c.must(err)
	for _, p := range policies.SchedulingPolicies {
		d, err := c.DescribeSchedulingPolicies(ctx, &batch.DescribeSchedulingPoliciesInput{Arns: []string{*p.Arn}})
		c.must(err)
		add(infra.KindPolicy, d.SchedulingPolicies[0].Name, d.SchedulingPolicies[0])
	}
	consumables, err := c.ListConsumableResources(ctx, &batch.ListConsumableResourcesInput{})
	c.must(err)
	for _, r := range consumables.ConsumableResources {
		d, err := c.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: r.ConsumableResourceArn})
		c.must(err)
		d.ResultMetadata.Set("", nil)
		add(infra.KindConsumable, d.ConsumableResourceName, *d)
	}
}

func (c *server) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// given returns what is not empty in v: structures and maps as maps, numbers as float64.
func given(v reflect.Value, names func(string) string) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if k := v.Elem().Kind(); k == reflect.Bool || k == reflect.Int32 || k == reflect.Int64 || k == reflect.String {
			return scalar(v.Elem())
		}
		return given(v.Elem(), names)
	case reflect.Slice:
		var out []any
		for i := range v.Len() {
			out = append(out, given(v.Index(i), names))
		}
		if out == nil {
			return nil
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = v.MapIndex(k).String()
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || ofServer[f.Name] || f.Name == "ResultMetadata" {
				continue
			}
			if e := given(v.Field(i), names); e != nil {
				out[names(f.Name)] = e
			}
		}
		return out
	}
	if v.IsZero() {
		return nil
	}
	return scalar(v)
}

func scalar(v reflect.Value) any {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanFloat(): // as it was written, of 32 bits
		f, _ := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()), 64)
		return f
	case v.Kind() == reflect.Bool:
		return v.Bool()
	}
	return v.String()
}

// unsaid are what AWS Batch says of members that were not given.
var unsaid = map[string][]any{
	"service_role":      {"arn:aws:iam::123456789012:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"},
	"desired_vcpus":     {0.0},
	"propagate_tags":    {false},
	"job_queue_type":    {"ECS", "ECS_FARGATE"},
	"ec2_configuration": {[]any{map[string]any{"image_type": "ECS_AL2023"}}},

	"fargatePlatformConfiguration": {map[string]any{"platformVersion": "LATEST"}},

	"ServiceRole":      {"arn:aws:iam::123456789012:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"},
	"DesiredvCpus":     {0.0},
	"PropagateTags":    {false},
	"JobQueueType":     {"ECS", "ECS_FARGATE"},
	"Ec2Configuration": {[]any{map[string]any{"ImageType": "ECS_AL2023"}}},

	"FargatePlatformConfiguration": {map[string]any{"PlatformVersion": "LATEST"}},
}

// forgive takes from want, what AWS says, the defaults that nobody gave. Actions have no
// case.
func forgive(want, got any) {
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for k, v := range want {
			if _, ok := got[k]; !ok && slices.ContainsFunc(unsaid[k], func(d any) bool { return reflect.DeepEqual(d, v) }) {
				delete(want, k)
				continue
			}
			if s, ok := v.(string); ok && strings.EqualFold(k, "action") {
				want[k] = strings.ToUpper(s)
			}
			forgive(v, got[k])
		}
	case []any:
		got, _ := got.([]any)
		for i := range want {
			if i < len(got) {
				forgive(want[i], got[i])
			}
		}
	}
}

var humps = regexp.MustCompile(`[A-Z]`)

// snake returns a member's name as Terraform's provider has it.
func snake(name string) string {
	switch name {
	case "ComputeEnvironmentName", "JobQueueName", "JobDefinitionName":
		return "name"
	case "InstanceTypes":
		return "instance_type"
	case "JobStateTimeLimitActions":
		return "job_state_time_limit_action"
	case "FairsharePolicy":
		return "fair_share_policy"
	case "MinvCpus", "MaxvCpus", "DesiredvCpus":
		return strings.ToLower(name[:len(name)-5]) + "_vcpus"
	}
	return strings.TrimPrefix(humps.ReplaceAllStringFunc(name, func(s string) string { return "_" + strings.ToLower(s) }), "_")
}

// camel returns it as the API itself has it.
func camel(name string) string { return strings.ToLower(name[:1]) + name[1:] }

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Ec2KeyPair": "ec2_key_pair", "MinvCpus": "min_vcpus", "EksClusterArn": "eks_cluster_arn", "SpotIamFleetRole": "spot_iam_fleet_role"} {
		if got := snake(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
