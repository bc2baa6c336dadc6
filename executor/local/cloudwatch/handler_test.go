package cloudwatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flow/executor/local/logstore"
)

const epoch = 1_000_000 // of the clocks of tests

// A service is a Handler over a store in a directory of its own, whose clock stands still
// until it is told to go on.
type service struct {
	testing.TB
	*Handler
	dir   string
	now   time.Time
	store *logstore.Store
	files map[string]*os.File
}

func newService(t testing.TB) *service {
	s := &service{TB: t, dir: t.TempDir(), now: time.UnixMilli(epoch), files: map[string]*os.File{}}
	s.open()
	t.Cleanup(func() { s.store.Close() })
	return s
}

func (s *service) open() {
	store, err := logstore.Open(s.dir, func() time.Time { return s.now }, logstore.Every(0))
	s.check(err)
	s.store, s.Handler = store, New(store, "eu-central-1", "123456789012")
}

func (s *service) reopen() {
	s.check(s.store.Close())
	clear(s.files)
	s.open()
}

func (s *service) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *service) add(ms int) { s.now = s.now.Add(time.Duration(ms) * time.Millisecond) }

// write writes to a stream of the default group, which is open from then on.
func (s *service) write(stream, text string) {
	s.Helper()
	if s.files[stream] == nil {
		f, err := s.store.Open(logstore.DefaultGroup, stream, false)
		s.check(err)
		s.files[stream] = f
	}
	_, err := s.files[stream].WriteString(text)
	s.check(err)
	s.store.Look()
}

func (s *service) end(stream string) {
	s.files[stream].Close()
	delete(s.files, stream)
	s.store.Ended(logstore.DefaultGroup, stream)
}

// call makes a request and returns the answer's status and body.
func (s *service) call(op, body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", target+op)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// do makes a request that succeeds, and decodes the answer.
func (s *service) do(op string, in map[string]any, out any) {
	s.Helper()
	body, err := json.Marshal(in)
	s.check(err)
	code, answer := s.call(op, string(body))
	if code != http.StatusOK {
		s.Fatalf("%s %s: %s", op, body, answer)
	}
	if out != nil {
		s.check(json.Unmarshal([]byte(answer), out))
	}
}

func TestRefusals(t *testing.T) {
	s := newService(t)
	s.write("s", "one\n")
	const group = `"logGroupName":"/aws/batch/job"`
	tests := []struct{ op, body, code, text string }{
		{"Nonsense", `{}`, "UnknownOperationException", "no operation Nonsense"},
		{"PutLogEvents", `{}`, "UnknownOperationException", "no operation PutLogEvents"},
		{"GetLogEvents", `{`, "SerializationException", "unexpected end of JSON input"},
		{"GetLogEvents", `[]`, "SerializationException", "cannot unmarshal array"},
		{"GetLogEvents", `{} {}`, "SerializationException", "after top-level value"},
		{"GetLogEvents", `{"limit":1.5}`, "SerializationException", "number 1.5 cannot be the value of limit"},
		{"GetLogEvents", `{"logGroupName":7}`, "SerializationException", "number cannot be the value of logGroupName"},
		{"GetLogEvents", `{"a":"` + strings.Repeat("x", maxBody) + `"}`, "SerializationException", "larger than 1 MiB"},
		{"GetLogEvents", ``, "InvalidParameterException", "1 validation error detected: Value null at 'logStreamName' failed to satisfy constraint: Member must not be null"},
		{"GetLogEvents", `{"logStreamName":"s"}`, "InvalidParameterException", "must be specified"},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"logGroupIdentifier":"x"}`, "InvalidParameterException", "mutually exclusive"},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"limit":0}`, "InvalidParameterException",
			"Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"limit":10001,"startTime":-1,"endTime":-1}`, "InvalidParameterException",
			"3 validation errors detected: Value '-1' at 'startTime'"},
		{"GetLogEvents", `{"logStreamName":"a:b",` + group + `}`, "InvalidParameterException", "Member must satisfy regular expression pattern: [^:*]*"},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"nextToken":""}`, "InvalidParameterException", "Member must have length greater than or equal to 1"},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"nextToken":"x"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"nextToken":"f/12"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"nextToken":"` + tokenOf("f/b/", 0) + `"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"GetLogEvents", `{"logStreamName":"s",` + group + `,"nextToken":"` + tokenOf(ahead, 5) + `"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"GetLogEvents", `{"logStreamName":"s","logGroupName":"none"}`, "ResourceNotFoundException", "The specified log group does not exist."},
		{"GetLogEvents", `{"logStreamName":"none",` + group + `}`, "ResourceNotFoundException", "The specified log stream does not exist."},
		{"GetLogEvents", `{"logStreamName":"s","logGroupIdentifier":"arn:aws:logs:eu-central-1:123456789012:log-group:/aws/batch/job:*"}`,
			"InvalidParameterException", `Member must satisfy regular expression pattern: [\w#+=/:,.@-]*`},
		{"GetLogEvents", `{"logStreamName":"s","logGroupIdentifier":"arn:aws:logs:eu-west-1:123456789012:log-group:/aws/batch/job"}`,
			"ResourceNotFoundException", "The specified log group does not exist."},
		{"FilterLogEvents", `{` + group + `,"logStreamNames":["s"],"logStreamNamePrefix":"s"}`, "InvalidParameterException", "mutually exclusive"},
		{"FilterLogEvents", `{` + group + `,"logStreamNames":["none"]}`, "ResourceNotFoundException", "The specified log stream does not exist."},
		{"FilterLogEvents", `{` + group + `,"logStreamNames":[]}`, "InvalidParameterException", "at 'logStreamNames'"},
		{"FilterLogEvents", `{` + group + `,"filterPattern":"{ $.a = 1 }"}`, "InvalidParameterException", "does not support JSON patterns"},
		{"FilterLogEvents", `{` + group + `,"nextToken":"x"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"FilterLogEvents", `{` + group + `,"nextToken":"` + *position{stream: "s"}.token('n') + `"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"FilterLogEvents", `{` + group + `,"startFromHead":false}`, "InvalidParameterException", "startFromHead"},
		{"FilterLogEvents", `{"logGroupName":"none"}`, "ResourceNotFoundException", "The specified log group does not exist."},
		{"DescribeLogStreams", `{` + group + `,"orderBy":"LastEventTime","logStreamNamePrefix":"s"}`, "InvalidParameterException",
			"Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"DescribeLogStreams", `{` + group + `,"orderBy":"Size"}`, "InvalidParameterException", "Member must satisfy enum value set: [LogStreamName, LastEventTime]"},
		{"DescribeLogStreams", `{` + group + `,"limit":51}`, "InvalidParameterException", "Member must have value less than or equal to 50"},
		{"DescribeLogStreams", `{` + group + `,"nextToken":"x"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"DescribeLogStreams", `{"logGroupName":"none"}`, "ResourceNotFoundException", "The specified log group does not exist."},
		{"DescribeLogGroups", `{"logGroupNamePrefix":"a","logGroupNamePattern":"b"}`, "InvalidParameterException", "mutually exclusive"},
		{"DescribeLogGroups", `{"logGroupNamePrefix":"a","logGroupIdentifiers":["b"]}`, "InvalidParameterException", "includeLinkedAccounts only"},
		{"DescribeLogGroups", `{"limit":51}`, "InvalidParameterException", "Member must have value less than or equal to 50"},
		{"DescribeLogGroups", `{"nextToken":"x"}`, "InvalidParameterException", "The specified nextToken is invalid."},
		{"CreateLogGroup", `{}`, "InvalidParameterException", "Value null at 'logGroupName'"},
		{"CreateLogGroup", `{"logGroupName":"a b"}`, "InvalidParameterException", `Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`},
		{"CreateLogGroup", `{"logGroupName":"` + strings.Repeat("x", 513) + `"}`, "InvalidParameterException", "Member must have length less than or equal to 512"},
		{"CreateLogGroup", `{"logGroupName":"aws/x"}`, "InvalidParameterException", "reserved for AWS"},
		{"CreateLogGroup", `{"logGroupName":"x","kmsKeyId":"k"}`, "InvalidParameterException", "The specified KMS key does not exist"},
		{"CreateLogGroup", `{"logGroupName":"x","deletionProtectionEnabled":true}`, "InvalidParameterException", "not supported"},
		{"CreateLogGroup", `{` + group + `}`, "ResourceAlreadyExistsException", "The specified log group already exists"},
		{"CreateLogStream", `{` + group + `,"logStreamName":"s"}`, "ResourceAlreadyExistsException", "The specified log stream already exists"},
		{"CreateLogStream", `{"logGroupName":"none","logStreamName":"s"}`, "ResourceNotFoundException", "The specified log group does not exist."},
		{"DeleteLogGroup", `{"logGroupName":"none"}`, "ResourceNotFoundException", "The specified log group does not exist."},
		{"DeleteLogStream", `{` + group + `,"logStreamName":"none"}`, "ResourceNotFoundException", "The specified log stream does not exist."},
		{"PutRetentionPolicy", `{` + group + `}`, "InvalidParameterException", "Value null at 'retentionInDays'"},
		{"PutRetentionPolicy", `{` + group + `,"retentionInDays":2}`, "InvalidParameterException", "Invalid retention value"},
		{"DeleteRetentionPolicy", `{"logGroupName":"none"}`, "ResourceNotFoundException", "The specified log group does not exist."},
	}
	for _, test := range tests {
		code, body := s.call(test.op, test.body)
		var got apiError
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusBadRequest {
			t.Errorf("%s %.100s: %d %s", test.op, test.body, code, body)
		}
		if got.Code != test.code || !strings.Contains(got.Message, test.text) {
			t.Errorf("%s %.100s:\n%s: %s, not\n%s: %s", test.op, test.body, got.Code, got.Message, test.code, test.text)
		}
	}
}

func TestProtocol(t *testing.T) {
	s := newService(t)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"logGroupName":"g"}`))
	r.Header.Set("X-Amz-Target", "Logs_20140328.CreateLogGroup")
	if !Target(r) {
		t.Error("not for CloudWatch Logs")
	}
	s.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" || len(w.Header().Get("x-amzn-RequestId")) != 36 {
		t.Error(w.Code, w.Body, w.Header())
	}
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodPost, "/", nil),
		{Method: http.MethodGet, Header: http.Header{"X-Amz-Target": {"Logs_20140328.DescribeLogGroups"}}},
		{Method: http.MethodPost, Header: http.Header{"X-Amz-Target": {"DynamoDB_20120810.ListTables"}}},
	} {
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), `"__type":"UnknownOperationException"`) {
			t.Error(w.Code, w.Body)
		}
	}
}

// A store that fails is no fault of the client.
func TestFailure(t *testing.T) {
	s := newService(t)
	s.write("s", "x\n")
	s.end("s")
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "s.log"))
	s.check(err)
	s.check(os.Symlink("/dev/null", strings.TrimSuffix(files[0], ".log")+".marks"))
	code, body := s.call("GetLogEvents", `{"logGroupName":"/aws/batch/job","logStreamName":"s"}`)
	if code != 500 || !strings.Contains(body, "ServiceUnavailableException") {
		t.Error(code, body)
	}
}

func TestDescribeLogGroups(t *testing.T) {
	s := newService(t)
	s.add(7)
	s.do("CreateLogGroup", map[string]any{"logGroupName": "b/x", "logGroupClass": "INFREQUENT_ACCESS", "tags": map[string]string{"a": "b"}}, nil)
	s.do("CreateLogGroup", map[string]any{"logGroupName": "B"}, nil)
	s.do("PutRetentionPolicy", map[string]any{"logGroupName": "B", "retentionInDays": 30}, nil)
	const arn = "arn:aws:logs:eu-central-1:123456789012:log-group:"
	detail := func(name, class string, days int) *groupDetail {
		return &groupDetail{LogGroupArn: arn + name, LogGroupClass: class, RetentionInDays: days}
	}
	job := logGroup{arn + "/aws/batch/job:*", epoch, "/aws/batch/job", detail("/aws/batch/job", "STANDARD", 0)}
	capital := logGroup{arn + "B:*", epoch + 7, "B", detail("B", "STANDARD", 30)}
	small := logGroup{arn + "b/x:*", epoch + 7, "b/x", detail("b/x", "INFREQUENT_ACCESS", 0)}
	tests := []struct {
		in   map[string]any
		want []logGroup
	}{
		{nil, []logGroup{job, capital, small}},
		{map[string]any{"logGroupNamePrefix": "/aws"}, []logGroup{job}},
		{map[string]any{"logGroupNamePrefix": "/AWS"}, nil},
		{map[string]any{"logGroupNamePattern": "b"}, []logGroup{{job.Arn, epoch, job.LogGroupName, nil}, {small.Arn, epoch + 7, "b/x", nil}}},
		{map[string]any{"logGroupClass": "STANDARD"}, []logGroup{job, capital}},
		{map[string]any{"logGroupIdentifiers": []string{"B", arn + "b/x", "none"}}, []logGroup{capital, small}},
	}
	for _, test := range tests {
		for _, limit := range []int{0, 1, 2} {
			if test.in == nil {
				test.in = map[string]any{}
			}
			if test.in["limit"] = limit; limit == 0 {
				delete(test.in, "limit")
			}
			var got []logGroup
			for {
				var out struct {
					LogGroups []logGroupIn
					NextToken *string
				}
				s.do("DescribeLogGroups", test.in, &out)
				for _, g := range out.LogGroups {
					got = append(got, g.group())
				}
				if limit > 0 && len(out.LogGroups) > limit {
					t.Errorf("limit %d: %v", limit, out.LogGroups)
				}
				if out.NextToken == nil {
					break
				}
				test.in["nextToken"] = *out.NextToken
			}
			delete(test.in, "nextToken")
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(logGroup{})); diff != "" {
				t.Errorf("%v: %s", test.in, diff)
			}
		}
	}
	s.do("DeleteRetentionPolicy", map[string]any{"logGroupName": "B"}, nil)
	s.do("DeleteLogGroup", map[string]any{"logGroupName": "b/x"}, nil)
	_, body := s.call("DescribeLogGroups", `{"logGroupNamePrefix":"B"}`)
	want := `{"logGroups":[{"arn":"arn:aws:logs:eu-central-1:123456789012:log-group:B:*","creationTime":1000007,"logGroupName":"B",` +
		`"deletionProtectionEnabled":false,"logGroupArn":"arn:aws:logs:eu-central-1:123456789012:log-group:B","logGroupClass":"STANDARD","metricFilterCount":0,"storedBytes":0}]}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

// logGroupIn decodes a logGroup, whose detail encoding/json cannot make.
type logGroupIn struct {
	Arn          string
	CreationTime int64
	LogGroupName string
	groupDetail
}

func (g logGroupIn) group() logGroup {
	out := logGroup{g.Arn, g.CreationTime, g.LogGroupName, &g.groupDetail}
	if g.LogGroupArn == "" {
		out.groupDetail = nil
	}
	return out
}

func TestDescribeLogStreams(t *testing.T) {
	s := newService(t)
	s.write("a/default/1", "one\n")
	s.add(1000)
	s.write("a/default/2", "\n\ntwo\nand ")
	s.write("b/default/1", "beginning")
	s.do("CreateLogStream", map[string]any{"logGroupName": "/aws/batch/job", "logStreamName": "c/default/1"}, nil)
	s.add(1000)
	s.write("a/default/1", "more\n")
	s.end("a/default/1")
	const group = `"logGroupName":"/aws/batch/job"`
	const arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/batch/job:log-stream:"
	ms := func(t int64) *int64 { return &t }
	show := func(name string, created, first, last, bytes int64) logStream {
		return logStream{arn + name, epoch + created, ms(epoch + first), ms(epoch + last), ms(epoch + last), name, 0, fmt.Sprintf("%056d", bytes)}
	}
	a1, a2 := show("a/default/1", 0, 0, 2000, 9), show("a/default/2", 1000, 1000, 1000, 6)
	b1 := logStream{Arn: arn + "b/default/1", CreationTime: epoch + 1000, LogStreamName: "b/default/1"}
	c1 := logStream{Arn: arn + "c/default/1", CreationTime: epoch + 1000, LogStreamName: "c/default/1"}
	tests := []struct {
		in   string
		want []logStream
	}{
		{``, []logStream{a1, a2, b1, c1}},
		{`,"descending":true`, []logStream{c1, b1, a2, a1}},
		{`,"logStreamNamePrefix":"a/"`, []logStream{a1, a2}},
		{`,"logStreamNamePrefix":"a/","descending":true`, []logStream{a2, a1}},
		{`,"orderBy":"LastEventTime"`, []logStream{c1, a2, b1, a1}},
		{`,"orderBy":"LastEventTime","descending":true`, []logStream{a1, b1, a2, c1}},
	}
	for _, test := range tests {
		for _, limit := range []string{"", `,"limit":1`, `,"limit":3`} {
			var got []logStream
			for token := ""; ; {
				code, body := s.call("DescribeLogStreams", `{`+group+test.in+limit+token+`}`)
				var out describeLogStreamsOut
				if err := json.Unmarshal([]byte(body), &out); err != nil || code != 200 {
					t.Fatal(code, body)
				}
				got = append(got, out.LogStreams...)
				if out.NextToken == nil {
					break
				}
				token = `,"nextToken":"` + *out.NextToken + `"`
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s%s: %s", test.in, limit, diff)
			}
		}
	}
	s.do("DeleteLogStream", map[string]any{"logGroupName": "/aws/batch/job", "logStreamName": "c/default/1"}, nil)
	_, body := s.call("DescribeLogStreams", `{"logGroupIdentifier":"/aws/batch/job","logStreamNamePrefix":"c"}`)
	if diff := cmp.Diff(`{"logStreams":[]}`, body); diff != "" {
		t.Error(diff)
	}
}

// FuzzLogs finds that any request is answered, with 200 or 400, in JSON.
func FuzzLogs(f *testing.F) {
	names := slices.Sorted(maps.Keys(operations))
	const group = `"logGroupIdentifier":"/aws/batch/job"`
	for _, body := range []string{
		``, `{}`, `null`, `[`, `{"logGroupName":"g"}`, `{` + group + `,"logStreamName":"s","limit":1,"startTime":0,"endTime":9,"startFromHead":true}`,
		`{` + group + `,"logStreamName":"s","nextToken":"` + tokenOf(ahead, 1) + `"}`,
		`{` + group + `,"logStreamName":"s","nextToken":"` + tokenOf(back, 4) + `"}`,
		`{` + group + `,"logStreamNames":["s"],"filterPattern":"?a -b \"c\" %d%","startTime":1704067200000,"startFromHead":false}`,
		`{` + group + `,"nextToken":"` + *position{epoch, "s", 2}.token('f') + `"}`,
		`{` + group + `,"nextToken":"` + *position{epoch, "s", 2}.token('b') + `"}`,
		`{` + group + `,"orderBy":"LastEventTime","descending":true,"limit":50,"nextToken":"` + *position{epoch, "s", 0}.token('T') + `"}`,
		`{"logGroupName":"g","retentionInDays":7,"kmsKeyId":"","tags":{"a":"b"},"logGroupClass":"DELIVERY"}`,
	} {
		for i := range names {
			f.Add(i, body)
		}
	}
	s := newService(f)
	f.Fuzz(func(t *testing.T, i int, body string) {
		s.TB = t
		for _, g := range s.store.Groups("") {
			if g.Name != logstore.DefaultGroup {
				s.check(s.store.DeleteGroup(g.Name))
			}
		}
		if _, ok := s.store.Group(logstore.DefaultGroup); !ok {
			s.check(s.store.CreateGroup(logstore.Group{Name: logstore.DefaultGroup}))
			clear(s.files)
		}
		if s.files["s"] == nil {
			s.write("s", "one\ntwo")
		}
		name := names[uint(i)%uint(len(names))]
		code, answer := s.call(name, body)
		if code != 200 && code != 400 || answer != "" && !json.Valid([]byte(answer)) || !utf8.ValidString(answer) {
			t.Errorf("%s %q: %d %s", name, body, code, answer)
		}
	})
}
