// Package instances knows the instance types of EC2 that jobs of AWS Batch run on, as far
// as placing a job and reckoning its cost needs it: vCPUs, memory, GPUs, architecture and
// list price. It asks nobody; what it knows is as of Date.
package instances
