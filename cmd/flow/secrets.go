package main

import (
	"fmt"
	"os"
	"strings"

	"flow/dsl"
)

// secrets returns a function that reads a secret when a task starts: "env:NAME" from the
// environment, "file:/path" from a file, "var:name" from a sensitive variable. Its errors
// name where the secret should be, never what is there.
func secrets(t *dsl.Template) func(ref string) (string, error) {
	return func(ref string) (string, error) {
		kind, name, _ := strings.Cut(ref, ":")
		switch kind {
		case "env":
			value, ok := os.LookupEnv(name)
			if !ok {
				return "", fmt.Errorf("the secret is to come from the environment variable %s, which is not set", name)
			}
			return value, nil
		case "file":
			value, err := os.ReadFile(name)
			if err != nil {
				return "", fmt.Errorf("the secret is to come from the file %s: %w", name, unpath(err))
			}
			return strings.TrimSuffix(string(value), "\n"), nil
		case "var":
			value, ok := t.SensitiveValue(name)
			if !ok {
				return "", fmt.Errorf("the secret is to come from the sensitive variable %s, which has no value", name)
			}
			return value, nil
		}
		return "", fmt.Errorf("the secret %s can only be read on AWS", ref)
	}
}
