package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"flow/cmd/flow/internal/browsertest"
)

var picturesDir = flag.String("pictures", "", "where TestPictures puts the pictures of the documentation; \"\": it makes none")

// blocksWorkflow has an array of 10,000 tasks, some of which fail, for one cause or another.
const blocksWorkflow = `
workflow "blocks" { description = "Check 10,000 blocks of reads" }
step "check" {
  description = "Look for blocks that are cut off, or empty"
  for_each    = range(10000)
  script      = <<-SH
    read _ < ${path.workflow}/blocks
    case $((FLOW_INDEX * 7919 % 10007)) in
      ?|??|1??) echo "block $FLOW_INDEX is cut off: 4096 of 65536 bytes" >&2; exit 3 ;;
      5??)       echo "block $FLOW_INDEX is empty" >&2; exit 4 ;;
    esac
  SH
  resources {
    vcpus  = 0.25
    memory = "16 MiB"
  }
  tolerate { failed = "5%" }
}
step "report" {
  depends_on = [step.check]
  command    = ["true"]
}
`

// TestPictures makes the pictures of pages that the documentation shows, of runs that are
// real, if it is told where to put them. See docs/screenshots.sh.
func TestPictures(t *testing.T) {
	if *picturesDir == "" {
		return
	}
	b := &killBench{t: t, dir: filepath.Join(os.TempDir(), "lab")} // pictures have the name in them
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	if err := makeStateDir(filepath.Join(b.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "blocks.hcl"), []byte(blocksWorkflow), 0o644); err != nil {
		t.Fatal(err)
	}
	copyWorkflow(b, "genome")
	for _, shards := range []string{"2", "4", "8"} {
		b.output("run", "-q", "genome.hcl", "-var", "shards="+shards)
	}
	tool, gate := heldTool(b, "bcftools")
	gate.pass(1000)
	b.env = []string{tool}
	b.exits(exitRunFailed, "run", "-q", "genome.hcl", "-var", "regions=6")
	b.env = nil
	failed := b.newest()
	b.output("run", "-q", "genome.hcl", "-var", "regions=12")
	finished := b.newest()

	u := startUI(b)
	tab := u.open()
	gate = newBarrier(b, "blocks")
	b.begin("run", "-q", "blocks.hcl")
	tab.Wait(says("Running"))
	blocks := b.newest()
	step := "/runs/" + blocks + "/steps/check"
	tab.Go(u.base + step)
	gate.pass(6400)
	tab.Wait(`/6,[12]\d\d succeeded/.test(document.querySelector(".heat-summary")?.textContent)`)
	u.pictures(tab, [][2]string{
		{"step", step}, {"step-dark", step}, {"runs", "/"}, {"workflow", "/workflows/genome"}, {"launch", "/workflows/genome/launch"},
		{"run", "/runs/" + finished}, {"run-failed", "/runs/" + failed}, {"task", "/runs/" + failed + "/steps/call/tasks/0"},
		{"events", "/runs/" + failed + "?view=events"}, {"data", "/runs/" + finished + "?view=data"},
		{"source", "/runs/" + failed + "?view=source"}, {"changes", "/runs/" + finished + "?view=changes"},
	})
	tab.Go(u.base + "/runs/" + blocks)
	browsertest.Eval[bool](tab, `document.querySelector("a[href$='/cancel']").click() ?? true`)
	tab.Wait(`document.querySelector("dialog[open] form.ask")`)
	tab.Picture(filepath.Join(*picturesDir, "cancel.png"), 800)
	tab.Click("dialog button[type=submit]")
	tab.Wait(says("Cancelled"))
}

// salesWorkflow has a schedule, and days on which it fails.
const salesWorkflow = `
workflow "sales" { description = "Sum up the sales of a day" }
variable "day" { type = string }
schedule "daily" {
  cron      = "30 4 * * *"
  time_zone = "Europe/Berlin"
  vars      = { day = formatdate("YYYY-MM-DD", schedule.time) }
}
schedule "month" { cron = "0 6 1 * *" }
step "sum" {
  env     = { DAY = var.day }
  script  = "case $DAY in *-17) echo \"no sales of $DAY\" >&2; exit 3 ;; esac"
}
`

// TestSchedulePictures is TestPictures for the pages of schedules: of a service that makes up
// for what nobody was there for.
func TestSchedulePictures(t *testing.T) {
	if *picturesDir == "" {
		return
	}
	b := newBench(t, "sales.hcl", salesWorkflow)
	u := startPages(b, "serve", "--port", "0")
	tab := u.open()
	tab.Go(u.base + "/schedules")
	tab.Wait(`document.querySelectorAll("#schedules tbody tr").length === 2`)
	u.backfills(tab, "/schedules/sales/daily", "2026-01-06", "2026-01-21", "3")
	tab.Wait(`document.querySelector("#backfills").innerText.includes("15 / 15")`)
	u.pictures(tab, [][2]string{{"schedules", "/schedules"}, {"schedule", "/schedules/sales/daily"}})
}

// backfills asks for the backfill of a schedule by its form.
func (u *ui) backfills(tab *browsertest.Tab, schedule, from, to, parallel string) {
	u.t.Helper()
	tab.Go(u.base + schedule + "/backfill")
	for name, value := range map[string]string{"from": from, "to": to, "max-parallel": parallel} {
		tab.Do(chromedp.SetValue(chromedp.CSS("[name="+name+"]"), value))
	}
	tab.Click("form.ask button[type=submit]")
	tab.Wait(fmt.Sprintf("location.pathname === %q", schedule))
}

// pictures takes a picture of each page: a name, and a path.
func (u *ui) pictures(tab *browsertest.Tab, pages [][2]string) {
	u.t.Helper()
	for _, p := range pages {
		tab.Look(browsertest.Wide, p[0] == "step-dark")
		tab.Go(u.base + p[1])
		tab.Wait(`!document.querySelector("flow-heat") || flowHeat.paints > 0`)
		tab.Wait(fmt.Sprintf("document.documentElement.dataset.link !== %q", "lost"))
		tab.Picture(filepath.Join(*picturesDir, p[0]+".png"), 1120)
	}
}
