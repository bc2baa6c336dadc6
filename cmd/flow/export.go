package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"flow/cmd/flow/internal/export"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

var runExports = []string{"trace", "events", "ro-crate", "otlp"}

// An exportCommand is one invocation of flow export.
type exportCommand struct {
	*app
	format string
	to     string // a file, or - or "": stdout; of an RO-Crate a directory
	crate  export.CrateOptions
}

func newExport(a *app) *cobra.Command {
	c := &exportCommand{app: a}
	cmd := &cobra.Command{
		Use:   "export [RUN]",
		Short: "Write a run for other programs: trace, events, RO-Crate or OpenTelemetry",
		Long: `Write a run (default: the newest) in a format that other programs read:

  trace     a table of all tries of all tasks (TSV), as Nextflow's trace file
  events    what happened, event by event (a JSON object a line)
  ro-crate  a directory with the workflow and the provenance of all that was done, as a
            Provenance Run Crate; needs -o DIR
  otlp      spans of OpenTelemetry: of the run, its steps, tasks and tries. Without -o they
            are sent to OTEL_EXPORTER_OTLP_ENDPOINT

See docs/export.md.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if !slices.Contains(runExports, c.format) {
				return errUsage(cmd.CommandPath(), "which format is wanted? --format %s", orList(runExports))
			}
			if c.format == "ro-crate" && (c.to == "" || c.to == "-") {
				return errUsage(cmd.CommandPath(), "an RO-Crate is a directory: say which one is to be made with -o DIR")
			}
			return c.run(cmd.Context(), slices.Concat(argv, []string{lastRun})[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.format, "format", "", "`FORMAT`: trace, events, ro-crate or otlp")
	flags.StringVarP(&c.to, "output", "o", "", "write to the file or directory `PATH`; -: stdout")
	flags.StringVar(&c.crate.License, "license", "", "of an RO-Crate: the `LICENSE` of what is in it, best as a URL (https://spdx.org/licenses/CC-BY-4.0)")
	flags.StringVar(&c.crate.Author, "author", "", "of an RO-Crate: `WHO` ran it, a name or an ORCID as a URL")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(runExports, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return cmd
}

func (c *exportCommand) run(ctx context.Context, ref string) error {
	p, err := c.openRun(ctx, ref)
	if err != nil {
		return err
	}
	defer p.close()
	if err := c.look(ctx, p); err != nil {
		c.say("%s", asOf(ctx, p, err))
	}
	if c.format == "events" { // they need not be in memory
		return c.write(func(w io.Writer) error { return c.events(ctx, p, w) })
	}
	r, err := c.exported(ctx, p)
	if err != nil {
		return err
	}
	switch c.format {
	case "trace":
		return c.write(func(w io.Writer) error { return export.Trace(w, r) })
	case "otlp":
		return c.otlp(ctx, r)
	}
	return c.writeCrate(ctx, p, r)
}

// exported returns a run as it is exported.
func (a *app) exported(ctx context.Context, p *past) (*export.Run, error) {
	r, err := export.Gather(p.run, p.db.Events(ctx, p.row.ID, 0))
	if err != nil {
		return nil, err
	}
	r.Flow, r.Now = version(), a.now()
	kept, err := paramsOf(p.row)
	if err != nil {
		return nil, err
	}
	r.Containers = p.row.Executor == batchExecutor || kept.Machine.Containers != ""
	for _, v := range p.program.Variables {
		r.Variables = append(r.Variables, export.Variable{Name: v.Name, Type: v.TypeString, Description: v.Description})
	}
	return r, nil
}

func (c *exportCommand) events(ctx context.Context, p *past, w io.Writer) error {
	out, err := export.NewEvents(w, version(), p.row.ID)
	if err != nil {
		return err
	}
	for e, err := range p.db.Events(ctx, p.row.ID, 0) {
		if err != nil {
			return err
		}
		if err := out.Write(&e); err != nil {
			return err
		}
	}
	return nil
}

// write has fn write to where -o says. A file is there whole, or as it was.
func (c *exportCommand) write(fn func(io.Writer) error) error {
	return c.writeTo(c.to, fn)
}

func (a *app) writeTo(path string, fn func(io.Writer) error) error {
	if path == "" || path == "-" {
		w := bufio.NewWriter(a.stdout)
		return errors.Join(fn(w), w.Flush())
	}
	var content bytes.Buffer
	if err := fn(&content); err != nil {
		return err
	}
	if err := writeWhole(path, content.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", path, unpath(err))
	}
	a.say("wrote %s (%s)", view.Clean(path), view.Bytes(int64(content.Len())))
	return nil
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(path string, content []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, content, 0o666) // a pipe, or /dev/stdout
	}
	temp := path + ".part"
	err := os.WriteFile(temp, content, 0o666)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

// otlp sends spans, or writes them.
func (c *exportCommand) otlp(ctx context.Context, r *export.Run) error {
	to, err := export.CollectorOf(os.Getenv)
	if c.to != "" {
		service := "flow"
		if to != nil {
			service = to.Service
		}
		return c.write(func(w io.Writer) error { return export.OTLP(w, r, service) })
	}
	switch {
	case err != nil:
		return err
	case to == nil:
		return errUsage("flow export", "where do the spans go? Set OTEL_EXPORTER_OTLP_ENDPOINT, such as to http://localhost:4318, or write a file with -o FILE")
	}
	n, err := to.Send(ctx, r)
	if err != nil {
		return err
	}
	c.say("sent %s of run %s", view.Plural(n, "span"), r.ID())
	return nil
}

// writeCrate makes the directory of an RO-Crate.
func (c *exportCommand) writeCrate(ctx context.Context, p *past, r *export.Run) error {
	if there, err := os.ReadDir(c.to); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty: an RO-Crate is a directory of its own; remove it, or choose another", c.to)
	}
	if err := c.readFiles(ctx, p, r); err != nil {
		return err
	}
	for _, s := range r.Sources {
		at := filepath.FromSlash(export.SourcePath(s.Name))
		if !filepath.IsLocal(at) {
			return fmt.Errorf("the workflow has a file %q, which is not in its directory", s.Name)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(c.to, at)), 0o777); err != nil {
			return err
		}
		if err := writeWhole(filepath.Join(c.to, at), s.Bytes); err != nil {
			return err
		}
	}
	var metadata bytes.Buffer
	if err := export.Crate(&metadata, r, c.crate); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(c.to, export.MetadataFile), metadata.Bytes()); err != nil {
		return err
	}
	c.say("wrote an RO-Crate to %s: %s of the workflow, and %s (%s)", view.Clean(c.to), view.Plural(len(r.Sources), "file"), export.MetadataFile, view.Bytes(int64(metadata.Len())))
	return nil
}

// readFiles reads what tasks left, and the files of the workflow.
func (a *app) readFiles(ctx context.Context, p *past, r *export.Run) (err error) {
	if r.Sources, err = sourcesOf(ctx, p); err != nil {
		return err
	}
	files, err := p.files(a)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	left := map[string]*engine.Manifest{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for dir := range resultDirs(p.run) {
		g.Go(func() error {
			m, err := files.Left(ctx, dir)
			if errors.Is(err, engine.ErrNotFound) {
				return nil // it left nothing, or somebody removed it
			}
			mu.Lock()
			defer mu.Unlock()
			left[dir] = m
			return err
		})
	}
	r.Manifest = func(dir string) *engine.Manifest { return left[dir] }
	r.Directory = func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}
	return g.Wait()
}

// resultDirs yields the directories of the tasks that have a result.
func resultDirs(run *engine.Run) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range run.Steps() {
			for i := range max(v.Size, 0) {
				if t := run.Task(v.Step.Name, i); t.Status.OK() && !yield(t.Dir) {
					return
				}
			}
		}
	}
}

// sourcesOf returns the files of a run's workflow, first the one that says its name.
func sourcesOf(ctx context.Context, p *past) ([]export.Source, error) {
	stored, err := p.db.Sources(ctx, p.row.ID)
	if err != nil {
		return nil, err
	}
	var out []export.Source
	for _, s := range stored {
		out = append(out, export.Source{Name: filepath.ToSlash(s.Name), Bytes: s.Bytes})
	}
	main := slices.IndexFunc(out, func(s export.Source) bool { return namesWorkflow(s) })
	if main > 0 {
		out[0], out[main] = out[main], out[0]
	}
	return out, nil
}

// namesWorkflow reports whether a file has the workflow block.
func namesWorkflow(s export.Source) bool {
	switch {
	case strings.HasSuffix(s.Name, ".hcl"):
		for line := range bytes.SplitSeq(s.Bytes, []byte("\n")) {
			if bytes.HasPrefix(bytes.TrimSpace(line), []byte("workflow ")) {
				return true
			}
		}
	case strings.HasSuffix(s.Name, ".hcl.json"):
		return bytes.Contains(s.Bytes, []byte(`"workflow"`))
	}
	return false
}
