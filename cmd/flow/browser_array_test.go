package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"flow/cmd/flow/internal/browsertest"
	"flow/engine"
)

// arrayWorkflow has an array of 10,000 tasks, each of which waits at a gate; but task 7 fails,
// and writes markup in colour. Beside it is a task that writes on.
const arrayWorkflow = `
workflow "shards" {}
step "part" {
  for_each     = range(10000)
  max_parallel = 4
  script       = <<-SH
    if [ $FLOW_INDEX = 7 ]; then printf '\033[31mno block\033[0m <script>alert(1)</script>\n'; exit 3; fi
    read _ < ${path.workflow}/gate
  SH
  resources {
    vcpus  = 0.25
    memory = "16 MiB"
  }
  tolerate { failed = 1 }
}
step "talk" {
  script = <<-SH
    for i in $(seq 1 450); do echo "line $i"; done
    read _ < ${path.workflow}/more
    echo 'the last line'
    read _ < ${path.workflow}/done
  SH
  resources {
    vcpus  = 0.25
    memory = "16 MiB"
  }
}
`

// legend is true in a page with a heat map whose legend has a text.
func legend(text string) string {
	return fmt.Sprintf(`document.querySelector(".heat-legend")?.textContent.includes(%q)`, text)
}

// TestArrayInBrowser follows an array of 10,000 tasks, which another process runs, in its map,
// finds its way from there to a log that is being written, and cancels the run.
func TestArrayInBrowser(t *testing.T) {
	t.Parallel()
	b := newBench(t, "shards.hcl", arrayWorkflow)
	gate, more := newBarrier(b, "gate"), newBarrier(b, "more")
	newBarrier(b, "done") // nothing passes: it is cancelled
	u := startUI(b)
	tab := u.open()
	run := b.begin("run", "-q", "shards.hcl")
	tab.Wait(says("Running")) // by itself, as all that is waited for
	id := b.newest()

	tab.Go(u.base + "/runs/" + id + "/steps/part")
	tab.Wait(legend("Running"))
	browsertest.Eval[bool](tab, `window.stays = true`)
	passed := 0
	for _, n := range []int{8, 192, 300} {
		paints := browsertest.Eval[int](tab, "flowHeat.paints")
		gate.pass(n)
		passed += n
		tab.Wait(legend(fmt.Sprintf("Succeeded %d", passed)) + "&&" + legend("Failed 1"))
		tab.Wait(fmt.Sprintf("window.stays && flowHeat.tasks === 10000 && flowHeat.paints > %d", paints))
	}
	tab.Wait(`document.querySelector(".cause-list")?.textContent.includes("no block <script>alert(1)</script>")`)
	u.paints(tab)
	u.brushes(tab)
	tab.Inspect("step-array")

	browsertest.Eval[bool](tab, `document.querySelector("flow-heat").move(7, false) ?? true`)
	focus(tab, "flow-heat canvas")
	tab.Key(kb.Enter)
	tab.Wait(at("/runs/"+id+"/steps/part/tasks/7") + ` && document.querySelector(".log .a-f1")?.textContent === "no block"`)
	tab.Accessible()
	u.followsLog(tab, "/runs/"+id+"/steps/talk/tasks/0", more)

	tab.Go(u.base + "/runs/" + id)
	u.does(tab, "Cancel")
	tab.Wait(says("Cancelled"))
	b.ends(run, exitCancelled)
	var status runJSON
	b.decode(&status, "status", "-json", id)
	if status.Status != engine.Cancelled || status.Steps[0].Tasks["CANCELLED"] != 10_000-passed-1 {
		t.Errorf("the run is %s, with %v", status.Status, status.Steps[0].Tasks)
	}
	u.plain(tab, "/runs/"+id+"/steps/part?status=failed")
}

// paints checks that the map is painted within 100 ms in each colour and order. A machine that
// does something else is slower: of several times the best counts. So that the best is not
// luck, the CPU time of all of it, with what the browser does to show it, is below as well.
func (u *ui) paints(tab *browsertest.Tab) {
	u.t.Helper()
	const times = 5
	begun, worst, choices := tab.CPU(), 0.0, 0
	for _, choice := range []string{"color-duration", "color-attempts", "color-exit", "order-duration", "order-failed", "color-state", "order-index"} {
		best := browsertest.Eval[float64](tab, fmt.Sprintf(`(async () => {
			performance.clearMeasures("flow:heat");
			for (let k = 0; k < %d; k++) {
				document.querySelector("[data-choice=%s]").click();
				while (performance.getEntriesByName("flow:heat").length <= k) await new Promise(requestAnimationFrame);
			}
			return Math.min(...performance.getEntriesByName("flow:heat").map((e) => e.duration));
		})()`, times, choice))
		if best >= 100 {
			u.t.Errorf("10,000 tasks are painted in %.1f ms: %s", best, choice)
		}
		worst, choices = max(worst, best), choices+1
	}
	each := (tab.CPU() - begun) / time.Duration(choices*times)
	u.t.Logf("10,000 tasks: painted within %.1f ms; %v of CPU time a picture", worst, each)
	if each >= 100*time.Millisecond {
		u.t.Errorf("10,000 tasks take %v of CPU time a picture", each)
	}
}

// brushes selects tasks in the map by keys, which filters the table, and filters it further.
func (u *ui) brushes(tab *browsertest.Tab) {
	u.t.Helper()
	focus(tab, "flow-heat canvas")
	for range 6 {
		tab.Key(kb.ArrowRight)
	}
	shift := `document.querySelector("flow-heat canvas").dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", shiftKey: true}))`
	browsertest.Eval[bool](tab, shift+"&&"+shift)
	rows := `document.querySelectorAll("#tasks tbody tr").length`
	tab.Wait(rows + " === 3 && location.search === '?tasks=6-8'")
	tab.Wait(`document.querySelector(".chosen").textContent.startsWith("3 tasks selected in the map.")`)
	browsertest.Eval[bool](tab, `((s) => { s.value = "failed"; return s.dispatchEvent(new Event("change", {bubbles: true})) })(document.querySelector("#tasks select[name=status]"))`)
	tab.Wait(rows + " === 1")
	browsertest.Eval[bool](tab, `history.back() ?? true`)
	tab.Wait(rows + " === 3 && document.querySelector('#tasks select[name=status]').value === ''")
	for _, text := range []string{"7", "6"} { // a search can be followed by another one
		focus(tab, "#tasks input[name=q]")
		browsertest.Eval[bool](tab, `(document.activeElement.value = "") === ""`)
		tab.Key(text + kb.Enter)
		tab.Wait("new URLSearchParams(location.search).get('q') === '" + text + "' && " + rows + " === 1")
	}
	browsertest.Eval[bool](tab, `history.go(-2) ?? true`)
	tab.Wait(rows + " === 3")
}

// followsLog looks at the log of a task that writes a last line when it is let go.
func (u *ui) followsLog(tab *browsertest.Tab, task string, more *barrier) {
	u.t.Helper()
	tab.Go(u.base + task)
	tab.Wait(`document.querySelector(".log")?.textContent.includes("line 450")`)
	more.pass(1)
	tab.Wait(`document.querySelector(".log").textContent.includes("the last line")`)
	browsertest.Eval[bool](tab, `[...document.querySelectorAll(".log-tools button")].find((b) => b.textContent === "All lines").click() ?? true`)
	tab.Wait(`document.querySelector(".log ol").childElementCount === 451 && document.getElementById("L1").textContent === "1line 1"`)
	browsertest.Eval[bool](tab, `((i) => { i.value = "LINE 42"; return i.dispatchEvent(new Event("input")) })(document.querySelector(".log-tools input"))`)
	tab.Wait(`document.querySelector(".log-found").textContent === "11 lines" && document.querySelectorAll(".log li.hit").length === 11`)
	tab.Inspect("task-log")
}

// plain checks that the page of a step is whole without scripts: what the server sends has it.
func (u *ui) plain(tab *browsertest.Tab, step string) {
	u.t.Helper()
	html := browsertest.Eval[string](tab, fmt.Sprintf(`fetch(%q).then((a) => a.text())`, step))
	for _, want := range []string{`badge FAILED`, `/tasks/7"`, `class="cause-list"`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `role="search"`} {
		if !strings.Contains(html, want) {
			u.t.Errorf("the page of the step has no %s", want)
		}
	}
}
