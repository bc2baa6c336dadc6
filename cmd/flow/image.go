package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/registry"
)

// imageFlags are the flags of flow image push.
type imageFlags struct {
	own      bool
	binary   string
	create   bool
	insecure bool
	profile  string
	selected string
	platform string
	owner    string

	cmd, entrypoint string
	env             []string
	label           []string
	workDir, user   string
}

func newImage(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Push container images, without a Docker daemon",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImagePush(a))
	return cmd
}

func newImagePush(a *app) *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "push SOURCE REPOSITORY[:TAG]",
		Short: "Push an image to ECR, or to any other registry",
		Long: `Push an image to Amazon ECR, or to any other registry, without a Docker daemon. SOURCE is

  a directory with a root file system, or a tar of one (podman export, mmdebstrap);
  what docker save or podman save writes, or an OCI image layout;
  - for a tar on standard input. Tars may be compressed with gzip, zstd or bzip2.

  flow image push rootfs 123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/tools:1 -create
  podman save tools:1 | flow image push - 123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/tools:1
  flow image push -flow 123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/flow

With -flow it is the image of flow itself, for agent_image of a site; its tag is the version
of flow unless given. ECR takes the credentials of AWS, every other registry those of docker
login or podman login. What the registry has is not sent again, and a tag is moved when all
is there. On stdout comes the name with its digest. docs/images.md says more.`,
		Args: func(cmd *cobra.Command, argv []string) error {
			if f.own && len(argv) != 1 {
				return errUsage(cmd.CommandPath(), "with -flow there is nothing but the name to give: flow image push -flow REPOSITORY[:TAG]")
			} else if f.own {
				return nil
			}
			return args(2, 2)(cmd, argv)
		},
		RunE: func(cmd *cobra.Command, argv []string) error { return a.pushImage(cmd, &f, argv) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.own, "flow", false, "push flow's own image, which has no SOURCE")
	flags.StringVar(&f.binary, "binary", "", "with -flow: `FILE` with flow for Linux, if it is not this one")
	flags.BoolVar(&f.create, "create", false, "make the repository in ECR if it is not there")
	flags.StringVar(&f.profile, "profile", "", "`NAME` of an AWS profile, for ECR")
	flags.BoolVar(&f.insecure, "insecure", false, "the registry may be one without TLS")
	flags.StringVar(&f.selected, "select", "", "`NAME` of the image, if there are several in SOURCE")
	flags.StringVar(&f.platform, "platform", "", "`PLATFORM` of a root file system, linux/amd64 or linux/arm64; told from its programs unless given")
	flags.StringVar(&f.cmd, "cmd", "", "command of a root file system: a `LINE` for its shell, or a JSON list")
	flags.StringVar(&f.entrypoint, "entrypoint", "", "entrypoint of a root file system: a `LINE`, or a JSON list")
	flags.StringArrayVar(&f.env, "env", nil, "variable `NAME=VALUE` of a root file system; may be given again")
	flags.StringVar(&f.workDir, "workdir", "", "working `DIR` of a root file system")
	flags.StringVar(&f.user, "user", "", "`USER` of a root file system: a name or a number")
	flags.StringArrayVar(&f.label, "label", nil, "label `NAME=VALUE` of a root file system; may be given again")
	flags.StringVar(&f.owner, "owner", "", "`UID:GID` of every file of a root file system, such as 0:0")
	flags.SortFlags = false
	return cmd
}

// A pushedJSON is an image that was pushed.
type pushedJSON struct {
	Image      string              `json:"image"`
	Digest     string              `json:"digest"`
	Reference  string              `json:"reference"`
	Size       int64               `json:"size_bytes"` // 0: not known, as of a list of several platforms
	Sent       int64               `json:"sent_bytes"`
	Platforms  []registry.Platform `json:"platforms"`
	Repository bool                `json:"repository_created"`
}

// pushImage pushes an image and prints its name with its digest.
func (a *app) pushImage(cmd *cobra.Command, f *imageFlags, argv []string) error {
	source, err := f.source(a, cmd.CommandPath(), argv)
	if err != nil {
		return err
	}
	image := argv[len(argv)-1]
	if f.own && !strings.Contains(image[strings.LastIndex(image, "/")+1:], ":") {
		image += ":" + versionTag()
	}
	ctx := cmd.Context()
	account, err := f.account(ctx, image)
	if err != nil {
		return err
	}
	if account != nil {
		defer account.Close()
	}
	v := a.followPush(image)
	pushed, err := registry.Push(ctx, account, image, source, registry.Options{Create: f.create, Insecure: f.insecure, Progress: v.progress, Note: v.note})
	v.end()
	switch {
	case ctx.Err() != nil && err != nil:
		a.say("stopped; what %s meant before, it means still, and what was sent is not sent again", view.Clean(image))
		return exit(exitInterrupted)
	case err != nil:
		return err
	case a.asJSON():
		return a.printJSON(&pushedJSON{pushed.Name, pushed.Digest, pushed.Reference, pushed.Size, pushed.Sent, pushed.Platforms, pushed.Repository})
	}
	if pushed.Repository {
		a.say("made the repository")
	}
	if pushed.Sent == 0 {
		a.say("nothing was sent: the registry has all of it")
	} else {
		a.say("sent %s", view.Bytes(pushed.Sent))
	}
	_, err = fmt.Fprintln(a.stdout, pushed.Reference)
	return err
}

// account opens the account of AWS for an image in ECR; nil for one elsewhere.
func (f *imageFlags) account(ctx context.Context, image string) (*awscloud.Cloud, error) {
	region, _, ok := registry.Region(image)
	if !ok {
		return nil, nil
	}
	return awscloud.Open(ctx, awscloud.Options{Region: region, Profile: f.profile})
}

// source returns what is to be pushed.
func (f *imageFlags) source(a *app, cmd string, argv []string) (registry.Source, error) {
	platform, err := f.parsePlatform(cmd)
	if err != nil {
		return nil, err
	}
	epoch, err := sourceDate()
	if err != nil {
		return nil, err
	}
	if f.own {
		if given := f.ofRoot(); given != "" {
			return nil, errUsage(cmd, "-%s does not go with -flow: flow's own image is what it is", given)
		}
		return &registry.Own{Binary: f.binary, Version: version(), Platform: platform, Epoch: epoch}, nil
	}
	if f.binary != "" {
		return nil, errUsage(cmd, "-binary goes with -flow only")
	}
	root := registry.Root{Env: f.env, WorkDir: f.workDir, User: f.user, Platform: platform, Epoch: epoch}
	if root.Cmd, err = commandLine("cmd", f.cmd); err == nil {
		root.Entrypoint, err = commandLine("entrypoint", f.entrypoint)
	}
	if err == nil {
		err = f.setRoot(&root)
	}
	if err != nil {
		return nil, errUsage(cmd, "%v", err)
	}
	return &registry.From{Path: argv[0], Stdin: a.stdin, Root: root, Select: f.selected}, nil
}

// ofRoot returns a flag that is for root file systems, if one is given.
func (f *imageFlags) ofRoot() string {
	for name, given := range map[string]bool{
		"cmd": f.cmd != "", "entrypoint": f.entrypoint != "", "env": f.env != nil, "workdir": f.workDir != "", "user": f.user != "",
		"label": f.label != nil, "owner": f.owner != "", "select": f.selected != "",
	} {
		if given {
			return name
		}
	}
	return ""
}

// setRoot takes over variables, labels and the owner.
func (f *imageFlags) setRoot(root *registry.Root) error {
	for _, e := range f.env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("-env %s: give NAME=VALUE", e)
		}
	}
	for _, l := range f.label {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return fmt.Errorf("-label %s: give NAME=VALUE", l)
		}
		if root.Labels == nil {
			root.Labels = map[string]string{}
		}
		root.Labels[name] = value
	}
	if f.owner == "" {
		return nil
	}
	user, group, _ := strings.Cut(f.owner, ":")
	uid, errUser := strconv.ParseUint(user, 10, 31)
	gid, errGroup := strconv.ParseUint(cmp.Or(group, user), 10, 31)
	if errors.Join(errUser, errGroup) != nil {
		return fmt.Errorf("-owner %s: give UID:GID, in numbers", f.owner)
	}
	root.Owner = &registry.Owner{UID: int(uid), GID: int(gid)}
	return nil
}

// parsePlatform reads -platform.
func (f *imageFlags) parsePlatform(cmd string) (*registry.Platform, error) {
	switch f.platform {
	case "":
		return nil, nil
	case "linux/amd64", "linux/arm64":
		return &registry.Platform{OS: "linux", Architecture: strings.TrimPrefix(f.platform, "linux/")}, nil
	}
	return nil, errUsage(cmd, "-platform takes linux/amd64 or linux/arm64, and not %q", f.platform)
}

// commandLine reads a command as a Dockerfile has it: a JSON list as it is, and anything
// else as a line for a shell.
func commandLine(flag, text string) ([]string, error) {
	switch {
	case text == "":
		return nil, nil
	case !strings.HasPrefix(strings.TrimSpace(text), "["):
		return []string{"/bin/sh", "-c", text}, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		return nil, fmt.Errorf("-%s %s: it begins as a JSON list of strings, and is none, such as [\"sleep\", \"5\"]", flag, text)
	}
	return list, nil
}

// sourceDate reads SOURCE_DATE_EPOCH: no file of an image, nor itself, is younger
// (reproducible-builds.org, its specification). Without it times are as they are.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s is no number of seconds", text)
	}
	return time.Unix(seconds, 0), nil
}

// notInTag is what a version may have and a tag may not.
var notInTag = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// versionTag is the version of flow as a tag.
func versionTag() string {
	tag := strings.TrimLeft(notInTag.ReplaceAllString(version(), "-"), ".-")
	return cmp.Or(tag[:min(len(tag), 128)], "latest")
}
