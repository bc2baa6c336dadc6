// Package notice sends messages about runs to people and programs.
package notice

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A Message is what is told of a run, or of a slot of a schedule that was missed. As JSON it is the body of a webhook, and the standard
// input of a command: fields are only ever added.
type Message struct {
	ID       string    `json:"id"`        // the same for every try
	Type     string    `json:"type"`      // such as run.failed; of a slot schedule.missed
	At       time.Time `json:"timestamp"` // of what it tells
	Notice   string    `json:"notice"`    // the name of its block
	Workflow string    `json:"workflow"`
	Run      string    `json:"run,omitempty"`      // "": it is of a slot, which has none
	Schedule string    `json:"schedule,omitempty"` // full name, of what started the run or should have
	Slot     time.Time `json:"slot,omitzero"`      // for which time, in the zone of the schedule
	Status   string    `json:"status"`             // of the run; PAUSED; of a slot MISSED
	Reason   string    `json:"reason,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Seconds  float64   `json:"seconds"` // since then
	Tasks    Tasks     `json:"tasks"`
	// Failures are the most frequent causes of failures; MoreFailures counts causes that are left out.
	Failures     []Failure `json:"failures,omitempty"`
	MoreFailures int       `json:"more_failures,omitempty"`
	Spent        string    `json:"spent,omitempty"` // what it cost so far; "": nothing, or not known
	Link         string    `json:"link,omitempty"`  // to the run in a browser
	Command      string    `json:"command"`         // what to call next
	Host         string    `json:"host"`            // where that is
	State        string    `json:"state"`           // the state file there
}

// Tasks counts the tasks that are known.
type Tasks struct {
	Total     int `json:"total"`
	Succeeded int `json:"succeeded"` // with those whose result was known
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
	Cancelled int `json:"cancelled"`
}

// A Failure is the tasks of a step that failed for one cause.
type Failure struct {
	Step    string `json:"step"`
	Tasks   int    `json:"tasks"`
	Text    string `json:"text"`
	Example string `json:"example"` // one of them
	Help    string `json:"help,omitempty"`
}

// slotLayout shows when a run was due.
const slotLayout = "2006-01-02 15:04 -07:00"

// Title is the message in a line.
func (m *Message) Title() string {
	what := m.Workflow
	if m.Run == "" {
		what = m.Schedule
	}
	_, happened, _ := strings.Cut(m.Type, ".")
	title := fmt.Sprintf("%s %s", what, strings.ToLower(strings.ReplaceAll(happened, "_", " ")))
	if m.Run == "" {
		title += " " + m.Slot.Format(slotLayout)
	}
	if m.Reason != "" {
		title += ": " + m.Reason
	}
	return oneLine(title)
}

// Subject is the title for a list of many others.
func (m *Message) Subject() string { return cut("flow: "+m.Title(), 200) }

// Text is the message for a person, with the title as its first line.
func (m *Message) Text() string {
	var b strings.Builder
	b.WriteString(m.Title() + "\n" + m.facts() + "\n")
	for i := range m.Failures {
		f := &m.Failures[i]
		fmt.Fprintf(&b, "\n%s: %s\n", f.head(), oneLine(f.Text))
		if f.Help != "" {
			fmt.Fprintf(&b, "  %s\n", oneLine(f.Help))
		}
	}
	if m.MoreFailures > 0 {
		fmt.Fprintf(&b, "\n... and for %s\n", plural(m.MoreFailures, "more reason"))
	}
	b.WriteString("\n")
	if m.Link != "" {
		fmt.Fprintf(&b, "Look:  %s\n", oneLine(m.Link))
	}
	fmt.Fprintf(&b, "Next:  %s\n", oneLine(m.Command))
	fmt.Fprintf(&b, "On:    %s, with %s\n", oneLine(m.Host), oneLine(m.State))
	return b.String()
}

// facts are the run and what became of its tasks, or that there is none, in a line.
func (m *Message) facts() string {
	if m.Run == "" {
		return "there is no run for " + m.Slot.Format(slotLayout)
	}
	facts := []string{"run " + m.Run, "after " + (time.Duration(m.Seconds * float64(time.Second))).Round(time.Second).String()}
	if m.Schedule != "" {
		facts[0] += " of " + m.Slot.Format(slotLayout)
	}
	t := &m.Tasks
	if t.Failed > 0 {
		facts = append(facts, fmt.Sprintf("%d of %s failed", t.Failed, plural(t.Total, "task")))
	} else {
		facts = append(facts, fmt.Sprintf("%d of %s done", t.Succeeded, plural(t.Total, "task")))
	}
	if m.Spent != "" {
		facts = append(facts, m.Spent)
	}
	return strings.Join(facts, ", ")
}

// head says which tasks failed.
func (f *Failure) head() string {
	if f.Tasks == 1 {
		return oneLine(f.Example)
	}
	return oneLine(fmt.Sprintf("%s, %d tasks such as %s", f.Step, f.Tasks, f.Example))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// oneLine puts blanks for what would end a line, mean something to a terminal, or turn the
// direction of text.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsControl(r) || r == ' ' || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}), " ")
}

// cut shortens a text to n characters at most.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
