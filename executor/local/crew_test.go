package local

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crewOf makes containers of a line each: name, ! if it is essential, and what it depends
// on as condition:name, where the condition is START, COMPLETE or SUCCESS.
func crewOf(lines string) *Task {
	task := &Task{}
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		c := Container{Name: strings.TrimSuffix(f[0], "!"), Essential: strings.HasSuffix(f[0], "!")}
		for _, d := range f[1:] {
			condition, on, _ := strings.Cut(d, ":")
			c.DependsOn = append(c.DependsOn, ContainerDependency{Container: on, Condition: ContainerCondition(condition)})
		}
		task.Containers = append(task.Containers, c)
	}
	return task
}

// TestCrew tells a crew what happens and looks at what it wants done. An event is
// "name" (it runs), "name=code", "name=-" (it could not be started), "name!" (its
// StartTimeout is over) or "quit".
func TestCrew(t *testing.T) {
	tests := []struct {
		name       string
		containers string
		events     string
		want       string // what is wanted done at first and after each event; * when the task is RUNNING
		exit       string
	}{
		{"one", "main!", "main main=0", "+main|*|.", "0"},
		{"one fails", "main!", "main main=3", "+main|*|.", "3"},
		{"one does not start", "main!", "main=-", "+main|.", "- main cannot"},
		{"init, then main", "init\nmain! SUCCESS:init", "init init=0 main main=0", "+init||+main|*|.", "0"},
		{"init fails", "init\nmain! SUCCESS:init", "init init=1", "+init||.", "- CannotStartContainerError: dependency graph: failed to resolve container ordering dependency init as dependency did not exit successfully"},
		{"init does not start", "init\nmain! COMPLETE:init", "init=-", "+init|.", "- CannotStartContainerError: dependency graph: failed to resolve container ordering dependency init because dependency will never start"},
		{"complete is enough", "init\nmain! COMPLETE:init", "init init=1 main main=0", "+init||+main|*|.", "0"},
		{"start", "side\nmain! START:side", "side main main=0 side=143", "+side|+main|*|-side|.", "0"},
		{"start of one that has ended", "side\nmain! START:side", "side side=1 main main=0", "+side|+main||*|.", "0"},
		{"all others are stopped", "a!\nb!\nc", "a b c a=0 b=143 c=143", "+a+b+c|||*|-b-c||.", "143"},
		{"the first to fail gives the code", "a!\nb!", "a b b=5 a=143", "+a+b||*|-a|.", "5"},
		{"the rest may fail", "a!\nb", "a b b=5 a=0", "+a+b||*||.", "0"},
		{"the rest may not start", "a!\nb", "a b=- a=0", "+a+b||*|.", "0"},
		{"what depends on it is stopped first", "a\nb START:a\nmain! START:b", "a b main main=0 b=143 a=143", "+a|+b|+main|*|-b|-a|.", "0"},
		{"what waits never starts", "slow\nmain!\nlate COMPLETE:slow", "slow main main=0 slow=143", "+slow+main|||-slow|.", "0"},
		{"a chain of refusals", "init\nmid SUCCESS:init\nmain! SUCCESS:mid", "init init=1", "+init||.", "- CannotStartContainerError: dependency graph: failed to resolve container ordering dependency mid because dependency will never start"},
		{"one that nobody needs is refused", "init\nside SUCCESS:init\nmain!", "init main init=1 main=0", "+init+main|||*|.", "0"},
		{"time out", "init\nmain! SUCCESS:init", "init init! init=143", "+init||-init|.", "- CannotStartContainerError: dependency graph: container ordering dependency init has timed out"},
		{"no time out any more", "init\nmain! SUCCESS:init", "init init=0 init! main main=0", "+init||+main||*|.", "0"},
		{"quit", "a!\nb START:a", "a b quit b=143 a=143", "+a|+b|*|-b|-a|.", "143"},
		{"quit at once", "a!\nb! START:a", "quit a=-", "+a|-a|.", "- a cannot"},
		{"a circle", "a! START:b\nb! START:a", "", ".", "- CannotStartContainerError: dependency graph: dependency on containers not resolved"},
		{"nobody of that name", "a! START:b", "", ".", "- CannotStartContainerError: dependency graph: container ordering dependency b does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrew(crewOf(tt.containers))
			up := false
			got := []string{wants(c, &up)}
			for _, event := range strings.Fields(tt.events) {
				tell(c, event)
				got = append(got, wants(c, &up))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
				t.Error(diff)
			}
			e := c.exit()
			exit := "- " + e.Reason
			if e.ExitCode != nil {
				exit = fmt.Sprint(*e.ExitCode)
			}
			if diff := cmp.Diff(tt.exit, exit); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func wants(c *crew, up *bool) string {
	start, stop := c.next()
	out := ""
	for _, i := range start {
		out += "+" + c.members[i].Name
	}
	for _, i := range stop {
		out += "-" + c.members[i].Name
	}
	if c.up() && !*up {
		*up = true
		out += "*"
	}
	if c.done() {
		out += "."
	}
	return out
}

func tell(c *crew, event string) {
	name, result, isEnd := strings.Cut(event, "=")
	name, isOverdue := strings.CutSuffix(name, "!")
	index := 0
	for i := range c.members {
		if c.members[i].Name == name {
			index = i
		}
	}
	switch {
	case name == "quit":
		c.quit()
	case isOverdue:
		c.overdue(index)
	case !isEnd:
		c.started(index)
	case result == "-":
		c.ended(index, Exit{Reason: name + " cannot"})
	default:
		var n int
		fmt.Sscan(result, &n)
		c.ended(index, code(n))
	}
}

// Only what somebody waits for the end of has a time for it.
func TestCrewStartTimeout(t *testing.T) {
	c := newCrew(crewOf("a\nb\nc START:a SUCCESS:b"))
	for i := range c.members {
		c.members[i].StartTimeout = time.Minute
	}
	for i, want := range []time.Duration{0, time.Minute, 0} {
		if got := c.startTimeout(i); got != want {
			t.Errorf("container %d: %v, want %v", i, got, want)
		}
	}
}
