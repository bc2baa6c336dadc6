package agent

import (
	"slices"
	"strings"
	"testing"
)

func TestShellForFile(t *testing.T) {
	tests := []struct{ shell, want string }{
		{"bash -euo pipefail -c", "bash -euo pipefail"},
		{"sh -ec", "sh -e"},
		{"python3 -c", "python3"},
		{"node --eval", "node"},
		{"bash", ""},
		{"awk -f", ""},
	}
	for _, tt := range tests {
		got, _ := shellForFile(strings.Fields(tt.shell))
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.shell, s, tt.want)
		}
	}
}

func TestUnique(t *testing.T) {
	got := Unique([]string{"A=1", "B=2", "A=3", "C=", "B=2"})
	if want := []string{"A=3", "C=", "B=2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
