package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

// A job that somebody ended in AWS Batch is told from one that failed by itself.
func TestExplainTerminated(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--runner", "instant", "--latency", "run=10m")
	c.write("w.hcl", "workflow \"w\" {}\nstep \"a\" { command = [\"true\"] }\n")
	c.run("w.hcl", "-detach")
	id := aws.ToString(c.jobs()[0].JobId)
	if _, err := c.client.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("not wanted any more")}); err != nil {
		t.Fatal(err)
	}
	c.fails(exitCancelled, "wait", "@last")
	said := string(c.output("explain", "@last/a"))
	for _, want := range []string{"is CANCELLED\n  it was ended: not wanted any more\n", "  attempt 1 cancelled: exit code 143 (SIGTERM): not wanted any more"} {
		if !strings.Contains(said, want) {
			t.Errorf("there is no %q in:\n%s", want, said)
		}
	}
}
