package endpoint

import (
	"strings"

	"github.com/google/uuid"
)

// Kinds of resources, as in their ARNs.
const (
	kindJob         = "job"
	kindDefinition  = "job-definition"
	kindQueue       = "job-queue"
	kindEnvironment = "compute-environment"
	kindPolicy      = "scheduling-policy"
	kindConsumable  = "consumable-resource"
)

// arn returns the ARN of a resource of the server's account and region.
func (s *Server) arn(kind, name string) string {
	return "arn:aws:batch:" + s.region + ":" + s.account + ":" + kind + "/" + name
}

// nameOf returns the name in a reference that may be a name or an ARN of that kind; ""
// if it is an ARN of something else.
func nameOf(kind, ref string) string {
	if !strings.HasPrefix(ref, "arn:") {
		return ref
	}
	k, name := splitARN(ref)
	if k != kind {
		return ""
	}
	return name
}

// splitARN returns the kind and the name of the resource that an ARN of AWS Batch names.
// They are "" if it is none.
func splitARN(arn string) (kind, name string) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) < 6 || part[0] != "arn" || part[2] != "batch" {
		return "", ""
	}
	kind, name, _ = strings.Cut(part[5], "/")
	return kind, name
}

// derivedUUID returns a UUID that is always the same for the same words.
func derivedUUID(words ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(words, "\n"))).String()
}

// clusterName returns the name of the ECS cluster behind a compute environment.
func (s *Server) clusterName(environment string) string {
	return "AWSBatch-" + environment + "-" + derivedUUID("cluster", s.arn(kindEnvironment, environment))
}
