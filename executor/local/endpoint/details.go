package endpoint

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

// resourceDecoders read what the model keeps with environments, queues, policies and
// consumable resources.
func resourceDecoders() model.Decoders {
	return model.Decoders{
		Environment: into[types.ComputeEnvironmentDetail], Queue: into[types.JobQueueDetail],
		Policy: into[types.SchedulingPolicyDetail], Consumable: into[consumableDetail],
	}
}

func into[T any](data json.RawMessage) (any, error) {
	v := new(T)
	err := json.Unmarshal(data, v)
	return v, err
}
