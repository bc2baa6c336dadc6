package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"flow/dsl"
)

// A formatter is one invocation of flow fmt.
type formatter struct {
	*app
	check, diff, recursive bool

	differs []string // files that were not, or are not, in canonical form
	broken  bool     // there are files that do not parse
}

func newFmt(a *app) *cobra.Command {
	f := &formatter{app: a}
	cmd := &cobra.Command{
		Use:   "fmt [PATH...]",
		Short: "Rewrite files in the canonical layout",
		Long: `Rewrite the .hcl files at each PATH (a file or a directory; default: here) in the
canonical layout, and print the names of those that changed. With - as PATH, read
stdin and write to stdout.`,
		RunE: func(_ *cobra.Command, paths []string) error { return f.run(paths) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.check, "check", false, "write nothing; exit with 3 if a file differs")
	flags.BoolVar(&f.diff, "diff", false, "write nothing; print what differs")
	flags.BoolVar(&f.recursive, "recursive", false, "go into the directories below as well")
	return cmd
}

func (f *formatter) run(paths []string) error {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, path := range paths {
		if err := f.path(path); err != nil {
			return err
		}
	}
	if f.asJSON() {
		if err := f.printJSON(map[string]any{"files": append([]string{}, f.differs...)}); err != nil {
			return err
		}
	}
	switch {
	case f.broken:
		return exit(exitProblem)
	case f.check && len(f.differs) > 0:
		return exit(exitDiffers)
	}
	return nil
}

func (f *formatter) path(path string) error {
	if path == "-" {
		src, err := io.ReadAll(f.stdin)
		if err != nil {
			return fmt.Errorf("cannot read stdin: %w", err)
		}
		return f.source("<stdin>", src, func(out []byte) error {
			_, err := f.stdout.Write(out)
			return err
		})
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !strings.HasSuffix(path, ".hcl") {
			return fmt.Errorf("%s: only files that end in .hcl can be formatted", path)
		}
		return f.file(path)
	}
	return filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && p != path && (!f.recursive || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.Type().IsRegular() && strings.HasSuffix(p, ".hcl"):
			return f.file(p)
		}
		return nil
	})
}

func (f *formatter) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return f.source(path, src, func(out []byte) error { return replaceFile(path, out) })
}

// source formats src. It is written with write, unless -check or -diff is given; a file
// that is in canonical form is left alone.
func (f *formatter) source(name string, src []byte, write func([]byte) error) error {
	if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		f.diagnose("", map[string]*hcl.File{name: {Bytes: src}}, diags)
		f.broken = true
		return nil
	}
	out := dsl.Format(src)
	same := bytes.Equal(src, out)
	if !same {
		f.differs = append(f.differs, name)
	}
	fromStdin := name == "<stdin>"
	switch {
	case f.diff:
		_, err := f.stdout.Write(diff.Diff(name, src, name+" (formatted)", out))
		return err
	case f.check:
		if same || f.asJSON() {
			return nil
		}
		_, err := fmt.Fprintln(f.stdout, name)
		return err
	case fromStdin:
		return write(out)
	case same:
		return nil
	}
	if err := write(out); err != nil || f.asJSON() {
		return err
	}
	_, err := fmt.Fprintln(f.stdout, name)
	return err
}

// replaceFile writes a file whole or not at all, with the permissions it had.
func replaceFile(path string, content []byte) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(real), "."+filepath.Base(real)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), real)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
