package diagnose

import (
	"fmt"
	"math"
	"strings"
	"time"

	"flow/engine"
)

// signals are those of Linux on x86 and ARM, by number: signal(7).
var signals = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV",
	12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN",
	22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}

// signalOf returns the name of the signal that an exit code stands for by the convention of
// shells, or "".
func signalOf(code int) string {
	if n := code - 128; n > 0 && n < len(signals) {
		return signals[n]
	}
	return ""
}

// ntStatus names the exit code of a program that Windows ended: its NTSTATUS, which some
// tell as a negative number ([MS-ERREF] 2.3). "": it is none.
func ntStatus(code int) string {
	status := uint32(code) // of -1073741819 as of 3221225477
	if status>>16 != 0xC000 || int64(code) < math.MinInt32 || int64(code) > math.MaxUint32 {
		return ""
	}
	switch status {
	case 0xC0000005:
		return "0xC0000005, access violation"
	case 0xC0000017:
		return "0xC0000017, no memory"
	case 0xC00000FD:
		return "0xC00000FD, stack overflow"
	case 0xC0000135:
		return "0xC0000135, a DLL is missing"
	case 0xC000013A:
		return "0xC000013A, interrupted"
	case 0xC0000409:
		return "0xC0000409, ended by the program itself"
	}
	return fmt.Sprintf("0x%X, of Windows", status)
}

// ExitText names an exit code, with what it stands for.
func ExitText(code int) string {
	text := fmt.Sprintf("exit code %d", code)
	switch name := signalOf(code); {
	case ntStatus(code) != "":
		return text + " (" + ntStatus(code) + ")"
	case code == 126:
		return text + " (cannot be executed)"
	case code == 127:
		return text + " (command not found)"
	case code == 137:
		return text + " (SIGKILL, often out of memory)"
	case name != "":
		return text + " (" + name + ")"
	}
	return text
}

// tellExit goes by the exit code, or by the reason as it was given.
func tellExit(a *Attempt, v *Verdict) {
	reason := a.Reason
	if reason == "" || reason == engine.ReasonExited {
		reason = a.StatusReason
	}
	if reason == engine.ReasonExited {
		reason = ""
	}
	if a.ExitCode == nil {
		v.Cause, v.Text = Other, firstOf(reason, "no reason was recorded")
		return
	}
	tellCode(a, *a.ExitCode, v)
	if reason != "" && !strings.HasPrefix(reason, "exit code ") { // as flow records it
		v.Text += ": " + reason
	}
}

func tellCode(a *Attempt, code int, v *Verdict) {
	v.Cause, v.Text = ExitCode, ExitText(code)
	full := a.line("No space left on device")
	switch name := signalOf(code); {
	case full != "" && code != 0:
		v.Cause = DiskFull
		v.Why = "it wrote: " + full
		v.help("Give it more room: on Fargate container { ephemeral_storage = 50 }, on EC2 a larger disk in the launch template.")
	case code == 126:
		v.Cause = NotExecutable
		v.Why = "a program is there and may not be executed, or is none for this system"
		v.help("Make it executable (chmod +x), or run it with its interpreter; in its log stands which one it is.")
	case code == 127:
		v.Cause = CommandNotFound
		v.Why = "a shell found a program neither by its path nor in PATH; in the log of the task stands which one"
		v.help("Install it where the task runs (" + where(a) + "), or look at its name.")
	case code == 137:
		tellKilled(a, v)
	case code == 143:
		v.Cause = Signalled
		v.Why = "something asked it to end: a time limit of its own, its host on its way out, or a person"
		if !a.Local {
			v.help("Where that is an instance that Spot takes back, let it be tried again.")
			v.Write = "retry {\n  attempts = 3\n  when \"ended\" { exit_code = 143 }\n}"
		}
	case name != "":
		v.Cause = Signalled
		v.Why = signalWhy(name)
	case code == 124:
		v.Why = "the command timeout ends so when what it runs takes too long"
	case code == 125 && !a.Local:
		v.Why = "docker run and its like end so when they cannot start a container"
	case code == 255:
		v.Why = "it ended with -1 or a code that is none from 0 to 255, as ssh does whose connection is lost"
	}
}

// signalWhy says what a signal most often comes from.
func signalWhy(name string) string {
	switch name {
	case "SIGSEGV", "SIGBUS":
		return "the program touched memory that is not its own: a bug in it, or a file that it maps was cut short"
	case "SIGABRT":
		return "the program gave up by itself: a failed assertion, or no more memory"
	case "SIGILL":
		return "the program has an instruction that this processor does not: it was built for another one"
	case "SIGFPE":
		return "the program divided by zero"
	case "SIGPIPE":
		return "the program wrote to a pipe that nobody reads any more"
	case "SIGINT":
		return "somebody interrupted it"
	case "SIGXCPU", "SIGXFSZ":
		return "a limit (ulimit) was reached"
	}
	return "a signal ended it"
}

func tellKilled(a *Attempt, v *Verdict) {
	v.Cause = Killed
	v.Why = "it was killed, and not by its time limit: most often memory ran out for a part of it, else its host stopped it"
	tellPeak(a, v)
	asked := ""
	if a.Asked.MemoryMiB > 0 {
		asked = " than its " + memory(a.Asked.MemoryMiB)
	}
	v.help("Try it with more memory" + asked + ".")
	v.Write = moreMemory(a.Asked.MemoryMiB)
}

// memory writes an amount of memory as HCL has it: 4 GiB, 1536 MiB.
func memory(mib int) string {
	if mib%1024 == 0 && mib > 0 {
		return fmt.Sprintf("%d GiB", mib/1024)
	}
	return fmt.Sprintf("%d MiB", mib)
}

// span writes a duration as HCL has it: 2h, 1m30s. What is below a second counts only where
// there is nothing else.
func span(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second)
	} else {
		d = d.Round(time.Millisecond)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
