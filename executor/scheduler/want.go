// Package scheduler has the schedules of a workflow fire where no machine of anybody's has to
// be up: Amazon EventBridge Scheduler submits a job to AWS Batch for each slot, in which flow
// itself, the head, starts the run and drives it.
//
// What is made is known by its names and by the tag [Tag]; nothing else is remembered, so that
// a change that was interrupted is simply made again.
package scheduler

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"flow/executor/batch/cloud"
	"flow/executor/batch/infra"
)

// Tags of what is made: the workflow that it is for, and of a job definition the hash of what
// it says, by which it is found again.
const (
	Tag     = "flow:deploy"
	tagHash = "flow:deploy-hash"
)

// SlotArgument stands for the slot in what a schedule submits: EventBridge Scheduler puts the
// time there for which it invokes, such as 2026-03-01T04:30:00Z (its User Guide, "Adding context
// attributes").
const SlotArgument = "<aws.scheduler.scheduled-time>"

// Parameters of the head's job definition, which its command takes as Ref::NAME.
const (
	ScheduleParameter = "schedule"
	SlotParameter     = "slot"
)

// A Want is what shall be there for a workflow.
type Want struct {
	Workflow string
	Region   string
	Account  string
	Head     Head
	Wakes    []Wake
	Some     bool // others than those in Wakes stay as they are
}

// A Head is the job that a schedule submits.
type Head struct {
	Queue         string // name or ARN
	Image         string
	Command       []string
	Env           map[string]string // no secrets
	Secrets       map[string]string // by variable, where the value is kept: an ARN
	VCPUs         float64
	MemoryMiB     int
	Role          string // ARN of the role that the head has; "": one is made
	Policy        string // of that, JSON
	ExecutionRole string // ARN; "": none
	Fargate       bool
}

// A Wake is a schedule of EventBridge Scheduler: one for each expression.
type Wake struct {
	Schedule   string        // that of the workflow
	Expression string        // cron(...)
	TimeZone   string        // IANA name
	Cron       string        // as the workflow has it
	Window     time.Duration // it may come so much later; 0: at once
	MaxAge     time.Duration // how long its job is tried to be submitted; 0: a day
	Disabled   bool
}

// Tries of EventBridge Scheduler to submit a job, which are what it does unless told (its API
// reference, RetryPolicy), and the least age.
const (
	mostTries = 185
	mostAge   = 24 * time.Hour
	leastAge  = time.Minute
)

// headTries is how often AWS Batch runs a head that was ended by no fault of its own.
const headTries = 10

// ExitAgain is the code with which a head exits that was told to stop before it was done.
const ExitAgain = 75 // EX_TEMPFAIL of sysexits.h

// name returns a name of at most 64 characters, as those of EventBridge Scheduler and IAM are.
// One that is too long is cut, and gets a part of the hash of all of it.
func name(whole string) string {
	const most = 64
	if len(whole) <= most {
		return whole
	}
	sum := sha256.Sum256([]byte(whole))
	return whole[:most-9] + "-" + hex.EncodeToString(sum[:])[:8]
}

// GroupName returns the name of the group that holds the schedules of a workflow.
func GroupName(workflow string) string { return name("flow-" + workflow) }

// DefinitionName returns the name of the job definition of a workflow's head.
func DefinitionName(workflow string) string { return "flow-head-" + workflow }

// Roles that are made.
func schedulerRole(workflow, region string) string {
	return infra.RoleName("scheduler", workflow, region)
}

func headRole(workflow, region string) string { return infra.RoleName("head", workflow, region) }

// RoleNames returns the names of the roles that are made for a workflow in a region.
func RoleNames(workflow, region string) []string {
	return []string{schedulerRole(workflow, region), headRole(workflow, region)}
}

// A Role is a role of IAM that is made.
type Role struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Trust       json.RawMessage `json:"trust"`
	Policy      json.RawMessage `json:"policy"`
}

// policyName is that of the policy which is written into a role.
const policyName = "flow"

// statement is a statement of a policy of IAM.
type statement struct {
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []string                     `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

func document(s ...statement) json.RawMessage {
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", s})
	if err != nil {
		panic(err) // of strings
	}
	return text
}

// trust lets a service assume a role. What EventBridge Scheduler does for somebody else's
// schedules it shall not do with ours (its User Guide, "Confused deputy prevention").
func (w *Want) trust(service string) json.RawMessage {
	s := statement{Effect: "Allow", Principal: map[string]string{"Service": service}, Action: []string{"sts:AssumeRole"}}
	if service == "scheduler.amazonaws.com" {
		s.Condition = map[string]map[string]string{"StringEquals": {
			"aws:SourceAccount": w.Account,
			"aws:SourceArn":     w.arn("scheduler", "schedule-group/"+GroupName(w.Workflow)),
		}}
	}
	return document(s)
}

func (w *Want) arn(service, rest string) string {
	return "arn:" + cloud.Partition(w.Region) + ":" + service + ":" + w.Region + ":" + w.Account + ":" + rest
}

// roles returns the roles that are to be made. That of the schedules may submit the head, to
// its queue, and nothing else.
func (w *Want) roles() []*Role {
	queue := w.Head.Queue
	if !isARN(queue) {
		queue = w.arn("batch", "job-queue/"+queue)
	}
	definition := w.arn("batch", "job-definition/"+DefinitionName(w.Workflow))
	out := []*Role{{
		Name: schedulerRole(w.Workflow, w.Region), Description: "Schedules of workflow " + w.Workflow, Trust: w.trust("scheduler.amazonaws.com"),
		Policy: document(statement{Effect: "Allow", Action: []string{"batch:SubmitJob"}, Resource: []string{definition, definition + ":*", queue, w.arn("batch", "job/*")}}),
	}}
	if w.Head.Role == "" {
		out = append(out, &Role{
			Name: headRole(w.Workflow, w.Region), Description: "Heads of workflow " + w.Workflow, Trust: w.trust("ecs-tasks.amazonaws.com"),
			Policy: json.RawMessage(w.Head.Policy),
		})
	}
	return out
}

func isARN(s string) bool { return len(s) > 4 && s[:4] == "arn:" }

// definition returns the job definition of the head, which has that role.
func (w *Want) definition(role string) *batch.RegisterJobDefinitionInput {
	h := &w.Head
	c := &batchtypes.ContainerProperties{
		Image: &h.Image, Command: h.Command, JobRoleArn: &role,
		ResourceRequirements: []batchtypes.ResourceRequirement{
			{Type: batchtypes.ResourceTypeVcpu, Value: aws.String(strconv.FormatFloat(h.VCPUs, 'g', -1, 64))},
			{Type: batchtypes.ResourceTypeMemory, Value: aws.String(strconv.Itoa(h.MemoryMiB))},
		},
	}
	for _, k := range slices.Sorted(maps.Keys(h.Env)) {
		c.Environment = append(c.Environment, batchtypes.KeyValuePair{Name: aws.String(k), Value: aws.String(h.Env[k])})
	}
	for _, k := range slices.Sorted(maps.Keys(h.Secrets)) {
		c.Secrets = append(c.Secrets, batchtypes.Secret{Name: aws.String(k), ValueFrom: aws.String(h.Secrets[k])})
	}
	if h.ExecutionRole != "" {
		c.ExecutionRoleArn = &h.ExecutionRole
	}
	in := &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String(DefinitionName(w.Workflow)), Type: batchtypes.JobDefinitionTypeContainer, ContainerProperties: c,
		Parameters: map[string]string{ScheduleParameter: "-", SlotParameter: "-"},
		// A head goes on where the last one was: again after the instance was taken back, after
		// being killed, and when it was told to stop.
		RetryStrategy: &batchtypes.RetryStrategy{Attempts: aws.Int32(headTries), EvaluateOnExit: []batchtypes.EvaluateOnExit{
			{OnStatusReason: aws.String("Host EC2*"), Action: batchtypes.RetryActionRetry},
			{OnExitCode: aws.String("137"), Action: batchtypes.RetryActionRetry},
			{OnExitCode: aws.String(strconv.Itoa(ExitAgain)), Action: batchtypes.RetryActionRetry},
			{OnReason: aws.String("*"), Action: batchtypes.RetryActionExit},
		}},
	}
	if h.Fargate {
		in.PlatformCapabilities = []batchtypes.PlatformCapability{batchtypes.PlatformCapabilityFargate}
		c.NetworkConfiguration = &batchtypes.NetworkConfiguration{AssignPublicIp: batchtypes.AssignPublicIpEnabled}
	}
	text, err := json.Marshal(in)
	if err != nil {
		panic(err) // of what was just written
	}
	sum := sha256.Sum256(text)
	in.Tags = map[string]string{Tag: w.Workflow, tagHash: hex.EncodeToString(sum[:])[:32]}
	return in
}

// A Schedule is a schedule of EventBridge Scheduler that is made.
type Schedule struct {
	Name        string          `json:"name"`
	Group       string          `json:"group"`
	Description string          `json:"description"`
	Expression  string          `json:"expression"`
	TimeZone    string          `json:"time_zone"`
	Window      int32           `json:"flexible_minutes,omitempty"`
	State       string          `json:"state"`
	Target      string          `json:"target"`
	Role        string          `json:"role"`
	Input       json.RawMessage `json:"input"`
	MaxAge      int32           `json:"maximum_event_age_seconds"`
	Tries       int32           `json:"maximum_retry_attempts"`
}

// submitted is what is given to SubmitJob.
type submitted struct {
	JobName       string
	JobQueue      string
	JobDefinition string
	Parameters    map[string]string
}

// schedules returns the schedules that are to be made, which have that role.
func (w *Want) schedules(role string) ([]*Schedule, error) {
	var out []*Schedule
	count := map[string]int{}
	for i := range w.Wakes {
		k := &w.Wakes[i]
		n := k.Schedule
		if count[n]++; count[n] > 1 {
			n += fmt.Sprintf(".%d", count[n])
		}
		input, err := plain(submitted{
			JobName: "flow-head-" + w.Workflow + "-" + k.Schedule, JobQueue: w.Head.Queue, JobDefinition: DefinitionName(w.Workflow),
			Parameters: map[string]string{ScheduleParameter: k.Schedule, SlotParameter: SlotArgument},
		})
		if err != nil {
			return nil, err
		}
		s := &Schedule{
			Name: name(n), Group: GroupName(w.Workflow), Description: clip(fmt.Sprintf("%s/%s: %s", w.Workflow, k.Schedule, k.Cron), mostDescription),
			Expression: k.Expression, TimeZone: k.TimeZone, State: string(types.ScheduleStateEnabled),
			Target: "arn:" + cloud.Partition(w.Region) + ":scheduler:::aws-sdk:batch:submitJob", Role: role, Input: input,
			MaxAge: int32(min(max(cmp.Or(k.MaxAge, mostAge), leastAge), mostAge) / time.Second), Tries: mostTries,
		}
		if k.Window > 0 {
			s.Window = int32(min((k.Window+time.Minute-1)/time.Minute, mostAge/time.Minute))
		}
		if k.Disabled {
			s.State = string(types.ScheduleStateDisabled)
		}
		out = append(out, s)
	}
	return out, nil
}

// plain returns v as JSON in which SlotArgument is as it has to be.
func plain(v any) (json.RawMessage, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(text.Bytes()), err
}

const mostDescription = 512 // API reference of EventBridge Scheduler, CreateSchedule

func clip(s string, most int) string { return s[:min(len(s), most)] }
