package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// longFlags returns the long flags of cmd and of all its subcommands, and for each whether
// it takes a value.
func longFlags(cmd *cobra.Command) map[string]bool {
	long := map[string]bool{"help": false, "version": false}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		note := func(f *pflag.Flag) { long[f.Name] = f.NoOptDefVal == "" }
		c.Flags().VisitAll(note)
		c.PersistentFlags().VisitAll(note)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cmd)
	return long
}

// twoDashes rewrites `-var x=1` to `--var x=1` for every flag in long, so that one dash
// and two dashes both work, as in HashiCorp's tools. The value of a flag, and everything
// behind `--`, stays as it is; one-letter flags are never rewritten.
func twoDashes(args []string, long map[string]bool) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		takesValue, known := long[name]
		if !strings.HasPrefix(arg, "-") || len(name) < 2 || !known {
			out = append(out, arg)
			continue
		}
		if !strings.HasPrefix(arg, "--") {
			arg = "-" + arg
		}
		out = append(out, arg)
		if takesValue && !hasValue && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}
