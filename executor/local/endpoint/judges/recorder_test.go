package judges

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// The recorder tells when an endpoint is not as the model says.
func TestRecorder(t *testing.T) {
	m := fetched.Model(t)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", "6e0f1a2b-0000-4000-8000-123456789abc")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jobs":[{"jobId":"a","jobName":"a","jobQueue":"q","jobDefinition":"d","status":"ASLEEP","createdAt":1.0}]}`)
	}))
	defer liar.Close()
	r := apimodel.Record(t, liar.URL)
	answer, err := http.Post(r.URL+"/v1/describejobs", "application/json", strings.NewReader(`{"jobs":[1]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	got := map[string]bool{}
	for _, f := range m.Check(r.Exchanges()[0]) {
		got[fmt.Sprint(f.Where, f.At, f.Warning)] = true
	}
	want := []string{"request.jobs[0]false", "response.jobs[0].statusfalse", "response.jobs[0].createdAtfalse", "response.jobs[0].startedAttrue"}
	for _, w := range want {
		if !got[w] {
			t.Errorf("no finding %s among %v", w, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("findings: %v", got)
	}
}
