package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"flow/engine"
	"flow/executor/store"
)

// maxName is how long a file name may be on the file systems that matter (NAME_MAX).
const maxName = 255

// stageIn puts every input into <attempt>/inputs: a link to what is on this machine, or what
// comes from elsewhere. Links go to the real file, with `result` and every other link on the
// way resolved: when the task that made an input is run again, the consumers that run
// already keep what they began with.
func (at *Attempt) stageIn(ctx context.Context) error {
	inputs := at.Task.Spec.Inputs
	if len(inputs) == 0 {
		return nil
	}
	if err := os.Mkdir(at.Dir+"/"+InputsDir, 0o777); err != nil {
		return stageInError(err, "%s", Explain(err))
	}
	var far []farInput
	for i := range inputs {
		in := &inputs[i]
		var err error
		if in.Name == "" || in.Name == "." || in.Name == ".." || strings.ContainsAny(in.Name, "/\x00=") {
			return stageInError(nil, "%q is no name for an input", in.Name)
		}
		if in.List {
			far, err = at.stageList(in, far)
		} else {
			far, err = at.stageOne(in, far)
		}
		if err != nil {
			return err
		}
	}
	return at.stageFar(ctx, far)
}

// stageOne puts an input that is no list at inputs/<name>/<base name>. What is to come from
// elsewhere is added to far.
func (at *Attempt) stageOne(in *engine.Input, far []farInput) ([]farInput, error) {
	if len(in.Paths) != 1 {
		return nil, stageInError(nil, "input %q has %d paths and is no list", in.Name, len(in.Paths))
	}
	name := linkName(in, in.Paths[0])
	dir := at.Dir + "/" + InputsDir + "/" + in.Name
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	far, err := at.put(in, 0, name, far)
	at.Env = append(at.Env, in.Name+"="+dir+"/"+name)
	return far, err
}

// stageList puts the paths of a list into inputs/<name>/, under their base names if all
// differ, else with their zero-padded index before it, and writes inputs/<name>.list.
func (at *Attempt) stageList(in *engine.Input, far []farInput) ([]farInput, error) {
	dir := at.Dir + "/" + InputsDir + "/" + in.Name
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	names := ListNames(in)
	var list strings.Builder
	for i := range in.Paths {
		var err error
		if far, err = at.put(in, i, names[i], far); err != nil {
			return nil, err
		}
		// A line cannot hold a newline: such a file has a second link, without one.
		line := dir + "/" + names[i]
		if strings.ContainsAny(line, "\n\r") {
			plain := dir + ".links"
			link := plain + "/" + strconv.Itoa(i)
			if strings.ContainsAny(link, "\n\r") {
				return nil, stageInError(nil, "input %q: work_dir %s has a newline in it", in.Name, show(at.Task.Dir))
			}
			if err := makeLink(plain, line, link); err != nil {
				return nil, stageInError(err, "input %q: %s", in.Name, Explain(err))
			}
			line = link
		}
		list.WriteString(line)
		list.WriteByte('\n')
	}
	file := dir + ".list"
	if err := os.WriteFile(file, []byte(list.String()), 0o666); err != nil {
		return nil, stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	at.Env = append(at.Env, in.Name+"="+dir, in.Name+"_list="+file)
	return far, nil
}

// put links path i of an input as inputs/<input>/<name>, or adds to far what is to come there.
func (at *Attempt) put(in *engine.Input, i int, name string, far []farInput) ([]farInput, error) {
	from := in.Paths[i]
	if uriScheme(from) != "" {
		f := farInput{input: in.Name, uri: from, name: in.Name + "/" + name}
		if i < len(in.IDs) {
			f.id = in.IDs[i]
		}
		return append(far, f), nil
	}
	real, err := at.resolve(in, from)
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(real, at.Dir+"/"+InputsDir+"/"+in.Name+"/"+name); err != nil {
		return nil, stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	return far, nil
}

// makeLink makes a symbolic link in dir, and dir if it is not there.
func makeLink(dir, target, link string) error {
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Symlink(target, link)
}

// linkName is what an input is called in its directory.
func linkName(in *engine.Input, from string) string {
	switch base := baseName(from); {
	case base == "/", base == ".", base == "..", base == "", strings.ContainsRune(base, 0):
		return in.Name
	default:
		return cutFront(base, maxName)
	}
}

// baseName returns the last element of a path or a URI.
func baseName(from string) string {
	switch uriScheme(from) {
	case "":
		return filepath.Base(from)
	case "s3":
		return path.Base(strings.TrimPrefix(from, "s3:/"))
	}
	u, err := url.Parse(from)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// ListNames returns what each path of an input that is a list is called in its directory.
func ListNames(in *engine.Input) []string {
	names := make([]string, len(in.Paths))
	seen := make(map[string]bool, len(names))
	for i, path := range in.Paths {
		names[i] = linkName(in, path)
		seen[names[i]] = true
	}
	if len(seen) == len(names) {
		return names
	}
	width := len(strconv.Itoa(len(names) - 1))
	for i, name := range names {
		prefix := fmt.Sprintf("%0*d-", width, i)
		names[i] = prefix + cutFront(name, maxName-len(prefix))
	}
	return names
}

// cutFront returns the last n bytes of a name that is longer, so that it keeps its
// suffix; it does not cut through a character.
func cutFront(name string, n int) string {
	if len(name) <= n {
		return name
	}
	name = name[len(name)-n:]
	for i := 0; i < utf8.UTFMax && i < len(name); i++ {
		if utf8.RuneStart(name[i]) {
			return name[i:]
		}
	}
	return name
}

// resolve returns the real path of an input on this machine.
func (at *Attempt) resolve(in *engine.Input, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", stageInError(nil, "input %q: %s is not an absolute path", in.Name, show(path))
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", stageInError(err, "input %q: %s", in.Name, missing(path, err))
	}
	at.Mounts = append(at.Mounts, real)
	return real, nil
}

// missing says why an input cannot be used.
func missing(path string, err error) string {
	if !errors.Is(err, fs.ErrNotExist) {
		return Explain(err)
	}
	if target, err := os.Readlink(path); err == nil {
		return fmt.Sprintf("%s is a link to %s, which is not there", show(path), show(target))
	}
	if at := strings.LastIndex(path, "/"+engine.ResultDir+"/"); at >= 0 {
		if _, err := os.Lstat(path[:at+1+len(engine.ResultDir)]); err != nil && isTaskDir(path[:at]) {
			return fmt.Sprintf("%s is not there: the task that makes it has no result", show(path))
		}
	}
	return show(path) + " is not there"
}

// isTaskDir reports whether dir looks like a task's directory.
func isTaskDir(dir string) bool {
	_, err := os.Lstat(attemptDir(dir, 1))
	return err == nil
}

// uriScheme returns "s3" of s3://..., and "" of a path.
func uriScheme(path string) string {
	if store.Is(path) {
		return "s3"
	}
	scheme, _, ok := strings.Cut(path, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/ .") {
		return ""
	}
	return scheme
}
