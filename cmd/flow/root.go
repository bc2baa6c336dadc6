package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "flow",
		Short: "Run workflows on AWS Batch, or on this machine with the same semantics",
		Long: `flow runs workflows written in HCL on AWS Batch, or on this machine with the same semantics.

  flow init                        write a starter workflow
  flow run pipeline.hcl -var n=8   run it and follow it
  flow resume @last                go on after an interruption
  flow logs @last/align["chr1"]    read the log of a task

RUN is a run's id, the beginning of one, @last, or workflow@last.
A task is STEP or STEP["KEY"]. One dash and two dashes both work: -var and --var.`,
		Version:       version(),
		Args:          noSuchCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.prepare(cmd)
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "chdir", "C", "", "change to `DIR` first")
	flags.StringVar(&a.state, "state", "", "`FILE` with the state of runs (default: .flow/flow.db here or above; also FLOW_STATE)")
	flags.StringVarP(&a.output, "output", "o", "text", "`FORMAT` of the output: text or json")
	flags.BoolVar(&a.json, "json", false, "same as -o json")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "say only what went wrong")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours (also NO_COLOR)")
	flags.SortFlags = false

	root.AddGroup(
		&cobra.Group{ID: "write", Title: "Write a workflow:"},
		&cobra.Group{ID: "run", Title: "Run it:"},
		&cobra.Group{ID: "look", Title: "Look at runs:"},
		&cobra.Group{ID: "aws", Title: "Set up AWS, and look into it:"},
		&cobra.Group{ID: "tidy", Title: "Other:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("write", newInit(a), newValidate(a), newFmt(a), newPlan(a), newGraph(a))
	add("run", newRun(a), newResume(a), newWait(a), newCancel(a), newSchedule(a))
	add("look", newList(a), newStatus(a), newLogs(a), newOutputs(a), newFiles(a), newExplain(a), newCost(a), newReport(a), newExport(a), newUI(a), newServe(a), newNotices(a), newEvents(a))
	add("aws", newInfra(a), newImage(a), newDoctor(a))
	add("tidy", newEmulate(a), newClean(a), newRecover(a), newVersion(a))
	root.AddCommand(newAgent(a))
	root.AddCommand(&cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: exitCodesHelp})
	root.SetHelpCommandGroupID("tidy")
	root.SetCompletionCommandGroupID("tidy")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{cmd: cmd.CommandPath(), err: err}
	})
	root.SetHelpFunc(helpWithExitCodes(root.HelpFunc()))
	return root
}

// helpWithExitCodes adds the exit codes to the help of the root command.
func helpWithExitCodes(help func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		help(cmd, args)
		if !cmd.HasParent() {
			fmt.Fprint(cmd.OutOrStdout(), "\n", exitCodesHelp)
		}
	}
}

// formats names the annotation of a command with output formats of its own, with commas
// between them.
const formats = "formats"

// prepare does what -C and -o ask for, before a command runs.
func (a *app) prepare(cmd *cobra.Command) error {
	if a.dir != "" {
		if err := os.Chdir(a.dir); err != nil {
			return fmt.Errorf("-C %s: %w", a.dir, unpath(err))
		}
	}
	allowed := []string{"text", "json"}
	if own := cmd.Annotations[formats]; own != "" {
		allowed = strings.Split(own, ",")
	}
	switch {
	case a.json && !slices.Contains(allowed, "json"):
		return errUsage(cmd.CommandPath(), "-json is no format of this; there are: -o %s", orList(allowed))
	case !slices.Contains(allowed, a.output) && !cmd.Flags().Changed("output"):
		return errUsage(cmd.CommandPath(), "which format is wanted? -o %s", orList(allowed))
	case !slices.Contains(allowed, a.output):
		return errUsage(cmd.CommandPath(), "-o %q is not a format; there are: %s", a.output, orList(allowed))
	}
	return nil
}

// noSuchCommand refuses arguments of the root command: they were meant as the name of one.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := ""
	if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
		hint = "; did you mean " + orList(names) + "?"
	}
	return errUsage(cmd.CommandPath(), "there is no command %q%s", args[0], hint)
}

// args returns a check of the number of arguments that names the usage when it fails.
func args(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return errUsage(cmd.CommandPath(), "%s: an argument is missing; the usage is: %s", cmd.Name(), cmd.UseLine())
		case len(args) > high:
			return errUsage(cmd.CommandPath(), "%s: unexpected argument %q; the usage is: %s", cmd.Name(), args[high], cmd.UseLine())
		}
		return nil
	}
}
