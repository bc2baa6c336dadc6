package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ErrNoBucket says that there is no such bucket. It is no fs.ErrNotExist: whoever looks for an
// object learns nothing of it.
var ErrNoBucket = errors.New("there is no such bucket")

// ErrUnanswered says that S3 has not answered, or does not take the credentials from anybody,
// so that the same call may have an answer later.
var ErrUnanswered = errors.New("S3 has not answered")

// An action is what is done to an object: what it is called, and what IAM has to allow for
// it (Service Authorization Reference, "Actions for Amazon S3").
type action struct{ verb, allow string }

var (
	reading  = action{"read", "s3:GetObject on it, and s3:ListBucket on its bucket (without which S3 says so of what is not there as well)"}
	writing  = action{"write", "s3:PutObject on it"}
	copying  = action{"write", "s3:PutObject on it, and s3:GetObject on what is copied"}
	listing  = action{"list", "s3:ListBucket on its bucket"}
	removing = action{"remove", "s3:DeleteObject on it"}
	sweeping = action{"clear unfinished uploads of", "s3:ListBucketMultipartUploads on its bucket and s3:AbortMultipartUpload on its objects"}
)

// explain says what failed, in words for people. It returns nil if nothing did.
func (x *S3) explain(a action, uri string, err error) error {
	if err == nil {
		return nil
	}
	var none *loginError
	var sent *smithyhttp.RequestSendError
	var said smithy.APIError
	code := ""
	if errors.As(err, &said) {
		code = said.ErrorCode()
	}
	status := statusOf(err)
	about := func(format string, args ...any) error {
		return fmt.Errorf("cannot %s %s: %w", a.verb, uri, fmt.Errorf(format, args...))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return about("%w", context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return about("%w", context.DeadlineExceeded)
	case code == "NoSuchBucket":
		return about("%w", ErrNoBucket)
	case code == "NoSuchKey", status == http.StatusNotFound && code == "NotFound":
		return fmt.Errorf("%s: %w", uri, fs.ErrNotExist)
	case status == http.StatusPreconditionFailed && a == writing:
		return fmt.Errorf("%s: %w", uri, ErrExists)
	case status == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w", uri, ErrChanged)
	case status == http.StatusMovedPermanently:
		return about("its bucket is in another region than %s: set AWS_REGION to that, or give -region", x.Region())
	case strings.Contains(err.Error(), "checksum did not match"): // of the SDK, which has no type for it
		return fmt.Errorf("%s is damaged: what S3 sends of it does not fit the checksum that it keeps: %w", uri, ErrChanged)
	case unusable[code] != "":
		return &unanswered{about("%s (%s)", unusable[code], code)}
	case status == http.StatusForbidden, code == "AccessDenied":
		return about("%w: S3 refuses it (%s); it takes %s", fs.ErrPermission, detail(said), a.allow)
	case errors.As(err, &none):
		return &unanswered{about("%w", none)}
	case errors.As(err, &sent):
		return &unanswered{about("S3 cannot be reached: %w", reason(sent))}
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		return &unanswered{about("%w", err)}
	}
	return about("%w", err)
}

// reason returns what a request failed for, without its URL.
func reason(sent *smithyhttp.RequestSendError) error {
	var about *url.Error
	if errors.As(sent.Err, &about) {
		return about.Err
	}
	return sent.Err
}

const howToLogIn = "log in with aws sso login, aws login or aws configure, name a profile with -profile, or give this machine a role"

// An unanswered call tells nothing of what it was made for.
type unanswered struct{ error }

func (e *unanswered) Unwrap() error { return e.error }

// Is makes it an ErrUnanswered.
func (e *unanswered) Is(target error) bool { return target == ErrUnanswered }

// unusable are what S3 says of credentials that it does not take from anybody (S3 API
// reference, "Error responses").
var unusable = map[string]string{
	"InvalidAccessKeyId":    "S3 does not know the access key: it is wrong, of another account or for another endpoint",
	"SignatureDoesNotMatch": "the secret key does not fit the access key",
	"ExpiredToken":          "the credentials have expired: log in again",
	"TokenRefreshRequired":  "the credentials have expired: log in again",
	"InvalidToken":          "the session token is not that of the access key",
	"RequestTimeTooSkewed":  "the clock of this machine is wrong, by more than 15 minutes",
}

func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

func detail(said smithy.APIError) string {
	switch {
	case said == nil:
		return "403"
	case said.ErrorMessage() == "":
		return said.ErrorCode()
	}
	return said.ErrorCode() + ": " + said.ErrorMessage()
}

// A login is where credentials come from, and says so when there are none.
type login struct{ aws.CredentialsProvider }

// A loginError is why there are no credentials.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// Error leaves out what the SDK says when it has found nothing anywhere.
func (e *loginError) Error() string {
	text := "there are no credentials for AWS: " + howToLogIn
	if cause := e.error.Error(); !strings.Contains(cause, "no EC2 IMDS role found") {
		text += " (" + cause + ")"
	}
	return text
}

func (l login) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := l.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &loginError{err}
	}
	return c, err
}
