-- What tasks have used, and when their jobs were seen to start.
ALTER TABLE tasks ADD COLUMN peak_memory INTEGER; -- of the last try, in bytes; NULL: not known; negative: it was not more than that
ALTER TABLE tasks ADD COLUMN cpu INTEGER;         -- likewise, milliseconds
ALTER TABLE jobs ADD COLUMN starting INTEGER;     -- when it, or the first of its children, was seen STARTING

DROP VIEW task_list;
CREATE VIEW task_list AS
SELECT r.id AS run, s.name AS step, t.idx,
	CASE WHEN s.fan_out THEN coalesce(t.key, CAST(t.idx AS TEXT)) END AS key,
	n.name AS status, t.attempts, t.job, t.exit_code, t.reason, t.cause,
	datetime(t.started / 1000, 'unixepoch') AS started,
	(t.stopped - t.started) / 1000.0 AS seconds,
	round(abs(t.peak_memory) / 1048576.0, 1) AS peak_mib,
	t.cpu / 1000.0 AS cpu_seconds
FROM tasks t
JOIN runs r ON r.num = t.run
JOIN steps s ON s.run = t.run AND s.step = t.step
JOIN task_statuses n ON n.code = t.status;
