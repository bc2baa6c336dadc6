package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/state"
)

// noticed makes a state file with a run that has failed, and left n notices of which the
// messages are put together already.
func noticed(t *testing.T, n int, way engine.NoticeWay) (path string, ids []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "flow.db")
	db := openNoticed(t, path)
	run := engine.RunID("01notices")
	rule := &engine.Notice{Name: "n", On: []engine.Occasion{engine.OnFailed}, Ways: slices.Repeat([]engine.NoticeWay{way}, n)}
	info := engine.RunInfo{Run: run, Workflow: "w", WorkDir: "/work", Executor: localExecutor}
	if err := db.CreateRun(t.Context(), state.NewRun{Info: info, Notices: []*engine.Notice{rule}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Append(t.Context(), run, 1, engine.Event{At: time.Now(), Kind: engine.RunEnded, Status: engine.Failed}); err != nil {
		t.Fatal(err)
	}
	held := make([]*state.Notice, n) // all at once, so that each is another one
	for i := range held {
		c, err := db.ClaimNotice(t.Context(), "", func(*engine.NoticeWay) time.Duration { return time.Minute })
		if err != nil || c == nil {
			t.Fatalf("claimed %+v: %v", c, err)
		}
		c.Message = fmt.Appendf(nil, `{"id":%q,"status":"FAILED","failures":[{}]}`, c.ID)
		if ours, err := db.KeepMessage(t.Context(), c, time.Minute); err != nil || !ours {
			t.Fatal(ours, err)
		}
		held[i] = c
	}
	for _, c := range held {
		if err := db.NoticeFailed(t.Context(), c, "", time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	return path, ids
}

func openNoticed(t *testing.T, path string) *state.DB {
	t.Helper()
	db, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestTwoDeliver has two processes send what is due at the same time: each message goes out once.
func TestTwoDeliver(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	path, ids := noticed(t, 12, engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: h.server.URL}})
	var both sync.WaitGroup
	for range 2 {
		c := newApp().newCourier(openNoticed(t, path), func(text string) { t.Error(text) })
		both.Go(func() {
			if err := c.deliver(t.Context(), t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	slices.Sort(ids)
	slices.Sort(h.ids)
	if diff := cmp.Diff(ids, h.ids); diff != "" {
		t.Errorf("sent (-due +sent):\n%s", diff)
	}
}

// TestTakenCannotBeRecorded has a state file that cannot be written once a message was taken: it
// does not go out again when it can be, and that is no failure of the run.
func TestTakenCannotBeRecorded(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	path, ids := noticed(t, 1, engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: h.server.URL}})
	full, good := openNoticed(t, path), openNoticed(t, path)
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	c := newApp().newCourier(full, func(text string) { t.Error(text) })
	if err := c.tookNotice(t.Context(), &state.Notice{ID: ids[0]}); err == nil {
		t.Fatal("a file that is closed was written to")
	}
	c.db = good
	if err := c.deliver(t.Context(), t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if len(h.ids) > 0 {
		t.Errorf("%s went out again", h.ids)
	}
	all, err := good.Notices(t.Context(), state.NoticeFilter{Status: []state.NoticeStatus{state.NoticeSent}})
	if err != nil || len(all) != 1 {
		t.Errorf("recorded: %+v, %v", all, err)
	}

	var told []string
	s := &session{a: newApp(), db: full, id: "01notices"}
	run, err := engine.NewRun(&engine.Workflow{Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	s.tellOf(t.Context(), t.Context(), run, func(text string) { told = append(told, text) })
	if len(told) != 1 || !strings.Contains(told[0], "could not be sent, which is tried again") {
		t.Errorf("told: %q", told)
	}
}

// TestDroppedIsNotSent has a notice dropped while its message is put together.
func TestDroppedIsNotSent(t *testing.T) {
	t.Parallel()
	path, ids := noticed(t, 1, engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: "http://127.0.0.1:1"}})
	db := openNoticed(t, path)
	claimed, err := db.ClaimNotice(t.Context(), "", noticeHold)
	if err != nil || claimed == nil {
		t.Fatal(claimed, err)
	}
	if was, err := db.DropNotice(t.Context(), ids[0]); err != nil || !was {
		t.Fatal(was, err)
	}
	if ours, err := db.KeepMessage(t.Context(), claimed, noticeHold(&claimed.Way)); err != nil || ours {
		t.Errorf("it is to be sent all the same: %v, %v", ours, err)
	}
}

// TestServedNotices has a server send what a run has left, and stop.
func TestServedNotices(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	sent := make(chan struct{})
	h.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.take(w, r)
		close(sent)
	})
	path, ids := noticed(t, 1, engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: h.server.URL}})
	a := newApp()
	a.stdout, a.stderr = io.Discard, io.Discard
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int)
	go func() { code <- a.execute(ctx, []string{"serve", "-port", "0", "-state", path}) }()
	<-sent
	stop()
	if got := <-code; got != exitOK {
		t.Errorf("flow serve exits with %d", got)
	}
	if diff := cmp.Diff(ids, h.ids); diff != "" {
		t.Error(diff)
	}
	db, err := state.Open(path, state.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if all, err := db.Notices(t.Context(), state.NoticeFilter{}); err != nil || all[0].Tries != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}
