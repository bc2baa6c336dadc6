// Package report makes the report of a run: one HTML file that can be opened from a disk, sent by
// mail and kept. It asks for nothing: styles, scripts and data are in it, and its policy allows
// nothing else. All but the heat maps is there without scripts.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/web"
)

//go:embed report.css
var styles string

// Write writes the report of a run, which a version of flow made at a time.
func Write(w io.Writer, r *page.Report, flow string, made time.Time) error {
	style, scripts, err := contents()
	if err != nil {
		return err
	}
	allowed := policy(style, scripts)
	maps := r.Maps()
	if len(maps) == 0 {
		scripts = nil
	}
	title := "Run " + r.Run.ID + " of " + r.Run.Workflow
	doc := h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(g.Attr("http-equiv", "Content-Security-Policy"), h.Content(allowed)),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("generator"), h.Content("flow "+flow)),
			h.TitleEl(g.Text(title)),
			h.StyleEl(verbatim(style)),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the content")),
			h.Main(h.ID("main"), h.TabIndex("-1"), r.Body(),
				h.P(h.Class("made"), g.Text("Made by flow "+flow+" at "+made.UTC().Format("2006-01-02 15:04:05")+" UTC."))),
			g.Map(maps, datum),
			g.Map(scripts, func(text string) g.Node { return h.Script(h.Type("module"), verbatim(text)) }),
		),
	))
	var b bytes.Buffer
	if err := doc.Render(&b); err != nil {
		return err
	}
	_, err = w.Write(web.Visible(b.Bytes()))
	return err
}

// Policy returns the policy that is in every report, for a server that sends one.
func Policy() (string, error) {
	style, scripts, err := contents()
	return policy(style, scripts), err
}

// contents returns the style and the scripts that reports have.
func contents() (style string, scripts []string, err error) {
	if style, err = asset("flow.css"); err != nil {
		return "", nil, err
	}
	for _, name := range page.HeatScripts {
		text, err := asset(name)
		if err != nil {
			return "", nil, err
		}
		scripts = append(scripts, text)
	}
	return style + "\n" + styles, scripts, nil
}

// asset returns the text of one of the files that pages need.
func asset(name string) (string, error) {
	text, err := page.Assets.ReadFile("assets/" + name)
	if lower := strings.ToLower(string(text)); strings.Contains(lower, "</style") || strings.Contains(lower, "</script") {
		err = fmt.Errorf("%s has the end of an element in it", name)
	}
	return string(text), err
}

// verbatim is the text of a style or a script of ours, in which nothing is escaped.
func verbatim(text string) g.Node {
	return g.NodeFunc(func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// datum is data for a script. encoding/json writes < as \u003c: nothing in it ends the element.
func datum(d web.Datum) g.Node {
	return h.Script(h.Type("application/json"), h.ID(d.ID), g.NodeFunc(func(w io.Writer) error {
		text, err := json.Marshal(d.Value)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}))
}

// policy allows the style and the scripts by what they are, and nothing else.
func policy(style string, scripts []string) string {
	from := "script-src"
	for _, text := range scripts {
		from += " " + source(text)
	}
	return "default-src 'none'; style-src " + source(style) + "; " + from + "; img-src data:; base-uri 'none'; form-action 'none'"
}

// source names a text in a policy by its hash.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
