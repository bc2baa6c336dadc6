package endpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/executor/local/model"
)

// Tags of everything that has any, with the SDK's own client, which puts the ARN into
// the path.
func TestTags(t *testing.T) {
	w := newEmulator(t)
	w.must(second(w.CreateComputeEnvironment(w.Context(), &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: new("tagged"), Type: types.CETypeManaged, Tags: map[string]string{"first": "1"},
		ComputeResources: &types.ComputeResource{
			Type: types.CRTypeFargate, MaxvCpus: new(int32(4)), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"},
		},
	})))
	w.must(second(w.CreateJobQueue(w.Context(), &batch.CreateJobQueueInput{
		JobQueueName: new("tagged"), Priority: new(int32(1)), Tags: map[string]string{"first": "1"},
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: new(int32(1)), ComputeEnvironment: new("tagged")}},
	})))
	w.must(second(w.CreateSchedulingPolicy(w.Context(), &batch.CreateSchedulingPolicyInput{Name: new("tagged"), Tags: map[string]string{"first": "1"}})))
	w.must(second(w.CreateConsumableResource(w.Context(), &batch.CreateConsumableResourceInput{ConsumableResourceName: new("tagged"), Tags: map[string]string{"first": "1"}})))
	w.must(second(w.RegisterJobDefinition(w.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: new("tagged"), Type: types.JobDefinitionTypeContainer, ContainerProperties: container("busybox"), Tags: map[string]string{"first": "1"},
	})))
	job := w.submit(func(in *batch.SubmitJobInput) { in.Tags = map[string]string{"first": "1"} })
	head := strings.TrimSuffix(w.server.arn("", ""), "/")
	for _, kind := range []string{"compute-environment/tagged", "job-queue/tagged", "scheduling-policy/tagged", "consumable-resource/tagged", "job-definition/tagged:1", "job/" + job} {
		arn := head + kind
		tags := func(want map[string]string) {
			t.Helper()
			out, err := w.ListTagsForResource(w.Context(), &batch.ListTagsForResourceInput{ResourceArn: &arn})
			w.must(err)
			if d := cmp.Diff(want, out.Tags); d != "" {
				t.Errorf("%s (-want +got):\n%s", kind, d)
			}
		}
		tags(map[string]string{"first": "1"})
		w.must(second(w.TagResource(w.Context(), &batch.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"first": "2", "a b/&=?": "ü"}})))
		tags(map[string]string{"first": "2", "a b/&=?": "ü"})
		w.must(second(w.UntagResource(w.Context(), &batch.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a b/&=?", "nosuch"}})))
		tags(map[string]string{"first": "2"})
		_, err := w.TagResource(w.Context(), &batch.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"aws:x": "1"}})
		w.refuses(err, "Tag")
		many := map[string]string{}
		for i := range 50 {
			many[fmt.Sprint("k", i)] = ""
		}
		_, err = w.TagResource(w.Context(), &batch.TagResourceInput{ResourceArn: &arn, Tags: many})
		w.refuses(err, "more than 50 tags")
		tags(map[string]string{"first": "2"})
	}
	for _, arn := range []string{
		"tagged", head, head + "job-queue/nosuch", head + "job-definition/tagged", head + "job-definition/tagged:2", head + "job/" + job + ":0",
		head + "job/nosuch", head + "service-environment/x", "arn:aws:ecs:us-east-1:012345678910:cluster/x", head + "job-queue/a/b c%",
	} {
		_, err := w.ListTagsForResource(w.Context(), &batch.ListTagsForResourceInput{ResourceArn: &arn})
		w.refuses(err, "does not exist")
	}
	// What they tell of themselves has them too.
	out, err := w.DescribeJobQueues(w.Context(), &batch.DescribeJobQueuesInput{JobQueues: []string{"tagged"}})
	w.must(err)
	if d := cmp.Diff(map[string]string{"first": "2"}, out.JobQueues[0].Tags); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func second[T any](_ T, err error) error { return err }

// The ARN in the path need not be percent-encoded, and bad requests are refused.
func TestTagPaths(t *testing.T) {
	w := newEmulator(t)
	w.must(second(w.CreateSchedulingPolicy(w.Context(), &batch.CreateSchedulingPolicyInput{Name: new("p")})))
	arn := w.server.arn(kindPolicy, "p")
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", arn, `{"tags":{"a":"b"}}`, 200, `{}`},
		{"GET", arn, ``, 200, `{"tags":{"a":"b"}}`},
		{"GET", strings.ReplaceAll(arn, ":", "%3a"), ``, 200, `{"tags":{"a":"b"}}`},
		{"DELETE", arn, ``, 400, "tagKeys"},
		{"POST", arn, ``, 400, "tags are required"},
		{"POST", arn, `{"tags":["a"]}`, 400, "should be an object"},
		{"POST", arn, `[]`, 400, "JSON object"},
		{"GET", "", ``, 400, "resourceArn is required"},
		{"PUT", arn, ``, 405, "PUT"},
		{"DELETE", arn + "?tagKeys=a", ``, 200, `{}`},
		{"GET", arn, ``, 200, `{"tags":{}}`},
	} {
		r, err := http.NewRequestWithContext(w.Context(), test.method, w.url+"/v1/tags/"+test.path, strings.NewReader(test.body))
		w.must(err)
		resp, err := http.DefaultClient.Do(r)
		w.must(err)
		body, err := io.ReadAll(resp.Body)
		w.must(err)
		w.must(resp.Body.Close())
		if resp.StatusCode != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", test.method, test.path, test.body, resp.StatusCode, body, test.status, test.want)
		}
	}
}

// What is kept of resources survives being saved and restored.
func TestResourcesSaved(t *testing.T) {
	w := queueWorld(t)
	w.do("CreateJobQueue", queueOn("q", `,"tags":{"k":"v"},"schedulingPolicyArn":"`+policyARN+`p","jobStateTimeLimitActions":[
		{"reason":"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY","state":"RUNNABLE","maxTimeSeconds":600,"action":"CANCEL"}]`, "a", "b"))
	w.do("CreateSchedulingPolicy", `{"name":"f","fairsharePolicy":{"computeReservation":3,"shareDistribution":[{"shareIdentifier":"x","weightFactor":0.1}]}}`)
	w.do("CreateConsumableResource", `{"consumableResourceName":"lic","totalQuantity":5,"tags":{"k":"v"}}`)
	w.do("UpdateConsumableResource", `{"consumableResource":"lic","operation":"ADD","quantity":1,"clientToken":"t"}`)
	all := func() (out []any) {
		for _, op := range []string{"DescribeComputeEnvironments", "DescribeJobQueues", "ListConsumableResources"} {
			out = append(out, w.do(op, ``))
		}
		return append(out, w.do("DescribeSchedulingPolicies", `{"arns":["`+policyARN+`f","`+policyARN+`p"]}`), w.do("DescribeConsumableResource", `{"consumableResource":"lic"}`))
	}
	before := all()
	data, err := json.Marshal(w.m.Save())
	if err != nil {
		t.Fatal(err)
	}
	var saved model.Saved
	if err := json.Unmarshal(data, &saved); err != nil {
		t.Fatal(err)
	}
	if w.m, err = model.Restore(model.Config{Declared: true, Settle: settle}, &saved, resourceDecoders()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, all()); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	again := w.do("UpdateConsumableResource", `{"consumableResource":"lic","operation":"ADD","quantity":1,"clientToken":"t"}`)
	if again["totalQuantity"] != 6.0 {
		t.Errorf("the clientToken is forgotten: %v", again)
	}
	w.wait(settle)
	w.do("UpdateJobQueue", `{"jobQueue":"q","priority":3}`)
	w.do("UpdateComputeEnvironment", `{"computeEnvironment":"a","computeResources":{"maxvCpus":3}}`)
}
