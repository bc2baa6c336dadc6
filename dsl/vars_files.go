package dsl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// autoFiles reads the files of variables beside the workflow, if there are any.
func (r *varReader) autoFiles() {
	names := []string{autoFile}
	entries, err := os.ReadDir(r.p.dir)
	if err != nil {
		return // the workflow was given as bytes
	}
	for _, e := range entries { // sorted by name
		if strings.HasSuffix(e.Name(), ".auto.vars.hcl") || strings.HasSuffix(e.Name(), ".auto.vars.json") {
			names = append(names, e.Name())
		}
	}
	for _, name := range names {
		path := filepath.Join(r.p.dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is no regular file") // a pipe would have a service wait
		}
		var src []byte
		if err == nil {
			src, err = readVarFile(path)
		}
		if err != nil {
			r.errorf(nil, "Cannot read variables", "%s: %s.", name, reason(err))
			r.unread = true
			continue
		}
		r.file(name, src, true)
	}
}

// fileArg takes in a -var-file.
func (r *varReader) fileArg(arg string) {
	path, table := arg, ""
	if name, rest, ok := strings.Cut(arg, "="); ok && hclsyntax.ValidIdentifier(name) && strings.HasSuffix(rest, ".csv") {
		path, table = rest, name
	}
	src, err := readVarFile(path)
	r.unread = r.unread || err != nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.errorf(nil, "Cannot read variables", "-var-file %s: there is no such file.", path)
	case err != nil:
		r.errorf(nil, "Cannot read variables", "-var-file %s: %s.", path, reason(err))
	case strings.HasSuffix(path, ".csv"):
		r.csvFile(path, table, src)
	case strings.HasSuffix(path, ".hcl"), strings.HasSuffix(path, ".json"):
		r.file(path, src, false)
	default:
		r.errorf(nil, "Cannot read variables", "-var-file %s: the name of the file must end in .hcl, .json or .csv, which says what it is.", path)
	}
}

func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// maxTable is the largest file of variables: a sample sheet may be longer than a workflow.
const maxTable = 16 << 20

func readVarFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, errors.New("it is a directory")
	}
	src, err := io.ReadAll(io.LimitReader(f, maxTable+1)) // a pipe will do: -var-file <(...)
	if err == nil && len(src) > maxTable {
		err = fmt.Errorf("it has more than %d MiB", maxTable>>20)
	}
	return normalize(src), err
}

// file takes in the arguments of an .hcl file or the object of a .json file.
func (r *varReader) file(name string, src []byte, auto bool) {
	diags := guard(name, src)
	var f *hcl.File
	if !diags.HasErrors() {
		if strings.HasSuffix(name, ".json") {
			f, diags = hcljson.Parse(src, name)
		} else {
			f, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		}
	}
	source := &hcl.File{Bytes: src}
	line := 0
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Line != line { // one mistake makes several errors, mostly on its line
			r.add(d, source)
		}
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
	}
	if diags.HasErrors() || f == nil {
		r.unread = true
		return
	}
	r.p.budget.meter(f)
	attrs, diags := f.Body.JustAttributes()
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "Unexpected") {
			d.Summary = "Unexpected block"
			d.Detail = "A file of variables has arguments only, one a line: name = value."
		}
		r.add(d, source)
	}
	for _, a := range sortedAttributes(attrs) {
		r.attribute(a, name, source, auto)
	}
}

func sortedAttributes(attrs hcl.Attributes) []*hcl.Attribute {
	list := make([]*hcl.Attribute, 0, len(attrs))
	for _, a := range attrs {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *hcl.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return list
}

func (r *varReader) attribute(a *hcl.Attribute, file string, source *hcl.File, auto bool) {
	v := r.p.variables[a.Name]
	if v == nil {
		r.add(&hcl.Diagnostic{
			Severity: hcl.DiagWarning, Summary: "Value for undeclared variable",
			Detail:  fmt.Sprintf("There is no variable %q in the workflow, so this is not used.%s", a.Name, suggest(a.Name, r.names())),
			Subject: a.NameRange.Ptr(),
		}, source)
		return
	}
	if auto && r.isStored(a.Name) {
		return
	}
	g := given{from: file, rng: a.Expr.Range().Ptr(), source: source}
	if refs := a.Expr.Variables(); len(refs) > 0 {
		r.add(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Reference not allowed here",
			Detail:  fmt.Sprintf("A file of variables cannot refer to anything, and %q is a reference. Strings stand in quotes.", refs[0].RootName()),
			Subject: refs[0].SourceRange().Ptr(),
		}, source)
		g.broken = true
	} else {
		var diags hcl.Diagnostics
		g.val, diags = r.p.budget.value(a.Expr, nil)
		for _, d := range diags {
			r.add(d, source)
		}
		g.broken = diags.HasErrors()
	}
	r.given[a.Name] = g
}

// csvFile takes in a table: the first line names the columns, each further line is an
// object. It is the value of the variable named by table, else of the one that has the
// base name of the file.
func (r *varReader) csvFile(path, table string, src []byte) {
	name := table
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(path), ".csv")
	}
	v := r.p.variables[name]
	if v == nil {
		r.errorf(nil, "Value for undeclared variable",
			"-var-file %s: there is no variable %q in the workflow.%s A table is the value of the variable that is named like the file; for another one write -var-file name=%s.",
			path, name, r.known(name), path)
		return
	}
	g := given{from: path}
	if badText(src) >= 0 {
		r.invalid(v, path, nil, nil, "The file is no text in UTF-8.")
		g.broken = true
		r.given[name] = g
		return
	}
	rows, err := decodeCSV(string(src))
	if err != nil {
		r.invalid(v, path, nil, nil, sentence(err.Error()))
		g.broken = true
	} else {
		g.val = tableValue(rows, v.typ)
	}
	r.given[name] = g
}

// tableValue fits a list of objects of strings to a variable's type. Where a column is
// no string, an empty cell is no value (null), which leaves out an optional attribute. A
// table of one column will do for a list of plain values.
func tableValue(rows cty.Value, want cty.Type) cty.Value {
	if !want.IsListType() && !want.IsSetType() || rows.LengthInt() == 0 {
		return rows
	}
	row := want.ElementType()
	columns := rows.Type().ElementType().AttributeTypes()
	vals := make([]cty.Value, 0, rows.LengthInt())
	for it := rows.ElementIterator(); it.Next(); {
		_, v := it.Element()
		cells := v.AsValueMap()
		switch {
		case row.IsPrimitiveType() && len(columns) == 1:
			for _, cell := range cells {
				vals = append(vals, cell)
			}
			continue
		case row.IsObjectType():
			for name, ty := range row.AttributeTypes() {
				if cell, ok := cells[name]; ok && ty != cty.String && cell.AsString() == "" {
					cells[name] = cty.NullVal(ty)
				}
			}
		}
		vals = append(vals, cty.ObjectVal(cells))
	}
	return cty.TupleVal(vals)
}
