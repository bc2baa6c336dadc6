package endpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	plainContainer = `{"image":"busybox","command":["sleep","10"],"resourceRequirements":[{"type":"MEMORY","value":"128"},{"type":"VCPU","value":"1"}]}`
	plainFargate   = `{"image":"busybox","executionRoleArn":"arn:aws:iam::012345678910:role/x","resourceRequirements":[{"type":"MEMORY","value":"512"},{"type":"VCPU","value":"0.25"}]}`
)

func register(name string, more string) string {
	return fmt.Sprintf(`{"jobDefinitionName":%q,"type":"container"%s}`, name, more)
}

// What RegisterJobDefinition stores comes back with the defaults that AWS tells.
func TestDefinitionAnswers(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ name, more, want string }{
		{"plain", `,"containerProperties":` + plainContainer, `{
			"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/plain:1","jobDefinitionName":"plain","revision":1,"status":"ACTIVE",
			"type":"container","containerOrchestrationType":"ECS","parameters":{},"tags":{},"propagateTags":false,
			"containerProperties":{"image":"busybox","command":["sleep","10"],"resourceRequirements":[{"type":"MEMORY","value":"128"},{"type":"VCPU","value":"1"}],
				"environment":[],"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[]}}`},
		{"deprecated", `,"containerProperties":{"image":"busybox","memory":128,"vcpus":1,"linuxParameters":{"initProcessEnabled":true},"logConfiguration":{"logDriver":"awslogs"}}`, `{
			"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/deprecated:1","jobDefinitionName":"deprecated","revision":1,"status":"ACTIVE",
			"type":"container","containerOrchestrationType":"ECS","parameters":{},"tags":{},"propagateTags":false,
			"containerProperties":{"image":"busybox","memory":128,"vcpus":1,"command":[],"resourceRequirements":[],"environment":[],"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[],
				"linuxParameters":{"initProcessEnabled":true,"devices":[],"tmpfs":[]},"logConfiguration":{"logDriver":"awslogs","options":{},"secretOptions":[]}}}`},
		{"fargate", `,"platformCapabilities":["FARGATE"],"propagateTags":true,"timeout":{"attemptDurationSeconds":60},"schedulingPriority":9999,"tags":{"a":"b"},"parameters":{"x":"y"},
			"retryStrategy":{"attempts":3,"evaluateOnExit":[{"action":"RETRY","onStatusReason":"Host EC2*"},{"action":"exit","onReason":"*"}]},"containerProperties":` + plainFargate, `{
			"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/fargate:1","jobDefinitionName":"fargate","revision":1,"status":"ACTIVE",
			"type":"container","containerOrchestrationType":"ECS","parameters":{"x":"y"},"tags":{"a":"b"},"propagateTags":true,
			"timeout":{"attemptDurationSeconds":60},"schedulingPriority":9999,"platformCapabilities":["FARGATE"],
			"retryStrategy":{"attempts":3,"evaluateOnExit":[{"action":"retry","onStatusReason":"Host EC2*"},{"action":"exit","onReason":"*"}]},
			"containerProperties":{"image":"busybox","command":[],"executionRoleArn":"arn:aws:iam::012345678910:role/x","resourceRequirements":[{"type":"MEMORY","value":"512"},{"type":"VCPU","value":"0.25"}],
				"environment":[],"mountPoints":[],"secrets":[],"ulimits":[],"volumes":[],"fargatePlatformConfiguration":{"platformVersion":"LATEST"}}}`},
		{"ecs", `,"ecsProperties":{"taskProperties":[{"containers":[{"image":"busybox","name":"a","resourceRequirements":[{"type":"MEMORY","value":"128"},{"type":"VCPU","value":"1.0"}]}]}]}`, `{
			"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/ecs:1","jobDefinitionName":"ecs","revision":1,"status":"ACTIVE",
			"type":"container","containerOrchestrationType":"ECS","parameters":{},"tags":{},"propagateTags":false,
			"ecsProperties":{"taskProperties":[{"volumes":[],"containers":[{"image":"busybox","name":"a","essential":true,"command":[],"dependsOn":[],"environment":[],"mountPoints":[],"secrets":[],"ulimits":[],
				"resourceRequirements":[{"type":"MEMORY","value":"128"},{"type":"VCPU","value":"1.0"}]}]}]}}`},
		{"eks", `,"eksProperties":{"podProperties":{"containers":[{"image":"busybox","resources":{"limits":{"cpu":"0.25","memory":"4Mi"}}}]}}`, `{
			"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/eks:1","jobDefinitionName":"eks","revision":1,"status":"ACTIVE",
			"type":"container","containerOrchestrationType":"EKS","parameters":{},"tags":{},"propagateTags":false,
			"eksProperties":{"podProperties":{"containers":[{"image":"busybox","resources":{"limits":{"cpu":"0.25","memory":"4Mi"}}}]}}}`},
	} {
		w.do("RegisterJobDefinition", register(test.name, test.more))
		got := w.do("DescribeJobDefinitions", fmt.Sprintf(`{"jobDefinitionName":%q}`, test.name))
		equal(t, test.name, at(t, got, "jobDefinitions", 0), test.want)
	}
}

func TestRevisions(t *testing.T) {
	w := newWorld(t)
	body := register("a", `,"containerProperties":`+plainContainer)
	for i := 1; i <= 3; i++ {
		equal(t, "registered", w.do("RegisterJobDefinition", body), fmt.Sprintf(
			`{"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/a:%d","jobDefinitionName":"a","revision":%d}`, i, i))
	}
	revision := func(ref string) int {
		t.Helper()
		d, err := w.s.catalog.definition(ref)
		if err != nil {
			return 0
		}
		return int(*d.Revision)
	}
	if revision("a") != 3 || revision("a:2") != 2 || revision("arn:aws:batch:us-east-1:012345678910:job-definition/a:1") != 1 ||
		revision("arn:aws:batch:us-east-1:012345678910:job-definition/a") != 3 || revision("a:4") != 0 || revision("b") != 0 ||
		revision("arn:aws:batch:us-east-1:012345678910:job-queue/a") != 0 || revision("a:0") != 0 || revision("a:x") != 0 || revision("") != 0 {
		t.Error("wrong revision")
	}
	equal(t, "deregistered", w.do("DeregisterJobDefinition", `{"jobDefinition":"a:3"}`), `{}`)
	w.do("DeregisterJobDefinition", `{"jobDefinition":"arn:aws:batch:us-east-1:012345678910:job-definition/a:3"}`) // again
	if revision("a") != 2 || revision("a:3") != 0 {
		t.Error("a deregistered revision is still there")
	}
	w.do("DeregisterJobDefinition", `{"jobDefinition":"a"}`)
	if revision("a") != 1 {
		t.Error("a bare name does not mean the latest active revision")
	}
	if got := at(t, w.do("RegisterJobDefinition", body), "revision"); got != 4.0 {
		t.Errorf("revisions do not count on: %v", got)
	}
	w.refused("DeregisterJobDefinition", `{"jobDefinition":"a:9"}`, "does not exist or is not in ACTIVE status")
	w.refused("DeregisterJobDefinition", `{"jobDefinition":"b"}`, "does not exist or is not in ACTIVE status")
	w.refused("DeregisterJobDefinition", `{}`, "JobDefinition is required")

	list := func(body string) (out []string) {
		for _, d := range at(t, w.do("DescribeJobDefinitions", body), "jobDefinitions").([]any) {
			out = append(out, fmt.Sprint(at(t, d, "jobDefinitionName"), ":", at(t, d, "revision"), " ", at(t, d, "status")))
		}
		return out
	}
	w.do("RegisterJobDefinition", register("a-b", `,"containerProperties":`+plainContainer))
	for _, test := range []struct {
		body string
		want []string
	}{
		{``, []string{"a:4 ACTIVE", "a:3 INACTIVE", "a:2 INACTIVE", "a:1 ACTIVE", "a-b:1 ACTIVE"}},
		{`{"jobDefinitionName":"a","status":"ACTIVE"}`, []string{"a:4 ACTIVE", "a:1 ACTIVE"}},
		{`{"status":"INACTIVE"}`, []string{"a:3 INACTIVE", "a:2 INACTIVE"}},
		{`{"jobDefinitions":["a:2","a:2","arn:aws:batch:us-east-1:012345678910:job-definition/a-b:1","nosuch:1","a:77","a"]}`, []string{"a:2 INACTIVE", "a-b:1 ACTIVE"}},
	} {
		if d := cmp.Diff(test.want, list(test.body)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, d)
		}
	}
	w.now = w.now.Add(181 * 24 * time.Hour)
	if got := list(`{"status":"INACTIVE"}`); got != nil {
		t.Errorf("deregistered definitions stay: %v", got)
	}
	if got := at(t, w.do("RegisterJobDefinition", body), "revision"); got != 5.0 {
		t.Errorf("revisions do not count on: %v", got)
	}
}

// Pages are stable, tokens can be used again, and each definition comes once.
func TestDefinitionPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 7 {
		for rev := range 3 {
			w.do("RegisterJobDefinition", register(fmt.Sprintf("d%d", i), `,"containerProperties":`+plainContainer))
			want = append(want, fmt.Sprintf("d%d:%d", i, 3-rev))
		}
	}
	page := func(size int, token string) (names []string, next string) {
		t.Helper()
		out := w.do("DescribeJobDefinitions", fmt.Sprintf(`{"maxResults":%d,"nextToken":%q}`, size, token))
		for _, d := range at(t, out, "jobDefinitions").([]any) {
			names = append(names, fmt.Sprint(at(t, d, "jobDefinitionName"), ":", at(t, d, "revision")))
		}
		next, _ = at(t, out, "nextToken").(string)
		return names, next
	}
	for size := 1; size <= 22; size++ {
		var got []string
		for token, more := "", true; more; more = token != "" {
			first, next := page(size, token)
			again, _ := page(size, token)
			if !slices.Equal(first, again) || len(first) > size {
				t.Fatalf("page of %d: %v, again %v", size, first, again)
			}
			got, token = append(got, first...), next
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("pages of %d (-want +got):\n%s", size, d)
		}
	}
	for body, part := range map[string]string{
		`{"maxResults":0}`:                                                "between 1 and 100",
		`{"maxResults":101}`:                                              "between 1 and 100",
		`{"nextToken":"%%"}`:                                              "NextToken is not valid",
		`{"status":"GONE"}`:                                               "is not valid",
		`{"jobDefinitions":["a:1"],"maxResults":1}`:                       "JobDefinitions and MaxResults cannot both be set",
		`{"jobDefinitions":["a:1"],"jobDefinitionName":"a"}`:              "JobDefinitions and JobDefinitionName cannot both be set",
		`{"jobDefinitions":["a:1"],"status":"GONE"}`:                      "is not valid",
		`{"jobDefinitions":[` + strings.Repeat(`"a:1",`, 100) + `"a:1"]}`: "supported is 100",
	} {
		w.refused("DescribeJobDefinitions", body, part)
	}
}

// A catalog survives being written and read.
func TestDefinitionSaved(t *testing.T) {
	w := newWorld(t)
	w.do("RegisterJobDefinition", register("f", `,"platformCapabilities":["FARGATE"],"containerProperties":`+plainFargate))
	before := w.do("DescribeJobDefinitions", ``)
	data, err := json.Marshal(w.s.catalog.definitions)
	if err != nil {
		t.Fatal(err)
	}
	w.s.catalog.definitions = nil
	if err := json.Unmarshal(data, &w.s.catalog.definitions); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, w.do("DescribeJobDefinitions", ``)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d, err := w.s.catalog.definition("f"); err != nil || !d.fargate {
		t.Errorf("capability lost: %v", err)
	}
}
