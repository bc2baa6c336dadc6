package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flow/engine"
	"flow/executor/store/storetest"
)

// TestProbeS3: objects are there or not, as many as are asked for; those that only show
// directories do not count, and of many no more are listed than it takes.
func TestProbeS3(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/day/", "", "s3://in/day/1.csv", "x", "s3://in/day/2.csv", "x", "s3://in/other/", "")
	for _, tt := range []struct {
		sensor engine.Sensor
		met    bool
		seen   string
	}{
		{engine.Sensor{Target: "s3://in/day/1.csv"}, true, "s3://in/day/1.csv, 1 bytes of "},
		{engine.Sensor{Target: "s3://in/day/3.csv"}, false, "it is not there"},
		{engine.Sensor{Target: "s3://in/day/", Prefix: true, Count: 2}, true, "2 objects below s3://in/day/"},
		{engine.Sensor{Target: "s3://in/day/", Prefix: true, Count: 3}, false, "2 of 3 are there"},
		{engine.Sensor{Target: "s3://in/other", Prefix: true, Count: 1}, false, "0 of 1 are there"},
	} {
		tt.sensor.Kind = engine.SensorS3
		met, seen, err := filesOn(m).Probe(context.Background(), &tt.sensor)
		if met != tt.met || !strings.HasPrefix(seen, tt.seen) || err != nil {
			t.Errorf("%+v: %v %q %v", tt.sensor, met, seen, err)
		}
	}
	own := m.Again()
	own.DieAt(1)
	if _, _, err := filesOn(own).Probe(context.Background(), &engine.Sensor{Kind: engine.SensorS3, Target: "s3://in/day/", Prefix: true, Count: 1}); !errors.Is(err, storetest.ErrDead) {
		t.Error(err)
	}
	if _, _, err := filesOn(m).Probe(context.Background(), &engine.Sensor{Kind: "ftp"}); err == nil {
		t.Error("it can wait for what it does not know")
	}
}

// TestProbeFiles: a path is a file or a directory, a pattern so many of them; what cannot be
// looked at is not known to be missing.
func TestProbeFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.csv", "b.csv", "sub/c.csv", "[x]"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("abc"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path    string
		pattern bool
		count   int
		met     bool
		seen    string
	}{
		{"a.csv", false, 1, true, dir + "/a.csv, 3 bytes of "},
		{"sub", false, 1, true, dir + "/sub"},
		{"[x]", false, 1, true, dir + "/[x]"},
		{"c.csv", false, 1, false, "it is not there"},
		{"a.csv/x", false, 1, false, "it is not there"},
		{"*.csv", true, 2, true, "2 files " + dir + "/*.csv"},
		{"*.csv", true, 3, false, "2 of 3 are there"},
		{"**/*.csv", true, 3, true, "3 files "},
		{`\[x\]`, true, 1, true, dir},
		{"none/*.csv", true, 1, false, "0 of 1 are there"},
	} {
		s := &engine.Sensor{Kind: engine.SensorFile, Target: dir + "/" + tt.path, Pattern: tt.pattern, Count: tt.count}
		met, seen, err := (&Files{}).Probe(context.Background(), s)
		if met != tt.met || !strings.HasPrefix(seen, tt.seen) || err != nil {
			t.Errorf("%s: %v %q %v", tt.path, met, seen, err)
		}
	}
	_, _, err := (&Files{}).Probe(context.Background(), &engine.Sensor{Kind: engine.SensorFile, Target: dir + "/loop", Count: 1})
	if !errors.Is(err, engine.ErrLater) {
		t.Error(fmt.Errorf("what cannot be looked at: %w", err))
	}
}
