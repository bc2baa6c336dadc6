package dsl

import (
	"bytes"
	"encoding/json"

	"github.com/hashicorp/hcl/v2"
)

// JSON returns diagnostics in the shape of `terraform validate -json`, format 1.0, which
// editors and CI know. Columns count from 1 and bytes from 0; offsets of the highlight
// are bytes of the code.
func JSON(files map[string]*hcl.File, diags hcl.Diagnostics) ([]byte, error) {
	errs, warnings := count(diags)
	report := jsonReport{FormatVersion: "1.0", Valid: errs == 0, ErrorCount: errs, WarningCount: warnings, Diagnostics: []jsonDiagnostic{}}
	for _, d := range sortedByPlace(diags) {
		report.Diagnostics = append(report.Diagnostics, jsonOf(d, files))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(report)
	return b.Bytes(), err
}

type jsonReport struct {
	FormatVersion string           `json:"format_version"`
	Valid         bool             `json:"valid"`
	ErrorCount    int              `json:"error_count"`
	WarningCount  int              `json:"warning_count"`
	Diagnostics   []jsonDiagnostic `json:"diagnostics"`
}

type jsonDiagnostic struct {
	Severity string       `json:"severity"`
	Summary  string       `json:"summary"`
	Detail   string       `json:"detail"`
	Range    *jsonRange   `json:"range,omitempty"`
	Snippet  *jsonSnippet `json:"snippet,omitempty"`
}

type jsonRange struct {
	Filename string  `json:"filename"`
	Start    jsonPos `json:"start"`
	End      jsonPos `json:"end"`
}

type jsonPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

type jsonSnippet struct {
	Context              *string      `json:"context"`
	Code                 string       `json:"code"`
	StartLine            int          `json:"start_line"`
	HighlightStartOffset int          `json:"highlight_start_offset"`
	HighlightEndOffset   int          `json:"highlight_end_offset"`
	Values               []shownValue `json:"values"`
}

func jsonOf(d *hcl.Diagnostic, files map[string]*hcl.File) jsonDiagnostic {
	j := jsonDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		j.Severity = "warning"
	}
	if d.Subject == nil {
		return j
	}
	rng := *d.Subject
	j.Range = &jsonRange{
		Filename: rng.Filename,
		Start:    jsonPos{rng.Start.Line, rng.Start.Column, rng.Start.Byte},
		End:      jsonPos{rng.End.Line, rng.End.Column, rng.End.Byte},
	}
	file := sourceOf(d, files)
	if file == nil {
		return j
	}
	s := &jsonSnippet{StartLine: rng.Start.Line, Values: valuesOf(d)}
	if block := blockAt(file, rng); block != "" {
		s.Context = &block
	}
	start, end := min(rng.Start.Byte, len(file.Bytes)), min(max(rng.End.Byte, rng.Start.Byte), len(file.Bytes))
	begin := bytes.LastIndexByte(file.Bytes[:start], '\n') + 1
	stop := len(file.Bytes)
	if n := bytes.IndexByte(file.Bytes[end:], '\n'); n >= 0 {
		stop = end + n
	}
	if end > start && file.Bytes[end-1] == '\n' { // the place ends with its line
		stop = end - 1
	}
	s.Code = string(file.Bytes[begin:stop])
	s.HighlightStartOffset, s.HighlightEndOffset = start-begin, min(end, stop)-begin
	j.Snippet = s
	return j
}
