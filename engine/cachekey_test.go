package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func baseSpec() *TaskSpec {
	return &TaskSpec{
		Script: "sort $in > $out", Shell: []string{"bash", "-c"}, Image: "tools:1",
		Env:     map[string]string{"MODE": "fast", "B": "2"},
		Inputs:  []Input{{Name: "in", Paths: []string{"/data/a.txt"}, IDs: []string{"sha256:aa"}}},
		Outputs: []Output{{Name: "out", Kind: OutputFile, Path: "out.txt"}},
	}
}

func keyFor(s *TaskSpec, step StepName, key string, i int) CacheKey {
	var k keyer
	return k.key(s, step, key, i)
}

// What a result depends on changes the key; what it does not, leaves it.
func TestCacheKey(t *testing.T) {
	was := keyFor(baseSpec(), "sort", "a", 0)
	for name, change := range map[string]func(*TaskSpec){
		"script":            func(s *TaskSpec) { s.Script += " " },
		"shell":             func(s *TaskSpec) { s.Shell = []string{"sh", "-c"} },
		"image":             func(s *TaskSpec) { s.Image = "tools:2" },
		"env value":         func(s *TaskSpec) { s.Env["MODE"] = "slow" },
		"env name":          func(s *TaskSpec) { s.Env["MORE"] = "" },
		"input content":     func(s *TaskSpec) { s.Inputs[0].IDs[0] = "sha256:bb" },
		"input name":        func(s *TaskSpec) { s.Inputs[0].Name = "data" },
		"input's base name": func(s *TaskSpec) { s.Inputs[0].Paths[0] = "/data/b.txt" },
		"input is a list":   func(s *TaskSpec) { s.Inputs[0].List = true },
		"output path":       func(s *TaskSpec) { s.Outputs[0].Path = "o.txt" },
		"output optional":   func(s *TaskSpec) { s.Outputs[0].Optional = true },
		"cache_version":     func(s *TaskSpec) { s.CacheVersion = "2" },
		"secret":            func(s *TaskSpec) { s.Secrets = map[string]string{"T": "env:T"} },
	} {
		s := baseSpec()
		change(s)
		if keyFor(s, "sort", "a", 0) == was {
			t.Errorf("%s does not change the key", name)
		}
	}
	for name, change := range map[string]func(*TaskSpec){
		"queue":       func(s *TaskSpec) { s.Queue = "spot" },
		"resources":   func(s *TaskSpec) { s.Resources = []Resources{{VCPUs: 8}} },
		"retry":       func(s *TaskSpec) { s.Retry.Attempts = 3 },
		"tags":        func(s *TaskSpec) { s.Tags = map[string]string{"a": "b"} },
		"consumables": func(s *TaskSpec) { s.Consumables = []Consumable{{Resource: "license", Quantity: 2}} },
		"publish":     func(s *TaskSpec) { s.Outputs[0].Publish = "/results/" },
		"place":       func(s *TaskSpec) { s.Inputs[0].Paths[0] = "/elsewhere/a.txt" },
	} {
		s := baseSpec()
		change(s)
		if keyFor(s, "sort", "a", 0) != was {
			t.Errorf("%s changes the key", name)
		}
	}
	if keyFor(baseSpec(), "sort", "b", 0) == was {
		t.Error("the task's key does not change the cache key: FLOW_KEY is seen by the script")
	}
	if keyFor(baseSpec(), "renamed", "a", 7) != was {
		t.Error("step and index change the key, though the script does not look at them")
	}
	s := baseSpec()
	s.Script = "echo $FLOW_INDEX $FLOW_STEP"
	if keyFor(s, "sort", "a", 0) == keyFor(s, "sort", "a", 1) || keyFor(s, "sort", "a", 0) == keyFor(s, "other", "a", 0) {
		t.Error("a script that looks at its index and step has the same key for others")
	}
	s.NoCache = true
	if keyFor(s, "sort", "a", 0) != (CacheKey{}) {
		t.Error("cache = false has a key")
	}
}

func TestDiffKeys(t *testing.T) {
	now := baseSpec()
	now.Script = "sort -u $in > $out"
	delete(now.Env, "B")
	now.Image = ""
	got := DiffKeys(KeyParts(baseSpec(), "sort", "a", 0), KeyParts(now, "sort", "a", 0))
	want := []KeyChange{{"script", "sort $in > $out", "sort -u $in > $out"}, {"image", "tools:1", ""}, {"env B", "2", ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Tasks that share everything are one group without items; what differs is kept per task.
func TestCompact(t *testing.T) {
	a, b, big := baseSpec(), baseSpec(), baseSpec()
	b.Env["MODE"] = "slow"
	big.Resources = []Resources{{VCPUs: 8, MemoryMiB: 1024}}
	specs := []*TaskSpec{a, a, b, nil, big}
	x := compact(specs, &Expansion{Specs: specs, Absent: map[int]string{3: ReasonWhen}})
	if len(x.Groups) != 2 || !cmp.Equal(x.Group, []int{0, 0, 0, 0, 1}) || !x.Absent.Equal(RangesOf(3)) {
		t.Fatalf("%+v", x)
	}
	if x.Items[0] != nil || x.Items[1] != nil || !cmp.Equal(x.Items[2].Env, map[string]string{"MODE": "slow"}) || x.Items[4] != nil {
		t.Errorf("items: %+v", x.Items)
	}
	for i, want := range specs {
		if want != nil && !cmp.Equal(x.Groups[x.Group[i]].With(x.Items[i]), want) {
			t.Errorf("task %d comes out otherwise", i)
		}
	}
	same := compact([]*TaskSpec{a, a}, &Expansion{Specs: []*TaskSpec{a, a}})
	if same.Items != nil || same.Group != nil || len(same.Groups) != 1 {
		t.Errorf("two equal tasks: %+v", same)
	}
}
