package fetched

import (
	"regexp"
	"testing"
)

var motoRuns = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// Moto starts moto's server, which answers for many services of AWS, with more variables
// in its environment, until the test has ended. It returns the server's URL.
func Moto(t testing.TB, more ...string) string {
	t.Helper()
	server := Need(t, Path("engines", "bin", "moto_server"))
	env := append([]string{"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"}, more...)
	return serve(t, motoRuns, env, server, "-H", "127.0.0.1", "-p", "0")
}
