package main

import (
	"fmt"
	"testing"
)

// BenchmarkBatchCalls counts, as the server does, what 30,001 tasks cost in calls: three
// chained steps of 10,000 and a gather, of which nothing runs longer than a moment. Beside
// it stands how long one SubmitJob a task would take, at the 50 a second of an account.
func BenchmarkBatchCalls(b *testing.B) {
	const size, perSecond = 10_000, 50
	for b.Loop() {
		c := newCloud(b, "--runner", "instant", "--keep-jobs", "0")
		c.write("w.hcl", fmt.Sprintf(chainWorkflow, size))
		c.run("w.hcl", "-no-cache")
		calls := c.calls()
		b.ReportMetric(3*size+1, "tasks")
		for _, operation := range []string{"SubmitJob", "RegisterJobDefinition", "DescribeJobs", "ListJobs"} {
			b.ReportMetric(float64(calls[operation]), operation)
		}
		b.ReportMetric(float64(calls["SubmitJob"])/perSecond, "submit-s")
		b.ReportMetric(float64(3*size+1)/perSecond, "submit-one-by-one-s")
	}
}
