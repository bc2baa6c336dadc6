package cloudwatch

import (
	"strings"
	"testing"
)

// The examples are those of the User Guide, FilterAndPatternSyntax.
func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{"anything"}, nil},
		{" ", []string{"anything"}, nil},
		{`" "`, []string{"anything"}, nil},
		{`ERROR`, []string{"[ERROR 400] BAD REQUEST", "ERRORCODE"}, []string{"error", "ERR OR"}},
		{`ERROR ARGUMENTS`, []string{"[ERROR 419] MISSING ARGUMENTS", "ARGUMENTS ERROR"}, []string{"[ERROR 400] BAD REQUEST"}},
		{`?ERROR ?ARGUMENTS`, []string{"ERROR", "ARGUMENTS"}, []string{"REQUEST"}},
		{`?ERROR ?ARGUMENTS REQUEST`, []string{"[INFO] REQUEST FAILED"}, []string{"ERROR"}},
		{`?ERROR -REQUEST`, []string{"INFO", "ERROR"}, []string{"ERROR REQUEST"}},
		{`"INTERNAL SERVER ERROR"`, []string{"[ERROR 500] INTERNAL SERVER ERROR"}, []string{"INTERNAL ERROR SERVER"}},
		{`ERROR -ARGUMENTS`, []string{"[ERROR 400] BAD REQUEST"}, []string{"[ERROR 419] MISSING ARGUMENTS", "REQUEST"}},
		{`-"a b"`, []string{"b a"}, []string{"a b"}},
		{`"say \"hi\" \\ \n"`, []string{`say "hi" \ \n`}, []string{"say hi"}},
		{`größer_1 ?x`, []string{"größer_1"}, []string{"größer"}},
		{`%AUTHORIZED%`, []string{"UNAUTHORIZED", "AUTHORIZED"}, []string{"authorized"}},
		{`%^[hc]at%`, []string{"hat", "cats"}, []string{"a cat"}},
		{`%colou?r%`, []string{"color", "colour"}, []string{"colr"}},
		{`%^starting|^initializing|^shutting down%`, []string{"shutting down now"}, []string{"skipping initializing"}},
		{`%\[.\]%`, []string{"[a]"}, []string{"[ab]"}},
		{`%^a{,2}$%`, []string{"", "aa"}, []string{"aaa"}},
		{`%\x28\d\s\w%`, []string{"(1 a"}, []string{"1 a"}},
		{`-%[0-9]% ERROR`, []string{"ERROR"}, []string{"ERROR 1"}},
	}
	for _, test := range tests {
		p, err := parsePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		for _, text := range test.yes {
			if !p.matches([]byte(text)) {
				t.Errorf("%s does not match %q", test.pattern, text)
			}
		}
		for _, text := range test.no {
			if p.matches([]byte(text)) {
				t.Errorf("%s matches %q", test.pattern, text)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	tests := []struct{ pattern, text string }{
		{`{ $.a = "b" }`, "does not support JSON patterns"},
		{`  [ip, user]`, "does not support space-delimited patterns"},
		{`me@example.com`, "must be in double quotes"},
		{`?`, "must be in double quotes"},
		{`a - b`, "must be in double quotes"},
		{"\xff", "must be in double quotes"},
		{`"a`, "a double quote is missing"},
		{`"a"b`, "must be separated by spaces"},
		{`%a`, "must be between two %"},
		{`%%`, "must be between two %"},
		{`%something!%`, "Invalid character(s) in term 'something!'"},
		{`%(a)%`, "Invalid character(s) in term '(a)'"},
		{`%ä%`, "Invalid character(s) in term"},
		{`%[a%`, "missing closing ]"},
		{`%a% %b% %c%`, "at most 2"},
	}
	for _, test := range tests {
		_, err := parsePattern(test.pattern)
		if err == nil || !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "InvalidParameterException: Invalid ") {
			t.Errorf("%s: %v", test.pattern, err)
		}
	}
}

// FuzzPattern finds that a pattern is refused or can be used, and that spaces around it do
// not matter.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{``, `a`, `?a ?b`, `a -b "c d" %e[f]{,2}%`, `"\""`, `{$.a=1}`, `[a]`, `%`, `"`, `-`, `?`, "a\tb", `%\x2`} {
		f.Add(pattern, "a b c")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, err := parsePattern(pattern)
		spaced, spacedErr := parsePattern("\n " + pattern + "\t")
		if (err == nil) != (spacedErr == nil) {
			t.Fatal(err, spacedErr)
		}
		if err == nil && p.matches([]byte(text)) != spaced.matches([]byte(text)) {
			t.Fatal("spaces matter")
		}
	})
}
