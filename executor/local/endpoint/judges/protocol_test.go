package judges

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

// ask sends a request as it is, and returns the status, the code of an error, and the body.
func (ep *endpoint) ask(t *testing.T, method, path, target, body string) (int, string, string) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, ep.url+path, strings.NewReader(body)))
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	}
	answer := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer answer.Body.Close()
	said := must[[]byte](t)(io.ReadAll(answer.Body))
	var shape struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(said, &shape) // it may have none
	code, _, _ := strings.Cut(answer.Header.Get("X-Amzn-ErrorType"), ":")
	if code == "" {
		code = shape.Type[strings.LastIndex(shape.Type, "#")+1:]
	}
	return answer.StatusCode, code, string(said)
}

// What is no request of the service, or barely one, is answered as the model says.
func TestProtocol(t *testing.T) {
	t.Parallel()
	ep := start(t)
	const logs = "Logs_20140328."
	for name, c := range map[string]struct {
		method, path, target, body string
		status                     int
		code                       string
	}{
		"no body":              {"POST", "/v1/describejobqueues", "", "", 200, ""},
		"an empty object":      {"POST", "/v1/describejobqueues", "", "{}", 200, ""},
		"white space":          {"POST", "/v1/describejobqueues", "", " \n{ }\n", 200, ""},
		"no JSON":              {"POST", "/v1/describejobqueues", "", "jobQueues=a", 400, "ClientException"},
		"half of it":           {"POST", "/v1/describejobqueues", "", `{"jobQueues":["a"`, 400, "ClientException"},
		"a list":               {"POST", "/v1/describejobqueues", "", "[]", 400, "ClientException"},
		"null":                 {"POST", "/v1/submitjob", "", "null", 400, "ClientException"},
		"text for a list":      {"POST", "/v1/describejobs", "", `{"jobs":"a"}`, 400, "ClientException"},
		"number for a text":    {"POST", "/v1/describejobs", "", `{"jobs":[1]}`, 400, "ClientException"},
		"text for a number":    {"POST", "/v1/listjobs", "", `{"jobQueue":"q","maxResults":"1"}`, 400, "ClientException"},
		"a fraction":           {"POST", "/v1/listjobs", "", `{"jobQueue":"q","maxResults":1.5}`, 400, "ClientException"},
		"too large a number":   {"POST", "/v1/listjobs", "", `{"jobQueue":"q","maxResults":4294967297}`, 400, "ClientException"},
		"required is missing":  {"POST", "/v1/describejobs", "", `{}`, 400, "ClientException"},
		"required is null":     {"POST", "/v1/describejobs", "", `{"jobs":null}`, 400, "ClientException"},
		"optional is null":     {"POST", "/v1/describejobqueues", "", `{"jobQueues":null,"nextToken":null}`, 200, ""},
		"no such operation":    {"POST", "/v1/describegalaxies", "", `{}`, 404, "UnknownOperationException"},
		"no such path":         {"GET", "/", "", ``, 404, "UnknownOperationException"},
		"another method":       {"GET", "/v1/describejobs", "", ``, 404, "UnknownOperationException"},
		"for SageMaker":        {"POST", "/v1/listservicejobs", "", `{}`, 400, "ClientException"},
		"a deep document":      {"POST", "/v1/describejobs", "", strings.Repeat(`{"jobs":[`, 5000), 400, "ClientException"},
		"a large document":     {"POST", "/v1/describejobs", "", `{"jobs":["` + strings.Repeat("x", 2<<20) + `"]}`, 400, "ClientException"},
		"tags of what is not":  {"GET", "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fnone", "", "", 400, "ClientException"},
		"tags of no ARN":       {"GET", "/v1/tags/none", "", "", 400, "ClientException"},
		"logs":                 {"POST", "/", logs + "DescribeLogGroups", `{}`, 200, ""},
		"logs, no JSON":        {"POST", "/", logs + "DescribeLogGroups", `{`, 400, "SerializationException"},
		"logs, wrong type":     {"POST", "/", logs + "DescribeLogGroups", `{"limit":"x"}`, 400, "SerializationException"},
		"logs, out of range":   {"POST", "/", logs + "DescribeLogGroups", `{"limit":51}`, 400, "InvalidParameterException"},
		"logs, no such stream": {"POST", "/", logs + "GetLogEvents", `{"logGroupName":"/aws/batch/job","logStreamName":"x"}`, 400, "ResourceNotFoundException"},
		"logs, no name":        {"POST", "/", logs + "GetLogEvents", `{"logStreamName":"x"}`, 400, "InvalidParameterException"},
		"logs, no operation":   {"POST", "/", logs + "PutMetricFilters", `{}`, 400, "UnknownOperationException"},
	} {
		t.Run(name, func(t *testing.T) {
			status, code, body := ep.ask(t, c.method, c.path, c.target, c.body)
			if status != c.status || code != c.code {
				t.Errorf("got %d %s %.300s, expected %d %s", status, code, body, c.status, c.code)
			}
		})
	}
}

// A job that has not run looks as in the page batch_cwe_events: what is empty is there,
// and what is not known yet is not.
func TestGuideJobDetail(t *testing.T) {
	t.Parallel()
	ep := start(t)
	c := cloudAt(t, ep)
	queue := unique(t, "one")
	c.narrow(queue, nil)
	release := c.block(batch.SubmitJobInput{JobQueue: &queue})
	definition := c.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("first-run-job-definition"),
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("137112412989.dkr.ecr.us-east-1.amazonaws.com/amazonlinux:latest"), Command: []string{"sleep", "600"},
			ResourceRequirements: requirements("1", "256"),
		},
	})
	id := c.submit(&batch.SubmitJobInput{
		JobName: aws.String("event-test"), JobDefinition: aws.String("first-run-job-definition"), JobQueue: &queue,
		RetryStrategy: &types.RetryStrategy{Attempts: aws.Int32(2)},
	})
	job := await(t, id, func() types.JobDetail { return c.describe(id)[0] }, func(j types.JobDetail) bool { return j.Status == types.JobStatusRunnable })
	_, _, body := ep.ask(t, "POST", "/v1/describejobs", "", `{"jobs":["`+id+`"]}`)
	var got struct{ Jobs []map[string]any }
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Jobs) != 1 {
		t.Fatal(body, err)
	}
	want := map[string]any{
		"jobArn": *job.JobArn, "jobName": "event-test", "jobId": id, "jobQueue": *job.JobQueue, "status": "RUNNABLE", "attempts": []any{},
		"createdAt":     float64(*job.CreatedAt),
		"retryStrategy": map[string]any{"attempts": 2.0, "evaluateOnExit": []any{}},
		"dependsOn":     []any{}, "jobDefinition": definition, "parameters": map[string]any{},
		"container": map[string]any{
			"image": "137112412989.dkr.ecr.us-east-1.amazonaws.com/amazonlinux:latest", "command": []any{"sleep", "600"},
			"volumes": []any{}, "environment": []any{}, "mountPoints": []any{}, "ulimits": []any{}, "networkInterfaces": []any{},
			"resourceRequirements": []any{map[string]any{"type": "VCPU", "value": "1"}, map[string]any{"type": "MEMORY", "value": "256"}},
			"secrets":              []any{},
		},
		"tags": map[string]any{}, "propagateTags": false,
		// In the page of 2022 this list is empty; now the default is shown.
		"platformCapabilities": []any{"EC2"},
		// Since 2022-12.
		"isCancelled": false, "isTerminated": false,
	}
	detail := got.Jobs[0]
	delete(detail, "statusReason") // of a blocked queue
	if diff := cmp.Diff(want, detail); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	must[*batch.TerminateJobOutput](t)(c.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("seen")}))
	release()
}
