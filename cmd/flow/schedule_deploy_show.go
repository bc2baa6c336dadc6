package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/cmd/flow/internal/head"
	"flow/cmd/flow/internal/policy"
	"flow/cmd/flow/internal/view"
	"flow/executor/batch/infra"
	"flow/executor/scheduler"
)

// A deployJSON is a plan for programs.
type deployJSON struct {
	*scheduler.Plan
	Bundle *bundleJSON `json:"bundle,omitempty"`
}

// A bundleJSON is what heads are given of the workflow.
type bundleJSON struct {
	URI    string   `json:"uri"`
	SHA256 string   `json:"sha256"`
	Size   int64    `json:"size_bytes"`
	Files  []string `json:"files"`
}

// printDeploy prints what is to be done. Without a bundle it is removed.
func (a *app) printDeploy(plan *scheduler.Plan, place *head.Place, p *packed) error {
	if a.asJSON() {
		out := deployJSON{Plan: plan}
		if p != nil {
			out.Bundle = &bundleJSON{URI: place.Bundle(p.sum), SHA256: p.sum, Size: p.size}
			for _, f := range p.bundle.Files {
				out.Bundle.Files = append(out.Bundle.Files, f.Name)
			}
		}
		return a.printJSON(out)
	}
	var b strings.Builder
	if p != nil {
		fmt.Fprintf(&b, "The workflow's files are %s, %s: %s\n", view.Plural(len(p.bundle.Files), "file"), view.Bytes(p.size), place.Bundle(p.sum))
	}
	for _, c := range plan.Changes {
		writeDeployChange(&b, c, a.outTerm().Style)
	}
	if len(plan.Changes) == 0 {
		b.WriteString("Nothing is to be done.\n")
	} else {
		fmt.Fprintf(&b, "%s.\n", deploySummary(plan))
	}
	if a.quiet {
		return nil
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

func deploySummary(p *scheduler.Plan) string {
	return fmt.Sprintf("%d to create, %d to change, %d to delete", p.Count(infra.Create), p.Count(infra.Update), p.Count(infra.Delete))
}

func writeDeployChange(b *strings.Builder, c *scheduler.Change, style view.Style) {
	sign := map[infra.Action]string{infra.Create: style.Green("+"), infra.Update: style.Yellow("~"), infra.Delete: style.Red("-")}[c.Action]
	fmt.Fprintf(b, "%s %s %s", sign, c.Kind, view.Clean(c.Name))
	if len(c.Differs) > 0 {
		fmt.Fprintf(b, " (%s)", strings.Join(c.Differs, ", "))
	}
	b.WriteByte('\n')
	line := func(what, text string) { fmt.Fprintf(b, "    %-10s %s\n", what, view.Clean(text)) }
	switch w := c.Wanted.(type) {
	case *scheduler.Schedule:
		line("when", w.Expression+" in "+w.TimeZone)
		if w.Window > 0 {
			line("within", view.Plural(int(w.Window), "minute"))
		}
		if w.State == "DISABLED" {
			line("state", w.State)
		}
		line("submits", string(w.Input))
	case *scheduler.Role:
		line("for", w.Description)
		line("policy", string(w.Policy))
	case *batch.RegisterJobDefinitionInput:
		line("image", *w.ContainerProperties.Image)
		line("command", strings.Join(w.ContainerProperties.Command, " "))
	}
}

// policyText returns a policy as it is written into a role.
func policyText(d *policy.Document) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	if len(text) > policy.MaxInline {
		return "", fmt.Errorf("the policy of heads has %d characters, and one that is written into a role has %d at most: make a role with what flow infra policy says in policies of its own, and give it with -head-role", len(text), policy.MaxInline)
	}
	return string(text), nil
}
