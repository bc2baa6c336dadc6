package batch

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaceOf(t *testing.T) {
	isolate(t)
	status := http.StatusOK
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>")
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AK")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	place := func(o Options) Place {
		t.Helper()
		p, err := PlaceOf(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		return p
	}
	at := "http://127.0.0.1:1"
	aws := place(Options{Region: "eu-west-1"})
	for _, test := range []struct{ got, want Place }{
		{aws, Place{Region: "eu-west-1", Account: "111122223333"}},
		{place(Options{Endpoint: at}), Place{Region: "us-east-1", Endpoint: at}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	status = http.StatusForbidden
	if p := place(Options{Region: "eu-west-1"}); p.Account != "" || aws.Differs(p) != "" {
		t.Errorf("without an answer it is %+v", p)
	}

	for want, other := range map[string]Place{
		"": aws,
		"in region eu-west-1, and the region is eu-west-2 now":                             {Region: "eu-west-2", Account: "111122223333"},
		"at AWS itself, and the endpoint is http://127.0.0.1:1 now":                        {Region: "eu-west-1", Endpoint: at},
		"in AWS account 111122223333, and the credentials are of account 444455556666 now": {Region: "eu-west-1", Account: "444455556666"},
	} {
		if diff := cmp.Diff(want, aws.Differs(other)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}

	x, err := Open(t.Context(), Options{Endpoint: at, Account: "111122223333"})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	x.gate.sawARN("arn:aws:batch:eu-west-1:444455556666:job/0")
	if x.gate.account != "111122223333" {
		t.Errorf("the account of the run is %s", x.gate.account)
	}
}

// Credentials that expire before anything tells whose the run is are renewed by those of
// anybody, and no others from then on.
func TestAccountBeforeTheFirstJob(t *testing.T) {
	d := newDesk()
	d.try(t, 0, errExpired)
	d.account = "111122223333"
	if !d.try(t, firstProbe, nil) || d.gate.account != d.account {
		t.Errorf("closed, or the account is %q", d.gate.account)
	}
	d.try(t, 0, errExpired)
	d.account = "444455556666"
	if d.try(t, laterProbe, nil) {
		t.Error("a call was made in another account")
	}
}
