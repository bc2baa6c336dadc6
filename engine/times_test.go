package engine

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTimesForms(t *testing.T) {
	few, many := Times{0, 1796749200123, -5}, make(Times, timesInArray+1)
	for i := range many {
		many[i] = 1796749200000 + int64(i%3)
	}
	for _, c := range []struct {
		in   Times
		want string // the beginning
		most int    // bytes
	}{
		{nil, "[]", 2}, {few, "[0,1796749200123,-5]", 20}, {many, `"gKrI6cpoAgID`, 34},
	} {
		got, err := json.Marshal(c.in)
		if err != nil || !strings.HasPrefix(string(got), c.want) || len(got) > c.most {
			t.Errorf("%v: %s (%d bytes), %v; want %s", c.in, got, len(got), err, c.want)
		}
	}
	var old Times // as events stored before had any number
	if err := json.Unmarshal([]byte("["+strings.Repeat("7,", 99)+"7]"), &old); err != nil || len(old) != 100 || old[99] != 7 {
		t.Errorf("%v, %v", old, err)
	}
}

func TestTimesDamaged(t *testing.T) {
	for _, text := range []string{`"gA=="`, `"***"`, `"/////////////w8="`, `{}`, `"A`} {
		var got Times
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}

func TestTimesRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := Times(rapid.SliceOf(rapid.Int64()).Draw(rt, "times"))
		text, err := json.Marshal(in)
		if err != nil {
			rt.Fatal(err)
		}
		var out Times
		if err := json.Unmarshal(text, &out); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff([]int64(in), []int64(out)); diff != "" && len(in)+len(out) > 0 {
			rt.Fatal(diff)
		}
	})
}
