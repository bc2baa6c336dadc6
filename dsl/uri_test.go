package dsl

import (
	"strings"
	"testing"
)

func TestCheckWorkDir(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"s3://lab":                             "s3://lab",
		"s3://lab/":                            "s3://lab",
		"s3://lab/flow//":                      "s3://lab/flow",
		"s3://lab.a-1/deep/er":                 "s3://lab.a-1/deep/er",
		"s3://123/with space":                  "s3://123/with space",
		"work":                                 "work",
		"/work/":                               "/work/",
		"a b://c":                              "a b://c", // a directory
		"s3://":                                "! names no bucket",
		"s3:///flow":                           "! names no bucket",
		"s3:/lab/flow":                         "! s3://bucket/prefix",
		"s3:lab":                               "! s3://bucket/prefix",
		"s3://Lab/x":                           "! no name of a bucket",
		"s3://la":                              "! no name of a bucket",
		"s3://la_b":                            "! no name of a bucket",
		"s3://-lab":                            "! no name of a bucket",
		"s3://lab-":                            "! no name of a bucket",
		"s3://lab..x":                          "! no name of a bucket",
		"s3://192.168.5.4/x":                   "! no IP address",
		"s3://" + strings.Repeat("x", 64):      "! no name of a bucket",
		"s3://" + strings.Repeat("x", 63):      "s3://" + strings.Repeat("x", 63),
		"s3://lab/a//b":                        "! write s3://lab/a/b",
		"s3://lab/../b":                        "! write s3://lab/b",
		"s3://lab/.":                           "! write s3://lab.",
		"s3://lab/a*":                          "! characters",
		"s3://lab/a\nb":                        "! characters",
		"s3://lab/" + strings.Repeat("x", 401): "! 401 bytes",
		"gs://lab/x":                           "! no place for files",
		"https://lab/x":                        "! no place for files",
	} {
		got, err := CheckWorkDir(s)
		if err != nil {
			got = err.Error() + "."
		}
		if text, wrong := strings.CutPrefix(want, "! "); wrong != (err != nil) || wrong && !strings.Contains(got, text) || !wrong && got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// What is staged and what is published: "" is fine.
func TestCheckInputsAndTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ s, input, target string }{
		{"data/a.fq", "", ""},
		{"odd name://x", "", ""},
		{"s3://lab/a.fq", "", ""},
		{"s3://lab/in/", "", ""},
		{"s3://lab/", "", ""},
		{"s3://lab/in/*.fq", "", ""},
		{"s3://Old_Bucket/a", "", ""},
		{"s3://lab", "nothing in it", "nothing in it"},
		{"s3:///a", "names no bucket", "names no bucket"},
		{"s3:/lab/a", "s3://bucket/key", "s3://bucket/key"},
		{"s3://la b/a", "no name of a bucket", "no name of a bucket"},
		{"s3://lab/" + strings.Repeat("x", 1025), "1025 bytes", "1025 bytes"},
		{"https://example.org/a.fq", "", "does not publish to https://"},
		{"https:///a", "names no server", "does not publish"},
		{"http://example.org/a.fq", "use https://", "does not publish"},
		{"file:///data/a.fq", `"/data/a.fq"`, "does not publish"},
		{"gs://lab/a.fq", "does not fetch gs://", "does not publish to gs://"},
	} {
		for i, got := range []error{checkInput(c.s), checkTarget(c.s)} {
			what := []string{c.input, c.target}[i]
			if (got == nil) != (what == "") || got != nil && !strings.Contains(got.Error(), what) {
				t.Errorf("%q: %v, want %q", c.s, got, what)
			}
		}
	}
}
