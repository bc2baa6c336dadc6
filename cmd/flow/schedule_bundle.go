package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"flow/cmd/flow/internal/bundle"
	"flow/cmd/flow/internal/head"
	"flow/dsl"
	"flow/engine"
	"flow/executor/store"
)

// A manifest says how the workflow in a bundle is run.
type manifest struct {
	Workflow string        `json:"workflow"` // its file, or "." for the whole directory
	Site     dsl.Site      `json:"site"`
	WorkDir  string        `json:"work_dir"`
	Vars     []manifestVar `json:"vars,omitempty"` // in the order of the command line
}

// A manifestVar is -var or -var-file.
type manifestVar struct {
	Set  string `json:"set,omitempty"`
	File string `json:"file,omitempty"` // in the bundle; or NAME=FILE
}

// What a bundle has beside the workflow's own files, none of which is hidden.
const (
	manifestName = ".flow-deploy.json"
	manifestVars = ".flow-deploy"
)

// A packed workflow is a bundle that is written to a file of this machine.
type packed struct {
	file   *os.File // without a name
	sum    string
	size   int64
	bundle *bundle.Bundle
}

// pack puts the workflow at path, of a session, into a bundle.
func (s *session) pack(file string, f *deployFlags, workDir string, place *head.Place) (p *packed, err error) {
	b, err := bundle.Of(s.program.Workflow.Dir, f.exclude)
	if err != nil {
		return nil, err
	}
	site := s.site
	site.Profile = "" // a head has a role
	site.PublishTo = place.Published()
	m := manifest{Workflow: ".", Site: site, WorkDir: workDir}
	if info, err := os.Stat(file); err == nil && !info.IsDir() {
		m.Workflow = filepath.Base(file)
	}
	if m.Vars, err = s.packVars(b, f.vars); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	b.Add(manifestName, text)
	p = &packed{bundle: b}
	if p.file, err = os.CreateTemp("", "flow-bundle-"); err != nil {
		return nil, err
	}
	if err = os.Remove(p.file.Name()); err == nil {
		p.sum, err = b.Write(p.file)
	}
	if err == nil {
		p.size, err = p.file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// packVars takes the files of -var-file into the bundle. Values that are to be kept secret are
// not for a bundle.
func (s *session) packVars(b *bundle.Bundle, vars varFlags) (out []manifestVar, err error) {
	if names := s.program.SensitiveGiven(dsl.VarInput{AutoFiles: true, Args: vars}); len(names) > 0 {
		return nil, errSensitive(names[0])
	}
	for i, v := range vars {
		if v.File == "" {
			out = append(out, manifestVar{Set: v.Set})
			continue
		}
		name, file, named := strings.Cut(v.File, "=")
		if !named {
			name, file = "", v.File
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-var-file: %w", err)
		}
		in := path.Join(manifestVars, fmt.Sprint(i), filepath.Base(file))
		b.Add(in, data)
		if named {
			in = name + "=" + in
		}
		out = append(out, manifestVar{File: in})
	}
	return out, nil
}

func errSensitive(name string) error {
	return fmt.Errorf("variable %q is sensitive, and a bundle, with the files beside the workflow and those of -var-file, is not kept secret: give it as -secret-var %[1]s=ARN, of a secret of Secrets Manager or a parameter of Systems Manager", name)
}

// upload puts the bundle where heads find it, unless it is there.
func (p *packed) upload(ctx context.Context, place *head.Place) error {
	uri := place.Bundle(p.sum)
	switch o, err := place.Store.Head(ctx, uri); {
	case err == nil && o.Size == p.size:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, _, err := place.Store.Upload(ctx, uri, p.file, p.size)
	return err
}

// An unpacked bundle is one on this machine.
type unpacked struct {
	dir      string
	manifest manifest
}

// bundlePrefix begins the names of the directories with bundles, below that of temporary files.
// What follows is the sha256 of the bundle: a run whose files are in it finds them again in
// another container.
const bundlePrefix = "flow-bundle-"

func bundleDir(sum string) string { return filepath.Join(os.TempDir(), bundlePrefix+sum) }

// bundleOf returns the sha256 of the bundle that a directory is of; "": of none.
func bundleOf(dir string) string {
	sum, ok := strings.CutPrefix(filepath.Base(dir), bundlePrefix)
	if !ok {
		return ""
	}
	return sum
}

// unpack fetches a bundle, unless it is there already.
func unpack(ctx context.Context, place *head.Place, sum string) (*unpacked, error) {
	dir := bundleDir(sum)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := fetchBundle(ctx, place, sum, dir); err != nil {
			return nil, err
		}
	}
	if err := ownDir(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	u := &unpacked{dir: dir}
	if err := json.Unmarshal(text, &u.manifest); err != nil {
		return nil, fmt.Errorf("bundle %s: %s: %w", sum, manifestName, err)
	}
	return u, nil
}

// fetchBundle fetches a bundle into a directory that is there only once all of it is.
func fetchBundle(ctx context.Context, place *head.Place, sum, dir string) (err error) {
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+bundlePrefix) // 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	files := filepath.Join(temp, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		return err
	}
	tar := filepath.Join(temp, "bundle")
	uri := place.Bundle(sum)
	err = place.Fetch(ctx, &head.Copy{URI: uri, SHA256: sum}, tar)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the workflow's files are gone: %w; deploy it again", err)
	}
	if err != nil {
		return err
	}
	in, err := os.Open(tar)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := bundle.Extract(in, files); err != nil {
		return fmt.Errorf("%s: %w", uri, err)
	}
	if err := os.Rename(files, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// workflow reads the workflow in the bundle.
func (a *app) bundled(u *unpacked) (*loadedWorkflow, *runFlags, error) {
	path := filepath.Join(u.dir, u.manifest.Workflow)
	program, sources, mistakes, err := a.read(path)
	if err != nil {
		return nil, nil, err
	}
	f := &runFlags{given: &u.manifest.Site, workDir: u.manifest.WorkDir}
	for _, v := range u.manifest.Vars {
		arg := dsl.VarArg{Set: v.Set}
		if v.File != "" {
			name, file, named := strings.Cut(v.File, "=")
			if !named {
				name, file = "", v.File
			}
			arg.File = filepath.Join(u.dir, filepath.FromSlash(file))
			if named {
				arg.File = name + "=" + arg.File
			}
		}
		f.vars = append(f.vars, arg)
	}
	return &loadedWorkflow{path: path, program: program, sources: sources, mistakes: mistakes}, f, nil
}

// deployPlace returns where the deployment of a workflow is kept below its work_dir.
func deployPlace(s store.Store, workDir, workflow string) *head.Place {
	return &head.Place{Store: s, URI: strings.TrimSuffix(workDir, "/") + "/deploy/" + workflow}
}

// scheduleOf returns the schedule of that name; nil: there is none.
func scheduleOf(wf *engine.Workflow, name string) *engine.Schedule {
	for _, s := range wf.Schedules {
		if s.Name == name {
			return s
		}
	}
	return nil
}
