package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/executor/agent"
	"flow/state"
)

// A webLog is the log of an attempt of a task: where it is, as the state says.
type webLog struct {
	name    string // of the task
	attempt int    // 0: none has begun
	newest  int
	live    bool   // more may be written
	path    string // of a file on this machine; "": see job
	job     engine.JobID
	try     int // attempt of job
	row     state.Run
}

// logOf finds the log of an attempt of a task; 0: of the newest one.
func logOf(p *past, step engine.StepName, i, attempt int) (*webLog, error) {
	t := p.run.Task(step, i)
	l := &webLog{name: t.Name, row: p.row}
	remote := p.run.Info().Executor == batchExecutor
	dir := hereDir(p.home(), t.Dir)
	switch {
	case remote && t.Hit == nil && t.Job != "":
		l.newest = t.Attempts
		if t.Status == engine.Running || l.newest == 0 {
			l.newest++
		}
	case !remote:
		l.newest = lastAttempt(dir)
	}
	if l.attempt = l.newest; attempt > 0 {
		l.attempt = attempt
	}
	if remote && l.newest > 0 && !t.Status.Ended() && attempt <= l.newest+batchTries {
		l.newest = max(l.newest, attempt) // AWS Batch tries again by itself, which is recorded at the end
	}
	if l.attempt > l.newest || attempt < 0 {
		return nil, fmt.Errorf("%s has no attempt %d that wrote something: %w", t.Name, attempt, engine.ErrNotFound)
	}
	l.live = !t.Status.Ended() && l.attempt == l.newest && !p.run.Ended()
	switch {
	case l.attempt == 0:
	case remote:
		l.place(p.run, &t)
	default:
		l.path = agent.LogPath(dir, l.attempt)
	}
	return l, nil
}

// place finds the job that made the attempt.
func (l *webLog) place(run *engine.Run, t *engine.TaskStatus) {
	job, try, ok := run.Attempt(t.Step, t.Index, l.attempt)
	if !ok { // it has not ended, as far as is recorded
		job = jobOf(t)
		first, _ := triersOf(run, t)
		try = max(l.attempt-first[job]+1, 1)
	}
	l.job, l.try = job, try
}

// batchTries is how often AWS Batch tries a job by itself at most (Batch API, RetryStrategy).
const batchTries = 10

// url is the address of the whole log.
func (l *webLog) url(run string, step engine.StepName, i int) string {
	return page.TaskURL(run, string(step), i) + "/log?attempt=" + strconv.Itoa(max(l.attempt, 1))
}

// attemptAsked reads the number of an attempt from a query; 0: the newest.
func attemptAsked(r web.Request) (int, error) {
	text := r.Query.Get("attempt")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &web.BadRequestError{Why: fmt.Sprintf("attempt=%q is no number from 1 on", text)}
	}
	return n, nil
}

// logFile answers with a log: all of it as text, or with piece=... some lines as JSON.
func (s *site) logFile(w http.ResponseWriter, req *http.Request, r web.Request) error {
	attempt, err := attemptAsked(r)
	if err != nil {
		return err
	}
	var l *webLog
	if err := s.src.run(req.Context(), r.Path["run"], func(p *past) error {
		step, i, err := taskOf(p, r)
		if err == nil {
			l, err = logOf(p, step, i, attempt)
		}
		return err
	}); err != nil {
		return err
	}
	if kind := r.Query.Get("piece"); kind != "" {
		return s.answerPiece(w, req, r, l, kind)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Query.Get("download") != "" {
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%d.log"`, r.Path["step"], r.Path["index"], l.attempt))
	}
	if l.path == "" {
		return s.writeRemote(w, req, l)
	}
	f, err := openLog(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the log of attempt %d of %s is not there any more: %w", l.attempt, l.name, engine.ErrNotFound)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	http.ServeContent(w, req, "", time.Time{}, f)
	return nil
}

// answerPiece answers with lines of a log: piece=tail has the last ones, piece=after those
// from place at on, piece=before those that end there.
func (s *site) answerPiece(w http.ResponseWriter, req *http.Request, r web.Request, l *webLog, kind string) error {
	at, err := strconv.ParseInt(r.Query.Get("at"), 10, 64)
	if kind != "tail" && (kind != "after" && kind != "before" || err != nil || at < 0) {
		return &web.BadRequestError{Why: "piece is tail, or after or before with a place: at=0"}
	}
	var p page.LogPiece
	switch {
	case l.attempt == 0:
		p.Note = "Nothing has been written yet."
	case l.path != "":
		p, err = filePiece(l.path, kind, at, l.live)
	default:
		p, err = s.remotePiece(req.Context(), l, kind, at)
	}
	if err != nil {
		p = page.LogPiece{Note: "It cannot be read now: " + view.Clean(firstLineOf(err)), From: at, Next: at}
	}
	p.Live, p.New = l.live, l.newest
	if p.Lines == nil {
		p.Lines = [][]page.LogSpan{}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(p)
}

// logTimeout is how long a page waits for a log that AWS keeps.
const logTimeout = 20 * time.Second

// eachRemote calls line with each line of a log that AWS keeps, with its number from 0.
func (s *site) eachRemote(ctx context.Context, l *webLog, line func(n int64, text string) error) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	x, err := s.reach(ctx, &past{db: s.src.db(), row: l.row})
	if err != nil {
		return err
	}
	defer x.Close(ctx)
	n := int64(0)
	for got, err := range x.Logs(ctx, l.job, engine.LogOptions{Attempt: l.try}) {
		if err != nil {
			return err
		}
		if err := line(n, got.Text); err != nil {
			return err
		}
		n++
	}
	return nil
}

func (s *site) writeRemote(w http.ResponseWriter, req *http.Request, l *webLog) error {
	if l.attempt == 0 || l.job == "" {
		return fmt.Errorf("%s has written nothing: %w", l.name, engine.ErrNotFound)
	}
	return s.eachRemote(req.Context(), l, func(_ int64, text string) error {
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// remotePiece reads some lines of a log that AWS keeps. A place is a number of lines.
func (s *site) remotePiece(ctx context.Context, l *webLog, kind string, at int64) (p page.LogPiece, err error) {
	c := lineCutter{kind: kind, at: at}
	done := false
	if l.live && kind != "before" {
		from := at
		if kind == "tail" {
			from = -1
		}
		if f := s.follow(ctx, l); f != nil {
			if done, err = f.from(from, c.line); err != nil {
				return p, err
			}
		}
	}
	if !done {
		err = s.eachRemote(ctx, l, func(n int64, text string) error {
			c.line(n, text)
			return nil
		})
	}
	return c.piece(), err
}

// A lineCutter picks the lines of a piece.
type lineCutter struct {
	kind        string
	at          int64
	texts       []string
	first, size int64
}

func (c *lineCutter) line(n int64, text string) {
	c.size = n + 1
	most := page.LogTail
	switch c.kind {
	case "after":
		if n < c.at || len(c.texts) >= pieceLines {
			return
		}
		most = pieceLines
	case "before":
		if n >= c.at {
			return
		}
		most = pieceLines
	}
	if c.texts = append(c.texts, text); len(c.texts) > most {
		c.texts = c.texts[1:]
	}
	c.first = n + 1 - int64(len(c.texts))
}

func (c *lineCutter) piece() (p page.LogPiece) {
	if len(c.texts) == 0 {
		c.first = c.at
	}
	var a page.ANSI
	for _, text := range c.texts {
		p.Lines = append(p.Lines, shownLine(&a, text, int64(len(text))))
	}
	p.From, p.Next, p.Size, p.First = c.first, c.first+int64(len(c.texts)), max(c.size, c.at), int(c.first)+1
	return p
}
