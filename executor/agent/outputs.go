package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"flow/engine"
)

// Limits on what outputs may be.
const (
	maxValue   = 1 << 20 // bytes of a json or text output: its value is kept with the run
	maxMatches = 100_000 // files that one pattern may match
)

// A collector gathers the files that outputs name, and hashes each once.
type collector struct {
	ctx    context.Context
	at     *Attempt
	root   *os.Root
	real   string   // the attempt's directory, with all links resolved
	inputs []string // real paths of the inputs: where links may lead out to

	files  []engine.ManifestFile
	index  map[string]int    // of files, by Path
	source map[string]string // real path of each file that is a link to an input
	values engine.Values
	byName map[string][]string // paths of each output that are to be published

	objects *objects            // where the files go; nil: they stay where they are
	uploads map[string]outgoing // what is to go there, by Path
}

// collect checks the outputs of an attempt whose command has succeeded. The root of the
// collector is for the caller to close.
func (at *Attempt) collect(ctx context.Context) (*collector, error) {
	real, err := filepath.EvalSymlinks(at.Dir)
	if err != nil {
		return nil, &Error{StageOut, "the task's directory is gone: " + Explain(err), err}
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, stageOutError(err)
	}
	c := &collector{
		ctx: ctx, at: at, root: root, real: real, inputs: slices.Concat(at.Mounts, at.staged),
		index: map[string]int{}, source: map[string]string{}, byName: map[string][]string{},
	}
	if o, ok := at.records.(objects); ok {
		c.objects, c.uploads = &o, map[string]outgoing{}
	}
	for i := range at.Task.Spec.Outputs {
		if err := c.output(&at.Task.Spec.Outputs[i]); err != nil {
			root.Close()
			return nil, err
		}
	}
	sort.Slice(c.files, func(i, j int) bool { return c.files[i].Path < c.files[j].Path })
	return c, nil
}

// output checks one output and notes its files and its value.
func (c *collector) output(o *engine.Output) error {
	if o.Kind == engine.OutputFiles {
		return c.glob(o)
	}
	if err := checkOutputPath(o.Path); err != nil {
		return c.invalid(o, "%v", err)
	}
	rel := filepath.Clean(o.Path)
	what, err := c.look(o, rel)
	if errors.Is(err, fs.ErrNotExist) {
		if o.Optional {
			c.setValue(o, []byte("null"))
			return nil
		}
		return &Error{Class: OutputMissing, Msg: fmt.Sprintf("output %q: %s is not there; %s", o.Name, show(rel), c.listing(rel))}
	}
	if err != nil {
		return err
	}
	c.byName[o.Name] = []string{rel}
	if o.Kind == engine.OutputDirectory {
		if !what.info.IsDir() {
			return c.invalid(o, "%s is a file; declare it with `file`", show(rel))
		}
		return c.directory(o, rel, what, nil)
	}
	if what.info.IsDir() {
		return c.invalid(o, "%s is a directory; declare it with `directory`", show(rel))
	}
	if o.Kind == engine.OutputFile {
		return c.file(o, rel, what, nil)
	}
	return c.value(o, rel, what)
}

// A thing is what stands at a path of the attempt's directory.
type thing struct {
	info    fs.FileInfo // of what it is in the end, no link
	inside  string      // path relative to the attempt's directory; "" if it is an input
	outside string      // real path if it is an input
}

// look finds out what stands at rel. Links are followed as long as they stay in the
// attempt's directory or lead to one of its inputs. A path that is not there is
// fs.ErrNotExist; other errors are final.
func (c *collector) look(o *engine.Output, rel string) (thing, error) {
	info, err := c.root.Lstat(rel)
	if err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return thing{info: info, inside: rel}, c.checkMode(o, rel, info)
	}
	if err != nil && isPlainError(err) {
		return thing{}, err
	}
	// A link, or a path that goes through one that os.Root will not follow.
	real, err := filepath.EvalSymlinks(c.real + "/" + rel)
	if err != nil {
		if target, lerr := os.Readlink(c.real + "/" + rel); lerr == nil && errors.Is(err, fs.ErrNotExist) {
			return thing{}, c.invalid(o, "%s is a link to %s, which is not there", show(rel), show(target))
		}
		return thing{}, err
	}
	if inside, ok := below(c.real, real); ok {
		if underInputs(inside) && !c.isInput(real) {
			return thing{}, c.invalid(o, "%s is a link into %s/", show(rel), InputsDir)
		}
		info, err := c.root.Stat(inside)
		if err != nil {
			return thing{}, err
		}
		return thing{info: info, inside: inside}, c.checkMode(o, rel, info)
	}
	if !c.isInput(real) {
		return thing{}, c.invalid(o, "%s is a link to %s, outside the task's directory; copy the file instead (cp -L)", show(rel), show(real))
	}
	if info, err = os.Stat(real); err != nil {
		return thing{}, err
	}
	return thing{info: info, outside: real}, c.checkMode(o, rel, info)
}

// isPlainError reports whether an error of os.Root tells of the file itself, and not
// that os.Root refused to leave its directory.
func isPlainError(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

func (c *collector) checkMode(o *engine.Output, rel string, info fs.FileInfo) error {
	if m := info.Mode(); !m.IsRegular() && !m.IsDir() {
		return c.invalid(o, "%s is neither a file nor a directory (%s)", show(rel), m.Type())
	}
	return nil
}

// isInput reports whether real is an input of the task, or in one.
func (c *collector) isInput(real string) bool {
	return slices.ContainsFunc(c.inputs, func(in string) bool {
		_, ok := below(in, real)
		return ok || in == real
	})
}

// below returns path relative to dir if it is dir or below it.
func below(dir, path string) (string, bool) {
	if path == dir {
		return ".", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func underInputs(rel string) bool { return rel == InputsDir || strings.HasPrefix(rel, InputsDir+"/") }

// open opens a thing that is a file.
func (c *collector) open(t thing) (*os.File, error) {
	if t.outside != "" {
		return os.Open(t.outside)
	}
	return c.root.Open(t.inside)
}

// file notes a file of an output. data, unless nil, is its content, already read.
func (c *collector) file(o *engine.Output, rel string, t thing, data []byte) error {
	if _, ok := c.index[rel]; ok {
		return nil
	}
	if c.objects != nil {
		return c.later(o, rel, t, data)
	}
	f, err := c.open(t)
	if err != nil {
		return c.invalid(o, "%s", Explain(err))
	}
	defer f.Close()
	sum, info, err := c.hash(f, t, data)
	if err != nil {
		return c.unread(o, rel, err)
	}
	c.index[rel] = len(c.files)
	c.files = append(c.files, manifestFile(rel, info, sum))
	if t.outside != "" {
		c.source[rel] = t.outside
	}
	return nil
}

// unread words why a file could not be read to its end.
func (c *collector) unread(o *engine.Output, rel string, err error) error {
	if errors.Is(err, errChanged) {
		return c.invalid(o, "%s changed while it was read: something that the command started is still writing it", show(rel))
	}
	return stageOutError(err)
}

// hash returns the sha256 of a file, and remembers it.
func (c *collector) hash(f *os.File, t thing, data []byte) (Sum, fs.FileInfo, error) {
	if t.outside != "" {
		return c.at.agent.Files.hashOpen(c.ctx, f, t.outside)
	}
	sum, info, err := hashStable(c.ctx, f, data)
	if err == nil {
		c.at.agent.Files.remember(c.real+"/"+t.inside, info, sum)
	}
	return sum, info, err
}

// directory notes every file below a directory. way holds the real directories that
// it was reached through, to see a link that leads back.
func (c *collector) directory(o *engine.Output, rel string, t thing, way []string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	here := t.outside
	if here == "" {
		here = c.real + "/" + t.inside
	}
	if slices.Contains(way, here) {
		return c.invalid(o, "%s is a link to a directory that it is in", show(rel))
	}
	way = append(way[:len(way):len(way)], here)
	d, err := c.open(t)
	if err != nil {
		return c.invalid(o, "%s", Explain(err))
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return stageOutError(err)
	}
	sort.Strings(names)
	if len(names) == 0 {
		c.laterEmpty(rel)
	}
	for _, name := range names {
		sub := path.Join(rel, name)
		if sub == InputsDir {
			continue
		}
		what, err := c.look(o, sub)
		if errors.Is(err, fs.ErrNotExist) {
			return c.invalid(o, "%s vanished while it was read: something that the command started is still at work", show(sub))
		}
		if err == nil && what.info.IsDir() {
			err = c.directory(o, sub, what, way)
		} else if err == nil {
			err = c.file(o, sub, what, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// glob notes the files that match the pattern of a files output, sorted by name.
func (c *collector) glob(o *engine.Output) error {
	matches, err := doublestar.Glob(os.DirFS(c.real), path.Clean(o.Path), doublestar.WithNoHidden())
	if err != nil || !filepath.IsLocal(o.Path) {
		return c.invalid(o, "%s is not a pattern of paths inside the task's directory", show(o.Path))
	}
	matches = slices.DeleteFunc(matches, underInputs)
	sort.Strings(matches)
	matches = slices.Compact(matches)
	list := []string{}
	dirs := 0
	for _, rel := range matches {
		what, err := c.look(o, rel)
		if err != nil {
			return err
		}
		if what.info.IsDir() {
			dirs++
			continue
		}
		if !utf8.ValidString(rel) {
			return c.invalid(o, "the name %s is not UTF-8 and cannot be in a list; rename the file, or declare its directory with `directory`", show(rel))
		}
		if list = append(list, rel); len(list) > maxMatches {
			return c.invalid(o, "%s matches more than %d files", show(o.Path), maxMatches)
		}
		if err := c.file(o, rel, what, nil); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		c.byName[o.Name] = list
		return c.setJSON(o, list)
	}
	if o.Optional {
		c.setValue(o, []byte("null"))
		return nil
	}
	msg := fmt.Sprintf("output %q: nothing matches %s; %s", o.Name, show(o.Path), c.listing(o.Path))
	if dirs > 0 {
		msg = fmt.Sprintf("output %q: %s matches only directories; `files` lists files, such as %s", o.Name, show(o.Path), show(path.Join(o.Path, "*")))
	}
	return &Error{Class: OutputMissing, Msg: msg}
}

// value reads a json or text output.
func (c *collector) value(o *engine.Output, rel string, t thing) error {
	if t.info.Size() > maxValue {
		return c.invalid(o, "%s has %d bytes; a %s output may have 1 MiB, since its value is kept with the run: declare it with `file`", show(rel), t.info.Size(), o.Kind)
	}
	f, err := c.open(t)
	if err != nil {
		return c.invalid(o, "%s", Explain(err))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	f.Close()
	if err != nil {
		return stageOutError(err)
	}
	if len(data) > maxValue {
		return c.invalid(o, "%s changed while it was read: something that the command started is still writing it", show(rel))
	}
	if !utf8.Valid(data) {
		return c.invalid(o, "%s is not UTF-8 text; declare it with `file`", show(rel))
	}
	if o.Kind == engine.OutputText {
		text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
		err = c.setJSON(o, text)
	} else {
		var raw json.RawMessage
		if err := json.Unmarshal(data, &raw); err != nil {
			return c.invalid(o, "%s is not JSON: %s", show(rel), jsonError(data, err))
		}
		var compact bytes.Buffer
		err = json.Compact(&compact, raw)
		c.setValue(o, compact.Bytes())
	}
	if err != nil {
		return err
	}
	return c.file(o, rel, t, data)
}

// jsonError says what is wrong with data, and where.
func jsonError(data []byte, err error) string {
	if len(bytes.TrimSpace(data)) == 0 {
		return "it is empty"
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	before := data[:min(int(syntax.Offset), len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("line %d, column %d: %v", line, max(column, 1), err)
}

func (c *collector) setJSON(o *engine.Output, v any) error {
	data, err := marshal(v)
	if err != nil {
		return stageOutError(err)
	}
	c.setValue(o, bytes.TrimSuffix(data, []byte("\n")))
	return nil
}

func (c *collector) setValue(o *engine.Output, v json.RawMessage) {
	if c.values == nil {
		c.values = engine.Values{}
	}
	c.values[o.Name] = v
}

func (c *collector) invalid(o *engine.Output, format string, args ...any) error {
	return &Error{Class: OutputInvalid, Msg: fmt.Sprintf("output %q: ", o.Name) + fmt.Sprintf(format, args...)}
}

// maxListed is how many names a message about a missing output shows.
const maxListed = 10

// listing says what is in the directory where an output was looked for, or in the
// nearest one above it that there is.
func (c *collector) listing(rel string) string {
	dir := path.Dir(rel)
	for ; dir != "."; dir = path.Dir(dir) {
		if info, err := c.root.Stat(dir); err == nil && info.IsDir() {
			break
		}
	}
	where := "the directory"
	if dir != "." {
		where = show(dir)
	}
	d, err := c.root.Open(dir)
	if err != nil {
		return where + " cannot be read"
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	if dir == "." {
		names = slices.DeleteFunc(names, func(n string) bool { return n == InputsDir })
	}
	if len(names) == 0 {
		return where + " is empty"
	}
	sort.Strings(names)
	more := ""
	if n := len(names); n > maxListed {
		more = fmt.Sprintf(" and %d more", n-maxListed)
		names = names[:maxListed]
	}
	for i, n := range names {
		names[i] = show(n)
	}
	return where + " has " + strings.Join(names, ", ") + more
}
