package apimodel

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fruit is a service of the protocol rest-json, with one of everything; crates has
// the protocol json.
const fruit = `{
	"metadata": {"protocol": "rest-json", "jsonVersion": "1.1", "serviceId": "Fruit"},
	"operations": {
		"Pick": {"name": "Pick", "http": {"method": "POST", "requestUri": "/v1/pick"}, "input": {"shape": "PickRequest"},
			"output": {"shape": "JobDetail"}, "errors": [{"shape": "ClientException"}, {"shape": "ServerException"}]},
		"Untag": {"name": "Untag", "http": {"method": "DELETE", "requestUri": "/v1/tags/{arn}"}, "input": {"shape": "UntagRequest"},
			"output": {"shape": "Nothing"}},
		"Drop": {"name": "Drop", "http": {"method": "POST", "requestUri": "/v1/drop"}}
	},
	"shapes": {
		"PickRequest": {"type": "structure", "required": ["name"], "members": {
			"name": {"shape": "Name"}, "kind": {"shape": "Kind"}, "action": {"shape": "RetryAction"}, "count": {"shape": "Count"}, "tags": {"shape": "Tags"}}},
		"UntagRequest": {"type": "structure", "required": ["arn", "keys"], "members": {
			"arn": {"shape": "Name", "location": "uri", "locationName": "arn"},
			"keys": {"shape": "Names", "location": "querystring", "locationName": "keys"}}},
		"JobDetail": {"type": "structure", "required": ["id", "startedAt"], "members": {
			"id": {"shape": "String"}, "startedAt": {"shape": "Long"}, "size": {"shape": "Integer"}, "share": {"shape": "Double"},
			"when": {"shape": "Time"}, "ripe": {"shape": "Boolean"}, "blob": {"shape": "Blob"}, "kind": {"shape": "Kind"},
			"parts": {"shape": "Parts"}, "tags": {"shape": "Tags"}}},
		"Nothing": {"type": "structure", "members": {}},
		"Parts": {"type": "list", "member": {"shape": "Nothing"}},
		"Names": {"type": "list", "member": {"shape": "Name"}, "min": 1, "max": 2},
		"Tags": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "String"}, "max": 1},
		"Name": {"type": "string", "min": 1, "max": 9, "pattern": "[a-z:/]+"},
		"Kind": {"type": "string", "enum": ["APPLE", "PEAR"]},
		"RetryAction": {"type": "string", "enum": ["RETRY", "EXIT"]},
		"Count": {"type": "integer", "min": 1, "max": 10},
		"String": {"type": "string"}, "Long": {"type": "long"}, "Integer": {"type": "integer"}, "Double": {"type": "double"},
		"Time": {"type": "timestamp"}, "Boolean": {"type": "boolean"}, "Blob": {"type": "blob"},
		"ClientException": {"type": "structure", "members": {"message": {"shape": "String"}}, "error": {"httpStatusCode": 400}},
		"ServerException": {"type": "structure", "members": {"message": {"shape": "String"}}, "error": {"httpStatusCode": 500}}
	}
}`

const crates = `{
	"metadata": {"protocol": "json", "jsonVersion": "1.1", "serviceId": "Crates", "targetPrefix": "Crates_1"},
	"operations": {"Fill": {"name": "Fill", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}, "output": {"shape": "In"},
		"errors": [{"shape": "Full"}]}},
	"shapes": {"In": {"type": "structure", "members": {}}, "Full": {"type": "structure", "members": {}}}
}`

func models(t *testing.T) *Model {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"fruit": fruit, "crates": crates} {
		version := filepath.Join(dir, name, "2020-01-01")
		if err := os.MkdirAll(version, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(version, "service-2.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(dir, "fruit", "crates")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// An edit changes an exchange that is as the model says.
type edit func(x *Exchange)

func picked() *Exchange {
	return &Exchange{
		Method: "POST", Path: "/v1/pick", RequestHeader: http.Header{}, RequestBody: []byte(`{"name":"fig"}`), Status: 200,
		ResponseHeader: http.Header{
			"Content-Type":     {"application/json"},
			"X-Amzn-Requestid": {"6e0f1a2b-0000-4000-8000-123456789abc"},
		},
		ResponseBody: []byte(`{"id":"a","startedAt":1,"size":-7,"share":0.5,"when":1.5,"ripe":true,"blob":"aGk=","kind":"PEAR","parts":[{}],"tags":{"k":""}}`),
	}
}

func request(body string) edit { return func(x *Exchange) { x.RequestBody = []byte(body) } }
func answer(body string) edit  { return func(x *Exchange) { x.ResponseBody = []byte(body) } }

func failed(status int, name, body string) edit {
	return func(x *Exchange) {
		x.Status = status
		x.ResponseHeader.Set("X-Amzn-ErrorType", name)
		x.ResponseBody = []byte(body)
	}
}

func untag(path string, keys ...string) edit {
	return func(x *Exchange) {
		x.Method, x.Path, x.RequestBody, x.ResponseBody = "DELETE", path, nil, []byte(`{}`)
		x.Query = map[string][]string{"keys": keys}
	}
}

func fill(x *Exchange) {
	x.Path, x.RequestBody, x.ResponseBody = "/", []byte(`{}`), []byte(`{}`)
	x.RequestHeader.Set("X-Amz-Target", "Crates_1.Fill")
	x.ResponseHeader.Set("Content-Type", "application/x-amz-json-1.1")
}

func TestExchanges(t *testing.T) {
	m := models(t)
	const bad = `{"message":"no"}`
	for name, c := range map[string]struct {
		edits []edit
		want  []string // what findings contain, sorted; none: all is well
	}{
		"well":                 {},
		"well, without a body": {edits: []edit{func(x *Exchange) { x.Path = "/v1/drop"; x.RequestBody, x.ResponseBody = nil, nil }}},
		"charset":              {edits: []edit{func(x *Exchange) { x.ResponseHeader.Set("Content-Type", "application/json; charset=utf-8") }}},
		"void with a body":     {edits: []edit{func(x *Exchange) { x.Path = "/v1/drop" }}, want: []string{"Drop response : the operation returns nothing"}},

		"request: required":          {[]edit{request(`{}`)}, []string{"Pick request .name: required"}},
		"request: null":              {[]edit{request(`{"name":"fig","kind":null}`)}, nil},
		"request: required is null":  {[]edit{request(`{"name":null}`)}, []string{"Pick request .name: required"}},
		"request: no body":           {[]edit{request(``)}, []string{"Pick request .name: required"}},
		"request: no object":         {[]edit{request(`[]`)}, []string{"Pick request : the body is no JSON object"}},
		"request: no JSON":           {[]edit{request(`{"name":`)}, []string{"Pick request : the body is no JSON object"}},
		"request: two documents":     {[]edit{request(`{"name":"fig"}{}`)}, []string{"Pick request : the body is no JSON object"}},
		"request: enumeration":       {[]edit{request(`{"name":"fig","kind":"apple"}`)}, []string{`Pick request .kind: "apple" is none of APPLE PEAR`}},
		"request: action, any case":  {[]edit{request(`{"name":"fig","action":"Retry"}`)}, nil},
		"request: too short":         {[]edit{request(`{"name":""}`)}, []string{"Pick request .name: \"\" does not match", "Pick request .name: length 0 is below 1"}},
		"request: too long":          {[]edit{request(`{"name":"aaaaaaaaaa"}`)}, []string{"Pick request .name: length 10 is above 9"}},
		"request: pattern":           {[]edit{request(`{"name":"Fig"}`)}, []string{`Pick request .name: "Fig" does not match`}},
		"request: too small":         {[]edit{request(`{"name":"fig","count":0}`)}, []string{"Pick request .count: value 0 is below 1"}},
		"request: too large":         {[]edit{request(`{"name":"fig","count":11}`)}, []string{"Pick request .count: value 11 is above 10"}},
		"request: too many":          {[]edit{request(`{"name":"fig","tags":{"a":"","b":""}}`)}, []string{"Pick request .tags: number of entries 2"}},
		"request: unknown member":    {[]edit{request(`{"name":"fig","nam":1}`)}, []string{"Pick request .nam: unknown member of PickRequest"}},
		"request: refused, not read": {[]edit{request(`]`), failed(400, "ClientException", bad)}, nil},

		"path and query":          {[]edit{untag("/v1/tags/a%3Ab%2Fc", "x", "y")}, nil},
		"path: pattern":           {[]edit{untag("/v1/tags/A", "x")}, []string{"Untag request .arn: \"A\" does not match"}},
		"query: none":             {[]edit{untag("/v1/tags/a")}, []string{"Untag request .keys: length 0 is below 1"}},
		"path: not as in the URI": {[]edit{untag("/v1/tags/a/b", "x")}, []string{"is no operation, and its answer", "is no operation, and was answered with 200"}},

		"answer: required":       {[]edit{answer(`{"startedAt":1}`)}, []string{"Pick response .id: required"}},
		"answer: startedAt":      {[]edit{answer(`{"id":"a"}`)}, []string{"(warning) Pick response .startedAt: required"}},
		"answer: unknown member": {[]edit{answer(`{"id":"a","startedAt":1,"idd":1}`)}, []string{"Pick response .idd: unknown member"}},
		"answer: null":           {[]edit{answer(`{"id":"a","startedAt":1,"tags":null}`)}, []string{"Pick response .tags: null"}},
		"answer: 1.0":            {[]edit{answer(`{"id":"a","startedAt":1.0}`)}, []string{"Pick response .startedAt: 1.0 is no long"}},
		"answer: 1e3":            {[]edit{answer(`{"id":"a","startedAt":1e3}`)}, []string{"Pick response .startedAt: 1e3 is no long"}},
		"answer: 33 bits":        {[]edit{answer(`{"id":"a","startedAt":1,"size":4294967296}`)}, []string{"Pick response .size: 4294967296 is no integer"}},
		"answer: text for int":   {[]edit{answer(`{"id":"a","startedAt":"1"}`)}, []string{`Pick response .startedAt: "1" is no long`}},
		"answer: int for text":   {[]edit{answer(`{"id":1,"startedAt":1}`)}, []string{"Pick response .id: 1 is no string"}},
		"answer: list for map":   {[]edit{answer(`{"id":"a","startedAt":1,"tags":[]}`)}, []string{"Pick response .tags: [] is no map"}},
		"answer: map for list":   {[]edit{answer(`{"id":"a","startedAt":1,"parts":{}}`)}, []string{"Pick response .parts: {} is no list"}},
		"answer: in a list":      {[]edit{answer(`{"id":"a","startedAt":1,"parts":[{},1]}`)}, []string{"Pick response .parts[1]: 1 is no structure"}},
		"answer: in a map":       {[]edit{answer(`{"id":"a","startedAt":1,"tags":{"k":1}}`)}, []string{"Pick response .tags{k}: 1 is no string"}},
		"answer: boolean":        {[]edit{answer(`{"id":"a","startedAt":1,"ripe":"true"}`)}, []string{`Pick response .ripe: "true" is no boolean`}},
		"answer: double":         {[]edit{answer(`{"id":"a","startedAt":1,"share":"1"}`)}, []string{`Pick response .share: "1" is no double`}},
		"answer: blob":           {[]edit{answer(`{"id":"a","startedAt":1,"blob":"?"}`)}, []string{`Pick response .blob: "?" is no blob`}},
		"answer: timestamp":      {[]edit{answer(`{"id":"a","startedAt":1,"when":"2026"}`)}, []string{`Pick response .when: "2026" is no timestamp`}},
		"answer: enumeration":    {[]edit{answer(`{"id":"a","startedAt":1,"kind":"PLUM"}`)}, []string{`Pick response .kind: "PLUM" is none of`}},
		"answer: no JSON":        {[]edit{answer(`<html>`)}, []string{"Pick response : no JSON document"}},
		"answer: empty":          {[]edit{answer(``)}, []string{"Pick response : no JSON document"}},
		"answer: content type":   {[]edit{func(x *Exchange) { x.ResponseHeader.Set("Content-Type", "text/plain") }}, []string{`Pick response : Content-Type is "text/plain"`}},
		"answer: request id":     {[]edit{func(x *Exchange) { x.ResponseHeader.Del("X-Amzn-RequestId") }}, []string{`Pick response : X-Amzn-RequestId is ""`}},
		"answer: 201":            {[]edit{func(x *Exchange) { x.Status = 201 }}, []string{"Pick response : status 201 without an error code"}},

		"error: client":        {[]edit{failed(400, "ClientException:http://x", bad)}, nil},
		"error: client, 404":   {[]edit{failed(404, "ClientException", bad)}, nil},
		"error: server":        {[]edit{failed(500, "ServerException", bad)}, nil},
		"error: throttled":     {[]edit{failed(429, "TooManyRequestsException", bad)}, nil},
		"error: in the body":   {[]edit{failed(400, "", `{"message":"no","code":"com.amazonaws#ClientException"}`)}, nil},
		"error: wrong status":  {[]edit{failed(500, "ClientException", bad)}, []string{"Pick response : error ClientException with status 500"}},
		"error: wrong code":    {[]edit{failed(400, "ValidationError", bad)}, []string{"Pick response : error ValidationError with status 400"}},
		"error: no code":       {[]edit{failed(400, "", bad)}, []string{"Pick response : status 400 without an error code"}},
		"error: no message":    {[]edit{failed(400, "ClientException", `{}`)}, []string{"Pick response : error without a message"}},
		"error: no text":       {[]edit{failed(400, "ClientException", `{"message":1}`)}, []string{"Pick response .message: 1, not a text"}},
		"error: no JSON":       {[]edit{failed(400, "ClientException", "oops")}, []string{"Pick response : the body of an error is no JSON object"}},
		"error: more members":  {[]edit{failed(400, "ClientException", `{"message":"no","trace":"x"}`)}, []string{"Pick response .trace: unknown member of an error"}},
		"no operation":         {[]edit{func(x *Exchange) { x.Path = "/v1/eat" }}, []string{"POST /v1/eat is no operation, and its answer", "POST /v1/eat is no operation, and was answered with 200"}},
		"no operation, honest": {[]edit{func(x *Exchange) { x.Path = "/v1/eat" }, failed(404, "UnknownOperationException", bad)}, nil},

		"json":                  {[]edit{fill}, nil},
		"json: content type":    {[]edit{fill, func(x *Exchange) { x.ResponseHeader.Set("Content-Type", "application/json") }}, []string{"Fill response : Content-Type"}},
		"json: error":           {[]edit{fill, failed(400, "", `{"__type":"Full","message":"no"}`)}, nil},
		"json: common error":    {[]edit{fill, failed(400, "SerializationException", bad)}, nil},
		"json: unknown error":   {[]edit{fill, failed(400, "ClientException", bad)}, []string{"Fill response : error ClientException"}},
		"json: status of error": {[]edit{fill, failed(404, "Full", bad)}, []string{"Fill response : error Full with status 404"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := picked()
			for _, e := range c.edits {
				e(x)
			}
			compare(t, m.Check(x), c.want)
		})
	}
}

// A request is judged by itself, also if it was refused.
func TestRequests(t *testing.T) {
	m := models(t)
	refused := failed(400, "ClientException", `{"message":"no"}`)
	for name, c := range map[string]struct {
		edits []edit
		op    string
		want  []string
	}{
		"well":         {[]edit{answer(`oops`)}, "Pick", nil},
		"refused":      {[]edit{request(`{"name":"Fig"}`), refused}, "Pick", []string{`Pick request .name: "Fig" does not match`}},
		"no JSON":      {[]edit{request(`]`), refused}, "Pick", []string{"Pick request : the body is no JSON object"}},
		"no operation": {[]edit{func(x *Exchange) { x.Path = "/v1/eat" }, refused}, "", []string{"request : POST /v1/eat is no operation"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := picked()
			for _, e := range c.edits {
				e(x)
			}
			compare(t, m.CheckRequest(x), c.want)
			if got := m.Operation(x); got != c.op {
				t.Errorf("operation %q, not %q", got, c.op)
			}
		})
	}
}

// compare looks for each wanted text at the same place among the findings, sorted.
func compare(t *testing.T, findings []Finding, want []string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		text := f.String()
		if f.Warning {
			text = "(warning) " + text
		}
		got = append(got, text)
	}
	slices.Sort(got)
	same := slices.EqualFunc(got, want, strings.Contains)
	if !same {
		t.Errorf("findings (-want, as parts of the text +got):\n%s", cmp.Diff(want, got))
	}
}

func TestLoadWithoutDescriptions(t *testing.T) {
	if _, err := Load(t.TempDir(), "batch"); err == nil || !strings.Contains(err.Error(), "no description of batch") {
		t.Errorf("error %v", err)
	}
}
