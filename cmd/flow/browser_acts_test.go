package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"flow/cmd/flow/internal/browsertest"
)

// askedWorkflow has a task that fails unless it is told otherwise, and some that wait at a
// gate if they are told to.
const askedWorkflow = `
workflow "asked" { description = "<script>alert(1)</script> & more" }
variable "code" {
  type    = number
  default = 3
  validation {
    condition     = var.code < 256
    error_message = "<b>code</b> must be small."
  }
}
variable "hold" {
  type    = bool
  default = false
}
step "work" {
  for_each = ["a", "b", "c", "d"]
  command  = ["sh", "-c", "${var.hold} && { echo held; read _ < ${path.workflow}/gate; }; exit ${each.value == "c" ? var.code : 0}"]
  resources { vcpus = 0.25 }
}
step "then" {
  depends_on = [step.work]
  command    = ["true"]
}
`

// TestActsInBrowser does with runs what their pages offer, by mouse and by keys.
func TestActsInBrowser(t *testing.T) {
	t.Parallel()
	b := newBench(t, "asked.hcl", askedWorkflow)
	gate := newBarrier(b, "gate")
	u := startUI(b)
	tab := u.open()
	tab.Inspect("runs-none") // what somebody sees first
	b.exits(exitRunFailed, "run", "-q", "asked.hcl")
	failed := b.newest()
	u.followsGrid(tab, b)

	launched := u.launches(tab)
	u.cancelsByKeys(tab, launched)
	u.filters(tab)

	run := b.begin("run", "-q", "asked.hcl", "-var", "hold=true", "-var", "code=0")
	tab.Wait(`document.querySelectorAll("#runs tbody tr").length === 4`)
	interrupted := b.newest()
	tab.Go(u.base + "/runs/" + interrupted)
	tab.Wait(`document.querySelector("main")?.innerText.includes("4 running")`)
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait()
	tab.Go(u.base + "/runs/" + interrupted)
	tab.Wait(says("Interrupted"))
	tab.Shot("run-interrupted")
	u.does(tab, "Resume")
	gate.pass(100)
	tab.Wait(at("/runs/"+interrupted) + "&&" + says("Succeeded"))

	tab.Go(u.base + "/runs/" + failed)
	tab.Click(`a[href="/runs/` + failed + `?view=source"]`)
	tab.Wait(`document.querySelector(".source .bad")`)
	tab.Inspect("source") // of the genome workflow it is long
	u.does(tab, "Retry what failed")
	b.tried(failed, `work["c"]`, 2)
	tab.Go(u.base + "/runs/" + interrupted + "/steps/then")
	before := b.attempts(interrupted, "then")
	u.does(tab, "Retry from this step")
	b.tried(interrupted, "then", before+1)
	u.pauses(tab, b)
}

// pauses pauses a schedule in a dialog, and sees that somebody else resumes it.
func (u *ui) pauses(tab *browsertest.Tab, b *killBench) {
	u.t.Helper()
	tab.Go(u.base + "/schedules")
	db := putSchedules(b.t, b, "asked", daily("daily"))
	reads := func(text string) string {
		return fmt.Sprintf("document.querySelector('main').innerText.includes(%q)", text)
	}
	tab.Wait(reads("asked/daily")) // by itself
	tab.Click(`a[data-ask][href="/schedules/asked/daily/pause"]`)
	tab.Wait(`document.querySelector("dialog[open] form.ask")`)
	tab.Do(chromedp.SetValue(chromedp.CSS(`dialog [name=reason]`), "the disk is <b>full</b>"))
	tab.Click("dialog button[type=submit]")
	tab.Wait(at("/schedules/asked/daily") + "&&" + reads("the disk is <b>full</b>"))
	tab.Inspect("schedule-paused")
	sch, err := db.Schedule(b.t.Context(), "asked/daily")
	if err != nil {
		u.t.Fatal(err)
	}
	if err := db.ResumeSchedule(b.t.Context(), sch.ID); err != nil {
		u.t.Fatal(err)
	}
	tab.Wait(`document.querySelector("#head .badge")?.textContent === "On"`)
	tab.Go(u.base + "/schedules/asked/daily/backfill")
	tab.Inspect("backfill-blocked")
	beService(b.t, db)
	tab.Go(u.base + "/schedules/asked/daily/backfill")
	tab.Do(chromedp.SetValue(chromedp.CSS(`[name=from]`), "2026-01-01"), chromedp.SetValue(chromedp.CSS(`[name=to]`), "2026-02-01x"))
	tab.Forgive("422")
	tab.Click("form.ask button[type=submit]")
	tab.Wait(`document.querySelector("#f-to[aria-invalid=true]")`)
	tab.Inspect("backfill-mistake")
	tab.Do(chromedp.SetValue(chromedp.CSS(`[name=to]`), "2026-02-01"))
	tab.Click("form.ask button[type=submit]")
	tab.Wait(at("/schedules/asked/daily") + "&&" + reads("0 / 31"))
}

// attempts returns how often a task was tried.
func (b *killBench) attempts(run, task string) int {
	b.t.Helper()
	var tasks []struct{ Attempts int }
	b.decode(&tasks, "status", "-json", run+"/"+task)
	if len(tasks) != 1 {
		b.t.Fatalf("%s of run %s is %d tasks", task, run, len(tasks))
	}
	return tasks[0].Attempts
}

// tried waits for the end of a run, and checks how often a task of it was tried.
func (b *killBench) tried(run, task string, want int) {
	b.t.Helper()
	_ = b.command("wait", "-q", run).Run()
	if got := b.attempts(run, task); got != want {
		b.t.Errorf("%s was tried %d times, want %d", task, got, want)
	}
}

// does clicks on a button of a page about a run, and on the one of the dialog that asks, and
// waits until the page is that of the run.
func (u *ui) does(tab *browsertest.Tab, button string) {
	u.t.Helper()
	browsertest.Eval[bool](tab, fmt.Sprintf(`[...document.querySelectorAll("a[data-ask]")].find((a) => a.textContent === %q).click() ?? true`, button))
	tab.Wait(`document.querySelector("dialog[open] form.ask")`)
	browsertest.Eval[bool](tab, `window.asked = true`)
	tab.Click("dialog button[type=submit]")
	tab.Wait(`!window.asked && /^\/runs\/[^/]+$/.test(location.pathname)`)
}

// launches starts a run by the form of the workflow, with a mistake at first.
func (u *ui) launches(tab *browsertest.Tab) (run string) {
	u.t.Helper()
	tab.Go(u.base + "/workflows/asked")
	tab.Click(`a[href="/workflows/asked/launch"]`)
	tab.Wait(`document.querySelector("form.launch")`)
	tab.Do(chromedp.SetValue(chromedp.CSS(`[name="var.code"]`), "999"), chromedp.SetValue(chromedp.CSS(`[name="var.hold"]`), "true"))
	tab.Forgive("422")
	tab.Do(chromedp.Focus(chromedp.CSS(`[name="var.code"]`)))
	tab.Key(kb.Enter)
	tab.Wait(`document.querySelector("#f-var\\.code[aria-invalid=true]")`)
	if got := tab.Text(".field .bad"); got != "<b>code</b> must be small." {
		u.t.Errorf("the field says %q", got)
	}
	if got := browsertest.Eval[string](tab, `document.querySelector("#f-var\\.code").value + document.querySelector("#f-var\\.hold").value`); got != "999true" {
		u.t.Errorf("what was typed is %q now", got)
	}
	tab.Inspect("launch-mistake")
	tab.Do(chromedp.SetValue(chromedp.CSS(`[name="var.code"]`), "0"))
	tab.Click("form.launch button[type=submit]")
	tab.Wait(at("/runs/"))
	return browsertest.Eval[string](tab, `location.pathname.split("/")[2]`)
}

// cancelsByKeys goes from the list of runs to the log of a task that waits, and cancels the
// run, with the keyboard alone.
func (u *ui) cancelsByKeys(tab *browsertest.Tab, run string) {
	u.t.Helper()
	page := "/runs/" + run
	enter := func(selector, to string) {
		u.t.Helper()
		u.tabTo(tab, selector)
		tab.Key(kb.Enter)
		tab.Wait(fmt.Sprintf("location.pathname === %q && document.readyState === 'complete'", to))
	}
	tab.Go(u.base + "/")
	enter("#runs a[href='"+page+"']", page)
	tab.Wait(`document.querySelector("main").innerText.includes("4 running")`)
	enter("svg.graph a[href='"+page+"/steps/work']", page+"/steps/work")
	enter("#tasks a[href$='/tasks/1']", page+"/steps/work/tasks/1")
	tab.Wait(`document.querySelector(".log")?.innerText.includes("held")`)
	u.tabTo(tab, ".log") // it can be scrolled

	enter(".crumbs a[href='"+page+"']", page)
	ask := "a[href='" + page + "/cancel']"
	u.tabTo(tab, ask)
	tab.Key(kb.Enter)
	tab.Wait(`document.querySelector("dialog[open] form.ask")`)
	tab.Inspect("ask-dialog")
	tab.Key(kb.Escape) // no
	tab.Wait(`!document.querySelector("dialog")`)
	if !browsertest.Eval[bool](tab, fmt.Sprintf("document.activeElement.matches(%q)", ask)) {
		u.t.Error("after the dialog the focus is not where it was")
	}
	tab.Key(kb.Enter)
	tab.Wait(`document.querySelector("dialog[open] form.ask")`)
	u.tabTo(tab, "dialog button[type=submit]")
	tab.Key(kb.Enter)
	tab.Wait(says("Cancelled"))
}

// filters leaves runs out of the list.
func (u *ui) filters(tab *browsertest.Tab) {
	u.t.Helper()
	tab.Go(u.base + "/")
	tab.Do(chromedp.SetValue(chromedp.CSS("select[name=status]"), "cancelled"))
	tab.Wait(`location.search.includes("status=cancelled") && document.querySelectorAll("#runs tbody tr").length == 1`)
	tab.Do(chromedp.SetValue(chromedp.CSS("select[name=status]"), ""))
	tab.Wait(`document.querySelectorAll("#runs tbody tr").length == 3`)
}

// followsGrid goes about in the grid of the workflow by keys; a run that comes to be is a
// column more, and leaves the focus where it is.
func (u *ui) followsGrid(tab *browsertest.Tab, b *killBench) {
	u.t.Helper()
	tab.Go(u.base + "/workflows/asked")
	if n := browsertest.Eval[int](tab, `document.querySelectorAll("[data-grid] a[tabindex='0']").length`); n != 1 {
		u.t.Errorf("the tab key stops %d times in the grid", n)
	}
	focus(tab, "[data-grid] a[tabindex='0']")
	tab.Key(kb.ArrowDown)
	label := `document.activeElement.getAttribute("aria-label")`
	if got := browsertest.Eval[string](tab, label); got != "work: Failed, 3 succeeded, 1 failed" {
		u.t.Errorf("the arrow leads to %q", got)
	}
	b.exits(exitOK, "run", "-q", "-no-cache", "asked.hcl", "-var", "code=0")
	tab.Wait(`document.querySelectorAll("[data-grid] thead a").length == 2`)
	if got := browsertest.Eval[bool](tab, `document.activeElement.closest("[data-grid]") !== null`); !got {
		u.t.Error("the focus is gone")
	}
	tab.Key(kb.ArrowRight)
	tab.Wait(label + ` === "work: Succeeded, 4 succeeded"`)
	tab.Shot("workflow-grid")
}
