package batch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// LoginHint says what to do for new credentials of a configuration: a command to log in
// with, or where they are to be renewed. profile is one that was chosen otherwise than by
// AWS_PROFILE.
func LoginHint(cfg aws.Config, profile string) string {
	l := loginFor(cfg, profile)
	if l.command != "" {
		return "log in with: " + l.command
	}
	return l.text
}

// CredentialFault says what an error of a call of any service says is wrong with the
// credentials, as the end of a sentence that begins with "the credentials"; "": nothing.
func CredentialFault(err error) string { return string(credentialFault(err)) }

// NotAllowed reports whether an error of a call of any service says that these credentials
// may not do that, and which action it names; "" if it names none.
func NotAllowed(err error) (action string, denies bool) {
	var answer smithy.APIError
	if !errors.As(err, &answer) || !slices.Contains(deniedCodes, answer.ErrorCode()) {
		return "", false
	}
	if _, rest, ok := strings.Cut(answer.ErrorMessage(), "to perform: "); ok {
		action, _, _ = strings.Cut(rest, " ")
	}
	return action, true
}

// Unreached says why a call of any service reached nobody; "": it did.
func Unreached(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is not known here"
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time"
	case errors.As(err, &op) && op.Addr == nil: // of a proxy
		return fmt.Sprintf("%s: %v", op.Op, root(op))
	case errors.As(err, &op):
		return fmt.Sprintf("%s %v: %v", op.Op, op.Addr, root(op))
	}
	return ""
}
