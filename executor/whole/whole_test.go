package whole

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTransport(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // of the body; "": an error
	}{
		{"whole", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all of it") }, "all of it"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}, ""},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 1001))
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			answer, err := (&http.Client{Transport: Transport{most: 1000}}).Get(server.URL)
			if err != nil {
				if test.want != "" {
					t.Error(err)
				}
				return
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || string(body) != test.want {
				t.Errorf("the body is %q, %v, want %q", body, err, test.want)
			}
		})
	}
}
