-- Whom a run tells of what happens to it: the notify blocks of its workflow, as JSON.
CREATE TABLE notice_rules (
	run   INTEGER NOT NULL PRIMARY KEY,
	rules TEXT    NOT NULL
) STRICT;

-- What is to be told, or was: written with the event that it tells of, kept until it is delivered.
CREATE TABLE notices (
	id       TEXT    NOT NULL PRIMARY KEY, -- the same for every try, so that who gets it twice can tell
	run      INTEGER NOT NULL,
	seq      INTEGER NOT NULL CHECK (seq >= 1), -- of the event
	n        INTEGER NOT NULL CHECK (n >= 1),   -- which of all ways of the run's notices
	name     TEXT    NOT NULL,                  -- of the notice
	occasion TEXT    NOT NULL CHECK (occasion IN ('succeeded', 'failed', 'cancelled', 'paused', 'timed_out', 'recovered')),
	way      TEXT    NOT NULL,                  -- where to and how, as JSON; of secrets only the names
	status   TEXT    NOT NULL CHECK (status IN ('PENDING', 'SENT', 'GIVEN_UP', 'DROPPED')),
	tries    INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
	made     INTEGER NOT NULL,
	due      INTEGER NOT NULL, -- not to be tried before
	held     INTEGER NOT NULL DEFAULT 0, -- until when somebody tries it
	ended    INTEGER,          -- when it was sent, given up or dropped
	error    TEXT    NOT NULL DEFAULT '', -- of the last try
	message  TEXT,             -- as JSON; NULL: nobody has put it together yet
	UNIQUE (run, seq, n)
) STRICT;

CREATE INDEX notices_due ON notices (due) WHERE status = 'PENDING';
