package notice

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPublish looks at what SNS is sent.
func TestPublish(t *testing.T) {
	status, answer := http.StatusOK, `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`
	var got url.Values
	asked, signed := 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got, signed = r.PostForm, r.Header.Get("Authorization")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_SNS": server.URL, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/nosuch",
		"AWS_SHARED_CREDENTIALS_FILE": "/nosuch", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	const topic = "arn:aws:sns:eu-central-1:123456789012:alarms"
	subject := "flow: gen\u00f6me\nfailed " + strings.Repeat("x", 200)
	if err := Publish(t.Context(), "", topic, "01k-1-1", subject, "text\n"); err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"Action": {"Publish"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Message": {"text\n"}, "Subject": {"flow: gen?me?failed " + strings.Repeat("x", 79)},
		"MessageAttributes.entry.1.Name": {"flow_notice"}, "MessageAttributes.entry.1.Value.DataType": {"String"}, "MessageAttributes.entry.1.Value.StringValue": {"01k-1-1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(signed, "/eu-central-1/sns/") {
		t.Errorf("signed for %q, and the topic is elsewhere", signed)
	}

	asked, status, answer = 0, http.StatusForbidden, `<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not allowed</Message></Error></ErrorResponse>`
	if err := Publish(t.Context(), "", topic, "01k-1-1", "s", "t"); err == nil || err.Error() != "SNS says AuthorizationError: not allowed" {
		t.Errorf("error %v", err)
	}
	status = http.StatusInternalServerError
	if err := Publish(t.Context(), "", topic, "01k-1-1", "s", "t"); err == nil || asked != 2 {
		t.Errorf("error %v after %d calls: who calls tries again", err, asked)
	}
	if err := Publish(t.Context(), "", "alarms", "01k-1-1", "s", "t"); err == nil {
		t.Error("no ARN")
	}
	if err := Publish(t.Context(), "nosuch", topic, "01k-1-1", "s", "t"); err == nil || !strings.Contains(err.Error(), "profile") {
		t.Errorf("no such profile: %v", err)
	}
}
