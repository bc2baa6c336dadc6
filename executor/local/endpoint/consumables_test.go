package endpoint

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const consumableARN = "arn:aws:batch:us-east-1:012345678910:consumable-resource/"

func TestConsumables(t *testing.T) {
	w := newWorld(t)
	equal(t, "created", w.do("CreateConsumableResource", `{"consumableResourceName":"lic","totalQuantity":5,"tags":{"k":"v"}}`),
		`{"consumableResourceArn":"`+consumableARN+`lic","consumableResourceName":"lic"}`)
	w.do("CreateConsumableResource", `{"consumableResourceName":"Fuel","resourceType":"NON_REPLENISHABLE"}`)
	equal(t, "described", w.do("DescribeConsumableResource", `{"consumableResource":"`+consumableARN+`lic"}`), fmt.Sprintf(
		`{"consumableResourceArn":"`+consumableARN+`lic","consumableResourceName":"lic","totalQuantity":5,"inUseQuantity":0,"availableQuantity":5,"resourceType":"REPLENISHABLE","createdAt":%d,"tags":{"k":"v"}}`,
		w.now.UnixMilli()))
	fuel := `{"consumableResourceArn":"` + consumableARN + `Fuel","consumableResourceName":"Fuel","totalQuantity":0,"inUseQuantity":0,"resourceType":"NON_REPLENISHABLE"}`
	lic := `{"consumableResourceArn":"` + consumableARN + `lic","consumableResourceName":"lic","totalQuantity":5,"inUseQuantity":0,"resourceType":"REPLENISHABLE"}`
	equal(t, "listed", w.do("ListConsumableResources", ``), `{"consumableResources":[`+fuel+`,`+lic+`]}`)
	for body, want := range map[string]string{
		`{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["fu*"]}]}`:        fuel,
		`{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["LIC"]}]}`:        lic,
		`{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["li"]}]}`:         ``,
		`{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["x","fuel"]}]}`:   fuel,
		`{"nextToken":"RnVlbA==","maxResults":1}`:                                   lic,
		`{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME","values":["*","nosuch"]}]}`: fuel + `,` + lic,
	} {
		equal(t, body, w.do("ListConsumableResources", body), `{"consumableResources":[`+want+`]}`)
	}
	equal(t, "gone", w.do("DeleteConsumableResource", `{"consumableResource":"Fuel"}`), `{}`)
	w.do("DeleteConsumableResource", `{"consumableResource":"Fuel"}`)
	for _, test := range []struct{ op, body, part string }{
		{"CreateConsumableResource", `{}`, "is not supported pattern"},
		{"CreateConsumableResource", `{"consumableResourceName":"lic"}`, "Object already exists"},
		{"CreateConsumableResource", `{"consumableResourceName":"x","totalQuantity":-1}`, "totalQuantity should not be negative"},
		{"CreateConsumableResource", `{"consumableResourceName":"x","totalQuantity":1e30}`, "should be an integer"},
		{"CreateConsumableResource", `{"consumableResourceName":"x","resourceType":"ODD"}`, "resourceType ODD is not valid"},
		{"DescribeConsumableResource", `{}`, "ConsumableResource is required"},
		{"DescribeConsumableResource", `{"consumableResource":"Fuel"}`, consumableARN + "Fuel does not exist"},
		{"UpdateConsumableResource", `{"consumableResource":"Fuel"}`, "does not exist"},
		{"DeleteConsumableResource", `{}`, "ConsumableResource is required"},
		{"ListConsumableResources", `{"filters":[{"name":"NAME","values":["x"]}]}`, `Filter name "NAME" is not valid`},
		{"ListConsumableResources", `{"filters":[{"name":"CONSUMABLE_RESOURCE_NAME"}]}`, "with its values"},
		{"ListConsumableResources", `{"filters":[{}]}`, "is not valid"},
	} {
		w.refused(test.op, test.body, test.part)
	}
}

func TestConsumableUpdates(t *testing.T) {
	w := newWorld(t)
	w.do("CreateConsumableResource", `{"consumableResourceName":"lic","totalQuantity":5}`)
	for _, test := range []struct {
		body string
		want float64
		wait time.Duration
	}{
		{`"operation":"ADD","quantity":3`, 8, 0},
		{`"operation":"REMOVE","quantity":8`, 0, 0},
		{`"operation":"SET","quantity":10`, 10, 0},
		{`"operation":"ADD","quantity":1,"clientToken":"t"`, 11, time.Hour},
		{`"operation":"ADD","quantity":1,"clientToken":"t"`, 11, 0}, // the same request
		{`"operation":"REMOVE","quantity":9,"clientToken":"u"`, 2, 0},
		{`"operation":"REMOVE","quantity":9,"clientToken":"u"`, 2, 7*time.Hour + 1},
		{`"operation":"ADD","quantity":1,"clientToken":"t"`, 3, 0}, // t is not valid any more
	} {
		out := w.do("UpdateConsumableResource", `{"consumableResource":"lic",`+test.body+`}`)
		if d := cmp.Diff(map[string]any{"consumableResourceArn": consumableARN + "lic", "consumableResourceName": "lic", "totalQuantity": test.want}, out); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, d)
		}
		w.wait(test.wait)
	}
	for body, part := range map[string]string{
		`"operation":"ADD"`:                                "quantity is required",
		`"operation":"ADD","quantity":-1`:                  "not be negative",
		`"operation":"ADD","quantity":9223372036854775807`: "cannot exceed",
		`"operation":"REMOVE","quantity":4`:                "Cannot remove 4 from a totalQuantity of 3",
		`"quantity":4`:                                     "operation",
		`"operation":"add","quantity":4`:                   "operation",
		`"operation":"ADD","quantity":4,"clientToken":""`:  "clientToken",
		`"operation":"ADD","quantity":2,"clientToken":"t"`: "was used with another update",
	} {
		w.refused("UpdateConsumableResource", `{"consumableResource":"lic",`+body+`}`, part)
	}
}

// The jobs that need a resource, over all queues, newest first and in pages.
func TestConsumers(t *testing.T) {
	w := queueWorld(t)
	w.do("CreateConsumableResource", `{"consumableResourceName":"lic","totalQuantity":1}`)
	w.do("CreateJobQueue", queueOn("q1", ``, "a"))
	w.do("CreateJobQueue", queueOn("q2", ``, "b"))
	w.do("RegisterJobDefinition", register("with", `,"consumableResourceProperties":{"consumableResourceList":[{"consumableResource":"lic","quantity":1}]},"containerProperties":`+plainContainer))
	w.do("RegisterJobDefinition", register("without", `,"containerProperties":`+plainContainer))
	w.wait(settle)
	submit := func(name, queue, definition string) string {
		t.Helper()
		w.wait(time.Second)
		return at(t, w.do("SubmitJob", fmt.Sprintf(`{"jobName":%q,"jobQueue":%q,"jobDefinition":%q}`, name, queue, definition)), "jobId").(string)
	}
	var want []any
	for i := range 6 {
		want = append([]any{submit(fmt.Sprint("job", i), []string{"q1", "q2"}[i%2], "with")}, want...)
		submit("other", "q1", "without")
	}
	list := func(more string) (ids []any, next string) {
		out := w.do("ListJobsByConsumableResource", `{"consumableResource":"lic"`+more+`}`)
		for _, j := range at(t, out, "jobs").([]any) {
			arn := at(t, j, "jobArn").(string)
			_, id := splitARN(arn)
			ids = append(ids, id)
		}
		next, _ = at(t, out, "nextToken").(string)
		return ids, next
	}
	if got, _ := list(``); cmp.Diff(want, got) != "" {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	for size := 1; size <= 7; size++ {
		var got []any
		for next, more := "", true; more; more = next != "" {
			var ids []any
			ids, next = list(fmt.Sprintf(`,"maxResults":%d,"nextToken":%q`, size, next))
			got = append(got, ids...)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, d)
		}
	}
	if got, _ := list(`,"filters":[{"name":"JOB_NAME","values":["JOB3"]}]`); cmp.Diff(want[2:3], got) != "" {
		t.Errorf("by name: %v", got)
	}
	w.wait(time.Second)
	all := len(want)
	some, _ := list(`,"filters":[{"name":"JOB_STATUS","values":["STARTING"]}]`)
	rest, _ := list(`,"filters":[{"name":"JOB_STATUS","values":["PENDING","RUNNABLE","SUBMITTED"]},{"name":"JOB_NAME","values":["job*"]}]`)
	if len(some) != 1 || len(some)+len(rest) != all {
		t.Errorf("one of the jobs has the resource: %v, others %v", some, rest)
	}
	one := at(t, w.do("ListJobsByConsumableResource", `{"consumableResource":"`+consumableARN+`lic","maxResults":1}`), "jobs", 0)
	within(t, "summary", one, object(t, `{"jobName":"job5","quantity":1,"jobQueueArn":"arn:aws:batch:us-east-1:012345678910:job-queue/q2",
		"jobDefinitionArn":"arn:aws:batch:us-east-1:012345678910:job-definition/with:1",
		"consumableResourceProperties":{"consumableResourceList":[{"consumableResource":"`+consumableARN+`lic","quantity":1}]}}`))
	for body, part := range map[string]string{
		`{}`:                              "ConsumableResource is required",
		`{"consumableResource":"nosuch"}`: "does not exist",
		`{"consumableResource":"lic","filters":[{"name":"JOB_STATUS","values":["DONE"]}]}`: "no status of a job",
		`{"consumableResource":"lic","nextToken":"eA=="}`:                                  "NextToken is not valid",
	} {
		w.refused("ListJobsByConsumableResource", body, part)
	}
}
