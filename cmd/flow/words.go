package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// whyText says in one line why a task ended as it did.
func whyText(exitCode *int, reason, cause string) string {
	if reason == engine.ReasonWhen && cause != "" { // not its own when
		return view.Clean("needs " + cause + ", which was skipped")
	}
	if cause == engine.CauseGate { // the reason says what did not come
		cause = ""
	}
	text := view.Reason(reason)
	if reason == engine.ReasonExited {
		text = ""
	}
	if exitCode != nil && !strings.Contains(text, "exit code") {
		code := exitCodeText(*exitCode)
		if text == "" {
			text = code
		} else {
			text = code + ": " + text
		}
	}
	if cause != "" && !strings.Contains(text, cause) {
		if text != "" {
			text += ", "
		}
		text += "because of " + cause
	}
	if text == "" {
		return "no reason was recorded"
	}
	return view.Clean(text)
}

// hostLost is what is said for the loss of the host of a task that runs on this machine.
const hostLost = "the process that ran it was stopped"

// localReason says in terms of this machine why a task ended: there the loss of the host
// means that flow itself was stopped.
func localReason(run *engine.Run, reason string) string {
	if run.Info().Executor == localExecutor && strings.HasPrefix(reason, engine.ReasonHostLost) {
		return hostLost
	}
	return reason
}

// exitCodeText names an exit code, with the signal that it stands for by the shell's convention.
func exitCodeText(code int) string {
	names := map[int]string{126: "cannot be executed", 127: "command not found", 130: "SIGINT", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 137: "SIGKILL, often out of memory", 139: "SIGSEGV", 141: "SIGPIPE", 143: "SIGTERM"}
	text := "exit code " + strconv.Itoa(code)
	if name := names[code]; name != "" {
		text += " (" + name + ")"
	}
	return text
}

// knownAttempts is how many tries of a task have ended; 0: none, or nobody can tell.
func knownAttempts(t *engine.TaskStatus) int {
	if strings.HasPrefix(t.Reason, engine.ReasonLost) {
		return 0
	}
	return t.Attempts
}

func attemptsText(t *engine.TaskStatus) string {
	if n := knownAttempts(t); n > 0 || t.Attempts == 0 {
		return strconv.Itoa(n)
	}
	return "?"
}

// shellWord quotes s so that a shell takes it as one word, if it has to be quoted.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") == "" {
		return s
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "$'" + strings.ReplaceAll(view.Clean(strings.ReplaceAll(s, `\`, `\\`)), "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// unpath takes the path out of a file error, for a message that names it already.
func unpath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// firstLineOf returns the first line of what an error says.
func firstLineOf(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// span returns how long something took: from begin to end, or to now if it goes on; 0 if
// it has not begun.
func span(begin, end, now time.Time) time.Duration {
	switch {
	case begin.IsZero():
		return 0
	case end.IsZero():
		return now.Sub(begin)
	}
	return end.Sub(begin)
}

// ago writes a moment relative to now: "3m05s ago".
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return view.Duration(now.Sub(t)) + " ago"
}

// parseSize reads an amount of memory: 512MiB, 8 GiB, 2G, or a plain number of MiB.
func parseSize(s string) (mib int, err error) {
	text := strings.TrimSpace(s)
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	n, err := strconv.ParseFloat(digits, 64)
	unit := strings.ToLower(strings.TrimSpace(text[len(digits):]))
	factor := map[string]float64{"": 1, "m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024, "t": 1 << 20, "tb": 1 << 20, "tib": 1 << 20}[unit]
	if err != nil || factor == 0 || n <= 0 || n*factor > 1<<30 {
		return 0, fmt.Errorf("%q is no amount of memory; write it like 512MiB or 8GiB", s)
	}
	return int(n * factor), nil
}

// parseAge reads a time span: what time.ParseDuration takes, and days (30d) and weeks (2w).
func parseAge(s string) (time.Duration, error) {
	day := 24 * time.Hour
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < 100_000 {
				return time.Duration(n) * unit, nil
			}
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is no time span; write it like 30d, 2w or 12h", s)
}
