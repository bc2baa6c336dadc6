package main

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"flow/cmd/flow/internal/browsertest"
	"flow/engine"
	"flow/executor/executortest/fetched"
)

// pagesOf are the pages about a run of the genome workflow, by name.
func pagesOf(run string) map[string]string {
	page, step := "/runs/"+run, "/runs/"+run+"/steps/call"
	return map[string]string{
		"runs": "/", "workflow": "/workflows/genome", "launch": "/workflows/genome/launch",
		"run": page, "events": page + "?view=events", "data": page + "?view=data", "source": page + "?view=source", "changes": page + "?view=changes",
		"step": step, "task": step + "/tasks/0",
		"cancel": page + "/cancel", "resume": page + "/resume", "retry": page + "/retry", "from": page + "/retry-from",
	}
}

// look goes to each page about a run, and keeps pictures of it: nothing must go wrong there
// that nobody sees. Those that are named are inspected closely, as they have something that
// they have in no other state.
func (u *ui) look(tab *browsertest.Tab, run, state string, closely ...string) {
	u.t.Helper()
	for name, path := range pagesOf(run) {
		tab.Go(u.base + path)
		if slices.Contains(closely, name) {
			tab.Inspect(name + "-" + state)
		} else {
			tab.Shot(name + "-" + state + "-light-1280")
		}
		if name == "runs" && browsertest.Eval[bool](tab, `(box => box.scrollWidth > box.clientWidth)(document.querySelector(".list .scroll"))`) {
			u.t.Errorf("the list of runs, one %s, is wider than a laptop's window", state)
		}
	}
}

// TestPages looks at each page of a finished, a running and a failed run of the genome
// workflow, at the form that starts one, and at what asks before something is done.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bowtie2", "samtools", "bcftools", "seqtk", "jq"} {
		fetched.Need(t, tool)
	}
	b := newBench(t)
	copyWorkflow(b, "genome")
	b.output("run", "-q", "genome.hcl")
	finished := b.newest()
	u := startUI(b)
	tab := u.open()
	u.look(tab, finished, "finished", "data", "from")

	env, gate := heldTool(b, "bcftools")
	b.env = []string{env}
	run := b.begin("run", "-q", "-replace", "call", "genome.hcl")
	tab.Go(u.base + "/")
	tab.Wait(says("Running"))
	id := b.newest()
	tab.Go(u.base + "/runs/" + id + "/steps/call/tasks/0")
	tab.Wait(says("Running"))
	u.look(tab, id, "running", "step", "task")

	tab.Go(u.base + "/")
	tab.Wait(says("Running"))
	gate.pass(100)
	tab.Wait(says("Failed")) // by itself
	b.ends(run, exitRunFailed)
	u.look(tab, id, "failed", "runs", "workflow", "launch", "run", "events", "changes", "step", "task", "retry")
	var status runJSON
	b.decode(&status, "status", "-json", id)
	if status.Status != engine.Failed {
		t.Errorf("the run is %s", status.Status)
	}
	u.walksGraph(tab, "/runs/"+id, "call")
	u.zooms(tab, "/runs/"+id)
}

// walksGraph goes to a step by its node in the graph of a run, by keys.
func (u *ui) walksGraph(tab *browsertest.Tab, run, step string) {
	u.t.Helper()
	tab.Go(u.base + run)
	focus(tab, "main .tabs a")
	u.tabTo(tab, "svg.graph a[href$='/steps/"+step+"']")
	tab.Key(kb.Enter)
	tab.Wait(at(run + "/steps/" + step))
}

// zooms drags over the timeline of a run, which then shows that stretch of time.
func (u *ui) zooms(tab *browsertest.Tab, run string) {
	u.t.Helper()
	tab.Go(u.base + run)
	browsertest.Eval[bool](tab, `(() => {
		const track = document.querySelector("svg.track"), box = track.getBoundingClientRect();
		const send = (kind, part) => track.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0, clientX: box.left + part * box.width, clientY: box.top + 2 }));
		send("pointerdown", 0.25); send("pointermove", 0.4); send("pointermove", 0.75); send("pointerup", 0.75);
		return true;
	})()`)
	tab.Wait(`new URLSearchParams(location.search).has("from")`)
	tab.Wait(`document.querySelector("[data-zoom]")?.innerText.includes("Whole run")`)
	from := browsertest.Eval[float64](tab, `Number(document.querySelector("[data-zoom]").dataset.from)`)
	to := browsertest.Eval[float64](tab, `Number(document.querySelector("[data-zoom]").dataset.to)`)
	whole := browsertest.Eval[float64](tab, `Number(new URLSearchParams(document.querySelector("[data-zoom] a").search).get("to"))`)
	if from <= 0 || to <= from || whole > to {
		u.t.Errorf("from %v to %v ms, and closer to %v", from, to, whole)
	}
}
