package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

func init() { children["slots"] = slotsChild }

// manySlots is for how many slots processes want to start runs.
const manySlots = 120

// slotsChild starts runs for slots: of "service PATH" with the term of the service, which it
// waits for; of "anybody PATH" without, while others do the same. It tells each run that it has
// started, after it has: "RUN SLOT".
func slotsChild(arg string) error {
	how, path, _ := strings.Cut(arg, " ")
	db, err := Open(path, Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var term *Term
	for how == "service" && term == nil {
		var held *TermHeldError
		if term, err = db.TakeTerm(ctx, ServiceTerm, Self("")); err != nil && !errors.As(err, &held) {
			return err
		}
		time.Sleep(time.Millisecond) // there is nothing to wait for: nobody writes of a death
	}
	fmt.Println("begin", os.Getpid())
	all, err := db.Schedules(ctx)
	if err != nil {
		return err
	}
	s := all[0]
	for n := 0; ; n++ {
		if term != nil { // as much as is decided comes after what was
			if err := decideNext(ctx, db, term, s.ID); err != nil {
				return err
			}
		}
		waiting, _, err := db.Record(ctx, s.ID)
		if err != nil {
			return err
		}
		if len(waiting) == 0 {
			fmt.Println("over", os.Getpid())
			return nil
		}
		run := engine.RunID(fmt.Sprintf("run-%d-%d", os.Getpid(), n))
		err = db.CreateRun(ctx, NewRun{Info: info(run), Slot: &SlotClaim{Schedule: s.ID, Time: waiting[0].Time, Term: term}, Entrust: true})
		if errors.Is(err, engine.ErrConflict) && term == nil {
			continue // another one was faster
		}
		if err != nil {
			return err
		}
		fmt.Println(run, waiting[0].Time.UnixMilli())
	}
}

// decideNext decides the next four slots.
func decideNext(ctx context.Context, db *DB, term *Term, id int64) error {
	s, err := db.ScheduleByID(ctx, id)
	if err != nil {
		return err
	}
	var slots []Slot
	for at := s.Upto; len(slots) < 4 && at.Before(s.Since.Add(manySlots*time.Minute)); {
		at = at.Add(time.Minute)
		slots = append(slots, Slot{Time: at, Status: SlotWaiting})
	}
	if slots == nil {
		return nil
	}
	return db.DecideSlots(ctx, term, id, slots[len(slots)-1].Time, slots)
}

// TestSlotsOnce has processes start runs for the same slots, while some of them are killed:
// each slot gets one run, and none is lost that was told.
func TestSlotsOnce(t *testing.T) {
	for _, how := range []string{"anybody", "service"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flow.db")
			db := mustOpen(t, path, Options{})
			s := scheduled(t, db, "daily")
			if how == "anybody" {
				var all []Slot
				for i := range manySlots {
					all = append(all, Slot{Time: s.Since.Add(time.Duration(i+1) * time.Minute), Status: SlotWaiting})
				}
				must(t, db.DecideSlots(t.Context(), nil, s.ID, s.Since, all))
			}
			told := raceForSlots(t, how+" "+path)
			checkOnce(t, db, told)
		})
	}
}

// raceForSlots runs four children, of which each kills itself but the last after some runs. It
// returns what they told: slots by runs.
func raceForSlots(t *testing.T, arg string) map[string]string {
	var mu sync.Mutex
	told := map[string]string{}
	var wg sync.WaitGroup
	for i := range 4 {
		cmd := child(t, "slots", arg)
		out := value(cmd.StdoutPipe())(t)
		must(t, cmd.Start())
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				run, slot, _ := strings.Cut(lines.Text(), " ")
				if mu.Lock(); strings.HasPrefix(run, "run-") {
					told[run] = slot
				}
				mu.Unlock()
				if n == 7*(i+1) && i < 3 {
					_ = cmd.Process.Kill()
				}
			}
			var killed *exec.ExitError
			if err := cmd.Wait(); err != nil && (i == 3 || !errors.As(err, &killed) || killed.ExitCode() != -1) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return told
}

// checkOnce looks whether all slots have runs of their own, and those that were told.
func checkOnce(t *testing.T, db *DB, told map[string]string) {
	must(t, db.Check(t.Context()))
	all := value(db.Slots(t.Context(), SlotFilter{Status: []SlotStatus{SlotStarted}}))(t)
	runs := value(db.Runs(t.Context(), RunFilter{}))(t)
	entrusted := value(db.Entrusted(t.Context()))(t)
	if len(all) != manySlots || len(runs) != manySlots || len(entrusted) != manySlots {
		t.Errorf("%d slots with runs, %d runs, %d entrusted; want %d", len(all), len(runs), len(entrusted), manySlots)
	}
	has := map[string]string{}
	for _, slot := range all {
		if slot.Removed {
			t.Errorf("run %s is not there", slot.Run)
		}
		has[string(slot.Run)] = fmt.Sprint(slot.Time.UnixMilli())
	}
	if len(has) != len(all) {
		t.Errorf("%d slots have %d runs", len(all), len(has))
	}
	for run, slot := range told {
		if has[run] != slot {
			t.Errorf("run %s of %s was told, it is of %q", run, slot, has[run])
		}
	}
	if held := value(db.TermHolder(t.Context(), ServiceTerm))(t); held != nil {
		t.Errorf("the dead have the term: %v", held)
	}
	if diff := cmp.Diff(0, len(value(db.Slots(t.Context(), SlotFilter{Status: []SlotStatus{SlotWaiting}}))(t))); diff != "" {
		t.Error(diff)
	}
}
