package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name   string
		env    map[string]string
		config string // of the AWS CLI
		o      Options
		near   bool
		region string
		key    string // access key id, "": not looked at
		where  string // the endpoint
		logs   string // that of the logs
		err    string
	}{
		{name: "nothing", err: "AWS Batch needs a region"},
		{name: "region", o: Options{Region: "eu-west-1"}, region: "eu-west-1"},
		{name: "region of the environment", env: map[string]string{"AWS_REGION": "eu-west-2"}, region: "eu-west-2"},
		{name: "profile", config: "[profile science]\nregion = eu-west-3\naws_access_key_id = AK\naws_secret_access_key = s\n", o: Options{Profile: "science"}, region: "eu-west-3", key: "AK"},
		{name: "profile that is not there", o: Options{Profile: "science"}, err: `there is no AWS profile "science"`},
		{name: "no URL", o: Options{Endpoint: "localhost:8642"}, err: "is no URL such as"},
		{name: "here", o: Options{Endpoint: "http://127.0.0.1:8642"}, near: true, region: "us-east-1", key: "flow", where: "http://127.0.0.1:8642", logs: "http://127.0.0.1:8642"},
		{name: "here, by name", o: Options{Endpoint: "http://localhost:8642", Region: "eu-west-1"}, near: true, region: "eu-west-1", key: "flow", where: "http://localhost:8642", logs: "http://localhost:8642"},
		{name: "here, by IPv6", o: Options{Endpoint: "http://[::1]:8642"}, near: true, region: "us-east-1", key: "flow", where: "http://[::1]:8642", logs: "http://[::1]:8642"},
		{name: "here, with credentials", env: map[string]string{"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s"}, o: Options{Endpoint: "http://127.0.0.1:1"}, near: true, region: "us-east-1", key: "AK", where: "http://127.0.0.1:1", logs: "http://127.0.0.1:1"},
		{name: "environment", env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}, near: true, region: "us-east-1", key: "flow", where: "http://127.0.0.1:2", logs: "http://127.0.0.1:2"},
		{name: "environment, of Batch alone", env: map[string]string{"AWS_ENDPOINT_URL_BATCH": "http://127.0.0.1:3"}, near: true, region: "us-east-1", key: "flow", where: "http://127.0.0.1:3", logs: "http://127.0.0.1:3"},
		{name: "given before the environment", env: map[string]string{"AWS_ENDPOINT_URL_BATCH": "http://127.0.0.1:3", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://127.0.0.1:4"}, o: Options{Endpoint: "http://127.0.0.1:5"}, near: true, region: "us-east-1", where: "http://127.0.0.1:5", logs: "http://127.0.0.1:5"},
		{name: "elsewhere", o: Options{Endpoint: "https://batch.example", Region: "eu-west-1"}, region: "eu-west-1", where: "https://batch.example", logs: "https://batch.example"},
	} {
		t.Run(test.name, func(t *testing.T) {
			isolate(t)
			if test.config != "" {
				file := filepath.Join(t.TempDir(), "config")
				if err := os.WriteFile(file, []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("AWS_CONFIG_FILE", file)
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			x, err := Open(t.Context(), test.o)
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want something with %q", err, test.err)
				}
				return
			}
			defer x.Close()
			if got := x.client().Options(); x.Near() != test.near || got.Region != test.region || value(got.BaseEndpoint) != test.where {
				t.Errorf("near %v, region %s, endpoint %s, want %v, %s, %s", x.Near(), got.Region, value(got.BaseEndpoint), test.near, test.region, test.where)
			}
			if got := value(x.logsIn("").Options().BaseEndpoint); got != test.logs {
				t.Errorf("the endpoint of logs is %s, want %s", got, test.logs)
			}
			if test.key != "" {
				if c, err := x.client().Options().Credentials.Retrieve(t.Context()); err != nil || c.AccessKeyID != test.key {
					t.Errorf("the key is %q, %v, want %q", c.AccessKeyID, err, test.key)
				}
			}
			if want := map[bool]string{true: "flow"}[test.near]; x.AgentImage() != want {
				t.Errorf("the image of the agent is %q, want %q", x.AgentImage(), want)
			}
		})
	}
}
