package local

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"flow/engine"
)

// A credential is who a container that is run as a process runs as.
type credential struct {
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Groups []int  `json:"groups,omitempty"`
	Name   string `json:"-"` // "": the system knows no user of that number
	Home   string `json:"-"`
}

// credentialOf returns who a container runs as; nil: who we are. Its user is a name or a
// number, which a colon and a group may follow, as with docker run --user.
func credentialOf(p *engine.Container) (*credential, error) {
	if p == nil || p.User == "" {
		return nil, nil
	}
	name, group, hasGroup := strings.Cut(p.User, ":")
	c := &credential{}
	if err := c.lookUser(name); err != nil {
		return nil, err
	}
	if hasGroup {
		if err := c.lookGroup(group); err != nil {
			return nil, err
		}
	}
	switch uid := os.Getuid(); {
	case uid == c.UID && (uid != 0 || !hasGroup || c.GID == os.Getgid()):
		return nil, nil
	case uid != 0:
		return nil, fmt.Errorf("user %q: we are user %d and cannot become another: start the runner as root, or %s", p.User, uid, useContainers)
	}
	return c, nil
}

func (c *credential) lookUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		if c.UID, err = strconv.Atoi(name); err != nil || c.UID < 0 {
			return fmt.Errorf("unable to find user %s: no matching entries in passwd file", name)
		}
		return nil
	}
	c.Name, c.Home = u.Username, u.HomeDir
	groups, err := u.GroupIds()
	if err != nil {
		return err
	}
	for _, id := range append(groups, u.Uid, u.Gid) {
		if _, err := strconv.Atoi(id); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
	}
	for _, id := range groups {
		n, _ := strconv.Atoi(id)
		c.Groups = append(c.Groups, n)
	}
	c.UID, _ = strconv.Atoi(u.Uid)
	c.GID, _ = strconv.Atoi(u.Gid)
	return nil
}

func (c *credential) lookGroup(name string) error {
	id := name
	if g, err := user.LookupGroup(name); err == nil {
		id = g.Gid
	}
	n, err := strconv.Atoi(id)
	if err != nil || n < 0 {
		return fmt.Errorf("unable to find group %s: no matching entries in group file", name)
	}
	c.GID = n
	return nil
}

// environ returns the variables that say who the user is, where that is known.
func (c *credential) environ() []string {
	if c == nil || c.Name == "" {
		return nil
	}
	return []string{"HOME=" + c.Home, "USER=" + c.Name, "LOGNAME=" + c.Name}
}

// sys returns how a process is started as that user.
func (c *credential) sys() *syscall.SysProcAttr {
	if c == nil {
		return sysProcAttr
	}
	sys := *sysProcAttr
	sys.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID)}
	for _, g := range c.Groups {
		sys.Credential.Groups = append(sys.Credential.Groups, uint32(g))
	}
	return &sys
}

// become makes this process that of the user.
func (c *credential) become() error {
	if c == nil {
		return nil
	}
	if err := errors.Join(syscall.Setgroups(c.Groups), syscall.Setgid(c.GID)); err != nil {
		return fmt.Errorf("cannot become user %d: %w", c.UID, err)
	}
	if err := syscall.Setuid(c.UID); err != nil {
		return fmt.Errorf("cannot become user %d: %w", c.UID, err)
	}
	return nil
}
