package endpoint

import (
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

func (w *emulator) environmentNamed(name string) types.ComputeEnvironmentDetail {
	w.Helper()
	out, err := w.DescribeComputeEnvironments(w.Context(), &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}})
	w.must(err)
	if len(out.ComputeEnvironments) != 1 {
		w.Fatalf("%d environments %s", len(out.ComputeEnvironments), name)
	}
	return out.ComputeEnvironments[0]
}

func TestAdminInvalidate(t *testing.T) {
	const why = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403)"
	w := newEmulator(t)
	w.admin("invalidate", url.Values{"environment": {w.server.arn(kindEnvironment, "ce")}, "reason": {why}}.Encode())
	if e := w.environmentNamed("ce"); e.Status != types.CEStatusInvalid || value(e.StatusReason) != why || e.State != types.CEStateEnabled {
		t.Errorf("it is %s", encode(&e))
	}
	id := w.submit()
	if j := w.until(id, types.JobStatusRunnable); value(j.StatusReason) != model.ReasonInvalid {
		t.Errorf("the head of its queue says %q", value(j.StatusReason))
	}
	w.admin("invalidate", "environment=ce")
	w.until(id, types.JobStatusRunning)
	if e := w.environmentNamed("ce"); e.Status != types.CEStatusValid {
		t.Errorf("it is %s", encode(&e))
	}
	w.post(adminPath+"invalidate", "environment=nobody&reason=x", 400)
}

// Jobs are told to run on the container instances that the admin API says, those before
// on what was said then, also after a restart.
func TestAdminHosts(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	journal := filepath.Join(t.TempDir(), "jobs")
	open := func(o *Options) { o.Journal, o.Now = journal, func() time.Time { return time.Unix(clock.Load(), 0) } }
	w := newEmulator(t, open)
	w.stage.always(exits(0))
	const prefix = "arn:aws:ecs:us-east-1:123456789012:container-instance/c/"
	ran := func() string {
		clock.Add(1)
		id := w.submit()
		w.untilEnded(id)
		return id
	}
	on := func(id string) string {
		j := w.describe(id)
		if a := value(j.Attempts[0].Container.ContainerInstanceArn); a != value(j.Container.ContainerInstanceArn) {
			t.Errorf("the attempt ran on %s: %s", a, encode(&j))
		}
		return value(j.Container.ContainerInstanceArn)
	}
	before := ran()
	clock.Add(1)
	w.admin("hosts", "environment=ce&instances="+prefix+"a,"+prefix+"b")
	some := map[string]string{}
	for range 16 {
		id := ran()
		some[id] = on(id)
	}
	seen := map[string]int{}
	for _, arn := range some {
		seen[arn]++
	}
	if len(seen) != 2 || seen[prefix+"a"] == 0 || seen[prefix+"b"] == 0 {
		t.Errorf("jobs ran on %v", seen)
	}
	if arn := on(before); !strings.Contains(arn, ":container-instance/AWSBatch-ce-") {
		t.Errorf("the job before ran on %s", arn)
	}
	clock.Add(1)
	w.admin("hosts", "environment=ce")
	after := ran()
	if arn := on(after); arn != on(before) {
		t.Errorf("the job after ran on %s", arn)
	}
	w.post(adminPath+"hosts", "environment=nobody&instances="+prefix+"a", 400)
	w.post(adminPath+"hosts", "environment=ce&instances=i-1234", 400)

	w.close()
	w = newEmptyEmulator(t, open)
	for id, arn := range some {
		if got := on(id); got != arn {
			t.Errorf("after a restart %s ran on %s, and before on %s", id, got, arn)
		}
	}
}

func TestHostsAreSaved(t *testing.T) {
	c := newCatalog()
	c.host("ce", hosts{Since: 5, Instances: []string{"a"}})
	b, err := c.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	again := newCatalog()
	if err := again.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int64]string{4: "", 5: "a", 6: "a"} {
		if got := again.instanceOf("ce", "task", time.UnixMilli(at)); got != want {
			t.Errorf("at %d it is %q, want %q", at, got, want)
		}
	}
}

func TestAdminDesired(t *testing.T) {
	w := newEmulator(t)
	w.admin("desired", "environment=ce&vcpus=4")
	if e := w.environmentNamed("ce"); value(e.ComputeResources.DesiredvCpus) != 4 || e.Status != types.CEStatusValid {
		t.Errorf("it is %s", encode(&e))
	}
	w.post(adminPath+"desired", "environment=nobody&vcpus=4", 400)
	w.post(adminPath+"desired", "environment=ce&vcpus=many", 400)
	w.post(adminPath+"desired", "environment=ce&vcpus=-1", 400)
}

// The ARN of a task is one of the cluster of its environment, so that ECS can be asked.
func TestTaskARN(t *testing.T) {
	w := newEmulator(t)
	w.stage.always(exits(0))
	j := w.untilEnded(w.submit())
	cluster := strings.Replace(value(w.environmentNamed("ce").EcsClusterArn), ":cluster/", ":task/", 1)
	if task := value(j.Container.TaskArn); !strings.HasPrefix(task, cluster+"/") {
		t.Errorf("task %s is not of %s", task, cluster)
	}
}
