package apimodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// An Exchange is a request and its answer.
type Exchange struct {
	Method         string
	Path           string // escaped
	Query          url.Values
	RequestHeader  http.Header
	RequestBody    []byte
	Status         int // 0: there was no answer
	ResponseHeader http.Header
	ResponseBody   []byte
}

// A Finding is something that is not as the model says.
type Finding struct {
	Operation string // "": none has that method and path
	Where     string // request or response
	At        string // which member, such as .jobs[0].startedAt; "": the whole
	Text      string
	Warning   bool // AWS itself is known to do so
}

func (f Finding) String() string {
	return f.Operation + " " + f.Where + " " + f.At + ": " + f.Text
}

// startedAt is required by the model, and absent from jobs that have not run in AWS's
// own examples (aws-cli, examples/batch/describe-jobs.rst).
var absentOnAWS = map[string]bool{"JobDetail.startedAt": true}

// anyCase are enumerations whose values are not case-sensitive (EvaluateOnExit.action).
var anyCase = map[string]bool{"RetryAction": true}

// unmodelled are the errors that every service of AWS may give (API reference,
// CommonErrors), with their statuses.
var unmodelled = map[string]int{
	"TooManyRequestsException":            429,
	"AccessDeniedException":               403,
	"ExpiredTokenException":               403,
	"UnrecognizedClientException":         403,
	"InvalidSignatureException":           403,
	"MissingAuthenticationTokenException": 403,
	"UnknownOperationException":           404,
	"RequestEntityTooLargeException":      413,
}

// unmodelledJSON are those of services with the protocol json: the status is 400.
var unmodelledJSON = []string{"SerializationException", "ValidationException", "ThrottlingException", "UnknownOperationException", "AccessDeniedException"}

// emptyIsAbsent are maps of at least one entry that may as well be empty: clients that
// have no tags to give say so.
var emptyIsAbsent = map[string]bool{"TagrisTagsMap": true}

var requestID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// checker collects findings about one half of an exchange.
type checker struct {
	*service
	op    string
	where string
	out   *[]Finding
}

func (c checker) report(at, format string, args ...any) {
	*c.out = append(*c.out, Finding{Operation: c.op, Where: c.where, At: at, Text: fmt.Sprintf(format, args...)})
}

// Check returns what in an exchange is not as the model says.
func (m *Model) Check(x *Exchange) []Finding {
	var out []Finding
	s, op, inPath := m.find(x)
	if op == nil {
		c := checker{where: "response", out: &out}
		if x.Status < 400 || x.Status >= 500 {
			c.report("", "%s %s is no operation, and was answered with %d", x.Method, x.Path, x.Status)
		}
		if code(x) == "" {
			c.report("", "%s %s is no operation, and its answer has no error code", x.Method, x.Path)
		}
		return out
	}
	c := checker{service: s, op: op.Name, out: &out}
	want := 200
	if op.HTTP.Status != 0 {
		want = op.HTTP.Status
	}
	if x.Status == want {
		c.where = "request"
		c.request(op, x, inPath)
		c.where = "response"
		c.headers(x)
		c.document(op.Output, x.ResponseBody)
		return out
	}
	c.where = "response"
	c.headers(x)
	c.failure(op, x)
	return out
}

// CheckRequest returns what in the request of an exchange is not as the model says,
// whatever became of it.
func (m *Model) CheckRequest(x *Exchange) []Finding {
	var out []Finding
	s, op, inPath := m.find(x)
	c := checker{service: s, where: "request", out: &out}
	if op == nil {
		c.report("", "%s %s is no operation", x.Method, x.Path)
		return out
	}
	c.op = op.Name
	c.request(op, x, inPath)
	return out
}

// Operation returns the name of the operation of an exchange, such as SubmitJob; "": it is
// none.
func (m *Model) Operation(x *Exchange) string {
	if _, op, _ := m.find(x); op != nil {
		return op.Name
	}
	return ""
}

// request checks a request.
func (c checker) request(op *operation, x *Exchange, inPath map[string]string) {
	if op.Input == nil {
		return
	}
	sh := c.Shapes[op.Input.Shape]
	inBody := map[string]any{}
	if len(bytes.TrimSpace(x.RequestBody)) > 0 {
		v, err := decode(x.RequestBody)
		object, ok := v.(map[string]any)
		if err != nil || !ok {
			c.report("", "the body is no JSON object: %.80q", x.RequestBody)
			return
		}
		inBody = object
	}
	for name, m := range sh.Members {
		switch m.Location {
		case "uri":
			text, err := url.PathUnescape(inPath[m.Name])
			if err != nil {
				c.report("."+name, "%v", err)
			}
			inBody[name] = text
		case "querystring":
			inBody[name] = c.fromQuery(m, x.Query)
		}
	}
	c.value("", op.Input.Shape, inBody)
}

// fromQuery returns the values of a query string as a JSON document would have them.
func (c checker) fromQuery(m member, q url.Values) any {
	values := make([]any, 0, 1)
	for _, v := range q[m.Name] {
		values = append(values, v)
	}
	if c.Shapes[m.Shape].Type == "list" {
		return values
	}
	return q.Get(m.Name)
}

// headers checks the headers of an answer.
func (c checker) headers(x *Exchange) {
	want := "application/json"
	if c.Metadata.Protocol == "json" {
		want = "application/x-amz-json-" + c.Metadata.JSONVersion
	}
	if got, _, _ := strings.Cut(x.ResponseHeader.Get("Content-Type"), ";"); got != want {
		c.report("", "Content-Type is %q, not %s", got, want)
	}
	if id := x.ResponseHeader.Get("X-Amzn-RequestId"); !requestID.MatchString(id) {
		c.report("", "X-Amzn-RequestId is %q, not a UUID", id)
	}
}

// document checks the body of an answer. An operation that returns nothing may have none.
func (c checker) document(output *member, body []byte) {
	if output == nil {
		if len(body) > 0 && string(bytes.TrimSpace(body)) != "{}" {
			c.report("", "the operation returns nothing, not %.80q", body)
		}
		return
	}
	v, err := decode(body)
	if err != nil {
		c.report("", "no JSON document: %v: %.80q", err, body)
		return
	}
	c.value("", output.Shape, v)
}

// failure checks an answer that is not a success.
func (c checker) failure(op *operation, x *Exchange) {
	name := code(x)
	if name == "" {
		c.report("", "status %d without an error code", x.Status)
		return
	}
	if !c.codeFits(op, name, x.Status) {
		c.report("", "error %s with status %d is none of this operation", name, x.Status)
	}
	v, err := decode(x.ResponseBody)
	object, ok := v.(map[string]any)
	if err != nil || !ok {
		c.report("", "the body of an error is no JSON object: %.80q", x.ResponseBody)
		return
	}
	for key, v := range object {
		if text, ok := v.(string); !ok || text == "" {
			c.report("."+key, "%v, not a text", v)
		}
		if !slices.Contains([]string{"message", "Message", "code", "__type"}, key) {
			c.report("."+key, "unknown member of an error")
		}
	}
	if object["message"] == nil && object["Message"] == nil {
		c.report("", "error without a message")
	}
}

// codeFits reports whether an operation has an error of this name, with this status.
// Some ClientExceptions of the service have been seen with 404.
func (c checker) codeFits(op *operation, name string, status int) bool {
	if c.Metadata.Protocol == "json" && slices.Contains(unmodelledJSON, name) {
		return status == http.StatusBadRequest
	}
	for _, e := range op.Errors {
		if e.Shape != name {
			continue
		}
		want := http.StatusBadRequest
		if err := c.Shapes[name].Error; err != nil && err.Status != 0 {
			want = err.Status
		}
		return status == want || name == "ClientException" && status == http.StatusNotFound
	}
	want, ok := unmodelled[name]
	return ok && status == want
}

// code returns the code of an error as the clients find it: in the header, else in the body.
func code(x *Exchange) string {
	name := x.ResponseHeader.Get("X-Amzn-ErrorType")
	if name == "" {
		var body struct {
			Type string `json:"__type"`
			Code string `json:"code"`
		}
		if json.Unmarshal(x.ResponseBody, &body) == nil {
			name = body.Type
			if name == "" {
				name = body.Code
			}
		}
	}
	name, _, _ = strings.Cut(name, ":")
	if _, after, ok := strings.Cut(name, "#"); ok {
		name = after
	}
	return name
}

// decode parses one JSON document, and keeps numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more after the JSON document")
	}
	return v, nil
}
