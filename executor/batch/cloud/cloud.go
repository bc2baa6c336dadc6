package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"flow/executor/whole"
)

// A Cloud is an account of AWS in a region, or what stands in for it on this machine. It is
// safe for concurrent use.
type Cloud struct {
	cfg   aws.Config // with credentials and a region
	http  *http.Client
	batch *string // the endpoint of AWS Batch, if it is not that of the region
	given bool    // that was in the options, and is that of CloudWatch Logs as well
	near  bool    // it is on this machine

	who func() (*Identity, error)
}

// callTime is how long the answer to a call may take, so that a connection that is dead
// holds up nobody for ever.
const callTime = time.Minute

// Open makes the clients. It makes no call.
func Open(ctx context.Context, o Options) (*Cloud, error) {
	cfg, err := Load(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &Cloud{given: o.Endpoint != "", batch: batch.NewFromConfig(cfg).Options().BaseEndpoint}
	if c.given {
		c.batch = &o.Endpoint
	}
	if c.near = c.batch != nil && IsLoopback(*c.batch); c.near {
		cfg = OutOfTheBox(cfg)
	}
	if cfg.Region == "" {
		return nil, errors.New("AWS needs a region: give -region, or region in the site, or set AWS_REGION")
	}
	c.http = &http.Client{Transport: whole.Transport{Next: Transport(cfg.HTTPClient)}, Timeout: callTime}
	if cfg.Retryer == nil && cfg.RetryMaxAttempts == 0 { // AWS_MAX_ATTEMPTS or the shared configuration may say
		cfg.Retryer = newPatient
	}
	cfg.HTTPClient = c.http
	c.cfg = cfg
	c.who = sync.OnceValues(c.ask)
	return c, nil
}

// Close gives back what c holds.
func (c *Cloud) Close() { c.http.CloseIdleConnections() }

// Region returns the name of the region.
func (c *Cloud) Region() string { return c.cfg.Region }

// Partition returns the part of AWS that a region is in, as ARNs name it (IAM User Guide,
// reference-arns).
func Partition(region string) string {
	for _, p := range []struct{ begins, name string }{
		{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"us-iso-", "aws-iso"}, {"us-isob-", "aws-iso-b"}, {"eu-isoe-", "aws-iso-e"}, {"us-isof-", "aws-iso-f"}, {"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.begins) {
			return p.name
		}
	}
	return "aws"
}

// Near reports whether AWS Batch is on this machine, as flow emulate is.
func (c *Cloud) Near() bool { return c.near }

// Config returns the configuration of the SDK, to ask it where things come from.
func (c *Cloud) Config() aws.Config { return c.cfg }

// An AbsentError says that a service is nowhere: AWS Batch is on this machine, and nothing
// says where the other services are. Those of AWS itself are not asked then, which know
// nothing of what is here.
type AbsentError struct{ Service, Variable string }

func (e *AbsentError) Error() string {
	return fmt.Sprintf("%s is not looked at: AWS Batch is on this machine, and %s says of no %s beside it", e.Service, e.Variable, e.Service)
}

// beside returns an AbsentError if nothing says where a service is beside a Batch on this
// machine. configured is where the SDK takes it to be; nil: at AWS's own. What
// AWS_ENDPOINT_URL says of all services does not count: flow emulate, for which it is set,
// has none of the others.
func (c *Cloud) beside(service, variable string, configured *string) error {
	general := configured != nil && c.cfg.BaseEndpoint != nil && *configured == *c.cfg.BaseEndpoint && os.Getenv(variable) == ""
	if c.near && (configured == nil || general) {
		return &AbsentError{service, variable}
	}
	return nil
}

// Batch returns a client of AWS Batch, for all but jobs.
func (c *Cloud) Batch() *batch.Client {
	return batch.NewFromConfig(c.cfg, func(o *batch.Options) { o.BaseEndpoint = c.batch })
}

// Logs returns a client of CloudWatch Logs.
func (c *Cloud) Logs() *cloudwatchlogs.Client {
	return cloudwatchlogs.NewFromConfig(c.cfg, func(o *cloudwatchlogs.Options) {
		if c.given || c.near && o.BaseEndpoint == nil {
			o.BaseEndpoint = c.batch
		}
	})
}

// IAM returns a client of IAM. The error is an [AbsentError].
func (c *Cloud) IAM() (*iam.Client, error) {
	x := iam.NewFromConfig(c.cfg)
	return x, c.beside("IAM", "AWS_ENDPOINT_URL_IAM", x.Options().BaseEndpoint)
}

// EC2 returns a client of EC2. The error is an [AbsentError].
func (c *Cloud) EC2() (*ec2.Client, error) {
	x := ec2.NewFromConfig(c.cfg)
	return x, c.beside("EC2", "AWS_ENDPOINT_URL_EC2", x.Options().BaseEndpoint)
}

// ECS returns a client of ECS. The error is an [AbsentError].
func (c *Cloud) ECS() (*ecs.Client, error) {
	x := ecs.NewFromConfig(c.cfg)
	return x, c.beside("ECS", "AWS_ENDPOINT_URL_ECS", x.Options().BaseEndpoint)
}

// ECR returns a client of ECR in a region; "": c's own. The error is an [AbsentError].
func (c *Cloud) ECR(region string) (*ecr.Client, error) {
	x := ecr.NewFromConfig(c.cfg, func(o *ecr.Options) {
		if region != "" {
			o.Region = region
		}
	})
	return x, c.beside("ECR", "AWS_ENDPOINT_URL_ECR", x.Options().BaseEndpoint)
}

// Scheduler returns a client of Amazon EventBridge Scheduler. The error is an [AbsentError].
func (c *Cloud) Scheduler() (*scheduler.Client, error) {
	x := scheduler.NewFromConfig(c.cfg)
	return x, c.beside("EventBridge Scheduler", "AWS_ENDPOINT_URL_SCHEDULER", x.Options().BaseEndpoint)
}

// S3 returns a client of S3. The error is an [AbsentError].
func (c *Cloud) S3() (*s3.Client, error) {
	x := s3.NewFromConfig(c.cfg, func(o *s3.Options) {
		// A server on this machine has no names of buckets below its own.
		o.UsePathStyle = o.BaseEndpoint != nil && IsLoopback(*o.BaseEndpoint)
	})
	return x, c.beside("S3", "AWS_ENDPOINT_URL_S3", x.Options().BaseEndpoint)
}

// An Identity is who the credentials are.
type Identity struct{ Account, ARN string }

// identityTime is how long the question may take who the credentials are.
const identityTime = 10 * time.Second

// Identity asks STS, once, who the credentials are. An [AbsentError] says that it is nowhere.
func (c *Cloud) Identity() (*Identity, error) { return c.who() }

func (c *Cloud) ask() (*Identity, error) {
	x := sts.NewFromConfig(c.cfg)
	if err := c.beside("STS", "AWS_ENDPOINT_URL_STS", x.Options().BaseEndpoint); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), identityTime)
	defer cancel()
	out, err := x.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, err
	}
	return &Identity{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn)}, nil
}
