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
	if f.given != nil {
		return *f.given, nil
	}
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
		a.diagnose(dir, sites.Files, diags)
	}
	if diags.HasErrors() {
		return dsl.Site{}, exit(exitProblem)
	}
	return site, nil
}

// place settles where the session's run is: on which executor, and with what there. site
// is what was chosen, kept are the flags that the run was started with.
func (s *session) place(site dsl.Site, executor string, kept params, f *runFlags) error {
	s.executor, s.batch, s.jobs = executor, kept.Batch.over(f.batch), kept.Place
	s.site = s.batch.overSite(site)
	if err := f.misplaced(executor); err != nil {
		return err
	}
	flags := kept.Machine.over(f.machine)
	s.machine = machineOf(s.site).over(flags)
	if c := s.machine.Containers; executor == localExecutor && c != "" && flags.Containers == "" && !installed(c) {
		return fmt.Errorf("site %q runs tasks with %s: there is no command %[2]s here; give it another one with -containers", site.Name, c)
	}
	return nil
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

// onSite says where the session's run is, for its title; nothing of one on this machine
// without a site.
func (s *session) onSite() string {
	switch {
	case s.site.Name != "":
		return " on site " + s.site.Name
	case s.executor == batchExecutor:
		return " on AWS Batch"
	}
	return ""
}
