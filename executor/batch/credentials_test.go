package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
)

// A wire answers the requests of the SDK.
type wire func(*http.Request) (*http.Response, error)

func (w wire) Do(r *http.Request) (*http.Response, error) { return w(r) }

// answer is a wire that says the same to everybody.
func answer(status int, code, body string) wire {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{"X-Amzn-Errortype": {code}, "Content-Type": {"application/json"}}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func noNetwork(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "sso.eu-west-1.amazonaws.com"}}
}

// call makes a call with a configuration, and returns its error.
func call(ctx context.Context, cfg aws.Config) error {
	_, err := batch.NewFromConfig(cfg).SubmitJob(ctx, &batch.SubmitJobInput{
		JobName: aws.String("n"), JobQueue: aws.String("q"), JobDefinition: aws.String("d"),
	})
	return err
}

// load loads the SDK's configuration from files and an environment, of which there is
// nothing else. It makes no retries.
func load(t *testing.T, profile, files string, env map[string]string, w wire) aws.Config {
	t.Helper()
	home := t.TempDir()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores it afterwards
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, ".aws", "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, ".aws", "credentials"))
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range env {
		t.Setenv(name, value)
	}
	for name, content := range split(files) {
		path := filepath.Join(home, ".aws", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(w),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// split returns the files of a text in which each begins with a line "-- name --".
func split(text string) map[string]string {
	files := map[string]string{}
	name := "config"
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(strings.TrimSpace(rest), " --")
			continue
		}
		files[name] += line
	}
	return files
}

const session = `[profile lab]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = r
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
[profile worker]
role_arn = arn:aws:iam::111122223333:role/w
source_profile = lab
`

func TestCredentialFault(t *testing.T) {
	keys := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}
	valid := fmt.Sprintf(`{"accessToken": "x", "expiresAt": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	old := `{"accessToken": "x", "expiresAt": "2020-01-01T00:00:00Z"}`
	refreshable := `{"accessToken": "x", "expiresAt": "2020-01-01T00:00:00Z", "clientId": "c", "clientSecret": "s", "refreshToken": "r"}`
	role := "\n[default]\nrole_arn = arn:aws:iam::111122223333:role/w\nsource_profile = k\n[profile k]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n"
	for _, tt := range []struct {
		name, profile, files string
		env                  map[string]string
		wire                 wire
		want                 fault
		login                string
	}{
		{name: "fine", env: keys, wire: answer(200, "", `{"jobId": "1"}`)},
		{name: "expired", env: keys, wire: answer(403, "ExpiredTokenException", `{"message": "The security token included in the request is expired"}`), want: faultExpired,
			login: "they come from the environment of flow: export new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; flow cannot see that while it runs: stop it, and go on with flow resume"},
		{name: "expired, in the body", env: keys, wire: answer(403, "", `{"__type": "com.amazon.coral.service#ExpiredTokenException"}`), want: faultExpired},
		{name: "unknown key", files: "[default]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n", wire: answer(403, "UnrecognizedClientException", "{}"), want: faultRejected,
			login: "give new keys to: aws configure; flow goes on by itself afterwards"},
		{name: "unknown key of a profile", profile: "my lab", files: "[profile my lab]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n", env: keys, wire: answer(403, "InvalidClientTokenId", "{}"), want: faultRejected,
			login: "give new keys to: aws configure --profile 'my lab'; flow goes on by itself afterwards"},
		{name: "signature", env: keys, wire: answer(403, "InvalidSignatureException", `{"message": "Signature expired"}`), want: faultSignature},
		{name: "clock", env: keys, wire: answer(400, "RequestExpired", "{}"), want: faultSignature},
		{name: "denied", env: keys, wire: answer(403, "AccessDeniedException", `{"message": "User: arn:aws:iam::1:user/x is not authorized to perform: batch:SubmitJob"}`)},
		{name: "throttled", env: keys, wire: answer(429, "TooManyRequestsException", "{}")},
		{name: "refused", env: keys, wire: answer(400, "ClientException", `{"message": "no EC2 IMDS role found: failed to refresh cached credentials"}`)},
		{name: "no network", env: keys, wire: noNetwork},
		{name: "none", wire: noNetwork, want: faultMissing,
			login: "log in with aws sso login, aws login or aws configure, or give this machine a role; flow goes on by itself afterwards"},

		{name: "sso", profile: "lab", files: session + token(old), env: keys, wire: noNetwork, want: faultExpired,
			login: "log in with: aws sso login --profile lab; flow goes on by itself afterwards"},
		{name: "sso, never logged in", profile: "lab", files: session, wire: noNetwork, want: faultExpired},
		{name: "sso, by environment", files: session + token(old), env: map[string]string{"AWS_PROFILE": "lab"}, wire: noNetwork, want: faultExpired,
			login: "log in with: aws sso login --profile lab; flow goes on by itself afterwards"},
		{name: "sso, default profile", files: strings.Replace(session, "profile lab", "default", 1) + token(old), wire: noNetwork, want: faultExpired,
			login: "log in with: aws sso login --sso-session corp; flow goes on by itself afterwards"},
		{name: "sso, source of a role", profile: "worker", files: session + token(old), wire: noNetwork, want: faultExpired,
			login: "log in with: aws sso login --profile lab; flow goes on by itself afterwards"},
		{name: "sso, refused", profile: "lab", files: session + token(valid), wire: answer(401, "UnauthorizedException", `{"message": "Session token not found or invalid"}`), want: faultExpired},
		{name: "sso, no refresh", profile: "lab", files: session + token(refreshable), wire: answer(400, "InvalidGrantException", "{}"), want: faultExpired},
		{name: "sso, no role", profile: "lab", files: session + token(valid), wire: answer(403, "ForbiddenException", `{"message": "No access"}`)},
		{name: "sso, no network", profile: "lab", files: session + token(valid), wire: noNetwork},
		{name: "sso of old", profile: "o", files: "[profile o]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = r\n", wire: noNetwork, want: faultExpired,
			login: "log in with: aws sso login --profile o; flow goes on by itself afterwards"},
		{name: "aws login", profile: "l", files: "[profile l]\nlogin_session = arn:aws:iam::111122223333:user/x\n", wire: noNetwork, want: faultExpired,
			login: "log in with: aws login --profile l; flow goes on by itself afterwards"},
		{name: "process", files: "[default]\ncredential_process = \"/bin/sh\" -c \"exit 3\" --password=hunter2\n", wire: noNetwork, want: faultNotGiven,
			login: "log in to what gives them, the credential_process /bin/sh; flow goes on by itself afterwards"},
		{name: "role, expired", files: role, wire: answer(403, "", "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"), want: faultExpired,
			login: "give new keys to: aws configure --profile k; flow goes on by itself afterwards"},
		{name: "role, denied", files: role, wire: answer(403, "", "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")},
		{name: "role, throttled", files: role, wire: answer(400, "", "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>")},
		{name: "role, server error", files: role, wire: answer(503, "", "<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>")},
		{name: "role, no network", files: role, wire: noNetwork},
		{name: "token file", env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/w"}, wire: noNetwork, want: faultNotGiven,
			login: "have the token in /nowhere/token renewed; flow goes on by itself afterwards"},
		{name: "container", env: map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, wire: answer(400, "", `{"code": "CredentialsExpired"}`), want: faultNotGiven,
			login: "they come from the role of this machine or container: renew it; flow goes on by itself afterwards"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, tt.profile, tt.files, tt.env, tt.wire)
			err := call(t.Context(), cfg)
			if got := credentialFault(err); got != tt.want {
				t.Errorf("%q, want %q, of: %v", got, tt.want, err)
			}
			if tt.login == "" {
				return
			}
			if diff := cmp.Diff(tt.login, loginFor(cfg, tt.profile).String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// token is the token of session, in the file where aws sso login leaves it: the name is the
// sha1 of "corp".
func token(content string) string {
	return "-- sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json --\n" + content + "\n"
}

// A desk is a gate with what is around it.
type desk struct {
	*gate
	now     time.Time
	notices []string
	reloads int
	broken  error  // of Reload
	account string // of Account
	refusal error  // of Account
}

func newDesk() *desk {
	d := &desk{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	d.gate = newGate(gateOptions{
		Now:    func() time.Time { return d.now },
		Notice: func(text string) { d.notices = append(d.notices, text) },
		Reload: func(context.Context) error { d.reloads++; return d.broken },
		Login:  func() login { return login{command: "aws sso login --profile lab"} },
		Account: func(context.Context) (string, error) {
			return d.account, d.refusal
		},
	})
	return d
}

// try makes a call that ends with err if it is let through, and reports whether it was.
func (d *desk) try(t *testing.T, after time.Duration, err error) bool {
	t.Helper()
	d.now = d.now.Add(after)
	if closed := d.before(t.Context()); closed != nil {
		if !errors.Is(closed, engine.ErrLater) {
			t.Errorf("not ErrLater: %v", closed)
		}
		return false
	}
	got := d.after(err)
	switch {
	case credentialFault(err) != "":
		if !errors.Is(got, engine.ErrLater) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	case !errors.Is(got, err) || errors.Is(got, engine.ErrLater):
		t.Errorf("%v became %v", err, got)
	}
	return true
}

var (
	errExpired = &smithy.GenericAPIError{Code: "ExpiredTokenException"}
	errRefused = &smithy.GenericAPIError{Code: "ClientException"}
)

func TestGate(t *testing.T) {
	d := newDesk()
	notices := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, d.notices, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		d.notices = nil
	}
	let := func(want bool, after time.Duration, err error) {
		t.Helper()
		if got := d.try(t, after, err); got != want {
			t.Errorf("let through: %v, want %v", got, want)
		}
	}
	let(true, 0, nil)
	let(true, 0, errRefused)
	let(true, 0, errExpired)
	notices("AWS credentials have expired: jobs go on in AWS Batch; log in with: aws sso login --profile lab; flow goes on by itself afterwards")
	let(false, 4999*time.Millisecond, nil)
	if d.reloads != 0 {
		t.Error("loaded anew too early")
	}
	let(true, time.Millisecond, errExpired) // the first probe
	let(false, 29*time.Second, nil)
	let(true, time.Second, errExpired)
	let(true, 30*time.Second, io.ErrUnexpectedEOF) // says nothing about credentials
	let(false, 4*time.Second, nil)
	d.broken = errors.New("a profile is gone")
	let(false, time.Second, nil)
	let(false, 4*time.Second, nil)
	if d.reloads != 4 {
		t.Errorf("loaded anew %d times", d.reloads)
	}
	d.broken = nil
	notices()
	let(true, time.Second, errRefused) // an answer: the credentials are good
	notices("AWS credentials are good again: flow goes on")
	let(true, 0, nil)
	let(true, 0, errExpired) // once more
	let(true, 5*time.Second, nil)
	if len(d.notices) != 2 {
		t.Error(d.notices)
	}
}

// While one call finds out, the others do not wait for it; and those that were under way say
// nothing about the new credentials.
func TestGateTogether(t *testing.T) {
	d := newDesk()
	for range 3 {
		if err := d.before(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.after(errExpired)
	d.now = d.now.Add(time.Second)
	d.after(errExpired) // the same trouble
	d.after(nil)        // it was in time
	if err := d.before(t.Context()); !errors.Is(err, engine.ErrLater) || !errors.Is(err, errExpired) {
		t.Error(err)
	}
	d.now = d.now.Add(4 * time.Second)
	if err := d.before(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.before(t.Context()); !errors.Is(err, engine.ErrLater) {
		t.Error("a second probe beside the first:", err)
	}
	d.after(nil)
	if err := d.before(t.Context()); err != nil {
		t.Error(err)
	}
	if len(d.notices) != 2 {
		t.Error(d.notices)
	}
}

// Somebody logs in to another account meanwhile.
func TestOtherAccount(t *testing.T) {
	d := newDesk()
	d.sawARN("no ARN")
	d.sawARN("arn:aws:batch:eu-west-1:111122223333:job/0")
	d.sawARN("arn:aws:batch:eu-west-1:555566667777:job-queue/shared") // what follows is not asked
	d.try(t, 0, errExpired)
	d.refusal = errExpired
	if d.try(t, 5*time.Second, nil) {
		t.Error("a call was made before the account was known")
	}
	d.refusal, d.account = nil, "444455556666"
	for range 2 {
		d.now = d.now.Add(30 * time.Second)
		for range 2 {
			err := d.before(t.Context())
			var stray *AccountError
			if !errors.As(err, &stray) || !errors.Is(err, engine.ErrLater) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&AccountError{Want: "111122223333", Got: "444455556666"}, stray); diff != "" {
				t.Error(diff)
			}
		}
	}
	d.account = "111122223333"
	if !d.try(t, 30*time.Second, nil) || !d.try(t, 0, nil) {
		t.Error("closed")
	}
	want := []string{
		"AWS credentials have expired: jobs go on in AWS Batch; log in with: aws sso login --profile lab; flow goes on by itself afterwards",
		"the run is in AWS account 111122223333, and the credentials are of account 444455556666 now: flow waits for credentials of account 111122223333",
		"AWS credentials are good again: flow goes on",
	}
	if diff := cmp.Diff(want, d.notices); diff != "" {
		t.Error(diff)
	}
}

// Errors that come before a call is sent are no reason to wonder whether it was carried out.
func TestUnsent(t *testing.T) {
	role := "[default]\nrole_arn = arn:aws:iam::111122223333:role/w\nsource_profile = k\n[profile k]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n"
	keys := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}
	for _, tt := range []struct {
		name  string
		files string
		env   map[string]string
		wire  wire
		later bool // it was surely not carried out
		good  bool // it shows that the credentials are good
	}{
		{name: "STS is not reached", files: role, wire: noNetwork, later: true},
		{name: "STS is busy", files: role, wire: answer(400, "", "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"), later: true},
		{name: "STS says no", files: role, wire: answer(403, "", "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")},
		{name: "Batch is not reached", env: keys, wire: noNetwork}, // for others to judge
		{name: "Batch is busy", env: keys, wire: answer(500, "", "{}"), good: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk()
			cfg := load(t, "", tt.files, tt.env, tt.wire)
			if err := d.before(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := call(t.Context(), cfg)
			got := d.after(err)
			if errors.Is(got, engine.ErrLater) != tt.later || !errors.Is(got, err) {
				t.Error(got)
			}
			if err := d.before(t.Context()); err != nil || len(d.notices) != 0 {
				t.Error("the gate closed:", err, d.notices)
			}
			d.after(errExpired)
			d.now = d.now.Add(firstProbe)
			if err := d.before(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.after(err)
			if opened := d.before(t.Context()) == nil; opened != tt.good {
				t.Error("opened:", opened)
			}
		})
	}
}

func TestCallerAccount(t *testing.T) {
	const identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
	cfg := load(t, "", "", map[string]string{"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}, answer(200, "", identity))
	if got, err := callerAccount(t.Context(), cfg); got != "111122223333" || err != nil {
		t.Error(got, err)
	}
	cfg = load(t, "", "", nil, noNetwork)
	if _, err := callerAccount(t.Context(), cfg); credentialFault(err) != faultMissing {
		t.Error(err)
	}
}
