-- Times are milliseconds since 1970 (UTC); NULL is "not yet" or "never".
-- events is the truth. runs, steps, jobs, tasks, uses and cache follow from it.

CREATE TABLE runs (
	num       INTEGER PRIMARY KEY AUTOINCREMENT, -- how other tables name the run; never used twice
	id        TEXT    NOT NULL UNIQUE CHECK (id <> ''),
	workflow  TEXT    NOT NULL,
	version   TEXT    NOT NULL, -- of flow
	executor  TEXT    NOT NULL,
	work_dir  TEXT    NOT NULL,
	dir       TEXT    NOT NULL, -- of the workflow's files
	params    TEXT,             -- JSON, as the command line left it
	seq       INTEGER NOT NULL CHECK (seq >= 0), -- of the last event
	status    TEXT    NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELLED')),
	reason    TEXT    NOT NULL DEFAULT '',
	cause     TEXT    NOT NULL DEFAULT '',
	created   INTEGER NOT NULL,
	started   INTEGER,
	ended     INTEGER,
	-- tasks by status, over all steps
	pending   INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
	running   INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
	succeeded INTEGER NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
	failed    INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
	skipped   INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0),
	cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
	cached    INTEGER NOT NULL DEFAULT 0 CHECK (cached >= 0),
	CHECK ((ended IS NULL) = (status IN ('PENDING', 'RUNNING')))
) STRICT;

CREATE INDEX runs_by_workflow ON runs (workflow, num);

CREATE TABLE events (
	run  INTEGER NOT NULL,
	seq  INTEGER NOT NULL CHECK (seq >= 1),
	at   INTEGER NOT NULL,
	kind TEXT    NOT NULL,
	data ANY     NOT NULL CHECK (typeof(data) IN ('text', 'blob')), -- text: JSON; blob: deflated JSON
	crc  INTEGER NOT NULL, -- CRC-32C over the other columns but run
	PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
	run       INTEGER NOT NULL,
	step      INTEGER NOT NULL CHECK (step >= 1), -- in source order
	name      TEXT    NOT NULL,
	fan_out   INTEGER NOT NULL CHECK (fan_out IN (0, 1)),
	size      INTEGER CHECK (size >= 0), -- NULL: its tasks are not known yet
	expanded  INTEGER,                   -- seq of the event that told its tasks
	base      INTEGER NOT NULL DEFAULT 0, -- attempts of its tasks before it was reset
	status    TEXT    NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELLED', 'CACHED')),
	reason    TEXT    NOT NULL DEFAULT '',
	cause     TEXT    NOT NULL DEFAULT '',
	started   INTEGER, -- of its first task
	ended     INTEGER,
	pending   INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
	running   INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
	succeeded INTEGER NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
	failed    INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
	skipped   INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0),
	cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
	cached    INTEGER NOT NULL DEFAULT 0 CHECK (cached >= 0),
	PRIMARY KEY (run, step),
	UNIQUE (run, name),
	CHECK ((ended IS NULL) = (status IN ('PENDING', 'RUNNING'))),
	CHECK (pending + running + succeeded + failed + skipped + cancelled + cached = coalesce(size, 0))
) STRICT, WITHOUT ROWID;

CREATE TABLE task_statuses (
	code INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

INSERT INTO task_statuses (code, name) VALUES
	(0, 'PENDING'), (1, 'RUNNING'), (2, 'SUCCEEDED'), (3, 'FAILED'), (4, 'SKIPPED'), (5, 'CANCELLED'), (6, 'CACHED');

CREATE TABLE tasks (
	run       INTEGER NOT NULL,
	step      INTEGER NOT NULL,
	idx       INTEGER NOT NULL CHECK (idx >= 0),
	key       TEXT,    -- NULL: the index as a decimal number
	status    INTEGER NOT NULL CHECK (status BETWEEN 0 AND 6), -- see task_statuses
	attempts  INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
	job       INTEGER, -- the last one it was given to
	exit_code INTEGER,
	reason    TEXT    NOT NULL DEFAULT '',
	cause     TEXT    NOT NULL DEFAULT '',
	started   INTEGER, -- of the last attempt
	stopped   INTEGER,
	PRIMARY KEY (run, step, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
	run       INTEGER NOT NULL,
	n         INTEGER NOT NULL CHECK (n >= 1),
	step      INTEGER NOT NULL,
	name      TEXT    NOT NULL,
	job_id    TEXT    NOT NULL DEFAULT '',
	status    TEXT    NOT NULL CHECK (status IN ('PLANNED', 'IN_DOUBT', 'SUBMITTED', 'REFUSED', 'LOST', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
	reason    TEXT    NOT NULL DEFAULT '',
	grp       INTEGER NOT NULL,            -- of its step's tasks
	attempt   INTEGER NOT NULL,            -- of its tasks' first try in it
	size      INTEGER NOT NULL CHECK (size >= 1),
	tasks     TEXT    NOT NULL,            -- indices: 0-99,105
	planned   INTEGER NOT NULL,
	submitted INTEGER,
	ended     INTEGER,
	PRIMARY KEY (run, n),
	CHECK ((ended IS NULL) = (status IN ('PLANNED', 'IN_DOUBT', 'SUBMITTED')))
) STRICT, WITHOUT ROWID;

-- run uses results of source, so source's files must stay.
CREATE TABLE uses (
	run    INTEGER NOT NULL,
	source TEXT    NOT NULL,
	PRIMARY KEY (run, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE cache (
	key     BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
	run     INTEGER NOT NULL,
	step    INTEGER NOT NULL,
	idx     INTEGER NOT NULL,
	task    TEXT,    -- the task's key; NULL: idx as a decimal number
	outputs TEXT,    -- JSON
	at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
	run  INTEGER NOT NULL,
	ord  INTEGER NOT NULL,
	name TEXT    NOT NULL,
	sum  BLOB    NOT NULL,
	PRIMARY KEY (run, ord)
) STRICT, WITHOUT ROWID;

CREATE INDEX sources_by_sum ON sources (sum);

CREATE TABLE blobs (
	sum  BLOB NOT NULL PRIMARY KEY CHECK (length(sum) = 32), -- sha256 of the bytes
	data BLOB NOT NULL
) STRICT;

-- A row stays when a lease is released, so that epoch never goes back.
CREATE TABLE leases (
	run      INTEGER PRIMARY KEY,
	epoch    INTEGER NOT NULL CHECK (epoch >= 1),
	held     INTEGER NOT NULL CHECK (held IN (0, 1)),
	host     TEXT    NOT NULL,
	boot     TEXT    NOT NULL,
	pid      INTEGER NOT NULL,
	start    INTEGER NOT NULL, -- of the process; 0: not known
	version  TEXT    NOT NULL, -- of flow
	acquired INTEGER NOT NULL,
	beat     INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
	run    INTEGER NOT NULL,
	seq    INTEGER NOT NULL CHECK (seq >= 1),
	kind   TEXT    NOT NULL CHECK (kind <> ''),
	reason TEXT    NOT NULL,
	at     INTEGER NOT NULL,
	taken  INTEGER,
	PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE memo (
	path  TEXT    NOT NULL PRIMARY KEY,
	size  INTEGER NOT NULL,
	mtime INTEGER NOT NULL, -- ns since 1970
	inode INTEGER NOT NULL,
	sum   BLOB    NOT NULL CHECK (length(sum) = 32), -- sha256 of the content
	at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For people with a sqlite3 shell.

CREATE VIEW run_list AS
SELECT id, workflow, status, reason, cause,
	datetime(created / 1000, 'unixepoch') AS created,
	datetime(ended / 1000, 'unixepoch') AS ended,
	pending, running, succeeded, failed, skipped, cancelled, cached
FROM runs;

CREATE VIEW step_list AS
SELECT r.id AS run, s.name AS step, s.size, s.status, s.reason, s.cause,
	datetime(s.started / 1000, 'unixepoch') AS started,
	datetime(s.ended / 1000, 'unixepoch') AS ended,
	s.pending, s.running, s.succeeded, s.failed, s.skipped, s.cancelled, s.cached
FROM steps s JOIN runs r ON r.num = s.run;

CREATE VIEW task_list AS
SELECT r.id AS run, s.name AS step, t.idx,
	CASE WHEN s.fan_out THEN coalesce(t.key, CAST(t.idx AS TEXT)) END AS key,
	n.name AS status, t.attempts, t.job, t.exit_code, t.reason, t.cause,
	datetime(t.started / 1000, 'unixepoch') AS started,
	(t.stopped - t.started) / 1000.0 AS seconds
FROM tasks t
JOIN runs r ON r.num = t.run
JOIN steps s ON s.run = t.run AND s.step = t.step
JOIN task_statuses n ON n.code = t.status;

CREATE VIEW job_list AS
SELECT r.id AS run, j.n, s.name AS step, j.name, j.job_id, j.status, j.reason, j.size, j.tasks,
	datetime(j.planned / 1000, 'unixepoch') AS planned,
	datetime(j.ended / 1000, 'unixepoch') AS ended
FROM jobs j
JOIN runs r ON r.num = j.run
JOIN steps s ON s.run = j.run AND s.step = j.step;

CREATE VIEW event_list AS
SELECT r.id AS run, e.seq, datetime(e.at / 1000, 'unixepoch') AS at, e.kind,
	CASE typeof(e.data) WHEN 'text' THEN e.data ELSE '(' || length(e.data) || ' bytes, deflated)' END AS data
FROM events e JOIN runs r ON r.num = e.run;
