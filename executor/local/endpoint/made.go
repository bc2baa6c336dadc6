package endpoint

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/uuid"

	"flow/executor/local/model"
)

// madeEnvironment is the environment of the queues that MakeQueues makes.
const madeEnvironment = "flow-emulate"

// MakeQueues makes queues of these names on an environment of their own, which is as large as
// the machine, so that there is something to submit to at once: it waits until that
// environment is VALID. Those that are there stay as they are.
func (s *Server) MakeQueues(ctx context.Context, names ...string) error {
	for _, name := range names {
		there, environment := false, false
		s.batch.Look(func(m *model.Model, _ time.Time) {
			_, _, there = m.JobQueue(name)
			_, _, environment = m.Environment(madeEnvironment)
		})
		if there {
			continue
		}
		if !environment {
			if err := s.make("CreateComputeEnvironment", &batch.CreateComputeEnvironmentInput{
				ComputeEnvironmentName: aws.String(madeEnvironment), Type: types.CETypeManaged,
				ComputeResources: &types.ComputeResource{
					Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(math.MaxInt32), InstanceTypes: []string{"optimal"},
					Subnets: []string{"subnet-emulated"}, SecurityGroupIds: []string{"sg-emulated"}, InstanceRole: aws.String("ecsInstanceRole"),
				},
			}); err != nil {
				return fmt.Errorf("environment %s: %w", madeEnvironment, err)
			}
		}
		if err := s.settled(ctx, madeEnvironment); err != nil {
			return fmt.Errorf("environment %s: %w", madeEnvironment, err)
		}
		if err := s.make("CreateJobQueue", &batch.CreateJobQueueInput{
			JobQueueName: aws.String(name), Priority: aws.Int32(1),
			ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: aws.Int32(1), ComputeEnvironment: aws.String(madeEnvironment)}},
		}); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	return nil
}

// settled waits until an environment is done with being created or updated, however long that
// takes here.
func (s *Server) settled(ctx context.Context, environment string) error {
	for {
		left := time.Duration(0)
		s.batch.Look(func(m *model.Model, now time.Time) {
			_, life, _ := m.Environment(environment)
			if life.Health == model.Creating || life.Health == model.Updating {
				left = max(m.Settles().Sub(now), time.Millisecond)
			}
		})
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(left):
		}
	}
}

// make carries out an operation that makes something.
func (s *Server) make(operation string, in any) error {
	_, err := s.call(operations[operation], encode(in), uuid.NewString())
	return err
}
