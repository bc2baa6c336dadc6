package doctor

import (
	"context"
	"errors"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdkbatch "github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/executor/batch"
	"flow/executor/batch/cloud"
)

// credentials tells where the credentials are from, whose they are, and whether they are
// valid.
func (p *patient) credentials(ctx context.Context) []Line {
	const name = "credentials"
	c := p.o.Cloud
	hint := batch.LoginHint(c.Config(), p.o.Profile)
	keys, err := c.Config().Credentials.Retrieve(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return []Line{fault(name, hint, "whoever gives them does not answer")}
	case err != nil:
		return []Line{fault(name, hint, "there are none, or they cannot be had: %s", said(err))}
	case keys.CanExpire && !keys.Expires.After(p.o.Now()):
		return []Line{fault(name, hint, "those from %s have expired at %s", source(keys.Source), keys.Expires.UTC().Format(time.RFC3339))}
	}
	who, err := c.Identity()
	var absent *cloud.AbsentError
	switch {
	case errors.As(err, &absent), err != nil && p.nowhere(err):
		return []Line{ok(name, "from %s; AWS Batch is on this machine, and any will do", source(keys.Source))}
	case batch.CredentialFault(err) != "":
		return []Line{fault(name, hint, "those from %s %s (%s)", source(keys.Source), batch.CredentialFault(err), said(err))}
	case err != nil:
		return []Line{p.trouble(name, "sts:GetCallerIdentity", err)}
	}
	return []Line{ok(name, "%s, from %s", who.ARN, source(keys.Source))}
}

// source says in words where the SDK has credentials from.
func source(s string) string {
	switch s {
	case "EnvConfigCredentials":
		return "the environment (AWS_ACCESS_KEY_ID)"
	case "StaticCredentials":
		return "flow itself, since there are no others"
	case "EC2RoleProvider":
		return "the role of this instance"
	case "CredentialsEndpointProvider":
		return "the role of this container"
	}
	return strings.TrimPrefix(s, "SharedConfigCredentials: ") // the rest is the file
}

// How far the clock may be wrong: AWS takes no request whose time differs by five minutes
// (IAM User Guide, create-signed-request), and what is half a minute off goes on.
const (
	skewWarning = 30 * time.Second
	skewFault   = 5 * time.Minute
)

// region makes a call, and compares the clocks.
func (p *patient) region(ctx context.Context) []Line {
	c := p.o.Cloud
	out, err := c.Batch().DescribeJobQueues(ctx, &sdkbatch.DescribeJobQueuesInput{MaxResults: new(int32(1))})
	now := p.o.Now()
	if _, denied := batch.NotAllowed(err); denied {
		return []Line{ok("region", "%s", c.Region()), skipped("clock", "there was no good answer to compare it with")}
	}
	if err != nil {
		switch code(err) {
		case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", "InvalidSignatureException", "SignatureDoesNotMatch":
			return []Line{ok("region", "%s", c.Region()), fault("clock", "set the clock of this machine, best with NTP: timedatectl set-ntp true", "AWS does not take our signature, and the clock may be the reason: %s", said(err))}
		}
		if why := batch.Unreached(err); why != "" && batch.CredentialFault(err) == "" {
			fix := "look whether the network is up and lets flow out to AWS (port 443, or through the proxy that HTTPS_PROXY names), and whether the region is right"
			if c.Near() {
				fix = "start flow emulate, or give another -endpoint"
			}
			return []Line{fault("region", fix, "AWS Batch in %s is not reached: %s", c.Region(), why)}
		}
		return []Line{p.trouble("region", "batch:DescribeJobQueues in "+c.Region(), err)}
	}
	lines := []Line{ok("region", "%s", c.Region())}
	there, given := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !given {
		return append(lines, skipped("clock", "the answer says no time to compare it with"))
	}
	const fix = "set the clock of this machine, best with NTP: timedatectl set-ntp true"
	skew := now.Sub(there).Round(time.Second)
	how := "ahead of"
	if skew < 0 {
		skew, how = -skew, "behind"
	}
	switch {
	case skew > skewFault:
		return append(lines, fault("clock", fix, "it is %s %s that of AWS, which takes no request that is more than %s off", skew, how, skewFault))
	case skew > skewWarning:
		return append(lines, warning("clock", fix, "it is %s %s that of AWS; beyond %s nothing works", skew, how, skewFault))
	}
	return append(lines, ok("clock", "as that of AWS, within %s", skewWarning))
}
