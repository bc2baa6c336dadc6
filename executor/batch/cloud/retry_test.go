package cloud_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/smithy-go"

	"flow/executor/batch/cloud"
)

// What is throttled is tried longer than what else fails, unless it is said how often.
func TestAttempts(t *testing.T) {
	throttled := &smithy.GenericAPIError{Code: "TooManyRequestsException"}
	offline := &http.MaxBytesError{}
	for name, test := range map[string]struct {
		attempt int
		err     error
		env     string
		want    bool // it is tried again
	}{
		"throttled for long":     {9, throttled, "", true},
		"offline at first":       {2, offline, "", true},
		"offline for long":       {3, offline, "", false},
		"as often as it is said": {3, offline, "5", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_CONFIG_FILE", "/dev/null")
			t.Setenv("AWS_MAX_ATTEMPTS", test.env)
			c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r := c.Batch().Options().Retryer
			if most := map[string]int{"": 10, "5": 5}[test.env]; r.MaxAttempts() != most {
				t.Errorf("%d attempts are made, want %d", r.MaxAttempts(), most)
			}
			if _, err := r.RetryDelay(test.attempt, test.err); (err == nil) != test.want || err != nil && !errors.Is(err, test.err) {
				t.Errorf("attempt %d ends with %v, want another: %v", test.attempt, err, test.want)
			}
		})
	}
}
