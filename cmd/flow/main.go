// Command flow runs workflows on AWS Batch, or on this machine with the same semantics.
package main

import (
	"context"
	"os"

	"flow/executor/local"
)

func main() {
	local.RunSandboxed() // in a process that a runner has started, it does not return
	os.Exit(Main())
}

// Main runs the command with the arguments and streams of the process, and returns its
// exit code.
func Main() int {
	a := newApp()
	ctx, stop := a.signals(context.Background())
	defer stop()
	return a.execute(ctx, os.Args[1:])
}
