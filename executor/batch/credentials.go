package batch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"flow/engine"
)

// A fault is what is wrong with credentials, as the end of a sentence that begins with
// "AWS credentials"; "" is nothing.
type fault string

const (
	faultExpired   fault = "have expired"
	faultMissing   fault = "are missing"
	faultRejected  fault = "are not accepted"
	faultSignature fault = "are not accepted, or the clock of this machine is wrong"
	faultNotGiven  fault = "cannot be had"
)

// faultCodes are the codes of answers that are about credentials, of AWS Batch (AWS Batch API
// Reference, CommonErrors), CloudWatch Logs, and of STS, SSO and its OIDC service, which
// the SDK asks for credentials. AccessDenied is none: those who ask are known, and must
// not do that.
var faultCodes = map[string]fault{
	"ExpiredToken":                faultExpired,
	"ExpiredTokenException":       faultExpired,
	"InvalidGrantException":       faultExpired, // SSO OIDC: the refresh token has expired
	"TokenRefreshRequired":        faultExpired,
	"UnauthorizedException":       faultExpired, // SSO: the session has expired
	"AuthFailure":                 faultRejected,
	"InvalidIdentityToken":        faultRejected,
	"InvalidToken":                faultRejected,
	"UnrecognizedClientException": faultRejected,
	"InvalidClientTokenId":        faultRejected,
	"InvalidAccessKeyId":          faultRejected,
	"InvalidSignatureException":   faultSignature,
	"SignatureDoesNotMatch":       faultSignature,
	"RequestExpired":              faultSignature,
	"RequestInTheFuture":          faultSignature,
	"RequestTimeTooSkewed":        faultSignature,
	"IncompleteSignature":         faultMissing,
	"MissingAuthenticationToken":  faultMissing,

	"IncompleteSignatureException":        faultMissing,
	"MissingAuthenticationTokenException": faultMissing,
}

// faultTexts are parts of errors of the SDK that have no type.
var faultTexts = []struct {
	text string
	fault
}{
	{"no EC2 IMDS role found", faultMissing}, // the last of the default chain
	{"unexpected empty EC2 IMDS role list", faultMissing},
	{"NoCredentialProviders", faultMissing},
	{"cached SSO token", faultExpired},      // ssocreds: missing, or expired and not to be refreshed
	{"please reauthenticate", faultExpired}, // logincreds, of aws login
	{"load login token", faultExpired},
}

// credentialFault returns what an error of a call says is wrong with the credentials.
func credentialFault(err error) fault {
	if err == nil || errors.Is(err, context.Canceled) {
		return ""
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		if f, ok := faultCodes[answer.ErrorCode()]; ok {
			return f
		}
	}
	var (
		session *ssocreds.InvalidTokenError
		process *processcreds.ProviderError
		static  *credentials.StaticCredentialsEmptyError
	)
	switch {
	case errors.As(err, &session):
		return faultExpired
	case errors.As(err, &process):
		return faultNotGiven
	case errors.As(err, &static):
		return faultMissing
	}
	if !unsigned(err) {
		return ""
	}
	for _, t := range faultTexts {
		if strings.Contains(err.Error(), t.text) {
			return t.fault
		}
	}
	if denied(err) || offline(err) || passing(err) {
		return ""
	}
	return faultNotGiven
}

// passing reports whether an answer is about trouble that passes by itself.
func passing(err error) bool {
	var (
		answer   smithy.APIError
		response *smithyhttp.ResponseError
	)
	if errors.As(err, &answer) {
		if _, ok := retry.DefaultThrottleErrorCodes[answer.ErrorCode()]; ok {
			return true
		}
	}
	return errors.As(err, &response) && response.HTTPStatusCode() >= 500
}

// denied reports whether somebody may not do what was asked for, as take a role.
func denied(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && (strings.HasPrefix(answer.ErrorCode(), "AccessDenied") || answer.ErrorCode() == "ForbiddenException")
}

// unsigned reports whether a call ended for want of credentials, whatever the reason: nothing
// was sent to the service.
func unsigned(err error) bool {
	var op *smithy.OperationError
	return errors.As(err, &op) && strings.HasPrefix(op.Err.Error(), "get identity: ")
}

// offline reports whether an error is about the network.
func offline(err error) bool {
	var (
		network net.Error
		address *url.Error
	)
	return errors.As(err, &network) || errors.As(err, &address) || errors.Is(err, context.DeadlineExceeded)
}

const (
	// firstProbe is how long after the first error credentials are tried again: a token may
	// just have been replaced. laterProbe is the time between two tries afterwards.
	firstProbe = 5 * time.Second
	laterProbe = 30 * time.Second
	// accountTime is how long the question may take whose credentials these are.
	accountTime = 20 * time.Second
)

type gateOptions struct {
	Now func() time.Time // nil: real time
	// Notice is told when the gate closes and opens, once; nil: nobody listens.
	Notice func(text string)
	// Reload loads the SDK's configuration anew and has the next calls use it. The SDK reads
	// files once: keys in them it would keep for ever. The region must stay as it is.
	Reload func(ctx context.Context) error
	// Login says what a person has to do for new credentials, see loginFor.
	Login func() login
	// Account returns whose the credentials are, after Reload. nil: it is not asked, as
	// where the endpoint is not that of AWS.
	Account func(ctx context.Context) (string, error)
}

// A gate stands before all calls to AWS. It is closed while the credentials are expired or
// missing: calls end at once with engine.ErrLater, but for one now and then that is let
// through to see whether they are good again. Jobs go on in AWS Batch meanwhile.
type gate struct {
	o gateOptions

	mu      sync.Mutex
	fault   fault // "" while it is open
	cause   error
	next    time.Time // when a call is let through
	probing bool      // one has been, and has not returned
	account string    // to which everything so far belongs; "" while nobody knows
	stray   string    // the account that was refused last
}

func newGate(o gateOptions) *gate {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	return &gate{o: o}
}

// An AccountError says that the credentials are those of another account than before: there
// the jobs of the run do not exist. The call was not made, and may be later, with
// others: it is an engine.ErrLater.
type AccountError struct{ Want, Got string }

func (e *AccountError) Error() string {
	return fmt.Sprintf("the run is in AWS account %s, and the credentials are of account %s now", e.Want, e.Got)
}

func (e *AccountError) Unwrap() error { return engine.ErrLater }

// before returns nil if a call may be made, whose outcome must be given to after then. Else
// the error is an engine.ErrLater.
func (g *gate) before(ctx context.Context) error {
	g.mu.Lock()
	now := g.o.Now()
	if g.fault == "" || now.Before(g.next) {
		defer g.mu.Unlock()
		return g.closed()
	}
	g.next = now.Add(laterProbe)
	want := g.account
	g.mu.Unlock()

	got, err := g.renew(ctx, want)
	var notice string
	defer func() { g.tell(notice) }()
	g.mu.Lock()
	defer g.mu.Unlock()
	var stray *AccountError
	switch {
	case err == nil:
		g.probing = true
		g.account = got
		return nil
	case errors.As(err, &stray):
		if stray.Got != g.stray {
			notice = stray.Error() + ": flow waits for credentials of account " + stray.Want
		}
		g.stray = stray.Got
	case credentialFault(err) == "":
		g.next = g.o.Now().Add(firstProbe) // the network, most likely
	default:
		g.fault = credentialFault(err)
	}
	g.cause = err
	return g.closed()
}

// renew loads the credentials anew, and returns the account they belong to if that can be
// asked, else want.
func (g *gate) renew(ctx context.Context, want string) (string, error) {
	if err := g.o.Reload(ctx); err != nil {
		return "", err
	}
	if g.o.Account == nil {
		return want, nil
	}
	got, err := g.o.Account(ctx)
	if err == nil && want != "" && got != want {
		err = &AccountError{Want: want, Got: got}
	}
	return got, err
}

// closed is the error of a call that is not made; nil while the gate is open.
func (g *gate) closed() error {
	if g.fault == "" {
		return nil
	}
	if stray := (*AccountError)(nil); errors.As(g.cause, &stray) {
		return stray
	}
	return fmt.Errorf("%w: AWS credentials %s: %w", engine.ErrLater, g.fault, g.cause)
}

// after takes in what came of a call, and returns it; as engine.ErrLater if the call was not
// carried out for want of credentials.
func (g *gate) after(err error) error {
	var notice string
	defer func() { g.tell(notice) }()
	g.mu.Lock()
	defer g.mu.Unlock()
	f := credentialFault(err)
	probing := g.probing
	g.probing = false
	switch {
	case f != "":
		if g.fault == "" {
			g.next = g.o.Now().Add(firstProbe)
			notice = "AWS credentials " + string(f) + why(f, err) + ": jobs go on in AWS Batch; " + g.o.Login().String()
		}
		g.fault, g.cause = f, err
		return g.closed()
	case probing && answered(err):
		g.fault, g.cause, g.stray = "", nil, ""
		notice = "AWS credentials are good again: flow goes on"
	case probing:
		g.next = g.o.Now().Add(firstProbe) // it says nothing about the credentials
	}
	if unsigned(err) && !denied(err) {
		return fmt.Errorf("%w: %w", engine.ErrLater, err)
	}
	return err
}

// why is what the SDK says of credentials that cannot be had, in brackets.
func why(f fault, err error) string {
	if f != faultNotGiven {
		return ""
	}
	_, reason, ok := strings.Cut(err.Error(), "failed to refresh cached credentials, ")
	if !ok {
		reason = err.Error()
	}
	return " (" + reason + ")"
}

// answered reports whether the service took the credentials, whatever it said else.
func answered(err error) bool {
	var answer smithy.APIError
	return err == nil || errors.As(err, &answer) && !unsigned(err)
}

func (g *gate) tell(notice string) {
	if notice != "" {
		g.o.Notice(notice)
	}
}

// sawARN takes in the ARN of something of this run. The first tells the account that the run
// is in.
func (g *gate) sawARN(text string) {
	a, err := arn.Parse(text)
	if err != nil || a.AccountID == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.account == "" {
		g.account = a.AccountID
	}
}

// callerAccount asks STS whose the credentials of a configuration are. Nobody needs a
// permission for that (AWS STS API Reference, GetCallerIdentity).
func callerAccount(ctx context.Context, cfg aws.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Account), nil
}
