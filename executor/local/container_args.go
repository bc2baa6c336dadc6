package local

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"flow/engine"
	"flow/executor/agent"
)

// containerName is the name of the container of a try.
func containerName(t *Try) string {
	return nameOfContainer(fmt.Sprintf("flow-%s-%s-%d", t.Spec.Run, t.Job, t.Attempt))
}

// nameOfContainer makes a name that containers may have: letters, digits, - _ and dots.
func nameOfContainer(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, s)
}

// runArgs returns the arguments of `run`, up to the environment and the image.
func (c *containers) runArgs(b *contained) ([]string, error) {
	args := []string{"run", "--detach", "--pull=never", "--name", b.name}
	for _, l := range b.labels {
		args = append(args, "--label", l)
	}
	if b.workDir != "" {
		args = append(args, "--workdir", b.workDir)
	}
	args = append(args, "--log-driver="+c.logDriver(b.log))
	if c.isPodman() {
		args = append(args, "--http-proxy=false") // else it hands flow's own variables on
	}
	args = append(args, c.resourceArgs(b.res)...)
	props, err := containerArgs(b.props)
	return append(append(args, props...), b.mounts...), err
}

// logDriver returns who keeps the output of a container until it is in its log.
func (c *containers) logDriver(log *os.File) string {
	switch {
	case log == nil:
		return "none"
	case c.passesThrough():
		return "passthrough"
	case c.isPodman():
		return "k8s-file"
	default:
		return "json-file"
	}
}

func (c *containers) resourceArgs(res engine.Resources) (args []string) {
	if res.VCPUs > 0 {
		args = append(args, "--cpus", strconv.FormatFloat(min(res.VCPUs, float64(runtime.NumCPU())), 'f', -1, 64))
	}
	if res.MemoryMiB > 0 {
		limit := strconv.Itoa(res.MemoryMiB) + "m"
		args = append(args, "--memory", limit, "--memory-swap", limit)
	}
	return append(args, gpuArgs(res.GPUs, c.isPodman())...)
}

// gpuArgs hands the first n GPUs to a container.
func gpuArgs(n int, podman bool) (args []string) {
	if n > 0 && !podman {
		return []string{"--gpus", strconv.Itoa(n)}
	}
	for i := range n {
		args = append(args, "--device", "nvidia.com/gpu="+strconv.Itoa(i)) // CDI
	}
	return args
}

// containerArgs turns Batch's containerProperties into arguments of `run`. What has no
// meaning on one machine is left out: roles, log drivers, Fargate's networks.
func containerArgs(p *engine.Container) (args []string, err error) {
	if p == nil {
		return nil, nil
	}
	if p.User != "" {
		args = append(args, "--user", p.User)
	}
	if p.InitProcess {
		args = append(args, "--init")
	}
	if p.ReadOnly {
		args = append(args, "--read-only")
	}
	if p.Privileged {
		args = append(args, "--privileged")
	}
	for _, u := range p.Ulimits {
		args = append(args, "--ulimit", fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard))
	}
	if p.SharedMemoryMiB > 0 {
		args = append(args, "--shm-size", strconv.Itoa(p.SharedMemoryMiB)+"m")
	}
	switch p.Network {
	case "none", "host", "bridge":
		args = append(args, "--network", p.Network)
	}
	if platform := platformOf(p); platform != "" {
		args = append(args, "--platform", platform)
	}
	for i := range p.Volumes {
		v := &p.Volumes[i]
		switch {
		case v.EFS != "":
			return nil, fmt.Errorf("volume %q is on EFS (%s), which is not here; give it a host_path to run locally", v.Name, v.EFS)
		case v.HostPath == "":
			args = append(args, "--volume", v.Path) // empty, and removed with the container
		default:
			args = append(args, bind(v.HostPath, v.Path, v.ReadOnly)...)
		}
	}
	return args, nil
}

// platformOf returns the platform of an image, or "" for that of the machine.
func platformOf(p *engine.Container) string {
	if p == nil {
		return ""
	}
	switch p.Architecture {
	case "X86_64":
		return "linux/amd64"
	case "ARM64":
		return "linux/arm64"
	}
	return ""
}

// bind returns the arguments that mount a path of the host. --volume takes every
// character in a path but a colon, --mount only some, but that.
func bind(host, path string, readOnly bool) []string {
	if !strings.Contains(host+path, ":") {
		spec := host + ":" + path
		if readOnly {
			spec += ":ro"
		}
		return []string{"--volume", spec}
	}
	fields := []string{"type=bind", "source=" + host, "target=" + path}
	if readOnly {
		fields = append(fields, "readonly")
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // to memory
	w.Flush()
	return []string{"--mount", strings.TrimSuffix(b.String(), "\n")}
}

// manyMounts is from how many inputs on those below the work directory are mounted as
// one: a container with thousands of mounts takes long to start.
const manyMounts = 64

// mountArgs mounts what a task may see of the host, at the same paths as there: the
// directory of its attempt, and read-only the real files and directories of its inputs.
func mountArgs(b *beginning) ([]string, error) {
	if c := b.task.Spec.Container; c != nil && c.User != "" {
		if err := openUp(b); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.EvalSymlinks(b.at.Dir)
	if err != nil {
		return nil, err
	}
	paths := slices.Clone(b.at.Mounts)
	for _, p := range b.at.Mounts {
		paths = append(paths, linkTargets(p)...)
	}
	work := dir
	if b.task.Scratch == "" {
		if work, err = filepath.EvalSymlinks(b.try.Spec.WorkDir); err != nil {
			return nil, err
		}
	} else { // what was fetched is in the directory of the attempt
		paths = slices.DeleteFunc(paths, func(p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") })
	}
	for i, p := range paths {
		for !utf8.ValidString(p) { // the engines cannot name it, but the directory that it is in
			p = filepath.Dir(p)
		}
		paths[i] = p
	}
	paths = outermost(paths)
	if len(paths) > manyMounts && work != dir {
		for i, p := range paths {
			if strings.HasPrefix(p, work+"/") {
				paths[i] = work
			}
		}
		paths = outermost(paths)
	}
	var args []string
	for _, p := range paths {
		args = append(args, bind(p, p, true)...)
	}
	if len(b.argv) > 0 && b.argv[len(b.argv)-1] == b.at.Dir+agent.ScriptSuffix {
		args = append(args, bind(b.at.Dir+agent.ScriptSuffix, b.at.Dir+agent.ScriptSuffix, true)...)
	}
	return append(args, bind(dir, b.at.Dir, false)...), nil
}

// outermost sorts paths and drops those that are below another.
func outermost(paths []string) []string {
	slices.Sort(paths)
	var out []string
	for _, p := range slices.Compact(paths) {
		if !slices.ContainsFunc(out, func(q string) bool { return strings.HasPrefix(p, strings.TrimSuffix(q, "/")+"/") }) {
			out = append(out, p)
		}
	}
	return out
}

// linkTargets returns what links in a directory lead to outside of it: an output that
// is a link to an input of its task, for example. What cannot be read is left out.
func linkTargets(dir string) (targets []string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if real, err := filepath.EvalSymlinks(path); err == nil && !strings.HasPrefix(real, dir+"/") {
				targets = append(targets, real)
			}
		}
		return nil
	})
	return targets
}

// openUp lets whoever the container runs as write to the attempt's directory and those
// that were made for its outputs.
func openUp(b *beginning) error {
	if err := os.Chmod(b.at.Dir, 0o777); err != nil {
		return err
	}
	for _, o := range b.task.Spec.Outputs {
		if o.Kind == engine.OutputFiles {
			continue
		}
		for dir := filepath.Dir(filepath.Clean(o.Path)); dir != "."; dir = filepath.Dir(dir) {
			if err := os.Chmod(filepath.Join(b.at.Dir, dir), 0o777); err != nil {
				return err
			}
		}
	}
	return nil
}

// The values of a task's variables are not in the arguments of the engine's command,
// which everybody can read. They are in its environment, named by --env NAME; but for
// those that the command itself would heed, which it reads from a pipe with --env-file.

// heeded are beginnings of the names of variables that docker and podman heed.
var heeded = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_", "DOCKER_", "BUILDKIT_", "COMPOSE_", "PODMAN_", "CONTAINER", "BUILDAH_",
	"STORAGE_", "REGISTR", "XDG_", "DBUS_", "NOTIFY_SOCKET", "LISTEN_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_", "SSH_", "GO", "NETAVARK_", "_CONTAINERS_", "SUDO_",
	"GNUPGHOME", "NVIDIA_", "OTEL_",
}

// splitEnviron divides an environment into what is put into the command's environment,
// with its names, and what is given to it in a file, which can only hold lines of UTF-8.
func splitEnviron(env []string) (own []string, file []byte, names []string) {
	own = []string{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		risky := slices.ContainsFunc(heeded, func(h string) bool { return strings.HasPrefix(name, h) })
		if risky && !strings.ContainsAny(value, "\n\r") && utf8.ValidString(value) {
			file = append(append(file, kv...), '\n')
			continue
		}
		own = append(own, kv)
		names = append(names, name)
	}
	return own, file, names
}

// maxPipe is what a pipe holds at least on Linux.
const maxPipe = 64 << 10

// pipeWith returns the reading end of a pipe with data in it.
func pipeWith(data []byte) (*os.File, error) {
	if len(data) > maxPipe {
		return nil, errors.New("PATH and other variables that the container engine heeds have more than 64 KiB")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// An imageState is an image that is being looked for, or is there.
type imageState struct {
	mu    sync.Mutex
	there bool
}

// ensureImage sees to it that an image is on this machine, and pulls it if it is not.
// Many tasks with the same image wait for one pull.
func (c *containers) ensureImage(ctx context.Context, image string, p *engine.Container) error {
	platform := platformOf(p)
	c.mu.Lock()
	st := c.images[image+" "+platform]
	if st == nil {
		st = &imageState{}
		c.images[image+" "+platform] = st
	}
	c.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.there {
		return nil
	}
	_, err := c.call(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	if err != nil {
		args := []string{"pull", "--quiet"}
		if platform != "" {
			args = append(args, "--platform", platform)
		}
		_, err = c.call(ctx, append(args, image)...)
	}
	st.there = err == nil
	return err
}
