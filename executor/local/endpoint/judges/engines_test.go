package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/executortest/fetched"
)

// Programs that others wrote for AWS Batch, unchanged. What they need of AWS beside Batch
// and its logs is moto's.

// An engine's world: an account with Batch of ours, and the rest of moto.
type world struct {
	*cloud
	moto string
	env  []string // of the engine
	dir  string   // its own
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ep := start(t)
	w := &world{cloud: cloudAt(t, ep), moto: fetched.Moto(t), dir: t.TempDir()}
	w.env = environ(t, ep, "AWS_ENDPOINT_URL="+w.moto, "AWS_ENDPOINT_URL_BATCH="+ep.url, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS="+ep.url,
		"HOME="+w.dir, "PATH="+fetched.Path("engines", "bin")+":"+os.Getenv("PATH"))
	w.run(fetched.Path("py", "bin", "aws"), "s3", "mb", "s3://judged")
	return w
}

// jobEnvironment is what a job needs to reach the bucket, as a definition has it.
func (w *world) jobEnvironment() []types.KeyValuePair {
	var all []types.KeyValuePair
	for _, v := range [][2]string{
		{"AWS_ACCESS_KEY_ID", accessKey}, {"AWS_SECRET_ACCESS_KEY", secretKey}, {"AWS_DEFAULT_REGION", region}, {"AWS_ENDPOINT_URL_S3", w.moto},
	} {
		all = append(all, types.KeyValuePair{Name: &v[0], Value: &v[1]})
	}
	return all
}

// command is a program of the engines.
func (w *world) command(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = fetched.Path("engines", "bin", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = w.env, w.dir
	return cmd
}

func (w *world) run(name string, args ...string) string {
	w.t.Helper()
	return run(w.t, w.command(name, args...))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

var submitted = regexp.MustCompile(`Job (\S+) \(\S+\) has been submitted`)

// AWS ParallelCluster's commands for a cluster with Batch, which AWS itself wrote.
func TestParallelCluster(t *testing.T) {
	t.Parallel()
	fetched.Need(t, fetched.Path("engines", "bin", "awsbsub"))
	w := newWorld(t)
	definition := w.register(&batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String(unique(t, "parallelcluster")),
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("alinux2"), Command: []string{"true"}, Vcpus: aws.Int32(1), Memory: aws.Int32(128), Environment: w.jobEnvironment(),
		},
	})
	queue := must[*batch.DescribeJobQueuesOutput](t)(w.DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{JobQueues: []string{w.queue}})).JobQueues[0]
	w.write(".parallelcluster/awsbatch-cli.cfg", fmt.Sprintf(`[main]
cluster_name = judged
[cluster judged]
region = %s
s3_bucket = judged
artifact_directory = cluster
batch_cli_requirements = aws-parallelcluster-awsbatch-cli>=1.0.0
compute_environment = %s
job_queue = %s
job_definition = %s
head_node_ip = 127.0.0.1
proxy = NONE
`, region, *queue.ComputeEnvironmentOrder[0].ComputeEnvironment, *queue.JobQueueArn, definition))
	w.write("hello.sh", "#!/bin/sh\necho \"hello $1 ${AWS_BATCH_JOB_ARRAY_INDEX-alone}\"\n")
	w.write("sleep.sh", "#!/bin/sh\nexec sleep 600\n")
	submit := func(args ...string) string {
		t.Helper()
		found := submitted.FindStringSubmatch(w.run("awsbsub", args...))
		if found == nil {
			t.Fatal("no job was submitted")
		}
		return found[1]
	}
	plain := submit("-jn", "plain", "-p", "2", "-m", "256", "-r", "2", "-t", "60", "-cf", "hello.sh", "you")
	array := submit("-jn", "array", "-a", "3", "-cf", "hello.sh", "all")
	ntn := submit("-jn", "ntn", "-a", "3", "-d", "jobId="+array+",type=N_TO_N", "-cf", "hello.sh", "each")
	sleeping := submit("-jn", "sleeping", "-cf", "sleep.sh")
	for _, id := range []string{plain, array, ntn} {
		w.expect(id, types.JobStatusSucceeded)
	}
	contains := func(what, out string, want ...string) {
		t.Helper()
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q", what, text)
			}
		}
	}
	contains("awsbout", w.run("awsbout", plain), ": hello you alone")
	contains("awsbout", w.run("awsbout", "--head", "1", ntn+":2"), ": hello each 2")
	contains("awsbstat", w.run("awsbstat", "-s", "ALL", "-e"), plain, array+":0", array+":2", ntn+":1", sleeping)
	contains("awsbstat of a job", w.run("awsbstat", plain), "SUCCEEDED", "exitCode                 : 0", "s3://judged/cluster/batch/job-plain")
	contains("awsbqueues", w.run("awsbqueues", "-d"), w.queue, "VALID")
	await(t, sleeping, func() types.JobStatus { return w.describe(sleeping)[0].Status }, func(s types.JobStatus) bool { return s == types.JobStatusRunning })
	contains("awsbkill", w.run("awsbkill", "-r", "enough", sleeping), "termination request")
	equal(t, "reason", *w.expect(sleeping, types.JobStatusFailed).StatusReason, "enough")
}

// redunPatience is how long redun may go without a job; on an idle machine all of it takes
// a third of that.
const redunPatience = 30 * time.Second

// redun runs redun, and again if it waits for ever though all its jobs have ended: the
// thread in which it looks at jobs ends when there are none, and may do so while the next
// one is being submitted (redun 0.44, executors/aws_batch.py, _monitor).
func (w *world) redun(args ...string) (string, error) {
	w.t.Helper()
	for {
		var out bytes.Buffer
		cmd := w.command("redun", args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for waits := false; !waits; {
			select {
			case err := <-ended:
				return out.String(), err
			case <-time.After(redunPatience):
				waits = !w.busy() // as long as jobs live, the machine is slow
			}
		}
		_ = cmd.Process.Kill()
		<-ended
		w.t.Logf("redun waits though its jobs have ended; once more\n%s", out.String())
	}
}

// busy reports whether the queue has jobs that have not ended.
func (w *world) busy() bool {
	for _, status := range []types.JobStatus{types.JobStatusSubmitted, types.JobStatusPending, types.JobStatusRunnable, types.JobStatusStarting, types.JobStatusRunning} {
		if len(w.listed(&batch.ListJobsInput{JobQueue: &w.queue, JobStatus: status})) > 0 {
			return true
		}
	}
	return false
}

// redun, a workflow engine: its executor for Batch gathers tasks into arrays, reuses job
// definitions that are like its own, and shows the log of a job that failed.
func TestRedun(t *testing.T) {
	t.Parallel()
	fetched.Need(t, fetched.Path("engines", "bin", "redun"))
	w := newWorld(t)
	var variables []map[string]string
	for _, v := range w.jobEnvironment() {
		variables = append(variables, map[string]string{"name": *v.Name, "value": *v.Value})
	}
	extra := must[[]byte](t)(json.Marshal(map[string]any{"containerProperties": map[string]any{"environment": variables}}))
	w.write(".redun/redun.ini", fmt.Sprintf(`[backend]
db_uri = sqlite:///redun.db
[executors.default]
type = local
[executors.batch]
type = aws_batch
image = redun
queue = %s
s3_scratch = s3://judged/redun
role = none
job_monitor_interval = 0.2
job_stale_time = 15
min_array_size = 3
memory = 1
default_batch_tags = False
job_def_extra = %s
`, w.queue, extra))
	w.write("workflow.py", string(must[[]byte](t)(os.ReadFile("testdata/redun/workflow.py"))))
	out, err := w.redun("run", "workflow.py", "main", "--n", "3")
	if err != nil {
		t.Fatalf("redun: %v\n%s", err, out)
	}
	if !strings.HasSuffix(strings.TrimSpace(out), "5") {
		t.Error("the sum of three squares is not 5")
	}
	failed, err := w.redun("run", "workflow.py", "fail")
	if err == nil || !strings.Contains(failed, "ValueError: as it should") {
		t.Errorf("a task that fails: %v\n%s", err, failed)
	}
	jobs := w.listed(&batch.ListJobsInput{JobQueue: &w.queue, JobStatus: types.JobStatusSucceeded})
	var arrays int
	for _, j := range jobs {
		if j.ArrayProperties != nil && aws.ToInt32(j.ArrayProperties.Size) == 3 {
			arrays++
		}
	}
	equal(t, "arrays of three among its jobs", arrays, 1)
	definitions := must[*batch.DescribeJobDefinitionsOutput](t)(w.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{}))
	for _, d := range definitions.JobDefinitions {
		equal(t, "revisions of "+*d.JobDefinitionName, *d.Revision, 1)
	}
}
