package fetched

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var registryRuns = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// Registry starts a registry of container images, that of the project distribution, with
// more variables in its environment (REGISTRY_AUTH_...), until the test has ended. It
// returns the registry's name, 127.0.0.1:PORT.
func Registry(t testing.TB, more ...string) string {
	t.Helper()
	server := Need(t, "docker-registry")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: " + filepath.Join(dir, "data") + "}}\nhttp: {addr: \"127.0.0.1:0\"}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, registryRuns, more, server, "serve", config)
}
