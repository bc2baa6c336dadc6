-- Which slot of which schedule a run is for, from its first event; and what goes on with it.
ALTER TABLE runs ADD COLUMN schedule TEXT NOT NULL DEFAULT ''; -- its name in the workflow; '': no schedule started the run
ALTER TABLE runs ADD COLUMN slot INTEGER;
ALTER TABLE runs ADD COLUMN cancelling INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)); -- it was asked for, and the run goes on
ALTER TABLE runs ADD COLUMN late_at INTEGER; -- by when it should be over; NULL: nothing says so
ALTER TABLE runs ADD COLUMN late INTEGER;    -- since when it is late, once that was told

CREATE INDEX runs_by_schedule ON runs (workflow, schedule, num) WHERE schedule <> '';
CREATE INDEX runs_open ON runs (id) WHERE ended IS NULL;

-- The schedules that a service has ever seen.
CREATE TABLE schedules (
	id         INTEGER PRIMARY KEY AUTOINCREMENT, -- how other tables name it
	workflow   TEXT    NOT NULL,
	name       TEXT    NOT NULL CHECK (name <> ''),
	path       TEXT    NOT NULL,                -- of the workflow's files
	spec       TEXT    NOT NULL,                -- the block, as JSON
	rules      TEXT    NOT NULL DEFAULT '[]',   -- whom to tell of missed slots: the workflow's notify blocks, as JSON
	since      INTEGER NOT NULL,                -- slots count from there, exclusive
	upto       INTEGER NOT NULL,                -- up to there, inclusive, they are decided
	paused     INTEGER,                         -- when somebody paused it
	paused_for TEXT    NOT NULL DEFAULT '',
	seen       INTEGER NOT NULL,                -- when who serves it has read its files last; 0: nobody has
	gone       INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)), -- it is not in them any more
	UNIQUE (workflow, name)
) STRICT;

-- What the service has read: one row for the files of a workflow.
CREATE TABLE watched (
	path     TEXT    NOT NULL PRIMARY KEY,
	workflow TEXT    NOT NULL DEFAULT '',
	problem  TEXT    NOT NULL DEFAULT '', -- why the files that are there cannot be used; '': they can
	since    INTEGER NOT NULL,            -- when that was found
	sources  BLOB                         -- the last files that could be: a JSON list of name and bytes, deflated
) STRICT, WITHOUT ROWID;

-- The times at which a run is due, or was.
CREATE TABLE slots (
	schedule INTEGER NOT NULL,
	at       INTEGER NOT NULL, -- the slot's time
	due      INTEGER NOT NULL, -- with jitter
	kind     TEXT    NOT NULL CHECK (kind IN ('cron', 'manual', 'backfill')),
	backfill INTEGER,
	status   TEXT    NOT NULL CHECK (status IN ('WAITING', 'STARTED', 'SKIPPED', 'MISSED')),
	run      TEXT,             -- its id; it stays when the run is removed
	reason   TEXT    NOT NULL DEFAULT '',
	late     INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)), -- nobody was there when it was due
	params   TEXT,             -- for whoever starts its run, as JSON
	decided  INTEGER NOT NULL,
	started  INTEGER,
	PRIMARY KEY (schedule, at),
	CHECK ((run IS NOT NULL) = (status = 'STARTED')),
	CHECK ((backfill IS NOT NULL) = (kind = 'backfill'))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX slots_by_run ON slots (run) WHERE run IS NOT NULL;
CREATE INDEX slots_waiting ON slots (schedule, at) WHERE status = 'WAITING';
CREATE INDEX slots_by_time ON slots (at);
CREATE INDEX slots_by_status ON slots (schedule, status, at);
CREATE INDEX slots_by_backfill ON slots (backfill, at) WHERE backfill IS NOT NULL;

CREATE TABLE backfills (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	schedule     INTEGER NOT NULL,
	first        INTEGER NOT NULL, -- inclusive
	past         INTEGER NOT NULL, -- exclusive
	max_parallel INTEGER NOT NULL CHECK (max_parallel >= 1),
	made         INTEGER NOT NULL,
	cancelled    INTEGER,
	UNIQUE (schedule, first, past)
) STRICT;

-- Who does what only one process may do at a time. A row stays when a term is given back, so
-- that epoch never goes back.
CREATE TABLE terms (
	name     TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
	epoch    INTEGER NOT NULL CHECK (epoch >= 1),
	held     INTEGER NOT NULL CHECK (held IN (0, 1)),
	host     TEXT    NOT NULL,
	boot     TEXT    NOT NULL,
	pid      INTEGER NOT NULL,
	start    INTEGER NOT NULL, -- of the process; 0: not known
	version  TEXT    NOT NULL, -- of flow
	acquired INTEGER NOT NULL,
	beat     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs that the service is to drive.
CREATE TABLE entrusted (
	run     INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	trouble TEXT    NOT NULL DEFAULT '' -- why it cannot, as of the last try
) STRICT;

-- What of the pools runs have. A hold is void once the lease is lost with which it was taken.
CREATE TABLE pool_holds (
	run   INTEGER NOT NULL,
	pool  TEXT    NOT NULL CHECK (pool <> ''),
	epoch INTEGER NOT NULL,                  -- of the run's lease
	n     INTEGER NOT NULL CHECK (n >= 0),
	slots INTEGER NOT NULL CHECK (slots >= 1), -- of the pool, as the run's workflow says
	at    INTEGER NOT NULL,                  -- when it last got some
	wants INTEGER NOT NULL DEFAULT 0 CHECK (wants >= 0), -- what it waits for
	since INTEGER NOT NULL DEFAULT 0,        -- when it began to wait: who did so first is next
	CHECK (n + wants >= 1),
	PRIMARY KEY (run, pool)
) STRICT, WITHOUT ROWID;

CREATE INDEX pool_holds_by_pool ON pool_holds (pool);

-- Notices made anew: those of a slot are of no run, and there are more occasions.
DROP INDEX notices_due;
ALTER TABLE notices RENAME TO notices_before;
CREATE TABLE notices (
	id       TEXT    NOT NULL PRIMARY KEY, -- the same for every try, so that who gets it twice can tell
	run      INTEGER,                      -- NULL: it tells of a slot
	seq      INTEGER CHECK (seq >= 1),     -- of the event
	schedule INTEGER,
	slot     INTEGER,                      -- its time
	reason   TEXT    NOT NULL DEFAULT '',  -- what became of it, and why
	n        INTEGER NOT NULL CHECK (n >= 1), -- which of all ways of the run's, or schedule's, notices
	name     TEXT    NOT NULL,             -- of the notice
	occasion TEXT    NOT NULL CHECK (occasion IN ('succeeded', 'failed', 'cancelled', 'paused', 'timed_out', 'recovered', 'late', 'missed')),
	way      TEXT    NOT NULL,             -- where to and how, as JSON; of secrets only the names
	status   TEXT    NOT NULL CHECK (status IN ('PENDING', 'SENT', 'GIVEN_UP', 'DROPPED')),
	tries    INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
	made     INTEGER NOT NULL,
	due      INTEGER NOT NULL, -- not to be tried before
	held     INTEGER NOT NULL DEFAULT 0, -- until when somebody tries it
	ended    INTEGER,          -- when it was sent, given up or dropped
	error    TEXT    NOT NULL DEFAULT '', -- of the last try
	message  TEXT,             -- as JSON; NULL: nobody has put it together yet
	UNIQUE (run, seq, n),
	UNIQUE (schedule, slot, n),
	CHECK ((run IS NULL) = (seq IS NULL)),
	CHECK ((run IS NULL) = (schedule IS NOT NULL)),
	CHECK ((schedule IS NULL) = (slot IS NULL))
) STRICT;
INSERT INTO notices (id, run, seq, n, name, occasion, way, status, tries, made, due, held, ended, error, message)
	SELECT id, run, seq, n, name, occasion, way, status, tries, made, due, held, ended, error, message FROM notices_before;
DROP TABLE notices_before;
CREATE INDEX notices_due ON notices (due) WHERE status = 'PENDING';

-- For people with a sqlite3 shell.
CREATE VIEW slot_list AS
SELECT c.workflow || '/' || c.name AS schedule, datetime(s.at / 1000, 'unixepoch') AS slot, s.kind, s.status,
	s.run, r.status AS run_status, s.reason, s.late, s.backfill,
	datetime(s.started / 1000, 'unixepoch') AS started
FROM slots s
JOIN schedules c ON c.id = s.schedule
LEFT JOIN runs r ON r.id = s.run;
