package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"flow/engine"
)

// maxName is how long a file name may be on the file systems that matter (NAME_MAX).
const maxName = 255

// stageIn puts a link to every input into <attempt>/inputs. Links go to the real file,
// with `result` and every other link on the way resolved: when the task that made an
// input is run again, the consumers that run already keep what they began with.
func (at *Attempt) stageIn() error {
	inputs := at.Task.Spec.Inputs
	if len(inputs) == 0 {
		return nil
	}
	if err := os.Mkdir(at.Dir+"/"+InputsDir, 0o777); err != nil {
		return stageInError(err, "%s", Explain(err))
	}
	for i := range inputs {
		in := &inputs[i]
		var err error
		if in.Name == "" || in.Name == "." || in.Name == ".." || strings.ContainsAny(in.Name, "/\x00=") {
			return stageInError(nil, "%q is no name for an input", in.Name)
		}
		if in.List {
			err = at.stageList(in)
		} else {
			err = at.stageOne(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stageOne links an input that is no list as inputs/<name>/<base name>.
func (at *Attempt) stageOne(in *engine.Input) error {
	if len(in.Paths) != 1 {
		return stageInError(nil, "input %q has %d paths and is no list", in.Name, len(in.Paths))
	}
	real, err := at.resolve(in, in.Paths[0])
	if err != nil {
		return err
	}
	dir := at.Dir + "/" + InputsDir + "/" + in.Name
	link := dir + "/" + linkName(in, in.Paths[0])
	if err := makeLink(dir, real, link); err != nil {
		return stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	at.Env = append(at.Env, in.Name+"="+link)
	return nil
}

// stageList links the paths of a list into inputs/<name>/, under their base names if
// all differ, else with their zero-padded index before it, and writes inputs/<name>.list.
func (at *Attempt) stageList(in *engine.Input) error {
	dir := at.Dir + "/" + InputsDir + "/" + in.Name
	if err := os.Mkdir(dir, 0o777); err != nil {
		return stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	names := listNames(in)
	var list strings.Builder
	for i, path := range in.Paths {
		real, err := at.resolve(in, path)
		if err != nil {
			return err
		}
		link := dir + "/" + names[i]
		if err := os.Symlink(real, link); err != nil {
			return stageInError(err, "input %q: %s", in.Name, Explain(err))
		}
		// A line cannot hold a newline: such a file has a second link, without one.
		if strings.ContainsAny(link, "\n\r") {
			plain := dir + ".links"
			if link = plain + "/" + strconv.Itoa(i); strings.ContainsAny(link, "\n\r") {
				return stageInError(nil, "input %q: work_dir %s has a newline in it", in.Name, show(at.Task.Dir))
			}
			if err := makeLink(plain, real, link); err != nil {
				return stageInError(err, "input %q: %s", in.Name, Explain(err))
			}
		}
		list.WriteString(link)
		list.WriteByte('\n')
	}
	file := dir + ".list"
	if err := os.WriteFile(file, []byte(list.String()), 0o666); err != nil {
		return stageInError(err, "input %q: %s", in.Name, Explain(err))
	}
	at.Env = append(at.Env, in.Name+"="+dir, in.Name+"_list="+file)
	return nil
}

// makeLink makes a symbolic link in dir, and dir if it is not there.
func makeLink(dir, target, link string) error {
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Symlink(target, link)
}

// linkName is what the link to an input is called.
func linkName(in *engine.Input, path string) string {
	switch base := filepath.Base(path); base {
	case "/", ".", "..":
		return in.Name
	default:
		return base
	}
}

// listNames returns the name of each link of a list.
func listNames(in *engine.Input) []string {
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

// resolve returns the real path of an input.
func (at *Attempt) resolve(in *engine.Input, path string) (string, error) {
	if scheme := uriScheme(path); scheme != "" {
		return "", stageInError(nil, "input %q: %s: %s inputs come with the S3 work_dir; here an input is a local path", in.Name, show(path), scheme)
	}
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
	scheme, _, ok := strings.Cut(path, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/ .") {
		return ""
	}
	return scheme
}
