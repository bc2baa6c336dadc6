package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"flow/executor/batch/cloud"
)

// What is wrong with an image, by errors.Is.
var (
	ErrNoImage      = errors.New("there is no such image")
	ErrNoRepository = errors.New("there is no such repository")
	ErrDenied       = errors.New("access is denied")
)

// An Error says why something could not be done with an image, for people.
type Error struct {
	Text string // what happened, and where
	Fix  string // what to do; "": nobody knows
	Kind error  // ErrNoImage, ErrNoRepository, ErrDenied, or nil
	Err  error  // as the registry, or AWS, said it; nil if it says no more than Text
}

func (e *Error) Error() string {
	text := e.Text
	if e.Err != nil {
		text += " (" + short(e.Err) + ")"
	}
	if e.Fix != "" {
		text += ": " + e.Fix
	}
	return text
}

func (e *Error) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Kind, e.Err}, func(err error) bool { return err == nil })
}

// short says what an error says, without the URLs of requests.
func short(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return strings.TrimSuffix(api.ErrorCode()+": "+api.ErrorMessage(), ": ")
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		if len(answer.Errors) > 0 {
			d := answer.Errors[0]
			return strings.TrimSuffix(string(d.Code)+": "+d.Message, ": ")
		}
		return http.StatusText(answer.StatusCode)
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	return err.Error()
}

// explain says for people why what was done at p failed.
func (p *place) explain(err error) error {
	var known *Error
	var absent *cloud.AbsentError
	switch {
	case err == nil, errors.As(err, &known), errors.As(err, &absent):
		return err
	case errors.Is(err, context.Canceled):
		return err
	}
	if e := p.explainAWS(err); e != nil {
		return e
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return p.explainAnswer(answer)
	}
	return p.explainNetwork(err)
}

// noCredentials is how the SDK begins to say that there are none, or no good ones.
const noCredentials = "get credentials"

// explainAWS explains an error of the API of Amazon ECR; nil: it is not one.
func (p *place) explainAWS(err error) *Error {
	var repository *types.RepositoryNotFoundException
	var image *types.ImageNotFoundException
	var api smithy.APIError
	var unsigned *smithy.OperationError
	switch {
	case errors.As(err, &repository):
		return p.noRepository(nil)
	case errors.As(err, &image):
		return p.noImage()
	case errors.As(err, &api):
		return p.explainCode(api.ErrorCode(), err)
	case errors.As(err, &unsigned) && strings.Contains(err.Error(), noCredentials):
		return &Error{Text: "there are no good credentials of AWS for " + p.where(), Kind: ErrDenied, Err: innermost(unsigned), Fix: awsLogin}
	}
	return nil
}

// innermost returns where an error comes from; nil if that is no more than that this machine
// is no instance of EC2, where the SDK looks for credentials at last.
func innermost(err error) error {
	for next := err; next != nil; next = errors.Unwrap(err) {
		err = next
	}
	if strings.Contains(err.Error(), "IMDS") {
		return nil
	}
	return err
}

const awsLogin = "log in with aws sso login, aws login or aws configure, or name a profile with -profile"

// explainCode explains an error code of AWS.
func (p *place) explainCode(code string, err error) *Error {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId", "RequestExpired":
		return &Error{Text: "AWS does not take these credentials for " + p.where(), Kind: ErrDenied, Err: err, Fix: awsLogin}
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return &Error{Text: "these credentials may not do that in " + p.where(), Kind: ErrDenied, Err: err, Fix: p.allow()}
	}
	return &Error{Text: p.where() + " refuses", Err: err}
}

// allow says how access is given.
func (p *place) allow() string {
	switch {
	case p.ecr != nil:
		return "the policy AmazonEC2ContainerRegistryReadOnly is enough to look, AmazonEC2ContainerRegistryPowerUser to push; of another account, its repository's policy has to allow it, too"
	case p.ref.Context().RegistryStr() == "public.ecr.aws":
		return "log in with: aws ecr-public get-login-password --region us-east-1 | podman login --username AWS --password-stdin public.ecr.aws"
	}
	return "log in with: podman login " + p.ref.Context().RegistryStr() + " (or docker login)"
}

func (p *place) noImage() *Error {
	return &Error{Text: "there is no image " + p.String(), Kind: ErrNoImage, Fix: "push it with flow image push, or correct its name"}
}

func (p *place) noRepository(err error) *Error {
	e := &Error{Text: "there is no repository " + p.repository() + " in " + p.where(), Kind: ErrNoRepository, Err: err}
	if p.ecr != nil {
		e.Fix = "make it with flow image push -create, or with: aws ecr create-repository --repository-name " + p.repository() + " --region " + p.ecr.region
	}
	return e
}

// explainAnswer explains what a registry answered.
func (p *place) explainAnswer(answer *transport.Error) *Error {
	code := transport.ErrorCode("")
	said := ""
	if len(answer.Errors) > 0 {
		code, said = answer.Errors[0].Code, answer.Errors[0].Message
	}
	switch {
	case code == transport.NameUnknownErrorCode:
		return p.noRepository(nil)
	case code == transport.NameInvalidErrorCode:
		return &Error{Text: p.where() + " does not take " + p.repository() + " as the name of a repository", Err: answer}
	case strings.Contains(said, "immutable") || strings.Contains(said, "already exists"):
		return &Error{Text: p.String() + " is there already, and tags of this repository cannot be moved", Err: answer, Fix: "give another tag"}
	case code == transport.ManifestUnknownErrorCode, answer.StatusCode == http.StatusNotFound:
		return p.noImage()
	case answer.StatusCode == http.StatusUnauthorized:
		return &Error{Text: "access to " + p.ref.Context().Name() + " is denied; it may as well not be there", Kind: ErrDenied, Err: answer, Fix: p.allow()}
	case answer.StatusCode == http.StatusForbidden, code == transport.DeniedErrorCode:
		return &Error{Text: "access to " + p.ref.Context().Name() + " is denied", Kind: ErrDenied, Err: answer, Fix: p.allow()}
	case answer.StatusCode == http.StatusMethodNotAllowed, code == transport.UnsupportedErrorCode:
		return &Error{Text: p.where() + " takes no images", Err: answer, Fix: "it may be read-only"}
	}
	return &Error{Text: p.where() + " refuses", Err: answer}
}

// explainNetwork explains an error of the way there.
func (p *place) explainNetwork(err error) error {
	var unknown *net.DNSError
	host := p.ref.Context().RegistryStr()
	switch {
	case errors.Is(err, errPlain):
		return &Error{Text: host + " does not speak https", Err: nil, Fix: "give -insecure if passwords and images may go there unprotected"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Text: "nothing listens at " + host, Fix: "is the registry running, and is that its port?", Err: syscall.ECONNREFUSED}
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return &Error{Text: "there is no host " + host, Err: unknown, Fix: "correct the name of the registry"}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Text: host + " does not answer in time", Err: context.DeadlineExceeded}
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return &Error{Text: host + " does not speak https", Fix: "give -insecure if passwords and images may go there unprotected"}
	}
	var network *url.Error
	if errors.As(err, &network) {
		return &Error{Text: "cannot reach " + host, Err: err}
	}
	return err
}
