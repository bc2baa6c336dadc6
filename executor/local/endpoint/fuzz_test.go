package endpoint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest sends requests that are none to every operation: the answer is JSON, and
// never says that the emulator is at fault.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/submitjob", `{"jobName":"a","jobQueue":"q","jobDefinition":"job","arrayProperties":{"size":2},"dependsOn":[{"type":"SEQUENTIAL"}]}`)
	f.Add("POST", "/v1/submitjob", `{"jobName":"a","jobQueue":"q","jobDefinition":"job","containerOverrides":{"command":["Ref::x"],"environment":[{}],"resourceRequirements":[{"type":"VCPU","value":"1e9"}]}}`)
	f.Add("POST", "/v1/describejobs", `{"jobs":["a:b","a:1",":0",""]}`)
	f.Add("POST", "/v1/listjobs", `{"arrayJobId":"x","nextToken":"LTE="}`)
	f.Add("POST", "/v1/terminatejob", `{"jobId":null,"reason":1}`)
	f.Add("GET", "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fq", ``)
	f.Add("DELETE", "/v1/tags/x?tagKeys=a&tagKeys=%ff", `[`)
	f.Add("POST", "/_flow/chaos", "shuffle=true")
	w := newEmulator(f)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, "http://127.0.0.1:1"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, adminPath+"chaos") {
			t.Skip()
		}
		got := httptest.NewRecorder()
		w.server.ServeHTTP(got, r)
		if got.Code >= 500 || !json.Valid(got.Body.Bytes()) {
			t.Errorf("%s %s %s: %d %s", method, path, body, got.Code, got.Body)
		}
		if strings.HasPrefix(path, "/v1/") && got.Code == 400 && got.Header().Get("X-Amzn-Errortype") != "ClientException" {
			t.Errorf("%s %s %s: 400 %s", method, path, body, got.Header())
		}
	})
}

// FuzzListJobs asks for jobs in every way: what is found is never more than there is,
// pages come to an end, and no job comes twice.
func FuzzListJobs(f *testing.F) {
	w := newEmulator(f)
	w.stage.always(exits(0))
	var ids []string
	for range 30 {
		ids = append(ids, w.submit())
	}
	for _, id := range ids {
		w.until(id, "SUCCEEDED")
	}
	f.Add("JOB_NAME", "j*", "", int32(7))
	f.Add("JOB_DEFINITION", "job", "RUNNING", int32(1))
	f.Add("BEFORE_CREATED_AT", "99999999999999", "SUCCEEDED", int32(100))
	f.Add("AFTER_CREATED_AT", "-1", "", int32(3))
	f.Add("SHARE_IDENTIFIER", "", "FAILED", int32(0))
	f.Add("", "", "SUCCEEDED", int32(9))
	f.Fuzz(func(t *testing.T, name, want, status string, size int32) {
		type filter struct {
			Name   string   `json:"name"`
			Values []string `json:"values"`
		}
		in := struct {
			JobQueue   string   `json:"jobQueue"`
			JobStatus  string   `json:"jobStatus,omitempty"`
			Filters    []filter `json:"filters,omitempty"`
			MaxResults int32    `json:"maxResults"`
			NextToken  string   `json:"nextToken,omitempty"`
		}{JobQueue: "q", JobStatus: status, MaxResults: size}
		if name != "" {
			in.Filters = []filter{{name, []string{want}}}
		}
		seen := map[string]bool{}
		for range len(ids) + 2 {
			body, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1/v1/listjobs", strings.NewReader(string(body)))
			got := httptest.NewRecorder()
			w.server.ServeHTTP(got, r)
			var out struct {
				JobSummaryList []struct{ JobID string }
				NextToken      string
			}
			if got.Code == http.StatusBadRequest {
				return
			}
			if got.Code != http.StatusOK || json.Unmarshal(got.Body.Bytes(), &out) != nil || len(out.JobSummaryList) > int(size) {
				t.Fatalf("%s: %d %s", body, got.Code, got.Body)
			}
			for _, j := range out.JobSummaryList {
				if seen[j.JobID] {
					t.Fatalf("%s: %s comes twice", body, j.JobID)
				}
				seen[j.JobID] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				return
			}
		}
		t.Fatal("the pages have no end")
	})
}
