package executor

import (
	"strings"
	"testing"

	"flow/engine"
)

// The rules of Batch User Guide, job_retries, and its examples.
func TestRetries(t *testing.T) {
	one, code137, code7 := 1, 137, 7
	spot := []engine.EvaluateOn{ // bestpractice6
		{StatusReason: "Host EC2*", Retry: true},
		{Reason: "*"},
	}
	for _, test := range []struct {
		name        string
		n, attempts int
		entries     []engine.EvaluateOn
		failure     engine.JobAttempt
		want        bool
	}{
		{"no strategy", 1, 0, nil, engine.JobAttempt{ExitCode: &one}, false},
		{"attempts are tries in all", 1, 1, nil, engine.JobAttempt{ExitCode: &one}, false},
		{"no entries: every failure", 1, 2, nil, engine.JobAttempt{ExitCode: &one}, true},
		{"spent", 2, 2, nil, engine.JobAttempt{ExitCode: &one}, false},
		{"spent, though an entry says RETRY", 3, 3, []engine.EvaluateOn{{ExitCode: "1", Retry: true}}, engine.JobAttempt{ExitCode: &one}, false},
		{"spot loss", 1, 5, spot, engine.JobAttempt{StatusReason: "Host EC2 (instance i-0123456789abcdef0) terminated."}, true},
		{"* matches a reason that is absent", 1, 5, spot, engine.JobAttempt{ExitCode: &one, StatusReason: engine.ReasonExited}, false},
		{"* matches an exit code that is absent", 1, 5, []engine.EvaluateOn{{ExitCode: "*"}}, engine.JobAttempt{}, false},
		{"digits do not match an absent exit code", 1, 5, []engine.EvaluateOn{{ExitCode: "0"}, {ExitCode: "1*"}}, engine.JobAttempt{}, true},
		{"none matches: retry", 1, 5, []engine.EvaluateOn{{ExitCode: "2"}}, engine.JobAttempt{ExitCode: &one}, true},
		{"prefix of an exit code", 1, 5, []engine.EvaluateOn{{ExitCode: "1*"}}, engine.JobAttempt{ExitCode: &code137}, false},
		{"prefix that does not fit", 1, 5, []engine.EvaluateOn{{ExitCode: "1*"}}, engine.JobAttempt{ExitCode: &code7}, true},
		{"no prefix without *", 1, 5, []engine.EvaluateOn{{ExitCode: "13"}}, engine.JobAttempt{ExitCode: &code137}, true},
		{"all conditions of an entry", 1, 5, []engine.EvaluateOn{{ExitCode: "1", Reason: "Out*"}}, engine.JobAttempt{ExitCode: &one}, true},
		{"all conditions match", 1, 5, []engine.EvaluateOn{{ExitCode: "137", Reason: "Out*"}}, engine.JobAttempt{ExitCode: &code137, Reason: engine.ReasonOutOfMemory}, false},
		{"first match decides", 1, 5, []engine.EvaluateOn{{ExitCode: "1", Retry: true}, {ExitCode: "*"}}, engine.JobAttempt{ExitCode: &one}, true},
		{"case matters", 1, 5, []engine.EvaluateOn{{StatusReason: "host ec2*"}}, engine.JobAttempt{StatusReason: "Host EC2 x"}, true},
	} {
		if got := Retries(test.n, test.attempts, test.entries, &test.failure); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestCheckRetry(t *testing.T) {
	five := make([]engine.EvaluateOn, 5)
	for i := range five {
		five[i].ExitCode = "1"
	}
	for _, test := range []struct {
		name     string
		attempts int
		entries  []engine.EvaluateOn
		want     string // "": fine
	}{
		{"none", 0, nil, ""},
		{"ten", 10, nil, ""},
		{"five entries", 2, five, ""},
		{"texts of reasons", 2, []engine.EvaluateOn{{Reason: "CannotPullContainerError:*", StatusReason: "Task failed to start."}}, ""},
		{"only a *", 2, []engine.EvaluateOn{{ExitCode: "*"}}, ""},
		{"entries without attempts", 0, five, "RetryAttempts must be provided"},
		{"eleven", 11, nil, "between 1 and 10"},
		{"negative", -1, nil, "between 1 and 10"},
		{"six entries", 2, append(five, five[0]), "Up to 5"},
		{"empty entry", 2, []engine.EvaluateOn{{Retry: true}}, "at least one of"},
		{"two *", 2, []engine.EvaluateOn{{Reason: "a**"}}, "restricted characters"},
		{"* before the end", 2, []engine.EvaluateOn{{Reason: "*a"}}, "restricted characters"},
		{"hyphen", 2, []engine.EvaluateOn{{Reason: "a-b"}}, "restricted characters"},
		{"no digit", 2, []engine.EvaluateOn{{ExitCode: "x"}}, "restricted characters"},
		{"513 characters", 2, []engine.EvaluateOn{{StatusReason: strings.Repeat("x", 513)}}, "cannot exceed 512"},
	} {
		err := CheckRetry(test.attempts, test.entries)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "9-_Z": true, strings.Repeat("a", 128): true,
		"": false, "-a": false, "_a": false, "a b": false, "ä": false, "a.b": false, strings.Repeat("a", 129): false,
		string(engine.JobName("01jrun", "m.Step Ä"+engine.StepName(strings.Repeat("x", 200)), 3)): true,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if name, prefix := engine.JobName("01JRUN", "s", 1), RunPrefix("01JRUN"); !strings.HasPrefix(name, prefix) {
		t.Errorf("%q does not begin with %q", name, prefix)
	}
}

func TestCheckTags(t *testing.T) {
	many := map[string]string{}
	for i := range 51 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	for name, test := range map[string]struct {
		tags map[string]string
		ok   bool
	}{
		"none":       {nil, true},
		"usual":      {map[string]string{"flow:run": "x"}, true},
		"51":         {many, false},
		"empty key":  {map[string]string{"": "x"}, false},
		"aws":        {map[string]string{"aws:x": "x"}, false},
		"long key":   {map[string]string{strings.Repeat("k", 129): "x"}, false},
		"long value": {map[string]string{"k": strings.Repeat("v", 257)}, false},
	} {
		if err := CheckTags(test.tags); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
