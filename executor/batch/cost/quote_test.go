package cost

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func environment(name, kind string, instances ...string) *engine.ComputeEnvironment {
	return &engine.ComputeEnvironment{Block: engine.Block{Name: name}, Type: kind, MaxVCPUs: 256, InstanceTypes: instances}
}

func queue(name string, environments ...string) *engine.JobQueue {
	return &engine.JobQueue{Block: engine.Block{Name: name}, Environments: environments}
}

func bid(e *engine.ComputeEnvironment, percent int) *engine.ComputeEnvironment {
	e.BidPercentage = percent
	return e
}

// blocks is what a workflow may say, a queue of each kind.
func blocks() *engine.Infra {
	return &engine.Infra{
		Environments: []*engine.ComputeEnvironment{
			environment("one", engine.TypeEC2, "m6i.large"), environment("many", engine.TypeEC2, "optimal"), environment("sizes", engine.TypeEC2, "c6i"), bid(environment("spot", engine.TypeSpot, "m6i.large"), 60),
			environment("anybid", engine.TypeSpot, "m6i.large"), bid(environment("low", engine.TypeSpot, "m6i.large"), 20),
			environment("fargate", engine.TypeFargate), environment("fargate-spot", engine.TypeFargateSpot),
			environment("arm", engine.TypeEC2, "c6g.xlarge"), environment("gpus", engine.TypeEC2, "g5.12xlarge"), environment("strange", engine.TypeEC2, "q9.large"),
			environment("free", engine.TypeEC2, "p5e"),
			{Block: engine.Block{Name: "theirs", Existing: true}},
		},
		Queues: []*engine.JobQueue{
			queue("one", "one"), queue("many", "many"), queue("sizes", "sizes"), queue("spot", "arn:aws:batch:us-east-1:1:compute-environment/spot"), queue("anybid", "anybid"), queue("low", "low"),
			queue("fargate", "fargate"), queue("fargate-spot", "fargate-spot"), queue("arm", "arm"), queue("gpus", "gpus"), queue("strange", "strange"), queue("free", "free"),
			queue("two", "spot", "one"), queue("mixed", "one", "theirs"), {Block: engine.Block{Name: "existing", Existing: true}, Environments: []string{"one"}},
		},
		Definitions: []*engine.JobDefinition{{Block: engine.Block{Name: "def"}, Spec: &engine.TaskSpec{
			Resources: []engine.Resources{{VCPUs: 2, MemoryMiB: 4096}}, Container: &engine.Container{Platform: "FARGATE"},
		}}},
	}
}

// What an hour of a task costs, to the millionth of a dollar. The prices are those of
// us-east-1 on 2026-07-20: an m6i.large $0.096 with 2 vCPUs and 7955 MiB for jobs.
func TestQuote(t *testing.T) {
	k := FromBlocks(blocks())
	fargate := &engine.Container{Platform: "FARGATE"}
	arm := &engine.Container{Platform: "FARGATE", Architecture: "ARM64"}
	for _, test := range []struct {
		name  string
		queue string
		task  engine.TaskSpec
		r     engine.Resources
		want  Quote
	}{
		{"by vCPUs", "one", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 48_000, High: 48_000, Likely: 48_000, Of: "m6i.large"}},
		{"by memory", "one", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 7000}, Quote{Low: 84_475, High: 84_475, Likely: 84_475, Of: "m6i.large"}}, // 96000 * 7000 / 7955
		{"all of it", "one", engine.TaskSpec{}, engine.Resources{VCPUs: 2, MemoryMiB: 7955}, Quote{Low: 96_000, High: 96_000, Likely: 96_000, Of: "m6i.large"}},
		{"defaults", "one", engine.TaskSpec{}, engine.Resources{}, Quote{Low: 48_000, High: 48_000, Likely: 48_000, Of: "m6i.large"}},
		{"does not fit", "one", engine.TaskSpec{}, engine.Resources{VCPUs: 4, MemoryMiB: 2048}, Quote{Why: "one: no instance type of it with a known price holds 4 vCPUs and 2048 MiB"}},
		// c6i is the cheapest by vCPUs, r6i the dearest.
		{"several families", "many", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 1024}, Quote{Low: 42_500, High: 63_000, Likely: 42_500, Of: "c6i.large"}},
		// By memory a large size costs a hair less, since the 32 MiB that the system keeps are less of it.
		{"of equals the smallest", "sizes", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 3000}, Quote{Low: 63_860, High: 64_378, Likely: 64_378, Of: "c6i.large"}},
		{"Spot", "spot", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 14_400, High: 28_800, Likely: 21_600, Of: "m6i.large Spot at 45%", Spot: true}},
		{"Spot at any price", "anybid", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 14_400, High: 48_000, Likely: 31_200, Of: "m6i.large Spot at 65%", Spot: true}},
		{"a low ceiling", "low", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 9_600, High: 9_600, Likely: 9_600, Of: "m6i.large Spot at 20%", Spot: true}},
		{"two environments", "two", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 14_400, High: 48_000, Likely: 21_600, Of: "m6i.large Spot at 45%", Spot: true}},
		{"by ARN", "arn:aws:batch:us-east-1:1:job-queue/one", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 48_000, High: 48_000, Likely: 48_000, Of: "m6i.large"}},
		{"Graviton", "arm", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 512}, Quote{Low: 34_000, High: 34_000, Likely: 34_000, Of: "c6g.xlarge"}},
		{"by GPUs", "gpus", engine.TaskSpec{}, engine.Resources{VCPUs: 4, MemoryMiB: 8192, GPUs: 1}, Quote{Low: 1_418_000, High: 1_418_000, Likely: 1_418_000, Of: "g5.12xlarge"}},
		// 0.25 * 40480 + 0.5 * 4445 = 10120 + 2222.5
		{"Fargate", "fargate", engine.TaskSpec{Container: fargate}, engine.Resources{VCPUs: 0.25, MemoryMiB: 512}, Quote{Low: 12_343, High: 12_343, Likely: 12_343, Least: 60, Of: "Fargate"}},
		{"Fargate on Graviton", "fargate", engine.TaskSpec{Container: arm}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 39_500, High: 39_500, Likely: 39_500, Least: 60, Of: "Fargate on ARM64"}},
		{"storage", "fargate", engine.TaskSpec{Container: fargate}, engine.Resources{VCPUs: 1, MemoryMiB: 2048, DiskGiB: 120}, Quote{Low: 60_470, High: 60_470, Likely: 60_470, Least: 60, Of: "Fargate"}},
		{"storage that is free", "fargate", engine.TaskSpec{Container: fargate}, engine.Resources{VCPUs: 1, MemoryMiB: 2048, DiskGiB: 20}, Quote{Low: 49_370, High: 49_370, Likely: 49_370, Least: 60, Of: "Fargate"}},
		{"Fargate Spot", "fargate-spot", engine.TaskSpec{Container: fargate}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 14_811, High: 49_370, Likely: 32_091, Least: 60, Of: "Fargate Spot at 65%", Spot: true}},
		{"a definition of the workflow", "fargate", engine.TaskSpec{JobDefinition: "def"}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 98_740, High: 98_740, Likely: 98_740, Least: 60, Of: "Fargate"}},
		{"no figures", "strange", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 512}, Quote{Why: "strange: no instance type of it with a known price holds 1 vCPU and 512 MiB"}},
		{"no price", "free", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 512}, Quote{Why: "free: no instance type of it with a known price holds 1 vCPU and 512 MiB"}},
		{"an unknown queue", "other", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 1024}, Quote{Low: 42_500, High: 63_000, Likely: 42_500, Of: "c6i.large", Assumed: true}},
		{"partly unknown", "mixed", engine.TaskSpec{}, engine.Resources{VCPUs: 1, MemoryMiB: 1024}, Quote{Low: 42_500, High: 63_000, Likely: 42_500, Of: "c6i.large", Assumed: true}},
		{"not ours", "existing", engine.TaskSpec{Container: fargate}, engine.Resources{VCPUs: 1, MemoryMiB: 2048}, Quote{Low: 49_370, High: 49_370, Likely: 49_370, Least: 60, Of: "Fargate", Assumed: true}},
		{"unknown, for Graviton", "", engine.TaskSpec{Container: &engine.Container{Architecture: "ARM64"}}, engine.Resources{VCPUs: 1, MemoryMiB: 512}, Quote{Low: 34_000, High: 53_423, Likely: 34_000, Of: "c6g.medium", Assumed: true}},
	} {
		test.task.Command = []string{"x"}
		got := k.Quote(&test.task, test.queue, test.r)
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		rate := got.Rate()
		switch {
		case got.Likely == 0 && rate != nil:
			t.Errorf("%s: rate %+v", test.name, rate)
		case got.Likely > 0 && (rate.Hour != got.Likely || rate.Least != got.Least || strings.HasSuffix(rate.Of, ", assumed") != got.Assumed):
			t.Errorf("%s: rate %+v", test.name, rate)
		}
	}
}

// account is an AWS Batch with one queue.
type account struct {
	queues, environments int // calls
	fails                bool
	hides                bool // one of its environments
}

func (a *account) DescribeJobQueues(_ context.Context, in *batch.DescribeJobQueuesInput, _ ...func(*batch.Options)) (*batch.DescribeJobQueuesOutput, error) {
	a.queues++
	if a.fails {
		return nil, errors.New("AccessDeniedException")
	}
	return &batch.DescribeJobQueuesOutput{JobQueues: []types.JobQueueDetail{{JobQueueName: aws.String("q"), ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{
		{Order: aws.Int32(2), ComputeEnvironment: aws.String("arn:e/two")}, {Order: aws.Int32(1), ComputeEnvironment: aws.String("arn:e/one")},
	}}}}, nil
}

func (a *account) DescribeComputeEnvironments(context.Context, *batch.DescribeComputeEnvironmentsInput, ...func(*batch.Options)) (*batch.DescribeComputeEnvironmentsOutput, error) {
	a.environments++
	detail := func(name string, kind types.CRType, bid int32, instance string) types.ComputeEnvironmentDetail {
		return types.ComputeEnvironmentDetail{
			ComputeEnvironmentName: aws.String(name), ComputeEnvironmentArn: aws.String("arn:e/" + name), Type: types.CETypeManaged,
			ComputeResources: &types.ComputeResource{Type: kind, MaxvCpus: aws.Int32(16), BidPercentage: aws.Int32(bid), InstanceTypes: []string{instance}},
		}
	}
	all := []types.ComputeEnvironmentDetail{detail("two", types.CRTypeEc2, 0, "m6i.large"), detail("one", types.CRTypeSpot, 50, "m6i.large")}
	if a.hides {
		all = all[:1]
	}
	return &batch.DescribeComputeEnvironmentsOutput{ComputeEnvironments: all}, nil
}

// What AWS Batch says of a queue counts as what a workflow says; it is asked once, and about
// nothing that is known.
func TestLearn(t *testing.T) {
	api := &account{}
	k := FromBlocks(blocks())
	for range 2 {
		if err := k.Learn(t.Context(), api, []string{"one", "arn:aws:batch:us-east-1:1:job-queue/q", "", "one"}); err != nil {
			t.Fatal(err)
		}
	}
	if api.queues != 1 || api.environments != 1 {
		t.Errorf("%d and %d calls", api.queues, api.environments)
	}
	want := Quote{Low: 14_400, High: 48_000, Likely: 19_200, Of: "m6i.large Spot at 40%", Spot: true}
	if d := cmp.Diff(want, k.Quote(&engine.TaskSpec{Command: []string{"x"}}, "q", engine.Resources{VCPUs: 1, MemoryMiB: 2048})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// Of a queue with an environment that is not shown, nothing is known.
	api.hides = true
	partly := FromBlocks(nil)
	if err := partly.Learn(t.Context(), api, []string{"q"}); err != nil {
		t.Fatal(err)
	}
	if q := partly.Quote(&engine.TaskSpec{Command: []string{"x"}}, "q", engine.Resources{VCPUs: 1, MemoryMiB: 2048}); !q.Assumed {
		t.Errorf("%+v", q)
	}
	var nothing Known
	if err := nothing.Learn(t.Context(), &account{fails: true}, []string{"q"}); err == nil {
		t.Error("no error")
	}
	if q := nothing.Quote(&engine.TaskSpec{Command: []string{"x"}}, "q", engine.Resources{VCPUs: 1, MemoryMiB: 1024}); !q.Assumed || q.Likely != 42_500 {
		t.Errorf("%+v", q)
	}
}
