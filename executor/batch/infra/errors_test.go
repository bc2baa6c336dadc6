package infra

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-cmp/cmp"
)

// What goes wrong before AWS Batch has said anything is said in plain words as well.
func TestErrorsWithoutAnswer(t *testing.T) {
	t.Parallel()
	nobody := "http://127.0.0.1:1"
	for name, test := range map[string]struct {
		keys aws.CredentialsProvider
		want string
	}{
		"nobody there":   {anybody, "cannot look at the compute environments: AWS is not reached: dial 127.0.0.1:1: connection refused: is the network up, and are region and endpoint right?"},
		"no credentials": {credentials.StaticCredentialsProvider{}, "cannot look at the compute environments: the credentials of AWS are missing: log in with aws sso login, aws login or aws configure, or choose others with -profile; flow doctor says more"},
	} {
		m := New(Options{Workflow: "wf", Region: "us-east-1", Batch: batch.New(batch.Options{
			Region: "us-east-1", BaseEndpoint: &nobody, HTTPClient: &http.Client{}, Retryer: aws.NopRetryer{}, Credentials: test.keys,
		})})
		_, err := m.Plan(t.Context(), nil)
		if err == nil || errors.Unwrap(err) == nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
