package where

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/executor/batch/cloud"
)

// TestManyInstances: EC2 is asked about no more instances at once than a filter takes.
func TestManyInstances(t *testing.T) {
	var asked []int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for r.FormValue(fmt.Sprintf("Filter.1.Value.%d", n+1)) != "" {
			n++
		}
		asked = append(asked, n)
		fmt.Fprint(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"/>`)
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ENDPOINT_URL_EC2", s.URL)
	c, err := cloud.Open(t.Context(), cloud.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := &finder{cloud: c, report: &Report{Jobs: []Job{{}}}}
	for i := range 450 {
		f.report.Jobs[0].Attempts = append(f.report.Jobs[0].Attempts, Attempt{Instance: &Instance{ID: fmt.Sprintf("i-%d", i)}})
	}
	f.instances(t.Context())
	if d := cmp.Diff([]int{200, 200, 50}, asked); d != "" || len(f.report.Notes) > 0 {
		t.Errorf("%v (-want +got):\n%s", f.report.Notes, d)
	}
}
