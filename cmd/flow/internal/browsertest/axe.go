package browsertest

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/chromedp/chromedp"

	"flow/executor/executortest/fetched"
)

// A finding is what axe-core, a checker of accessibility, has against a page.
// https://github.com/dequelabs/axe-core/blob/develop/doc/API.md#results-object
type finding struct {
	ID     string   `json:"id"`
	Impact string   `json:"impact"` // minor, moderate, serious, critical
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"`
}

// axeRun returns the findings about the page, each with some of the elements it is about.
// %s is more of the options.
const axeRun = `axe.run(document, {resultTypes: ["violations"]%s}).then(r => r.violations.map(v => ({
	id: v.id, impact: v.impact, help: v.help,
	nodes: v.nodes.slice(0, 5).map(n => n.target.join(" ") + ": " + n.any.concat(n.all, n.none).map(c => c.message).join("; ")),
})))`

var axeSource = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(axePath())
	return string(text), err
})

func axePath() string { return fetched.Path("axe", "node_modules", "axe-core", "axe.min.js") }

// onlyColours are the rules that tell dark colours from light ones.
const onlyColours = `, runOnly: ["color-contrast", "link-in-text-block"]`

// Accessible checks the page as it is shown with axe-core. What it finds that is serious or
// critical fails the test, the rest is logged.
func (tab *Tab) Accessible() {
	tab.t.Helper()
	tab.axe("")
}

// AccessibleInBoth is Accessible in light and in dark colours, whose contrasts differ.
func (tab *Tab) AccessibleInBoth() {
	tab.t.Helper()
	tab.Look(Wide, true)
	tab.axe(onlyColours)
	tab.Look(Wide, false)
	tab.axe("")
}

// axe runs axe-core with more options.
func (tab *Tab) axe(options string) {
	tab.t.Helper()
	fetched.Need(tab.t, axePath())
	source, err := axeSource()
	if err != nil {
		tab.t.Fatal(err)
	}
	if Eval[string](tab, "typeof axe") == "undefined" {
		// DevTools evaluates it; the policy of the page, which allows no such script, is
		// not asked.
		Get(tab, chromedp.Evaluate[chromedp.Void](source+"\n;void 0"))
	}
	for _, f := range Eval[[]finding](tab, fmt.Sprintf(axeRun, options)) {
		report := tab.t.Logf
		if f.Impact == "serious" || f.Impact == "critical" {
			report = tab.t.Errorf
		}
		report("axe: %s: %s (%s)\n  %s", f.Impact, f.Help, f.ID, strings.Join(f.Nodes, "\n  "))
	}
}
