package capacity

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// FromDetail returns what AWS Batch says of an environment.
func FromDetail(d types.ComputeEnvironmentDetail) Environment {
	e := Environment{
		Name: aws.ToString(d.ComputeEnvironmentName), Unmanaged: d.Type == types.CETypeUnmanaged,
		EKS: d.EksConfiguration != nil && aws.ToString(d.EksConfiguration.EksClusterArn) != "",
	}
	if r := d.ComputeResources; r != nil {
		e.Type, e.MaxVCPUs, e.InstanceTypes = string(r.Type), int(aws.ToInt32(r.MaxvCpus)), r.InstanceTypes
	}
	return e
}

// FromBlock returns what a workflow says of an environment that flow is to make.
func FromBlock(c *engine.ComputeEnvironment) Environment {
	return Environment{Name: c.Name, Type: c.Type, MaxVCPUs: c.MaxVCPUs, InstanceTypes: c.InstanceTypes, EKS: c.EKSCluster != ""}
}
