package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestTwoDashes(t *testing.T) {
	long := longFlags(newRoot(newApp()))
	for _, tt := range []struct{ in, want []string }{
		{[]string{"run", "-var", "a=1", "x.hcl"}, []string{"run", "--var", "a=1", "x.hcl"}},
		{[]string{"run", "--var", "a=1"}, []string{"run", "--var", "a=1"}},
		{[]string{"run", "-var=a=1"}, []string{"run", "--var=a=1"}},
		{[]string{"run", "-var", "-json"}, []string{"run", "--var", "-json"}}, // a value
		{[]string{"plan", "-detailed-exitcode", "-json"}, []string{"plan", "--detailed-exitcode", "--json"}},
		{[]string{"logs", "-f", "-tail", "5", "@last"}, []string{"logs", "-f", "--tail", "5", "@last"}},
		{[]string{"-C", "dir", "-q", "list"}, []string{"-C", "dir", "-q", "list"}},
		{[]string{"list", "-qn", "3"}, []string{"list", "-qn", "3"}}, // letters in one word
		{[]string{"fmt", "-"}, []string{"fmt", "-"}},
		{[]string{"fmt", "--", "-check"}, []string{"fmt", "--", "-check"}},
		{[]string{"run", "-unknown"}, []string{"run", "-unknown"}},
		{[]string{"-help"}, []string{"--help"}},
		{[]string{"run", "-var"}, []string{"run", "--var"}},
	} {
		if diff := cmp.Diff(tt.want, twoDashes(tt.in, long)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

// The rewriter knows flags by their name alone, so a name must mean the same everywhere.
func TestFlagsTakeValuesEverywhereOrNowhere(t *testing.T) {
	takes := map[string]bool{}
	seen := map[string]string{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			value := f.NoOptDefVal == ""
			if before, ok := seen[f.Name]; ok && takes[f.Name] != value {
				t.Errorf("-%s takes a value in one of %s and %s, and none in the other", f.Name, before, c.CommandPath())
			}
			takes[f.Name], seen[f.Name] = value, c.CommandPath()
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(newApp()))
	if len(seen) < 20 {
		t.Errorf("only %d flags were found", len(seen))
	}
}
