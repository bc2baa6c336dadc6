package cloud_test

import (
	"errors"
	"testing"

	"flow/executor/batch/cloud"
)

// With AWS Batch on this machine the other services are where something says they are, by
// name: a server that is Batch is not taken for all of AWS.
func TestServicesBesideANearBatch(t *testing.T) {
	const near, far, moto = "http://127.0.0.1:8642", "https://batch.example.com", "http://127.0.0.1:5000"
	for name, test := range map[string]struct {
		endpoint string // as the flag says
		env      map[string]string
		absent   bool
	}{
		"of AWS":                     {"", nil, false},
		"by flag":                    {near, nil, true},
		"by flag, with IAM":          {near, map[string]string{"AWS_ENDPOINT_URL_IAM": moto}, false},
		"by the variable of all":     {"", map[string]string{"AWS_ENDPOINT_URL": near}, true},
		"by both, with IAM":          {"", map[string]string{"AWS_ENDPOINT_URL": near, "AWS_ENDPOINT_URL_IAM": moto}, false},
		"one server for everything":  {"", map[string]string{"AWS_ENDPOINT_URL": moto, "AWS_ENDPOINT_URL_IAM": moto}, false},
		"by its own variable":        {"", map[string]string{"AWS_ENDPOINT_URL_BATCH": near}, true},
		"elsewhere":                  {"", map[string]string{"AWS_ENDPOINT_URL": far}, false},
		"by flag, over the variable": {near, map[string]string{"AWS_ENDPOINT_URL": far}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_BATCH"} {
				t.Setenv(v, test.env[v])
			}
			t.Setenv("AWS_CONFIG_FILE", "/dev/null")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
			c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1", Endpoint: test.endpoint})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.IAM()
			var absent *cloud.AbsentError
			if errors.As(err, &absent) != test.absent || !test.absent && err != nil {
				t.Errorf("IAM: %v, want it to be absent: %v", err, test.absent)
			}
		})
	}
}
