package local

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownExecutable is this very program, even if its file has been replaced.
const ownExecutable = "/proc/self/exe"

// rlimitNames are the names of ulimits in job definitions (Docker's).
var rlimitNames = map[string]int{
	"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// attempts returns how the process that makes the view may be started, best first: in a
// mount namespace; or in one of a user namespace where we are the same as outside, but
// may mount.
func (v *view) attempts() []*syscall.SysProcAttr {
	plain := *sysProcAttr
	if len(v.Mounts) == 0 {
		return []*syscall.SysProcAttr{&plain}
	}
	own := plain
	own.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWUSER
	own.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	own.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	own.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT}
	if os.Getuid() != 0 {
		return []*syscall.SysProcAttr{&own}
	}
	plain.Cloneflags = unix.CLONE_NEWNS
	return []*syscall.SysProcAttr{&plain, &own}
}

// build makes the view: a new root with all that the machine has, and the mounts. It
// needs a mount namespace of its own, and touches nothing outside of that.
func (v *view) build() error {
	runtime.LockOSThread()
	if err := mount("", "/", unix.MS_REC|unix.MS_PRIVATE); err != nil {
		return err
	}
	b := &builder{root: v.Root, own: map[string]bool{v.Root: true}}
	sources := make([]int, len(v.Mounts))
	for i, m := range v.Mounts {
		fd, err := unix.Open(m.Source, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: m.Source, Err: err}
		}
		sources[i] = fd
	}
	if err := tmpfs(v.Root); err != nil {
		return err
	}
	if err := mount("", v.Root, unix.MS_UNBINDABLE); err != nil {
		return err
	}
	if err := bindEntries("/", v.Root); err != nil {
		return err
	}
	dir, err := unix.Open(v.Root+v.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	targets := make([]string, len(v.Mounts))
	for i, m := range v.Mounts {
		if targets[i], err = b.place(m.Path); err != nil {
			return err
		}
		if err := mount(fdPath(sources[i]), targets[i], unix.MS_BIND|unix.MS_REC); err != nil {
			return err
		}
		b.volumes = append(b.volumes, targets[i])
	}
	for i, m := range v.Mounts {
		if m.ReadOnly {
			if err := readOnly(targets[i]); err != nil {
				return err
			}
		}
	}
	return v.enter(dir)
}

// enter makes the new root that of this process, and goes back to its directory, which a
// mount may have hidden.
func (v *view) enter(dir int) error {
	if err := unix.Chdir(v.Root); err != nil {
		return err
	}
	// Where there is no root to pivot from, as in a chroot, it is enough not to see it.
	if err := unix.PivotRoot(".", "."); err == nil {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return err
		}
	} else if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir(v.Dir); err != nil {
		return unix.Fchdir(dir)
	}
	return nil
}

// A builder puts mounts into a new root.
type builder struct {
	root    string
	own     map[string]bool // directories that are in memory only
	volumes []string        // where mounts are: what is missing there may be made
}

// maxLinks is how many symbolic links a path may have (path_resolution(7)).
const maxLinks = 40

// place returns where the new root has a path, which is a directory then. What is missing
// is made, but not in a directory of the machine: a copy of that one takes its place.
func (b *builder) place(path string) (string, error) {
	at := b.root
	rest := strings.Split(strings.Trim(path, "/"), "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if at != b.root {
				at = filepath.Dir(at)
			}
			continue
		}
		next := at + "/" + name
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := b.make(at, next); err != nil {
				return "", err
			}
			at = next
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			if links++; links > maxLinks {
				return "", &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
			}
			if strings.HasPrefix(target, "/") {
				at = b.root
			}
			rest = append(strings.Split(target, "/"), rest...)
		case !info.IsDir():
			return "", &fs.PathError{Op: "mount", Path: path, Err: unix.ENOTDIR}
		default:
			at = next
		}
	}
	return at, nil
}

// make makes a directory in another.
func (b *builder) make(dir, path string) error {
	inVolume := func(v string) bool { return dir == v || strings.HasPrefix(dir, v+"/") }
	for i := range b.volumes {
		if inVolume(b.volumes[i]) {
			return os.Mkdir(path, 0o755)
		}
	}
	if !b.own[dir] {
		if err := shadow(dir); err != nil {
			return err
		}
		b.own[dir] = true
	}
	b.own[path] = true
	return os.Mkdir(path, 0o755)
}

// shadow puts a directory in memory in the place of another, with all that is in that.
func shadow(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if err := tmpfs(dir); err != nil {
		return err
	}
	return bindEntries(fdPath(fd), dir)
}

// bindEntries makes all that is in a directory appear in another, which is empty. What
// has gone in the meantime is left out.
func bindEntries(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := bindEntry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), e.Type()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func bindEntry(from, to string, kind fs.FileMode) error {
	switch {
	case kind&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case kind.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(to, nil, 0o644); err != nil {
			return err
		}
	}
	return mount(from, to, unix.MS_BIND|unix.MS_REC)
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func mount(from, to string, flags uintptr) error {
	if err := unix.Mount(from, to, "", flags, ""); err != nil {
		return &fs.PathError{Op: "mount", Path: to, Err: err}
	}
	return nil
}

func tmpfs(path string) error {
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "mode=755"); err != nil {
		return &fs.PathError{Op: "mount", Path: path, Err: err}
	}
	return nil
}

// readOnly makes a mount read-only, with all that holds for it already: in a user
// namespace none of that may be given up (mount_namespaces(7)).
func readOnly(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY)
	for is, ms := range map[int64]uintptr{
		unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV, unix.ST_NOEXEC: unix.MS_NOEXEC,
		unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME, unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if int64(st.Flags)&is != 0 {
			flags |= ms
		}
	}
	return mount("", path, flags)
}

// limit sets the limits, as far as this process may raise them.
func (v *view) limit() error {
	for _, l := range v.Limits {
		if l.Hard == math.MaxUint64 {
			l.Hard = unix.RLIM_INFINITY
		}
		err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Soft, Max: l.Hard})
		if errors.Is(err, fs.ErrPermission) {
			var have syscall.Rlimit
			if err := syscall.Getrlimit(l.Resource, &have); err != nil {
				return fmt.Errorf("getrlimit: %w", err)
			}
			err = syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: min(l.Soft, have.Max), Max: min(l.Hard, have.Max)})
		}
		if err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	return nil
}

// drop gives up what the program is not to have, and has it killed with the runner even
// if that made the kernel forget that it should be (prctl(2), PR_SET_PDEATHSIG).
func (v *view) drop() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("prctl: %w", err)
	}
	if err := v.User.become(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if os.Getppid() != v.Parent {
		return errors.New("the runner has died")
	}
	return nil
}
