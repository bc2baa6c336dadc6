package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGitHubAnnotation(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   annotation
		want string
	}{
		{"place", annotation{level: "error", file: "/repo/a/w.hcl", line: 3, col: 7, end: 4, title: "T", text: "why"}, "::error file=a/w.hcl,line=3,col=7,endLine=4,title=T::why\n"},
		{"no place", annotation{level: "warning", title: "T", text: "why"}, "::warning title=T::why\n"},
		{"outside", annotation{level: "error", file: "/else/w.hcl", text: "why"}, "::error file=/else/w.hcl::why\n"},
		{"signs", annotation{level: "error", file: "/repo/a,b:c.hcl", title: "50%, a: b::c", text: "50%\nnext: a, b::c"}, "::error file=a%2Cb%3Ac.hcl,title=50%25%2C a%3A b%3A%3Ac::50%25%0Anext: a, b::c\n"},
		{"control", annotation{level: "error", title: "a\nb", text: "a\rb\x1b[2J"}, `::error title=a\nb::a\rb\x1b[2J` + "\n"},
	} {
		var out bytes.Buffer
		g := &github{w: &out, workspace: "/repo"}
		g.annotate(tt.in)
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"align-reads 2.5/7":           "align-reads 2.5/7",
		"a|b":                         "a&#124;b",
		"<script>*x*</script>":        "&#60;script&#62;&#42;x&#42;&#60;/script&#62;",
		"`x` [y](z) ![i](j) \\ _e_ ~": "&#96;x&#96; &#91;y&#93;&#40;z&#41; &#33;&#91;i&#93;&#40;j&#41; &#92; &#95;e&#95; &#126;",
		"@someone https://x":          "&#64;someone https&#58;//x",
		"two\nlines":                  "two&#92;nlines",
		"www.evil.test":               "www&#46;evil.test",
	} {
		if got := markdown(in); got != want {
			t.Errorf("markdown(%q) = %q, want %q", in, got, want)
		}
	}
}
