package infra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	flowbatch "flow/executor/batch"
)

// Doing says what could not be done of what AWS was asked for, and why, in words for people.
func Doing(what string, err error) error { return doing(what, err) }

// doing says what could not be done, and why.
func doing(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cannot %s: %w", what, &callError{err})
}

// A callError is an error of the SDK, as people want to read it.
type callError struct{ err error }

func (e *callError) Unwrap() error { return e.err }

func (e *callError) Error() string {
	if fault := flowbatch.CredentialFault(e.err); fault != "" {
		return "the credentials of AWS " + fault + ": log in with aws sso login, aws login or aws configure, or choose others with -profile; flow doctor says more"
	}
	var api smithy.APIError
	switch {
	case errors.As(e.err, &api):
	case flowbatch.Unreached(e.err) != "":
		return "AWS is not reached: " + flowbatch.Unreached(e.err) + ": is the network up, and are region and endpoint right?"
	default:
		return e.err.Error()
	}
	message := flowbatch.PlainMessage(api.ErrorMessage())
	var op *smithy.OperationError
	if denied(e.err) && errors.As(e.err, &op) {
		return fmt.Sprintf("the credentials may not do that: they need the permission %s:%s (%s)", strings.ToLower(op.ServiceID), op.OperationName, message)
	}
	if api.ErrorCode() == "ClientException" {
		return message
	}
	return strings.TrimSuffix(api.ErrorCode()+": "+message, ": ")
}

// deniedCodes say that these credentials may not do that (IAM and Batch API references,
// CommonErrors).
var deniedCodes = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}

func denied(err error) bool { return hasCode(err, deniedCodes...) }

// hasCode reports whether AWS has answered with one of these codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// says reports whether AWS has refused a call in these words. Most refusals of AWS Batch
// have one code.
func says(err error, words ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(strings.ToLower(api.ErrorMessage()), strings.ToLower(w))
	})
}
