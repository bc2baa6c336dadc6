package main

import (
	"fmt"
	"os"
	"path/filepath"

	"flow/dsl"
)

// siteEnv names the site of new runs that no -site is given for.
const siteEnv = "FLOW_SITE"

// chooseSite returns the site of a run of the workflow in dir: the one that -site names,
// else the one that the run was started on, else, of a new run, the one that FLOW_SITE
// names; the zero site, which says nothing, if none is named. kept is what the run keeps,
// nil of a new one. Mistakes in the files of sites are printed.
func (a *app) chooseSite(f *runFlags, dir string, kept *params) (dsl.Site, error) {
	name, from := f.site, "-site "+f.site
	if name == "" && kept != nil {
		return kept.Site, nil
	}
	if name == "" {
		name = os.Getenv(siteEnv)
		from = siteEnv + "=" + name
	}
	if name == "" {
		return dsl.Site{}, nil
	}
	sites, diags := dsl.ReadSites(dir, userConfigDir())
	var site dsl.Site
	if !diags.HasErrors() {
		site, diags = sites.Choose(name, from)
	}
	if len(diags) > 0 && (!a.quiet || diags.HasErrors()) {
		a.diagnose(sites.Files, diags)
	}
	if diags.HasErrors() {
		return dsl.Site{}, exit(exitProblem)
	}
	given := f.machine.Containers
	if kept != nil {
		given = kept.Machine.over(f.machine).Containers
	}
	if c := site.Containers; c != "" && given == "" && !installed(c) {
		return dsl.Site{}, fmt.Errorf("site %q runs tasks with %s: there is no command %[2]s here; give it another one with -containers", name, c)
	}
	return site, nil
}

// userConfigDir is where a user's own sites are, or "": $XDG_CONFIG_HOME/flow or
// ~/.config/flow (XDG Base Directory Specification: a relative path does not count).
func userConfigDir() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "flow")
}

// machineOf is what tasks may use of this machine on a site.
func machineOf(s dsl.Site) machineFlags {
	return machineFlags{Containers: s.Containers, VCPUs: s.VCPUs, MemoryMiB: s.MemoryMiB}
}

// onSite says where the session's run is, for its title; nothing without a site.
func (s *session) onSite() string {
	if s.site.Name == "" {
		return ""
	}
	return " on site " + s.site.Name
}
