package logstore

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Group is a log group.
type Group struct {
	Name      string `json:"-"`
	Created   int64  `json:"created"`
	Class     string `json:"class,omitempty"`           // logGroupClass
	Retention int    `json:"retentionInDays,omitempty"` // 0: events never expire
}

const (
	groupFile = "group.json"
	trash     = ".deleted-" // followed by a number: what is left of a group
)

// loadGroups reads which groups there are, and removes what is left of deleted ones.
func (s *Store) loadGroups() error {
	top, err := s.entries(".")
	if err != nil {
		return err
	}
	for _, e := range top {
		if strings.HasPrefix(e.Name(), trash) {
			if err := s.root.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	for leaf, err := range s.walk(span{dir: ".", suffix: groupSuffix}) {
		if err != nil {
			return err
		}
		b, err := s.root.ReadFile(path.Join(leaf.path+groupSuffix, groupFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a crash kept it from being made
		}
		if err != nil {
			return err
		}
		g := Group{Name: leaf.name}
		if err := json.Unmarshal(b, &g); err != nil {
			return err
		}
		s.groups[g.Name] = g
	}
	return nil
}

// Group returns what is known of a group.
func (s *Store) Group(name string) (Group, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[name]
	return g, ok
}

func (s *Store) hasGroup(name string) bool {
	_, ok := s.Group(name)
	return ok
}

// Groups returns the groups whose names begin with prefix, by name.
func (s *Store) Groups(prefix string) []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Group
	for name, g := range s.groups {
		if strings.HasPrefix(name, prefix) {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// CreateGroup makes a group, which must not exist. Created is set.
func (s *Store) CreateGroup(g Group) error {
	if err := checkName(g.Name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.groups[g.Name]; ok {
		return ErrGroupExists
	}
	g.Created = s.now().UnixMilli()
	if err := s.root.MkdirAll(groupPath(g.Name), 0o777); err != nil {
		return err
	}
	return s.putGroup(g)
}

func (s *Store) ensureGroup(name string) error {
	if s.hasGroup(name) {
		return nil
	}
	if err := s.CreateGroup(Group{Name: name}); err != nil && !errors.Is(err, ErrGroupExists) {
		return err
	}
	return nil
}

// SetRetention sets after how many days the events of a group expire; 0: never.
func (s *Store) SetRetention(group string, days int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[group]
	if !ok {
		return ErrNoGroup
	}
	g.Retention = days
	return s.putGroup(g)
}

// putGroup writes down a group, whose directory is there.
func (s *Store) putGroup(g Group) error {
	b, err := json.Marshal(g)
	if err != nil {
		return err
	}
	file := path.Join(groupPath(g.Name), groupFile)
	if err := s.root.WriteFile(file+".new", b, 0o666); err != nil {
		return err
	}
	if err := s.root.Rename(file+".new", file); err != nil {
		return err
	}
	s.groups[g.Name] = g
	return nil
}

// DeleteGroup removes a group with all its streams. Processes that write into them are
// not disturbed; what they write is lost.
func (s *Store) DeleteGroup(name string) error {
	gone, err := s.dropGroup(name)
	if err != nil {
		return err
	}
	return s.root.RemoveAll(gone)
}

// dropGroup moves a group out of sight, and returns where it is now.
func (s *Store) dropGroup(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.groups[name]; !ok {
		return "", ErrNoGroup
	}
	for n := 1; ; n++ {
		to := trash + strconv.Itoa(n)
		_, err := s.root.Lstat(to)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := s.root.Rename(groupPath(name), to); err != nil {
			return "", err
		}
		delete(s.groups, name)
		return to, nil
	}
}
