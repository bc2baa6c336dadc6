package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"flow/engine"
	"flow/executor/agent"
)

// A view is what a program sees of the machine if that is not all as it is: it is told to
// the process that makes it, see RunSandboxed, before that becomes the program.
type view struct {
	Root   string      `json:"root,omitempty"` // an empty directory, to make the new root at
	Dir    string      `json:"dir,omitempty"`  // where the program starts
	Mounts []bindMount `json:"mounts,omitempty"`
	Limits []rlimit    `json:"limits,omitempty"`
	User   *credential `json:"user,omitempty"` // nil: as it is
	Parent int         `json:"parent"`         // the process whose death ends the program
}

// A bindMount is a directory of the machine that is to be seen at a path.
type bindMount struct {
	Source   string `json:"source"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// An rlimit is a limit of setrlimit(2).
type rlimit struct {
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// sandboxName is argv[0] of a process that is to make a view.
const sandboxName = "flow: sandbox"

// sandboxes says that main called RunSandboxed, so that this program can be run again
// to make a view.
var sandboxes bool

// RunSandboxed must be called at the very start of main by a program whose runners are
// to honour the mount points and ulimits of containers that are run as processes. It
// returns at once, but in a process that such a runner has started: that one makes the
// view of the container's program, and becomes it.
func RunSandboxed() {
	if len(os.Args) < 3 || os.Args[0] != sandboxName {
		sandboxes = true
		return
	}
	report := os.NewFile(sandboxReport, "report")
	syscall.CloseOnExec(sandboxReport)
	argv := os.Args[2:]
	var v view
	err := json.Unmarshal([]byte(os.Args[1]), &v)
	if err == nil {
		err = v.exec(argv)
	}
	fmt.Fprint(report, err)
	os.Exit(exitSandbox)
}

const (
	sandboxReport = 3   // the descriptor on which a sandbox says why it could not start the program
	exitSandbox   = 127 // its exit code then
)

// view returns what a container sees; nil: the machine as it is.
func (m *mission) view(i int) (*view, error) {
	c := &m.Task.Containers[i]
	v := &view{Root: m.root(i), Dir: m.scratch(i), Parent: os.Getpid()}
	for _, mount := range c.Mounts {
		b, err := m.bindMount(mount)
		if err != nil {
			return nil, err
		}
		if b.Source != b.Path || b.ReadOnly {
			v.Mounts = append(v.Mounts, b)
		}
	}
	slices.SortStableFunc(v.Mounts, func(a, b bindMount) int { return strings.Compare(a.Path, b.Path) })
	if p := c.Props; p != nil {
		var err error
		if v.Limits, err = rlimits(p.Ulimits); err != nil {
			return nil, err
		}
	}
	if len(v.Mounts) == 0 && len(v.Limits) == 0 {
		return nil, nil
	}
	if !sandboxes {
		return nil, errors.New("mount points and ulimits are not supported by this program: " + useContainers)
	}
	if len(v.Mounts) == 0 {
		v.Root = ""
		return v, nil
	}
	return v, os.Mkdir(v.Root, 0o755)
}

// useContainers is what to do where processes are not enough.
const useContainers = "run it in a container (--runner container)"

func (m *mission) bindMount(mount Mount) (bindMount, error) {
	i := slices.IndexFunc(m.Task.Volumes, func(v TaskVolume) bool { return v.Name == mount.Volume })
	path := filepath.Clean(mount.Path)
	switch {
	case i < 0:
		return bindMount{}, fmt.Errorf("unknown volume %q", mount.Volume)
	case !filepath.IsAbs(path) || path == "/":
		return bindMount{}, fmt.Errorf("invalid mount path: %q must be absolute, and not /", mount.Path)
	}
	return bindMount{Source: m.volume(i), Path: path, ReadOnly: mount.ReadOnly}, nil
}

// rlimits turns ulimits into limits of this system.
func rlimits(all []engine.Ulimit) (out []rlimit, err error) {
	for _, u := range all {
		resource, ok := rlimitNames[u.Name]
		if !ok {
			return nil, fmt.Errorf("invalid ulimit type: %s", u.Name)
		}
		out = append(out, rlimit{resource, uint64(u.Soft), uint64(u.Hard)}) // -1 is unlimited in both
	}
	return out, nil
}

// forkSandbox starts the process that makes a view and then becomes the program. It
// returns when that runs.
func (p *processes) forkSandbox(pr *proc, b *beginning, log uintptr) (int, error) {
	text, err := json.Marshal(b.view)
	if err != nil {
		return 0, err
	}
	argv := append([]string{sandboxName, string(text)}, b.argv...)
	var errs []error
	for _, sys := range b.view.attempts() {
		pid, err := p.tryForkSandbox(pr, argv, &syscall.ProcAttr{Dir: b.dir, Env: b.env, Sys: sys}, log)
		if err == nil {
			return pid, nil
		}
		if !errors.Is(err, errNoView) {
			return 0, err
		}
		errs = append(errs, err)
	}
	return 0, errs[len(errs)-1]
}

// errNoView says that the kernel does not let us make a view.
var errNoView = errors.New("mount points need a mount namespace, which is not permitted here")

func (p *processes) tryForkSandbox(pr *proc, argv []string, attr *syscall.ProcAttr, log uintptr) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	attr.Files = []uintptr{p.null.Fd(), log, log, w.Fd()}
	pid, err := pr.fork(ownExecutable, argv, attr)
	w.Close()
	switch {
	case err == nil:
	case errors.Is(err, errStopped) || scarce(err):
		return 0, err
	default:
		return 0, fmt.Errorf("%w: %w: %s", errNoView, err, useContainers)
	}
	said, err := io.ReadAll(r)
	if err == nil && len(said) == 0 {
		return pid, nil
	}
	pr.wait(pid)
	if why, ok := strings.CutPrefix(string(said), noViewMark); ok {
		return 0, fmt.Errorf("%w: %s: %s", errNoView, why, useContainers)
	}
	return 0, saidError(said)
}

// withoutMounts returns what is to be started where no mounts can be made: the command
// with each word that is a path in a mount changed into where that really is, as those of
// flow's agent. nil: the command does not name every mount in this way, so that it
// may look for one that is not there.
func (b *beginning) withoutMounts() *beginning {
	plain := *b
	plain.argv = slices.Clone(b.argv)
	for _, m := range b.view.Mounts {
		named := false
		for i, word := range b.argv {
			if rest, ok := strings.CutPrefix(word, m.Path); ok && (rest == "" || rest[0] == '/') {
				plain.argv[i], named = m.Source+rest, true
			}
			if strings.Contains(plain.argv[i], m.Path+"/") { // in the midst of a script
				return nil
			}
		}
		if !named {
			return nil
		}
	}
	plain.view = nil
	if len(b.view.Limits) > 0 {
		v := *b.view
		v.Root, v.Mounts = "", nil
		plain.view = &v
	}
	return &plain
}

// noViewMark begins what a sandbox says if it is not permitted to do its work.
const noViewMark = "\x00"

// A saidError is why a sandbox did not start a program.
type saidError string

func (e saidError) Error() string { return string(e) }

// exec makes the view and becomes the program. It returns only if it cannot.
func (v *view) exec(argv []string) error {
	if len(v.Mounts) > 0 {
		if err := v.build(); errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf(noViewMark+"%w", err)
		} else if err != nil {
			return err
		}
	}
	if err := v.limit(); err != nil {
		return err
	}
	if err := v.drop(); err != nil {
		return err
	}
	env := os.Environ()
	search, _ := agent.LookEnv(env, "PATH")
	path, err := (&finder{}).find(argv[0], search)
	if err == nil {
		err = syscall.Exec(path, argv, env)
	}
	return explain(&beginning{argv: argv, env: env}, err)
}
