package where

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aws/smithy-go"

	"flow/executor/batch/cloud"
)

// deniedCodes say that these credentials may not do that (CommonErrors of Batch and ECS; EC2,
// error codes).
var deniedCodes = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}

// noteOf says in a line why a service was not looked at.
func noteOf(service, action string, err error) string {
	var absent *cloud.AbsentError
	if errors.As(err, &absent) {
		return absent.Error()
	}
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && slices.Contains(deniedCodes, api.ErrorCode()):
		return fmt.Sprintf("%s is not looked at: the credentials may not call %s: allow it in the policy of that user or role", service, action)
	case errors.As(err, &api) && api.ErrorCode() == "UnknownOperationException":
		return fmt.Sprintf("%s is not looked at: what answers there is no %[1]s", service)
	}
	return fmt.Sprintf("%s is not looked at: %s: %s", service, action, said(err))
}

// said returns what an error says, without how the SDK is made.
func said(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
