package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// TestNoticeSecrets names every secret of a way once, in an order that stays.
func TestNoticeSecrets(t *testing.T) {
	w := engine.NoticeWay{
		URL: engine.Told{Secret: "env:URL"}, Key: "env:KEY", User: engine.Told{Secret: "env:USER"}, Password: "env:KEY",
		Headers: map[string]engine.Told{"B": {Secret: "env:B"}, "A": {Secret: "env:A"}, "C": {Text: "plain"}},
	}
	if diff := cmp.Diff([]string{"env:URL", "env:A", "env:B", "env:KEY", "env:USER"}, w.Secrets()); diff != "" {
		t.Error(diff)
	}
	if got := (&engine.NoticeWay{Kind: engine.WaySNS, Topic: "arn:x"}).Secrets(); got != nil {
		t.Errorf("secrets of a way without any: %v", got)
	}
}

// TestNoticeWants takes the most special occasion that a notice names.
func TestNoticeWants(t *testing.T) {
	for _, test := range []struct {
		on, occasions []engine.Occasion
		want          engine.Occasion
	}{
		{nil, []engine.Occasion{engine.OnFailed}, ""},
		{[]engine.Occasion{engine.OnFailed}, nil, ""},
		{[]engine.Occasion{engine.OnSucceeded, engine.OnRecovered}, []engine.Occasion{engine.OnSucceeded, engine.OnRecovered}, engine.OnRecovered},
		{[]engine.Occasion{engine.OnSucceeded}, []engine.Occasion{engine.OnSucceeded, engine.OnRecovered}, engine.OnSucceeded},
		{[]engine.Occasion{engine.OnFailed}, []engine.Occasion{engine.OnFailed, engine.OnTimedOut}, engine.OnFailed},
	} {
		if got := (&engine.Notice{On: test.on}).Wants(test.occasions); got != test.want {
			t.Errorf("%v of %v: %q, want %q", test.on, test.occasions, got, test.want)
		}
	}
}
