package apimodel

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request whose answer is cut off is kept, and the client's connection cut as well; an
// answer is rewritten before the client has it.
func TestRecorder(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/drop" {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte("old"))
	}))
	defer server.Close()
	r := Record(t, server.URL)
	r.Rewrite = func(x *Exchange) {
		x.ResponseBody = []byte(strings.Replace(string(x.ResponseBody), "old", "newer", 1))
		x.ResponseHeader.Del("Content-Length")
	}
	if answer, err := http.Post(r.URL+"/v1/drop", "application/json", strings.NewReader(`{}`)); err == nil {
		answer.Body.Close()
		t.Error("what was cut was answered")
	}
	answer, err := http.Post(r.URL+"/v1/pick", "application/json", strings.NewReader(`{"name":"fig"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got strings.Builder
	if err := answer.Write(&got); err != nil || !strings.HasSuffix(got.String(), "newer") {
		t.Errorf("the client has %q, %v", got.String(), err)
	}
	all := r.Exchanges()
	if len(all) != 2 || all[0].Status != 0 || all[1].Status != http.StatusOK || string(all[1].RequestBody) != `{"name":"fig"}` {
		t.Errorf("kept: %+v", all)
	}
	m := models(t)
	if got := r.Count(m); got["Drop"] != 1 || got["Pick"] != 1 {
		t.Errorf("counted %v", got)
	}
	r.JudgeRequests(t, m)
}
