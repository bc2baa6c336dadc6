package dsl

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

const notifySource = `
variable "hook" {
  type      = string
  sensitive = true
}
variable "team" {
  type    = string
  default = "lab"
}
variable "quiet" {
  type    = bool
  default = false
}
locals { to = ["${var.team}@example.org", "Night Watch <watch@example.org>"] }
step "a" { command = ["true"] }

notify "all" {
  on = concat(["failed", "failed", "recovered"], var.quiet ? [] : ["succeeded"])
  command {
    argv    = ["./tell.sh", run.workflow, run.id]
    timeout = "20s"
  }
  webhook {
    url     = "https://hooks.example.org/${var.team}"
    secret  = var.hook
    headers = { authorization = var.hook, "X-Team" = var.team, X-Key = "file:key" }
  }
  webhook { url = "env:HOOK" }
  slack { webhook = "env:SLACK" }
  sns { topic = "arn:aws:sns:eu-central-1:123456789012:alarms" }
  email {
    server   = "smtp.example.org"
    from     = "flow@example.org"
    to       = local.to
    user     = "flow"
    password = "env:MAIL"
  }
  email {
    server = "localhost:2525"
    tls    = "none"
    from   = "flow@example.org"
    to     = ["a@example.org"]
  }
}
`

func TestNotify(t *testing.T) {
	p, diags := Load("/project", []Source{{Name: "main.hcl", Bytes: []byte(notifySource)}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tmpl, diags := p.Bind(VarInput{Env: []string{"FLOW_VAR_hook=s3cret"}}, RunContext{ID: "01k", Time: time.Unix(0, 0)})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	hook := engine.Told{Secret: "var:hook"}
	want := []*engine.Notice{{
		Name: "all", On: []engine.Occasion{engine.OnFailed, engine.OnRecovered, engine.OnSucceeded},
		Ways: []engine.NoticeWay{
			{Kind: engine.WayCommand, Argv: []string{"./tell.sh", "main", "01k"}, Dir: "/project", Timeout: 20 * time.Second},
			{
				Kind: engine.WayWebhook, URL: engine.Told{Text: "https://hooks.example.org/lab"}, Key: "var:hook",
				Headers: map[string]engine.Told{"Authorization": hook, "X-Team": {Text: "lab"}, "X-Key": {Secret: "file:/project/key"}},
			},
			{Kind: engine.WayWebhook, URL: engine.Told{Secret: "env:HOOK"}},
			{Kind: engine.WaySlack, URL: engine.Told{Secret: "env:SLACK"}},
			{Kind: engine.WaySNS, Topic: "arn:aws:sns:eu-central-1:123456789012:alarms"},
			{
				Kind: engine.WayEmail, Server: "smtp.example.org:587", TLS: engine.TLSStart, From: "flow@example.org",
				To: []string{"lab@example.org", "Night Watch <watch@example.org>"}, User: engine.Told{Text: "flow"}, Password: "env:MAIL",
			},
			{Kind: engine.WayEmail, Server: "localhost:2525", TLS: engine.TLSNone, From: "flow@example.org", To: []string{"a@example.org"}},
		},
	}}
	if diff := cmp.Diff(want, tmpl.Workflow().Notices); diff != "" {
		t.Error(diff)
	}
}
