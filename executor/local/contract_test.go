package local

import (
	"testing"

	"flow/engine"
	"flow/executor/executortest"
)

// The contract holds with the real Runner, and with one that does no more than it must.
func TestContract(t *testing.T) {
	for name, runner := range map[string]func() Runner{
		"processes": func() Runner { return nil },
		"exec":      func() Runner { return newExecRunner() },
	} {
		t.Run(name, func(t *testing.T) {
			executortest.Run(t, func(t *testing.T) engine.Executor {
				return openTest(t, Options{Runner: runner(), Journal: journalPath(t)})
			})
		})
	}
}
