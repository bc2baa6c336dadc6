package endpoint

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		name string
		in   any
		want string
	}{
		{"nothing", &batch.CancelJobOutput{}, `{}`},
		{"nil is left out, empty is not", &types.JobDetail{Attempts: []types.AttemptDetail{}, Tags: map[string]string{}}, `{"attempts":[],"tags":{}}`},
		{"members and their values", &types.JobDetail{
			JobName: new("a"), Status: types.JobStatusRunnable, CreatedAt: new(int64(1767225600123)), IsCancelled: new(false),
			ArrayProperties: &types.ArrayPropertiesDetail{Size: new(int32(2)), StatusSummary: map[string]int32{"RUNNING": 1, "FAILED": 0}},
			DependsOn:       []types.JobDependency{{JobId: new("x")}, {Type: types.ArrayJobDependencySequential}},
		}, `{"jobName":"a","status":"RUNNABLE","arrayProperties":{"size":2,"statusSummary":{"FAILED":0,"RUNNING":1}},"createdAt":1767225600123,` +
			`"dependsOn":[{"jobId":"x"},{"type":"SEQUENTIAL"}],"isCancelled":false}`},
		{"names with capitals within", &types.ComputeResource{MinvCpus: new(int32(0)), Ec2KeyPair: new("k")}, `{"ec2KeyPair":"k","minvCpus":0}`},
		{"text", &types.KeyValuePair{Name: new("a<b>&\"\\"), Value: new("line\nü\x01")}, `{"name":"a<b>&\"\\","value":"line\nü\u0001"}`},
		{"numbers", &types.ShareAttributes{ShareIdentifier: new("s"), WeightFactor: new(float32(0.5))}, `{"shareIdentifier":"s","weightFactor":0.5}`},
		{"members of an embedded structure", &summary{JobSummary: types.JobSummary{JobId: new("i")}, IsTerminated: new(true)}, `{"jobId":"i","isTerminated":true}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, string(encode(test.in))); diff != "" {
				t.Errorf("encode (-want +got):\n%s", diff)
			}
		})
	}
}

func BenchmarkEncodeJobDetail(b *testing.B) {
	d := &types.JobDetail{JobName: new("a"), Status: types.JobStatusRunnable, Container: &types.ContainerDetail{Command: []string{"echo", "hello"}}}
	for b.Loop() {
		encode(d)
	}
}
