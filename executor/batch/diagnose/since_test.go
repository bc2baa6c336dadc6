package diagnose_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"flow/executor/batch/cloud"
	"flow/executor/batch/diagnose"
)

// TestSince: a job waits for a place from when what it depends on has succeeded, or its
// last attempt has ended.
func TestSince(t *testing.T) {
	const created, ended = 1_000_000, 5_000_000
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Jobs []string }
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v1/describejobs" || json.NewDecoder(r.Body).Decode(&in) != nil {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"no"}`)
			return
		}
		if in.Jobs[0] == "again" {
			fmt.Fprintf(w, `{"jobs":[{"jobId":"again","jobName":"j","jobQueue":"q","status":"RUNNABLE","createdAt":%d,"attempts":[{"stoppedAt":%d}]}]}`, created, ended)
			return
		}
		if in.Jobs[0] == "j" {
			fmt.Fprintf(w, `{"jobs":[{"jobId":"j","jobName":"j","jobQueue":"q","status":"RUNNABLE","createdAt":%d,"dependsOn":[{"jobId":"d"},{"jobId":"e"}]}]}`, created)
			return
		}
		fmt.Fprintf(w, `{"jobs":[{"jobId":"d","jobName":"d","jobQueue":"q","status":"SUCCEEDED","createdAt":1,"stoppedAt":%d},{"jobId":"e","jobName":"e","jobQueue":"q","status":"SUCCEEDED","createdAt":1,"stoppedAt":%d}]}`, ended, created/2)
	}))
	t.Cleanup(s.Close)
	newAccount(t) // for its environment
	c, err := cloud.Open(t.Context(), cloud.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if again, _, err := diagnose.Gather(t.Context(), c, "again"); err != nil || !again.Job.Since.Equal(time.UnixMilli(ended)) {
		t.Errorf("after an attempt: since %v: %v", again.Job.Since, err)
	}
	facts, _, err := diagnose.Gather(t.Context(), c, "j")
	if err != nil || !facts.Job.Since.Equal(time.UnixMilli(ended)) || len(facts.Depends) > 0 {
		t.Errorf("since %v, depends on %v: %v", facts.Job.Since, facts.Depends, err)
	}
}
