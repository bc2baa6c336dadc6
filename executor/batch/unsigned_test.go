package batch

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A job whose submission nobody could sign was not submitted, whatever those said that were
// asked for credentials: their answers are none about the job.
func TestSubmitUnsigned(t *testing.T) {
	valid := token(fmt.Sprintf(`{"accessToken": "x", "expiresAt": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	role := "[profile w]\nrole_arn = arn:aws:iam::111122223333:role/w\nsource_profile = k\n[profile k]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n"
	xml := func(code string) string {
		return "<ErrorResponse><Error><Code>" + code + "</Code><Message>said so</Message></Error></ErrorResponse>"
	}
	for _, test := range []struct {
		name, profile, files string
		wire                 wire
		want, text           string
	}{
		{"session has ended", "lab", session + valid, answer(401, "UnauthorizedException", `{"message": "Session token not found or invalid"}`), wantLater, "log in with: aws sso login --profile lab"},
		{"unknown to the session", "lab", session + valid, answer(400, "InvalidRequestException", `{"message": "what?"}`), wantLater, "aws sso login"},
		{"no network", "lab", session + valid, noNetwork, wantLater, "could not be asked for"},
		{"role, expired", "w", role, answer(403, "", xml("ExpiredToken")), wantLater, "aws configure --profile k"},
		{"role, throttled", "w", role, answer(400, "", xml("Throttling")), wantLater, "could not be asked for"},
		{"role, server error", "w", role, answer(503, "", xml("ServiceUnavailable")), wantLater, "could not be asked for"},
		{"role, denied", "w", role, answer(403, "", xml("AccessDenied")), wantRefused, "said so"},
		{"session, denied", "lab", session + valid, answer(403, "ForbiddenException", `{"message": "No access"}`), wantRefused, "No access"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, x := newFake(t, nil)
			x.o.Profile = test.profile
			x.conn.Store(connect(load(t, test.profile, test.files, nil, test.wire), &Options{Endpoint: f.url}, x.http))
			_, err := x.Submit(t.Context(), ownJob("job"))
			if got := outcome(err); got != test.want || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the outcome is %s, want %s, with %q: %v", got, test.want, test.text, err)
			}
			if n := len(f.called()); n != 0 {
				t.Errorf("%d calls", n)
			}
		})
	}
}
