package cloud

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// How often a call is made. AWS Batch lets through few calls that look at things, for all
// who use the account, so what is throttled is tried for about a minute.
const (
	mostAttempts  = 10
	otherAttempts = retry.DefaultMaxAttempts // of what fails otherwise, such as no network
)

// A patient retryer tries longer what is throttled.
type patient struct{ *retry.Standard }

func newPatient() aws.Retryer {
	return patient{retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = mostAttempts })}
}

// RetryDelay implements aws.Retryer. The error ends the call.
func (p patient) RetryDelay(attempt int, err error) (delay time.Duration, end error) {
	if attempt >= otherAttempts && throttles.IsErrorThrottle(err) != aws.TrueTernary {
		return 0, err
	}
	return p.Standard.RetryDelay(attempt, err)
}

var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)
