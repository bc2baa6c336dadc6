package batch

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"flow/executor/agent"
	"flow/executor/batch/budget"
	"flow/executor/batch/cloud"
	"flow/executor/whole"
)

// An Executor runs jobs on AWS Batch. It implements engine.Executor and
// engine.BulkSubmitter.
type Executor struct {
	o      Options // with the region as it was found
	http   *http.Client
	conn   atomic.Pointer[connection]
	gate   *gate
	limit  limiter
	close  func() error // of limit
	sleep  func(ctx context.Context, d time.Duration) error
	every  time.Duration // between two looks at a log that is followed
	linger time.Duration // how long the end of a log may come after that of its job

	definitions definitions
}

// A connection is the SDK as it is configured; it is made anew when the credentials are.
type connection struct {
	cfg   aws.Config
	batch *batch.Client
	where *string // the endpoint, if it is not that of the region
	near  bool    // it is on this machine

	fixed bool // the endpoint was given: it is that of the logs as well
	http  *http.Client
	mu    sync.Mutex
	logs  map[string]*cloudwatchlogs.Client // by region
}

// maxInFlight is how many submissions are under way at once.
const maxInFlight = 16

// Open makes an executor. It makes no call: the first one is made when a job needs it.
func Open(ctx context.Context, o Options) (*Executor, error) {
	cfg, err := loadConfig(ctx, &o)
	if err != nil {
		return nil, err
	}
	x := &Executor{o: o, http: httpClient(cfg.HTTPClient), sleep: sleep, every: 2 * time.Second, linger: 5 * time.Second}
	c := connect(cfg, &o, x.http)
	if c.cfg.Region == "" {
		return nil, errors.New("AWS Batch needs a region: give -region, or region in the site, or set AWS_REGION")
	}
	x.conn.Store(c)
	x.o.Region = c.cfg.Region
	if x.o.Files == nil {
		x.o.Files = &agent.Files{}
	}
	if c.near {
		x.every, x.linger = 100*time.Millisecond, 0
		if x.o.AgentImage == "" {
			x.o.AgentImage = "flow"
		}
	}
	b, err := budget.Open(budget.Options{Key: x.budgetKey(), Unlimited: c.near})
	if err != nil {
		return nil, err
	}
	x.limit, x.close = b, b.Close
	x.gate = newGate(x.gateOptions())
	x.gate.account = o.Account
	return x, nil
}

// gateOptions say how credentials are loaded anew. Whose they are is asked of AWS itself only.
func (x *Executor) gateOptions() gateOptions {
	g := gateOptions{
		Notice: x.o.Notice,
		Reload: func(ctx context.Context) error {
			cfg, err := loadConfig(ctx, &x.o)
			if err == nil {
				x.conn.Store(connect(cfg, &x.o, x.http))
			}
			return err
		},
		Login: x.login,
	}
	if x.conn.Load().where == nil {
		g.Account = func(ctx context.Context) (string, error) { return callerAccount(ctx, x.conn.Load().cfg) }
	}
	return g
}

func (x *Executor) login() login { return loginFor(x.conn.Load().cfg, x.o.Profile) }

// budgetKey tells apart what AWS limits for itself. The account is not known before the
// first call; the profile, or the key in the environment, goes for it.
func (x *Executor) budgetKey() string {
	c := x.conn.Load()
	env, shared := cloud.Sources(c.cfg)
	return strings.Join([]string{value(c.where), c.cfg.Region, shared.Profile, env.Credentials.AccessKeyID}, "\n")
}

// loadConfig returns the configuration of the SDK.
func loadConfig(ctx context.Context, o *Options) (aws.Config, error) {
	cfg, err := cloud.Load(ctx, cloud.Options{Region: o.Region, Profile: o.Profile, Endpoint: o.Endpoint})
	if err == nil && o.Endpoint != "" {
		cfg.BaseEndpoint = &o.Endpoint
	}
	return cfg, err
}

// connect makes the client of AWS Batch. What a server on this machine does not look at is
// filled in, so that flow works with it out of the box: a region and credentials.
func connect(cfg aws.Config, o *Options, h *http.Client) *connection {
	c := &connection{fixed: o.Endpoint != "", http: h, logs: map[string]*cloudwatchlogs.Client{}}
	if c.fixed {
		c.where = &o.Endpoint
	} else {
		c.where = batch.NewFromConfig(cfg).Options().BaseEndpoint // of the environment or the shared configuration
	}
	if c.near = c.where != nil && cloud.IsLoopback(*c.where); c.near {
		cfg = cloud.OutOfTheBox(cfg)
	}
	c.cfg = cfg
	c.batch = batch.NewFromConfig(cfg, func(b *batch.Options) {
		b.HTTPClient, b.Retryer, b.BaseEndpoint = h, aws.NopRetryer{}, c.where // see call
	})
	return c
}

// httpClient returns a client with the transport of the SDK's own (proxies, bundles of
// certificates), which reads answers whole and says how far a request came. It follows no
// redirection: AWS sends none, and what a captive portal sends is no answer. It speaks
// HTTP/1.1 only, by which net/http sends a POST again only if none of it was written;
// by HTTP/2 it believes a server that says it did nothing with it.
func httpClient(configured aws.HTTPClient) *http.Client {
	transport := cloud.Transport(configured)
	transport.MaxIdleConnsPerHost = 2 * maxInFlight
	transport.ForceAttemptHTTP2, transport.Protocols = false, new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.NextProtos = nil // the SDK's asks for both
	}
	return &http.Client{
		Transport:     traced{whole.Transport{Next: transport}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Near reports whether the other side is on this machine, as flow emulate is.
func (x *Executor) Near() bool { return x.conn.Load().near }

// AgentImage returns the image that steps which need flow's agent have it from; "": none.
func (x *Executor) AgentImage() string { return x.o.AgentImage }

// Close gives back what the executor holds. Jobs go on.
func (x *Executor) Close() error {
	x.http.CloseIdleConnections()
	return x.close()
}

// client returns the client of AWS Batch.
func (x *Executor) client() *batch.Client { return x.conn.Load().batch }

// logsIn returns a client of CloudWatch Logs in a region; "": that of the jobs.
func (x *Executor) logsIn(region string) *cloudwatchlogs.Client {
	c := x.conn.Load()
	if region == "" || c.near {
		region = c.cfg.Region
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.logs[region]
	if client == nil {
		client = cloudwatchlogs.NewFromConfig(c.cfg, func(o *cloudwatchlogs.Options) {
			o.Region, o.HTTPClient, o.Retryer = region, c.http, aws.NopRetryer{}
			if c.fixed || c.near && o.BaseEndpoint == nil {
				o.BaseEndpoint = c.where
			}
		})
		c.logs[region] = client
	}
	return client
}

// Near reports whether Batch is on this machine, by what the options and the configuration
// of the SDK say. It makes no call, and leaves nothing behind.
func Near(ctx context.Context, o Options) bool {
	cfg, err := loadConfig(ctx, &o)
	return err == nil && connect(cfg, &o, httpClient(cfg.HTTPClient)).near
}
