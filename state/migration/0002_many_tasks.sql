-- Of a step with very many tasks there are no rows in tasks: its events have them.
ALTER TABLE steps ADD COLUMN packed INTEGER NOT NULL DEFAULT 0 CHECK (packed IN (0, 1));

-- Results of such steps, where nothing but their index tells the tasks apart.
CREATE TABLE cache_ranges (
	family BLOB    NOT NULL CHECK (length(family) = 32), -- what the cache keys of the tasks have in common
	run    INTEGER NOT NULL,
	seq    INTEGER NOT NULL CHECK (seq >= 1), -- of the event that told that they succeeded
	step   INTEGER NOT NULL,
	tasks  TEXT    NOT NULL, -- indices: 0-99,105
	PRIMARY KEY (family, run, seq)
) STRICT, WITHOUT ROWID;
