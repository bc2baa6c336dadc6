package view

import (
	"fmt"
	"strconv"
	"time"

	"flow/engine"
)

// Duration writes d as a person would: 0.4s, 12s, 3m05s, 2h10m, 4d06h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Count writes n with a comma between thousands.
func Count(n int) string {
	s := strconv.Itoa(n)
	if n < 0 {
		return "-" + Count(-n)
	}
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// Plural writes "1 task", "2 tasks".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Rate writes how many per second, or per minute or hour if that is little.
func Rate(perSecond float64) string {
	switch {
	case perSecond <= 0:
		return ""
	case perSecond >= 10:
		return fmt.Sprintf("%.0f/s", perSecond)
	case perSecond >= 1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}

// Status writes the word of a status in its colour.
func (s Style) Status(st engine.Status) string { return s.ByStatus(st, st.String()) }

// ByStatus writes text in the colour of a status.
func (s Style) ByStatus(st engine.Status, text string) string {
	switch st {
	case engine.Succeeded:
		return s.Green(text)
	case engine.Cached:
		return s.Cyan(text)
	case engine.Failed:
		return s.Red(text)
	case engine.Running:
		return s.Blue(text)
	case engine.Skipped, engine.Cancelled:
		return s.Yellow(text)
	}
	return s.Dim(text)
}

// Reason writes why a step or task ended as it did, on one line.
func Reason(reason string) string {
	if reason == engine.ReasonWhen {
		return "its when is false"
	}
	return Clean(reason)
}

// Counts are tasks by status, as engine.StepStatus has them.
type Counts [engine.Cached + 1]int

// Total returns how many tasks there are.
func (c Counts) Total() int {
	n := 0
	for _, x := range c {
		n += x
	}
	return n
}

// Done returns how many tasks have ended, in whatever way.
func (c Counts) Done() int {
	n := 0
	for st, x := range c {
		if engine.Status(st).Ended() {
			n += x
		}
	}
	return n
}

// OK returns how many tasks have their result.
func (c Counts) OK() int { return c[engine.Succeeded] + c[engine.Cached] }

// Words writes the counts that are not zero: "3 succeeded, 1 failed", in colours.
func (c Counts) Words(s Style) string {
	order := []engine.Status{engine.Succeeded, engine.Cached, engine.Failed, engine.Running, engine.Skipped, engine.Cancelled, engine.Pending}
	text := ""
	for _, st := range order {
		if c[st] == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += s.ByStatus(st, Count(c[st])+" "+word[st])
	}
	return text
}

var word = [...]string{"pending", "running", "succeeded", "failed", "skipped", "cancelled", "cached"}

// Bytes writes a size: 17 B, 4.2 KiB, 1.0 GiB.
func Bytes(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 5 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGTP"[unit])
}

// Peak writes a peak of memory in bytes, "" if it is not known. atMost: it is no peak, but
// what was not exceeded, see [engine.Used].
func Peak(bytes int64, atMost bool) string {
	switch {
	case bytes <= 0:
		return ""
	case atMost:
		return "≤ " + Bytes(bytes)
	}
	return Bytes(bytes)
}
