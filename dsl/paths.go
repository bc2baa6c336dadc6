package dsl

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// defaultWorkDir is where task files live unless the workflow says otherwise, relative
// to the workflow's directory.
const defaultWorkDir = ".flow/work"

// abs makes a path of a workflow absolute: what is relative is relative to the
// workflow's directory, and a URI stays as it is. A slash at the end stays.
func (p *Program) abs(s string) string {
	if scheme(s) != "" {
		return s
	}
	slash := ""
	if strings.HasSuffix(s, "/") && s != "/" {
		slash = "/"
	}
	if !path.IsAbs(s) {
		s = filepath.Join(p.dir, s)
	}
	if s = filepath.Clean(s); s == "/" {
		return s
	}
	return s + slash
}

// below returns a relative path below a URI. A slash at the end stays.
func below(uri, s string) (string, error) {
	in := path.Clean(s)
	if in == ".." || strings.HasPrefix(in, "../") {
		return "", fmt.Errorf("%q leads out of %s/, below which this is published; name a path in there, or an s3:// URI", s, uri)
	}
	out := uri + "/"
	if in == "." {
		return out, nil
	}
	if out += in; strings.HasSuffix(s, "/") {
		out += "/"
	}
	return out, nil
}

// relative returns a path in the workflow's directory, such as "${path.module}/x.sh",
// relative to it.
func (p *Program) relative(name string) string {
	if rel, ok := strings.CutPrefix(name, p.dir+"/"); ok {
		return rel
	}
	return name
}

// script returns the text of a script file in the workflow's directory.
func (p *Program) script(name string) (string, error) {
	text, err := readText(p.dir, p.relative(name), p.budget)
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%s is no text", name)
	}
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("%s is empty", name)
	}
	return text, nil
}

// isLocation reports whether s names a file wherever one stands: an absolute path or a URI.
func isLocation(s string) bool { return path.IsAbs(s) || scheme(s) != "" }
