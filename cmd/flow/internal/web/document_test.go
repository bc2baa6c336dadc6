package web

import "testing"

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"<p>a\tb\r\nc</p> äß日本":                              "<p>a\tb\r\nc</p> äß日本",
		"<p>a\x00b\x1b[31m\x7f\u0085\u202ec\u2066\u2069</p>": `<p>a\x00b\x1b[31m\x7f\u0085\u202ec\u2066\u2069</p>`,
		"<p title=\"\u202ea\">\u202e</p>":                    `<p title="\u202ea">\u202e</p>`,
		"<input value=\"\u202ea\" title=\"\u202e\">\x1b":     "<input value=\"\u202ea\" title=\"\\u202e\">\\x1b",
		"<p data-copy=\"a\x1b\">\x1b</p>":                    "<p data-copy=\"a\x1b\">\\x1b</p>",
		"\x1b<textarea name=\"a\">\n\x1b</textarea>\x1b":     "\\x1b<textarea name=\"a\">\n\x1b</textarea>\\x1b",
		"<script type=\"x\">\"\u202e\"</script>\u202e":       "<script type=\"x\">\"\u202e\"</script>\\u202e",
		"<p>\xff\xc2 \x1b</p>":                               "<p>\xff\xc2 \\x1b</p>",
		"\u2026\u2028\u202f\u200b":                           "\u2026\u2028\u202f\u200b",
	} {
		if got := string(Visible([]byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
