package dsl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFile is the largest file that file() and its like read.
const maxFile = 32 << 20

// fileFunctions returns the functions that read files of dir, which is as far as they
// see: os.Root refuses paths and links that lead out of it.
func fileFunctions(dir string, b *budget) map[string]function.Function {
	pathParam := []function.Parameter{{Name: "path", Type: cty.String}}
	return map[string]function.Function{
		"file": function.New(&function.Spec{
			Params: pathParam, Type: function.StaticReturnType(cty.String), RefineResult: refineNotNull,
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				text, err := readText(dir, args[0].AsString(), b)
				return cty.StringVal(text), err
			},
		}),
		"filebase64": function.New(&function.Spec{
			Params: pathParam, Type: function.StaticReturnType(cty.String), RefineResult: refineNotNull,
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				data, err := readFile(dir, args[0].AsString(), b)
				return cty.StringVal(base64.StdEncoding.EncodeToString(data)), err
			},
		}),
		"fileexists": function.New(&function.Spec{
			Params: pathParam, Type: function.StaticReturnType(cty.Bool), RefineResult: refineNotNull,
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				ok, err := fileExists(dir, args[0].AsString(), b)
				return cty.BoolVal(ok), err
			},
		}),
		"fileset": function.New(&function.Spec{
			VarParam: &function.Parameter{Name: "path", Type: cty.String},
			Type:     function.StaticReturnType(cty.List(cty.String)), RefineResult: refineNotNull,
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				switch len(args) {
				case 1:
					return fileSet(dir, ".", args[0].AsString(), b)
				case 2:
					return fileSet(dir, args[0].AsString(), args[1].AsString(), b)
				}
				return cty.NilVal, errors.New("fileset takes a pattern, or a directory and a pattern")
			},
		}),
	}
}

// withoutFiles returns a table in which the functions that read files have unknown
// results, so that a workflow can be checked where its files are not.
func withoutFiles(table map[string]function.Function) map[string]function.Function {
	table = maps.Clone(table)
	for name, ty := range map[string]cty.Type{
		"file": cty.String, "filebase64": cty.String, "fileexists": cty.Bool,
		"fileset": cty.List(cty.String), "templatefile": cty.String,
	} {
		f := table[name]
		table[name] = function.New(&function.Spec{
			Params: f.Params(), VarParam: f.VarParam(), Type: function.StaticReturnType(ty), RefineResult: refineNotNull,
			Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.UnknownVal(ty), nil },
		})
	}
	return table
}

// inside returns p as a path within the workflow's directory.
func inside(p string) (string, error) {
	switch {
	case p == "":
		return "", function.NewArgErrorf(0, "the path is empty")
	case strings.ContainsRune(p, 0):
		return "", function.NewArgErrorf(0, "the path has a NUL byte in it")
	case path.IsAbs(p):
		return "", function.NewArgErrorf(0, "%q is an absolute path; a workflow may only look at files of its own directory. Give the file to a step as an input instead", p)
	}
	c := path.Clean(p)
	if c == ".." || strings.HasPrefix(c, "../") {
		return "", outside(p)
	}
	return c, nil
}

func outside(p string) error {
	return function.NewArgErrorf(0, "%q leads out of the workflow's directory; a workflow may only look at files of its own directory. Give the file to a step as an input instead", p)
}

// fileError makes an error of os.Root one for people.
func fileError(p string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return function.NewArgErrorf(0, "there is no file %q in the workflow's directory", p)
	case errors.Is(err, fs.ErrPermission):
		return function.NewArgErrorf(0, "%q may not be read: permission denied", p)
	case strings.Contains(err.Error(), "escapes"): // os.Root has no error value for it
		return outside(p)
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return function.NewArgErrorf(0, "%q cannot be read: %s", p, err)
}

// readFile returns the content of a file in dir.
func readFile(dir, p string, b *budget) ([]byte, error) {
	name, err := inside(p)
	if err != nil {
		return nil, err
	}
	if data, ok := b.embedded[name]; ok {
		return data, b.charge(int64(callSteps+len(data)/64), int64(len(data)))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	defer root.Close()
	// A pipe would wait for its writer without O_NONBLOCK.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileError(p, err)
	}
	defer f.Close()
	switch st, err := f.Stat(); {
	case err != nil:
		return nil, fileError(p, err)
	case st.IsDir():
		return nil, function.NewArgErrorf(0, "%q is a directory; fileset lists its files", p)
	case !st.Mode().IsRegular():
		return nil, function.NewArgErrorf(0, "%q is no regular file", p)
	case st.Size() > maxFile:
		return nil, function.NewArgErrorf(0, "%q has %d MiB, and at most %d can be read into an expression. Give the file to a step as an input instead", p, st.Size()>>20, maxFile>>20)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fileError(p, err)
	}
	if err := b.charge(int64(callSteps+len(data)/64), int64(len(data))); err != nil {
		return nil, err
	}
	return data, nil
}

func readText(dir, p string, b *budget) (string, error) {
	data, err := readFile(dir, p, b)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data) {
		return "", function.NewArgErrorf(0, "%q is no text in UTF-8; filebase64 reads any file", p)
	}
	return string(data), nil
}

func fileExists(dir, p string, b *budget) (bool, error) {
	name, err := inside(p)
	if err != nil {
		return false, err
	}
	if err := b.charge(callSteps, 0); err != nil {
		return false, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, fileError(dir, err)
	}
	defer root.Close()
	switch st, err := root.Stat(name); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fileError(p, err)
	default:
		return st.Mode().IsRegular(), nil
	}
}

// fileSet returns the regular files below sub that match pattern, sorted, relative to
// sub. What lies in hidden directories, flow's own among them, has to be named.
func fileSet(dir, sub, pattern string, b *budget) (cty.Value, error) {
	sub, err := inside(sub)
	if err != nil {
		return cty.NilVal, err
	}
	pattern, err = inside(pattern)
	if err != nil {
		return cty.NilVal, err
	}
	if !doublestar.ValidatePattern(pattern) {
		return cty.NilVal, function.NewArgErrorf(0, "%q is no pattern: * stands for any part of a name, ** for any directories, ? for a character, {a,b} for a or b, [a-z] for a character of these", pattern)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return cty.NilVal, fileError(dir, err)
	}
	defer root.Close()
	base, _ := doublestar.SplitPattern(pattern)
	if _, err := root.Stat(path.Join(sub, base)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cty.NilVal, fileError(path.Join(sub, base), err)
	}
	if st, err := root.Stat(sub); err != nil || !st.IsDir() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cty.NilVal, fileError(sub, err)
		}
		return cty.ListValEmpty(cty.String), nil
	}
	names, err := globFiles(root, sub, pattern, b)
	if err != nil {
		return cty.NilVal, err
	}
	vals := make([]cty.Value, len(names))
	for i, name := range names {
		vals[i] = cty.StringVal(name)
	}
	if len(vals) == 0 {
		return cty.ListValEmpty(cty.String), nil
	}
	return cty.ListVal(vals), nil
}

func globFiles(root *os.Root, sub, pattern string, b *budget) ([]string, error) {
	fsys, err := fs.Sub(root.FS(), sub)
	if err != nil {
		return nil, fileError(sub, err)
	}
	var names []string
	options := []doublestar.GlobOption{}
	if !strings.HasPrefix(pattern, ".") && !strings.Contains(pattern, "/.") {
		options = append(options, doublestar.WithNoHidden())
	}
	err = doublestar.GlobWalk(fsys, pattern, func(name string, d fs.DirEntry) error {
		if err := b.charge(callSteps, int64(len(name))); err != nil {
			return err
		}
		mode := d.Type()
		if mode&fs.ModeSymlink != 0 {
			st, err := root.Stat(path.Join(sub, name))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return fileError(path.Join(sub, name), err)
			}
			mode = st.Mode()
		}
		if mode.IsRegular() {
			names = append(names, name)
		}
		if len(names) > b.tasks {
			return fmt.Errorf("more than %d files match %q", b.tasks, pattern)
		}
		return nil
	}, options...)
	slices.Sort(names)
	return names, err
}

// templateFileFunc renders a file of dir as an HCL template.
func templateFileFunc(dir string, b *budget, table map[string]function.Function) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String},
			{Name: "vars", Type: cty.DynamicPseudoType, AllowMarked: true, AllowUnknown: true, AllowDynamicType: true},
		},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: refineNotNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			vars, marks := args[1].Unmark()
			if !vars.IsKnown() {
				return cty.UnknownVal(cty.String).WithMarks(marks), nil
			}
			if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() {
				return cty.NilVal, function.NewArgErrorf(1, "the variables of the template must be an object, such as { name = value }")
			}
			text, err := readText(dir, name, b)
			if err != nil {
				return cty.NilVal, err
			}
			v, err := b.render(name, string(normalize([]byte(text))), vars.AsValueMap(), table)
			return v.WithMarks(marks), err
		},
	})
}

func (b *budget) render(name, text string, vars map[string]cty.Value, table map[string]function.Function) (cty.Value, error) {
	expr, diags := b.parseTemplate(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, templateError(name, diags)
	}
	ctx := &hcl.EvalContext{Variables: vars, Functions: table}
	val, diags := b.evaluate(expr, ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, templateError(name, improve(diags, nil))
	}
	val, err := convert.Convert(val, cty.String)
	if err != nil || val.IsNull() {
		return cty.DynamicVal, function.NewArgErrorf(0, "template %q makes no text", name)
	}
	return val, nil
}

// templateError tells the first of diags, which lie in another file than the call.
func templateError(name string, diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		return function.NewArgErrorf(0, "in template %q, line %d: %s: %s", name, line, strings.ToLower(d.Summary), d.Detail)
	}
	return nil
}
