// Package awsconfig finds out how AWS is reached: region, credentials, endpoints, and what the
// SDK's connections have been told.
package awsconfig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
)

// Options say which account of AWS is meant, and where. What is empty is found as the SDK
// finds it: environment, shared configuration, SSO, roles.
type Options struct {
	Region, Profile string
	// Endpoint is the URL of the services of whoever has the options: of executor/batch/cloud
	// those of AWS Batch and of CloudWatch Logs, as flow emulate has them, of executor/store
	// that of S3. Where the others are, the configuration of the SDK says: AWS_ENDPOINT_URL_EC2.
	Endpoint string
}

// Load returns the configuration of the SDK. Its BaseEndpoint is not that of the options.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	// What the SDK logs by itself is for programmers; what fails is an error.
	with := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.Region != "" {
		with = append(with, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		with = append(with, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, with...)
	var unknown config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &unknown):
		return cfg, fmt.Errorf("there is no AWS profile %q in the files of the AWS CLI: see `aws configure list-profiles`", unknown.Profile)
	case err != nil:
		return cfg, fmt.Errorf("cannot read the configuration of AWS: %w", err)
	}
	if o.Endpoint == "" {
		return cfg, nil
	}
	if u, err := url.Parse(o.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return cfg, fmt.Errorf("the endpoint %q is no URL such as http://127.0.0.1:8642", o.Endpoint)
	}
	return cfg, nil
}

// OutOfTheBox fills in what a server on this machine does not look at, so that flow works
// with it as it is: a region and credentials.
func OutOfTheBox(cfg aws.Config) aws.Config {
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if !HasCredentials(cfg) {
		cfg.Credentials = credentials.NewStaticCredentialsProvider("flow", "flow", "")
	}
	return cfg
}

// Sources returns what the environment and the shared configuration say.
func Sources(cfg aws.Config) (env config.EnvConfig, shared config.SharedConfig) {
	for _, s := range cfg.ConfigSources {
		switch s := s.(type) {
		case config.EnvConfig:
			env = s
		case config.SharedConfig:
			shared = s
		}
	}
	return env, shared
}

// HasCredentials reports whether the environment or the shared configuration say where
// credentials are to come from. Those of an instance are not asked for: that is a call.
func HasCredentials(cfg aws.Config) bool {
	e, s := Sources(cfg)
	return e.Credentials.HasKeys() || e.WebIdentityTokenFilePath != "" || e.ContainerCredentialsEndpoint != "" || e.ContainerCredentialsRelativePath != "" ||
		s.Credentials.HasKeys() || s.CredentialSource != "" || s.CredentialProcess != "" || s.WebIdentityTokenFile != "" ||
		s.SSOSessionName != "" || s.SSOStartURL != "" || s.RoleARN != "" || s.SourceProfileName != "" || s.LoginSession != ""
}

// IsLoopback reports whether a URL is that of a server on this machine.
func IsLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Transport returns a transport with what the SDK's own has been told (proxies, bundles of
// certificates), to be changed by the caller.
func Transport(configured aws.HTTPClient) *http.Transport {
	own, ok := configured.(*awshttp.BuildableClient)
	if !ok {
		own = awshttp.NewBuildableClient()
	}
	return own.GetTransport()
}
