// Package cloud has the clients of the services that flow uses beside AWS Batch's jobs: what
// is looked at and set up, once in a while, by a person. Jobs themselves are handed over by
// executor/batch, which says of every call what became of it; here the SDK's own retries are
// right, since what is made has a name and is made once.
package cloud

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"flow/executor/awsconfig"
)

// Options say which account of AWS is meant, and where; see awsconfig.
type Options = awsconfig.Options

// Load is that of awsconfig.
func Load(ctx context.Context, o Options) (aws.Config, error) { return awsconfig.Load(ctx, o) }

// OutOfTheBox is that of awsconfig.
func OutOfTheBox(cfg aws.Config) aws.Config { return awsconfig.OutOfTheBox(cfg) }

// Sources is that of awsconfig.
func Sources(cfg aws.Config) (config.EnvConfig, config.SharedConfig) { return awsconfig.Sources(cfg) }

// HasCredentials is that of awsconfig.
func HasCredentials(cfg aws.Config) bool { return awsconfig.HasCredentials(cfg) }

// IsLoopback is that of awsconfig.
func IsLoopback(endpoint string) bool { return awsconfig.IsLoopback(endpoint) }

// Transport is that of awsconfig.
func Transport(configured aws.HTTPClient) *http.Transport { return awsconfig.Transport(configured) }
