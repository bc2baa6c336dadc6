package dsl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// What has a relative path is published below a URI, if the run has one, and nowhere beside it.
func TestPublishTo(t *testing.T) {
	t.Parallel()
	const below = "s3://lab/flow/deploy/w/published"
	for publish, want := range map[string]string{
		"out.txt":          below + "/out.txt",
		"results/":         below + "/results/",
		"./a/../b":         below + "/b",
		"./":               below + "/",
		"s3://other/x.txt": "s3://other/x.txt",
		"/mnt/x.txt":       "/mnt/x.txt",
		"../x.txt":         `"../x.txt" leads out of ` + below,
		"a/../../":         `"a/../../" leads out of ` + below,
	} {
		p := loadText(t, `
step "s" {
  script = "true"
  output "o" {
    file    = "o.txt"
    publish = "`+publish+`"
  }
}
`)
		tmpl, diags := p.Bind(VarInput{}, RunContext{ID: "01run", PublishTo: below})
		if diags.HasErrors() {
			if text := show(p, diags); !strings.Contains(text, want) {
				t.Errorf("%s: %s", publish, text)
			}
			continue
		}
		w := &world{tb: t, tmpl: tmpl, steps: map[engine.StepName]*fakeStep{}}
		if got := w.expand("s").Specs[0].Outputs[0].Publish; got != want {
			t.Errorf("%s is published as %s, want %s", publish, got, want)
		}
	}
}

// Notices are known without a run, as far as the values of variables are.
func TestNotices(t *testing.T) {
	t.Parallel()
	p := loadText(t, `
variable "where" { type = string }
variable "topic" {
  type    = string
  default = "arn:aws:sns:eu-central-1:123456789012:alarms"
}
notify "both" {
  on = ["missed"]
  webhook { url = var.where }
  sns { topic = var.topic }
}
notify "none" {
  on = ["missed"]
  command { argv = [var.where] }
}
step "s" { script = "true" }
`)
	topic := engine.NoticeWay{Kind: engine.WaySNS, Topic: "arn:aws:sns:eu-central-1:123456789012:alarms"}
	want := []*engine.Notice{{Name: "both", On: []engine.Occasion{engine.OnMissed}, Ways: []engine.NoticeWay{topic}}}
	if d := cmp.Diff(want, p.Notices(VarInput{})); d != "" {
		t.Error(d)
	}
	all := p.Notices(VarInput{Args: []VarArg{{Set: "where=https://example.org"}}})
	if len(all) != 2 || len(all[0].Ways) != 2 || len(all[1].Ways) != 1 {
		t.Errorf("with all values: %+v", all)
	}
}
