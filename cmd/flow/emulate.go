package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/executor/local"
	"flow/executor/local/endpoint"
	"flow/executor/local/model"
)

// emulateFlags are the flags of flow emulate.
type emulateFlags struct {
	listen      string
	runner      string
	latency     latencyFlag
	chaos       string
	region      string
	account     string
	credentials string
	secrets     string
	taskEnv     []string
	keepJobs    int
	queues      []string
	trace       bool
	machine     machineFlags
}

// Kinds of runners.
const (
	runProcesses  = "process"
	runContainers = "container"
	runInstantly  = "instant"
)

func newEmulate(a *app) *cobra.Command {
	f := emulateFlags{latency: latencyFlag{settle: defaultSettle}}
	cmd := &cobra.Command{
		Use:   "emulate",
		Short: "Serve the API of AWS Batch on this machine",
		Long: `Serve the API of AWS Batch, and of CloudWatch Logs as far as a client of Batch needs it, for the
AWS CLI, boto3 and every SDK. Jobs really run, with Batch's arrays, dependencies, retries and timeouts.

  flow emulate                                              listen on http://127.0.0.1:8642
  AWS_ENDPOINT_URL=http://127.0.0.1:8642 aws batch describe-job-queues

With --state DIR everything outlives the process; without, it is gone with it. Any credentials and any
region will do, as the client must have some; see --credentials. docs/emulate.md says what is as on AWS.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.emulate(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8642", "listen on `ADDRESS`; port 0 is any that is free")
	flags.StringVar(&f.runner, "runner", runProcesses, "run jobs as process, as container, or instant: not at all")
	flags.Var(&f.latency, "latency", "`TIMES` that things take, such as settle=1s,submit=2s,start=5s,run=10s,reply=20ms; or one for settle, submit and start")
	flags.StringVar(&f.chaos, "chaos", "", "misbehave, such as `throttle=50/s,lost-reply=1%,5xx=1%,list-lag=30s,spot=5%,purge-after=1h,seed=7`")
	flags.StringVar(&f.region, "region", cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1"), "`REGION` in ARNs")
	flags.StringVar(&f.account, "account", "123456789012", "`ACCOUNT` in ARNs")
	flags.StringVar(&f.credentials, "credentials", "", "take only requests that are signed with those of `FILE`, in the format of ~/.aws/credentials; made if it is not there")
	flags.StringVar(&f.secrets, "secrets", "", "JSON `FILE` with the values of secrets by their valueFrom")
	flags.StringArrayVar(&f.taskEnv, "task-env", nil, "every container has the variable `NAME[=VALUE]`, as a role would give it credentials; without a value that of flow emulate's own; may be given again")
	flags.IntVar(&f.keepJobs, "keep-jobs", 100_000, "remember at most `N` ended jobs and children; 0: all, for seven days")
	flags.StringArrayVar(&f.queues, "queue", nil, "make a job queue `NAME`, on an environment as large as this machine, unless it is there; may be given again")
	flags.BoolVar(&f.trace, "trace", false, "a line on stderr for each request")
	f.machine.register(flags)
	flags.SortFlags = false
	return cmd
}

// A latencyFlag is how long things take.
type latencyFlag struct {
	text                         string
	settle, submit, start, reply time.Duration
	run                          time.Duration // of instant jobs
}

// defaultSettle lets a client see CREATING, and hardly wait.
const defaultSettle = 50 * time.Millisecond

func (l *latencyFlag) String() string { return l.text }
func (l *latencyFlag) Type() string   { return "TIMES" }

func (l *latencyFlag) Set(s string) error {
	l.text = s
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			key, value = "", key
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration such as 2s", value)
		}
		switch key {
		case "":
			l.settle, l.submit, l.start = d, d, d
		case "settle":
			l.settle = d
		case "submit":
			l.submit = d
		case "start":
			l.start = d
		case "run":
			l.run = d
		case "reply":
			l.reply = d
		default:
			return fmt.Errorf("there is no %q: it is one of settle, submit, start, run, reply", key)
		}
	}
	return nil
}

// noticeable is how long nobody wonders what is going on.
const noticeable = time.Second

// emulate serves until ctx ends.
func (a *app) emulate(cmd *cobra.Command, f *emulateFlags) error {
	if err := f.check(cmd.CommandPath()); err != nil {
		return err
	}
	ctx := cmd.Context()
	chaos, err := endpoint.ParseChaos(endpoint.Chaos{}, f.chaos)
	if err != nil {
		return errUsage(cmd.CommandPath(), "%v", err)
	}
	credentials, err := f.loadCredentials()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", f.listen, err)
	}
	defer listener.Close() // again, if it is served
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() && credentials == nil {
		return errUsage(cmd.CommandPath(), "-listen %s: whoever can reach that address could run commands here; give -credentials FILE, too", f.listen)
	}
	taskEnv, err := variablesOf(f.taskEnv)
	if err != nil {
		return errUsage(cmd.CommandPath(), "-task-env: %w", err)
	}
	home, err := a.openEmulatorHome(f)
	if err != nil {
		return err
	}
	defer home.close()
	runner, err := f.openRunner(home, taskEnv)
	if err != nil {
		return err
	}
	patience, hurry := context.WithCancel(context.Background())
	defer hurry()
	a.atSecondSignal(hurry)
	server, err := endpoint.New(endpoint.Options{
		Region: f.region, Account: f.account, Runner: runner, Journal: home.journal, Logs: home.logs,
		RemoveLog: func(group, stream string) { _ = home.store.Remove(group, stream) }, // it may have none
		Machine:   f.capacity(), Settle: f.latency.settle, Submitting: f.latency.submit, Starting: f.latency.start, Delay: f.latency.reply,
		KeepEnded: f.keepJobs, Chaos: chaos, Credentials: credentials, Trace: f.tracer(a),
	})
	if err != nil {
		runner.Close()
		var locked *local.LockedError
		if errors.As(err, &locked) {
			return &exitError{code: exitNotStarted, err: err}
		}
		return err
	}
	if len(f.queues) > 0 && f.latency.settle > noticeable {
		a.say("the environment of -queue is VALID in %v at most: -latency settle", f.latency.settle)
	}
	if err := server.MakeQueues(ctx, f.queues...); err != nil {
		return errors.Join(fmt.Errorf("-queue: %w", err), server.Close(patience))
	}
	if err := a.announce(listener, f); err != nil {
		return errors.Join(err, server.Close(patience))
	}
	err = server.Serve(ctx, listener)
	if ctx.Err() != nil {
		a.say("stopping what runs; Ctrl-C again to leave at once")
	}
	return errors.Join(err, server.Close(patience))
}

// announce says where the emulator is: for programs on stdout, for people on stderr.
func (a *app) announce(l net.Listener, f *emulateFlags) error {
	url := "http://" + l.Addr().String()
	if a.asJSON() {
		if err := a.printJSON(map[string]string{"url": url, "region": f.region, "account": f.account}); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(a.stdout, "flow emulate: listening on %s\n", url); err != nil {
		return err
	}
	keys := "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"
	if f.credentials != "" {
		keys = "AWS_SHARED_CREDENTIALS_FILE=" + f.credentials
	}
	a.say("clients find it with: export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s %s", url, f.region, keys)
	return nil
}

func (f *emulateFlags) check(cmd string) error {
	switch f.runner {
	case runProcesses, runContainers, runInstantly:
	default:
		return errUsage(cmd, "-runner takes process, container or instant, and not %q", f.runner)
	}
	if f.keepJobs < 0 {
		return errUsage(cmd, "-keep-jobs cannot be negative")
	}
	if !isAccount(f.account) {
		return errUsage(cmd, "-account takes 12 digits, and not %q", f.account)
	}
	return f.machine.check(cmd)
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// capacity is what of this machine jobs may use. Jobs that are not run need none.
func (f *emulateFlags) capacity() model.Capacity {
	c := model.Capacity{VCPUs: f.machine.VCPUs, MemoryMiB: f.machine.MemoryMiB, GPUs: f.machine.GPUs}
	if f.runner == runInstantly {
		return c
	}
	c = local.Machine(c)
	if c.GPUs == 0 {
		c.GPUs = -1 // none, where 0 is no limit
	}
	return c
}

func (f *emulateFlags) openRunner(home *emulatorHome, taskEnv []string) (local.Runner, error) {
	if f.runner == runInstantly {
		return local.NewInstantRunner(local.InstantOptions{Duration: f.latency.run, Logs: home.store}), nil
	}
	secret, err := f.loadSecrets()
	if err != nil {
		return nil, err
	}
	o := local.RunnerOptions{Secret: secret, Logs: home.store, Scratch: home.scratch, Path: ownDirectory(), TaskEnv: taskEnv}
	if f.runner == runContainers {
		o.Containers = f.machine.Containers
		for _, name := range []string{"docker", "podman"} {
			if o.Containers == "" && installed(name) {
				o.Containers = name
			}
		}
		if o.Containers == "" {
			return nil, errors.New("-runner container: neither docker nor podman is installed")
		}
	}
	return local.NewRunner(o)
}

// ownDirectory returns the directory of this program, so that jobs find it as flow, as in
// an image that has it: the agent's container is one of these. "": it is not known.
func ownDirectory() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	return filepath.Dir(self)
}

// loadSecrets returns a function that reads a secret from the file of -secrets when a
// container starts.
func (f *emulateFlags) loadSecrets() (func(string) (string, error), error) {
	var values map[string]string
	if f.secrets != "" {
		b, err := os.ReadFile(f.secrets)
		if err != nil {
			return nil, fmt.Errorf("-secrets: %w", err)
		}
		if err := json.Unmarshal(b, &values); err != nil {
			return nil, fmt.Errorf("-secrets %s: it is no JSON object of strings: %w", f.secrets, err)
		}
	}
	return func(ref string) (string, error) {
		if v, ok := values[ref]; ok {
			return v, nil
		}
		return "", fmt.Errorf("%s has no value here; flow emulate takes them from -secrets FILE", ref)
	}, nil
}

// variablesOf returns variables as NAME=value. What has no value has that of this process.
func variablesOf(given []string) ([]string, error) {
	var out []string
	for _, v := range given {
		name, value, ok := strings.Cut(v, "=")
		if name == "" || strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("%q is no variable: write NAME or NAME=VALUE", v)
		}
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				return nil, fmt.Errorf("%s is not set here: write %[1]s=VALUE, or set it", name)
			}
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}

// tracer returns a function that prints a line for each request, or nil.
func (f *emulateFlags) tracer(a *app) func(endpoint.Trace) {
	if !f.trace {
		return nil
	}
	return func(t endpoint.Trace) {
		fmt.Fprintf(a.stderr, "%s %s %d %s\n", a.now().UTC().Format(time.RFC3339), t.Operation, t.Status, t.Took.Round(time.Microsecond))
	}
}
