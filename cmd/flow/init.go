package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed templates/*.hcl
var templates embed.FS

// templateNames are the templates of flow init, the default first.
var templateNames = []string{"starter", "matrix", "shards", "nightly"}

func newInit(a *app) *cobra.Command {
	var template string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a starter workflow that runs at once",
		Long: `Write a starter workflow, NAME.hcl, that runs on a bare machine, and make the
directory .flow for the state of its runs. NAME is "pipeline" unless given.

Templates: starter (tasks and a gather), matrix (combinations), shards (a fan-out
decided at run time), nightly (a schedule, with what it needs to be left alone).`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			name := "pipeline"
			if len(argv) == 1 {
				name = strings.TrimSuffix(argv[0], ".hcl")
			}
			if !slices.Contains(templateNames, template) {
				return errUsage(cmd.CommandPath(), "there is no template %q; there are: %s", template, orList(templateNames))
			}
			return a.initWorkflow(name, template, force)
		},
	}
	cmd.Flags().StringVar(&template, "template", templateNames[0], "`NAME` of the template: "+strings.Join(templateNames, ", "))
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

// workflowName is what a workflow may be called.
var workflowName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

func (a *app) initWorkflow(path, template string, force bool) error {
	name := filepath.Base(path)
	if !workflowName.MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a workflow: it begins with a letter from a to z, and goes on with these, digits, _ and -", name)
	}
	text, err := templates.ReadFile("templates/" + template + ".hcl")
	if err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file := path + ".hcl"
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; take another name, or -force to replace it", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.NewReplacer("NAME.hcl", file, "NAME", name).Replace(string(text)))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := makeStateDir(filepath.Join(filepath.Dir(file), stateDir)); err != nil {
		return err
	}
	a.say("wrote %s; next: flow run %s", file, file)
	if a.asJSON() {
		return a.printJSON(map[string]string{"file": file})
	}
	return nil
}
