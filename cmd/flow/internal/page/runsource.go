package page

import (
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Source is the files of a workflow as a run has them.
type Source struct {
	Dir   string
	Files []SourceFile
}

// A SourceFile is a file of a workflow.
type SourceFile struct {
	Name, Sum string // Sum: sha256, hexadecimal
	Text      string
	Steps     []SourceStep // where steps stand in it
}

// A SourceStep is the lines of a step.
type SourceStep struct {
	Name     string
	From, To int // lines, from 1
	Status   engine.Status
}

// SourceURL is where a line of a file is shown: its number is counted from 1.
func SourceURL(run, file string, line int) string {
	return RunURL(run) + "?view=" + RunSource + "#" + lineID(file, line)
}

// lineID is the name of a line in its page. Letters that a fragment would have to escape
// become "_".
func lineID(file string, line int) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, file)
	return safe + "-L" + strconv.Itoa(line)
}

// Regions are the files.
func (s *Source) Regions(run *Run) []web.Region {
	files := g.Group{}
	for i := range s.Files {
		files = append(files, s.Files[i].section(run, i))
	}
	return []web.Region{{ID: "source", Body: g.Group{h.P(h.Class("dim"), g.Text("The files of "), h.Code(g.Text(s.Dir)), g.Text(" as they were when the run was created.")), files}}}
}

func (f *SourceFile) section(run *Run, n int) g.Node {
	lines := strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n")
	list := g.Group{}
	for i, line := range lines {
		list = append(list, f.line(run, i+1, line))
	}
	aside := g.Group{g.Text(view.Plural(len(lines), "line") + " · sha256 "), h.Code(g.Text(f.Sum[:min(12, len(f.Sum))]))}
	return Section("file-"+strconv.Itoa(n), f.Name, aside,
		h.Div(h.Class("scroll source"), h.Role("region"), h.Aria("label", "Text of "+f.Name), h.TabIndex("0"), h.Table(h.TBody(list))))
}

// line is a row: its number links to itself, and its text is coloured where a step failed.
func (f *SourceFile) line(run *Run, n int, text string) g.Node {
	class := ""
	var mark g.Node
	for _, s := range f.Steps {
		if n < s.From || n > s.To {
			continue
		}
		if s.Status == engine.Failed {
			class = "bad"
		}
		if n == s.From {
			mark = h.A(h.Class("mark"), h.Href(StepURL(run.ID, s.Name)), Badge(s.Status))
		}
	}
	id := lineID(f.Name, n)
	return h.Tr(h.ID(id), g.If(class != "", h.Class(class)),
		h.Td(h.Class("no"), h.A(h.Href("#"+id), h.Aria("label", "Line "+strconv.Itoa(n)), g.Text(strconv.Itoa(n)))),
		h.Td(h.Class("text"), mark, h.Code(hcl(text)...)))
}

// hcl colours what is easily told in a line of HCL: a comment to its end, and the first word.
func hcl(line string) []g.Node {
	trimmed := strings.TrimLeft(line, " \t")
	indent := line[:len(line)-len(trimmed)]
	if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "//") {
		return []g.Node{g.Text(indent), h.Span(h.Class("comment"), g.Text(trimmed))}
	}
	end := strings.IndexFunc(trimmed, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
	if end <= 0 {
		return []g.Node{g.Text(line)}
	}
	rest := strings.TrimLeft(trimmed[end:], " ")
	if strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, `"`) {
		return []g.Node{g.Text(indent), h.Span(h.Class("key"), g.Text(trimmed[:end])), g.Text(trimmed[end:])}
	}
	return []g.Node{g.Text(line)}
}
