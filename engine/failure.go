package engine

import (
	"fmt"
	"time"
)

// failure says in a few words why a try failed.
func failure(a *JobAttempt) string {
	switch {
	case a.Reason != "":
		return a.Reason
	case a.ExitCode != nil && (a.StatusReason == ReasonExited || a.StatusReason == ""):
		return fmt.Sprintf("exit code %d%s", *a.ExitCode, signalName(*a.ExitCode))
	case a.ExitCode != nil:
		return fmt.Sprintf("%s (exit code %d)", a.StatusReason, *a.ExitCode)
	}
	return a.StatusReason
}

func signalName(code int) string {
	switch code {
	case 126:
		return " (not executable)"
	case 127:
		return " (command not found)"
	case 130:
		return " (SIGINT)"
	case 134:
		return " (SIGABRT)"
	case 137:
		return " (SIGKILL)"
	case 139:
		return " (SIGSEGV)"
	case 141:
		return " (SIGPIPE)"
	case 143:
		return " (SIGTERM)"
	}
	return ""
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
