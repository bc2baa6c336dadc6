package state

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// withMigrations adds migrations for the time of a test.
func withMigrations(t *testing.T, more ...string) {
	t.Helper()
	old := migrations
	t.Cleanup(func() { migrations = old })
	migrations = append(append([]string(nil), old...), more...)
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	must(t, db.Close())

	withMigrations(t, "CREATE TABLE notes (text TEXT) STRICT", "INSERT INTO notes VALUES ('kept')")
	if _, err := Open(path, Options{ReadOnly: true}); !errors.Is(err, ErrVersion) {
		t.Errorf("for reading only: %v", err)
	}
	db = mustOpen(t, path, Options{Now: newClock().now})
	var note string
	must(t, db.write(t.Context(), func(t *tx) error { return t.get("SELECT text FROM notes", nil, &note) }))
	if note != "kept" {
		t.Errorf("note %q", note)
	}
	value(db.Run(t.Context(), "run1"))(t)
	must(t, db.Close())

	older := len(migrations) - 2
	copies := value(filepath.Glob(fmt.Sprintf("%s.v%d-*", path, older)))(t)
	if len(copies) != 1 || filepath.Base(copies[0]) != fmt.Sprintf("flow.db.v%d-20261123T080000", older) {
		t.Fatalf("copies %v", copies)
	}
	if got := value(os.Stat(copies[0]))(t).Mode().Perm(); got != 0o600 {
		t.Errorf("mode of the copy: %o", got)
	}
	migrations = migrations[:older] // the older flow can go on with the copy
	value(mustOpen(t, copies[0], Options{ReadOnly: true}).Run(t.Context(), "run1"))(t)
	if _, err := Open(path, Options{}); !errors.Is(err, ErrVersion) {
		t.Errorf("older flow: %v", err)
	}
}

// TestMigrateFirst goes on with a run in a file of the first version.
func TestMigrateFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	all := migrations
	t.Cleanup(func() { migrations = all })
	migrations = all[:1]
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, fill(path, true))
	migrations = all
	pool := value(sql.Open("sqlite", path))(t)
	for _, query := range []string{
		`INSERT INTO runs (num, id, workflow, version, executor, work_dir, dir, seq, status, created, pending) VALUES (1, 'run1', 'w', '', 'local', '/work', '/', 2, 'RUNNING', 1, 1)`,
		`INSERT INTO steps (run, step, name, fan_out, size, expanded, status, pending) VALUES (1, 1, 'align', 0, 1, 2, 'PENDING', 1)`,
		`INSERT INTO tasks (run, step, idx, status) VALUES (1, 1, 0, 0)`,
	} {
		value(pool.Exec(query))(t)
	}
	must(t, pool.Close())
	db := mustOpen(t, path, Options{})
	must(t, db.Append(t.Context(), "run1", 2, planned("align", 1, engine.Upto(1))))
	if got := value(db.Tasks(t.Context(), "run1", TaskFilter{}))(t); len(got) != 1 || got[0].Job != 1 {
		t.Errorf("tasks %v", got)
	}
}

// TestMigrateAtOnce has several processes' worth of Open bring one file up to date.
func TestMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	must(t, db.Close())
	withMigrations(t, "CREATE TABLE notes (text TEXT) STRICT", "INSERT INTO notes VALUES ('kept')")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(path, Options{Now: newClock().now})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var notes int
	db = mustOpen(t, path, Options{})
	must(t, db.write(t.Context(), func(tx *tx) error { return tx.get("SELECT count(*) FROM notes", nil, &notes) }))
	if notes != 1 {
		t.Errorf("%d notes: the migration ran as often", notes)
	}
}

func TestMigrateFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	db := mustOpen(t, path, Options{})
	mustCreate(t, db, "run1", "align")
	must(t, db.Close())

	withMigrations(t, "CREATE TABLE notes (text TEXT) STRICT; DROP TABLE tasks; SELECT nonsense")
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("migration ", len(migrations))) {
		t.Fatalf("error %v", err)
	}
	migrations = migrations[:len(migrations)-1]
	db = mustOpen(t, path, Options{})
	must(t, db.Check(t.Context()))
	must(t, db.Append(t.Context(), "run1", 1, expanded("align", 1, "")))
}

func TestTaskStatusesTable(t *testing.T) {
	db := newDB(t)
	must(t, db.write(t.Context(), func(tx *tx) error {
		for s := engine.Pending; s <= engine.Cached; s++ {
			var name string
			if err := tx.get("SELECT name FROM task_statuses WHERE code = ?", []any{int64(s)}, &name); err != nil || name != s.String() {
				t.Errorf("status %d is %q in the table, %q in the engine (%v)", s, name, s, err)
			}
		}
		return nil
	}))
}

// TestViews asks each view, as a person with a shell would.
func TestViews(t *testing.T) {
	db := newDB(t)
	mustCreate(t, db, "run1", "split", "align*")
	e := expanded("align", 2, "")
	e.Expanded.Keys = []string{"chr1", "chr2"}
	must(t, db.Append(t.Context(), "run1", 1, e, planned("align", 1, engine.Upto(2)), ended("align", 1, engine.Upto(2), engine.TaskSucceeded)))
	for query, want := range map[string]string{
		"SELECT workflow || ' ' || status || ' ' || succeeded FROM run_list":                                  "genome RUNNING 2",
		"SELECT group_concat(step || ' ' || status, ', ') FROM step_list WHERE run = 'run1'":                  "split PENDING, align RUNNING",
		"SELECT group_concat(key || ' ' || status || ' ' || seconds, ', ') FROM task_list WHERE step='align'": "chr1 SUCCEEDED 1.0, chr2 SUCCEEDED 1.001",
		"SELECT step || ' ' || status || ' ' || tasks || ' ' || planned FROM job_list":                        "align PLANNED 0-1 2026-11-23 08:00:00",
		"SELECT group_concat(seq || ' ' || kind, ', ') FROM event_list":                                       "1 RunStarted, 2 StepExpanded, 3 JobPlanned, 4 TasksEnded",
	} {
		var got string
		must(t, db.write(t.Context(), func(tx *tx) error { return tx.get(query, nil, &got) }))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
	}
}

// TestLibcVersion: sqlite works with exactly the libc it was translated against.
func TestLibcVersion(t *testing.T) {
	const sqlite, libc = "modernc.org/sqlite", "modernc.org/libc"
	have := map[string]string{}
	for _, module := range []string{sqlite, libc} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).Output()
		if err != nil {
			t.Fatalf("go list -m %s: %v", module, err)
		}
		have[module] = strings.TrimSpace(string(out))
	}
	out, err := exec.CommandContext(t.Context(), "go", "mod", "graph").Output()
	if err != nil {
		t.Fatalf("go mod graph: %v", err)
	}
	want := ""
	for line := range strings.Lines(string(out)) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		if from == sqlite+"@"+have[sqlite] && strings.HasPrefix(to, libc+"@") {
			want = strings.TrimPrefix(to, libc+"@")
		}
	}
	if want == "" || have[libc] != want {
		t.Errorf("%s is %q; %s %s needs exactly %q", libc, have[libc], sqlite, have[sqlite], want)
	}
}

// TestMigrateNotices takes notices, and runs, of a file of version 4 along.
func TestMigrateNotices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.db")
	all := migrations
	t.Cleanup(func() { migrations = all })
	migrations = all[:4]
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, fill(path, true))
	migrations = all
	pool := value(sql.Open("sqlite", path))(t)
	for _, query := range []string{
		`INSERT INTO runs (num, id, workflow, version, executor, work_dir, dir, seq, status, created, ended) VALUES (1, 'run1', 'w', '', 'local', '/work', '/', 2, 'FAILED', 1, 2)`,
		`INSERT INTO notices (id, run, seq, n, name, occasion, way, status, tries, made, due, held, ended, error, message) VALUES
			('run1-2-1', 1, 2, 1, 'a', 'failed', '{"kind":"command"}', 'SENT', 1, 1000, 2000, 0, 3000, '', '{"id":1}'),
			('run1-2-2', 1, 2, 2, 'b', 'failed', '{"kind":"command"}', 'PENDING', 2, 1000, 2000, 5, NULL, 'refused', NULL)`,
	} {
		value(pool.Exec(query))(t)
	}
	must(t, pool.Close())
	db := mustOpen(t, path, Options{Now: newClock().now})
	must(t, db.Check(t.Context()))
	var got []string
	for _, n := range value(db.Notices(t.Context(), NoticeFilter{}))(t) {
		got = append(got, fmt.Sprint(n.ID, " ", n.Run, " ", n.Seq, " ", n.Status, " ", n.Tries, " ", n.Due.Unix(), " ", n.Held.UnixMilli(), " ", n.Error, string(n.Message)))
	}
	want := []string{`run1-2-1 run1 2 SENT 1 2 -62135596800000 {"id":1}`, "run1-2-2 run1 2 PENDING 2 2 5 refused"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := value(db.ClaimNotice(t.Context(), "run1", aMinute))(t); n == nil || n.ID != "run1-2-2" {
		t.Errorf("claimed %+v", n)
	}
	if r := value(db.Run(t.Context(), "run1"))(t); r.Schedule != "" || r.Entrusted || r.Cancelling {
		t.Errorf("run %+v", r)
	}
	scheduled(t, db, "daily")
}
