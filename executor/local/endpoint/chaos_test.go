package endpoint

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseChaos(t *testing.T) {
	got, err := ParseChaos(Chaos{}, "throttle=50/s,lost-reply=1%,5xx=0.02,list-lag=30s,spot=5%, purge-after=1h,seed=7")
	if err != nil {
		t.Fatal(err)
	}
	want := Chaos{Throttle: 50, LostReply: 0.01, ServerError: 0.02, ListLag: 30 * time.Second, Spot: 0.05, PurgeAfter: time.Hour, Seed: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := ParseChaos(Chaos{}, got.String())
	if err != nil || again != got {
		t.Errorf("%q is read as %+v, %v", got, again, err)
	}
	over, err := ParseChaos(got, "spot=0,shuffle=true")
	if want.Spot, want.Shuffle = 0, true; err != nil || over != want {
		t.Errorf("settings over others are %+v, %v, want %+v", over, err, want)
	}
	for _, bad := range []string{"spot=120%", "spot", "throttle=-1", "list-lag=30", "spot-within=-1s", "nonsense=1", "seed=x", "5xx=NaN"} {
		if c, err := ParseChaos(Chaos{}, bad); err == nil {
			t.Errorf("%q is read as %+v", bad, c)
		} else if !strings.Contains(err.Error(), bad) {
			t.Errorf("the error does not name the setting: %v", err)
		}
	}
}

func TestBucket(t *testing.T) {
	var b bucket
	now := time.Unix(1, 0)
	take := func(n int) (taken int) {
		for range n {
			if b.take(now, 50) {
				taken++
			}
		}
		return taken
	}
	if got := take(100); got != 50 {
		t.Errorf("%d of 100 at once, want 50", got)
	}
	now = now.Add(100 * time.Millisecond)
	if got := take(100); got != 5 {
		t.Errorf("%d after a tenth of a second, want 5", got)
	}
	now = now.Add(time.Hour)
	if got := take(100); got != 50 {
		t.Errorf("%d after an hour, want 50", got)
	}
}
