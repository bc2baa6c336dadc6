package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"flow/executor/batch"
	"flow/executor/batch/cloud"
)

// trouble says of a call that failed why a thing could not be looked at. What is wrong with
// the credentials is said once, by the check of them.
func (p *patient) trouble(name, action string, err error) Line {
	var absent *cloud.AbsentError
	if errors.As(err, &absent) {
		return skipped(name, "%s", absent.Error())
	}
	if named, denied := batch.NotAllowed(err); denied {
		l := skipped(name, "these credentials may not call %s, so that it is not known", orElse(named, action))
		l.Fix = "to have it looked at, allow that action"
		return l
	}
	switch {
	case batch.CredentialFault(err) != "":
		return skipped(name, "the credentials %s", batch.CredentialFault(err))
	case p.nowhere(err):
		return skipped(name, "what answers at the endpoint on this machine does not know %s", action)
	case batch.Unreached(err) != "":
		return skipped(name, "%s", batch.Unreached(err))
	case passing(err):
		return skipped(name, "%s could not be answered now: %s", action, said(err))
	}
	return fault(name, "see what the answer says, and look again", "%s: %s", action, said(err))
}

// passing reports whether a call failed after all its retries by what passes: too many calls,
// or a failure of the service.
func passing(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary || errors.As(err, &status) && status.HTTPStatusCode() >= 500
}

// nowhere reports whether a server on this machine, which stands in for AWS, does not know
// the service of a call.
func (p *patient) nowhere(err error) bool {
	if !p.o.Cloud.Near() {
		return false
	}
	var answer smithy.APIError
	var wrong *smithy.DeserializationError
	var status interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &answer):
		return strings.Contains(answer.ErrorCode(), "UnknownOperation") || answer.ErrorCode() == "UnknownError" || answer.ErrorCode() == "NotImplemented"
	case errors.As(err, &wrong):
		return true
	}
	return errors.As(err, &status) && status.HTTPStatusCode() == 404
}

// said returns what AWS said, without the frame of the SDK.
func said(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return strings.TrimSuffix(fmt.Sprintf("%s: %s", answer.ErrorCode(), answer.ErrorMessage()), ": ")
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// code returns the code of an answer that is an error; "": there was none.
func code(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

func orElse(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
