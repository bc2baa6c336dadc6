package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version of a release build, set with -ldflags "-X main.release=1.2.3".
var release string

// version returns the version of this build.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// commit returns the revision this build was made from, or "".
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return ""
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if a.asJSON() {
				return a.printJSON(map[string]string{"version": version(), "commit": commit(), "go": runtime.Version(), "platform": platform})
			}
			text := "flow version " + version()
			if c := commit(); c != "" {
				text += " (" + c + ")"
			}
			_, err := fmt.Fprintf(a.stdout, "%s, %s, %s\n", text, runtime.Version(), platform)
			return err
		},
	}
}
