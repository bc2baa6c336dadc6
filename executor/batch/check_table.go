package batch

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What names may be. Sources: the types of the Batch API reference.
var (
	imageName      = lazily(`^[A-Za-z0-9_:./#@-]{1,255}$`)               // ContainerProperties.image
	resourceName   = lazily(`^[A-Za-z0-9_-]{1,128}$`)                    // of queues
	definitionName = lazily(`^[A-Za-z0-9_-]{1,128}(:[0-9]+)?$`)          // RegisterJobDefinition.jobDefinitionName
	userName       = lazily(`^[a-z0-9_][a-z0-9_-]{0,30}$`)               // ContainerProperties.user, as it was seen refused
	volumeName     = lazily(`^[A-Za-z0-9_-]{1,255}$`)                    // Volume.name
	variableName   = lazily(`^[A-Za-z_][A-Za-z0-9_]*$`)                  // of POSIX shells
	secretARN      = lazily(`^arn:aws[a-z-]*:(secretsmanager|ssm):.+:.`) // Secret.valueFrom
	exitPattern    = lazily(`^[0-9]*\*?$`)                               // EvaluateOnExit.onExitCode
	reasonPattern  = lazily(`^[0-9A-Za-z.:\s]*\*?$`)                     // EvaluateOnExit.onReason, onStatusReason
	roleARN        = lazily(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$`)
	batchARN       = lazily(`^arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:([a-z-]+)/(.+)$`)
)

// validARN reports whether s is a name that fits the pattern, or the ARN of a resource of
// Batch of that kind with such a name.
func validARN(s, kind string, name *regexp.Regexp) bool {
	if !strings.HasPrefix(s, "arn:") {
		return name.MatchString(s)
	}
	m := batchARN().FindStringSubmatch(s)
	return m != nil && m[1] == kind && name.MatchString(m[2])
}

// The values of Batch's platformCapabilities.
const (
	platformEC2     = "EC2"
	platformFargate = "FARGATE"
)

// Limits that only the checks need.
const (
	minDiskGiB  = 21 // EphemeralStorage: 20 GiB are there without
	maxDiskGiB  = 200
	maxEFSRoot  = 4096
	maxPriority = 9999
	// maxConsumables is how many consumable resources a job has at most (Batch User Guide,
	// resource-aware-scheduling-how-to-for-jobs).
	maxConsumables = 5
)

// ulimitNames are those that Ulimit lists.
var ulimitNames = strings.Fields("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

// Log drivers of LogConfiguration, and those of them that Fargate has.
var (
	logDrivers        = strings.Fields("json-file syslog journald gelf fluentd awslogs splunk awsfirelens")
	logDriversFargate = strings.Fields("awslogs splunk awsfirelens")
)

// flowTags are the keys of the tags that flow gives jobs itself.
var flowTags = []string{tagRun, tagStep, tagWorkflow, tagJob}

func keysOf(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
