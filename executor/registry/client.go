package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"flow/executor/batch/cloud"
)

// A client talks to the registry of one place. It knows no registry but those on this
// machine that is not protected, unless insecure.
type client struct {
	keys      authn.Keychain
	transport http.RoundTripper
}

// client returns a client, with credentials. A nil cloud knows none of AWS, and next may be
// nil for the library's transport.
func (p *place) client(ctx context.Context, c *cloud.Cloud, insecure bool, next http.RoundTripper, sent *counter) (*client, error) {
	if next == nil {
		next = remote.DefaultTransport
	}
	keys, err := p.keys(ctx, c)
	return &client{keys: keys, transport: &guarded{next: next, plain: insecure, sent: sent}}, err
}

func (c *client) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("flow"), remote.WithTransport(c.transport), remote.WithAuthFromKeychain(c.keys)}
}

// fixed are credentials for every registry.
type fixed struct{ authn.Authenticator }

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) { return f.Authenticator, nil }

// keys returns credentials: Amazon ECR's own; those of docker login or podman login for every
// other registry, and for ECR when it is nowhere.
func (p *place) keys(ctx context.Context, c *cloud.Cloud) (authn.Keychain, error) {
	if p.ecr == nil || c == nil {
		return authn.DefaultKeychain, nil
	}
	x, err := c.ECR(p.ecr.region)
	var absent *cloud.AbsentError
	if errors.As(err, &absent) {
		return authn.DefaultKeychain, nil
	} else if err != nil {
		return nil, err
	}
	out, err := x.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, err
	}
	if len(out.AuthorizationData) == 0 {
		return nil, fmt.Errorf("%s gave no login", p.where())
	}
	// "AWS:" and a password, for twelve hours (API reference, AuthorizationData).
	token, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	user, password, ok := strings.Cut(string(token), ":")
	if err != nil || !ok {
		return nil, fmt.Errorf("%s gave a login that nobody understands", p.where())
	}
	return fixed{&authn.Basic{Username: user, Password: password}}, nil
}

var errPlain = errors.New("it is not protected by TLS")

// guarded keeps passwords and images from going over a network as they are, if nobody
// has allowed it: the library tries http where a name or an address looks private.
type guarded struct {
	next  http.RoundTripper
	plain bool
	sent  *counter
}

func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !g.plain && !isLoopback(r.URL.Hostname()) {
		return nil, errPlain
	}
	return g.next.RoundTrip(g.sent.counting(r))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
