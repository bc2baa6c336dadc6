package endpoint

import (
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// maxFront is how many jobs a snapshot of a queue has, maxShares how many shares.
const (
	maxFront  = 100
	maxShares = 20
)

// unitVCPU is the unit of capacity that is told.
const unitVCPU = "VCPU"

// getJobQueueSnapshot tells which jobs are next in a queue, in the order in which they
// will be started. It is made when it is asked for, where AWS has one that is kept.
func getJobQueueSnapshot(t *tx, in *batch.GetJobQueueSnapshotInput) (*batch.GetJobQueueSnapshotOutput, error) {
	name := nameOf(kindQueue, value(in.JobQueue))
	q, _, ok := t.m.JobQueue(name)
	if !ok {
		return nil, refuse("job-queue/%s does not exist", value(in.JobQueue))
	}
	front := &types.FrontOfQueueDetail{Jobs: []types.FrontOfQueueJobSummary{}, LastUpdatedAt: milli(t.now)}
	for _, w := range t.m.Waiting(name, maxFront) {
		front.Jobs = append(front.Jobs, types.FrontOfQueueJobSummary{JobArn: new(t.arn(kindJob, string(w.ID))), EarliestTimeAtPosition: milli(w.Since)})
	}
	vcpus, shares := t.m.Use(name)
	use := &types.QueueSnapshotUtilizationDetail{
		TotalCapacityUsage: []types.QueueSnapshotCapacityUsage{{CapacityUnit: new(unitVCPU), Quantity: &vcpus}}, LastUpdatedAt: milli(t.now),
	}
	if q.Policy != "" {
		use.FairshareUtilization = &types.FairshareUtilizationDetail{
			ActiveShareCount: new(int64(len(shares))), TopCapacityUtilization: []types.FairshareCapacityUtilization{},
		}
		for _, s := range shares[:min(len(shares), maxShares)] {
			use.FairshareUtilization.TopCapacityUtilization = append(use.FairshareUtilization.TopCapacityUtilization, types.FairshareCapacityUtilization{
				ShareIdentifier: new(s.Share), CapacityUsage: []types.FairshareCapacityUsage{{CapacityUnit: new(unitVCPU), Quantity: new(s.VCPUs)}},
			})
		}
	}
	return &batch.GetJobQueueSnapshotOutput{FrontOfQueue: front, QueueUtilization: use}, nil
}
