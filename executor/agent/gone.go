package agent

import (
	"encoding/json"
	"path"
	"slices"

	"flow/engine"
)

// outputPaths returns what a manifest has as Paths for the outputs of a task.
func outputPaths(spec *engine.TaskSpec) map[string]string {
	if !slices.ContainsFunc(spec.Outputs, func(o engine.Output) bool { return o.Temporary }) {
		return nil
	}
	paths := map[string]string{}
	for i := range spec.Outputs {
		if o := &spec.Outputs[i]; o.Kind != engine.OutputFiles {
			paths[o.Name] = path.Clean(o.Path)
		}
	}
	return paths
}

// outputFiles returns the files and directories of an output; nil if the manifest does not
// say where they are, or if it was not there.
func outputFiles(m *engine.Manifest, name string) (paths []string) {
	if rel, ok := m.Paths[name]; ok {
		return []string{rel}
	}
	if json.Unmarshal(m.Outputs[name], &paths) != nil {
		return nil
	}
	return paths
}

// isGone returns which files of a result have been removed: those that belong to outputs
// that are gone, and to no other.
func isGone(m *engine.Manifest) func(file string) bool {
	if len(m.Gone) == 0 {
		return func(string) bool { return false }
	}
	gone, kept := map[string]bool{}, map[string]bool{}
	add := func(name string) {
		into := kept
		if slices.Contains(m.Gone, name) {
			into = gone
		}
		for _, rel := range outputFiles(m, name) {
			into[rel] = true
		}
	}
	for name := range m.Paths {
		add(name)
	}
	for name := range m.Outputs {
		if _, ok := m.Paths[name]; !ok {
			add(name)
		}
	}
	return func(file string) bool { return isUnder(gone, file) && !isUnder(kept, file) }
}

// isUnder reports whether a file is one of some paths, or in one.
func isUnder(paths map[string]bool, file string) bool {
	for at := path.Clean(file); ; at = path.Dir(at) {
		if paths[at] {
			return true
		}
		if at == "." || at == "/" {
			return false
		}
	}
}

// present returns the files of a result that have not been removed.
func present(m *engine.Manifest) []engine.ManifestFile {
	if len(m.Gone) == 0 {
		return m.Files
	}
	gone := isGone(m)
	return slices.DeleteFunc(slices.Clone(m.Files), func(f engine.ManifestFile) bool { return gone(f.Path) })
}
