// Package storetest has a store of objects in memory for tests, whose calls fail as those of
// S3 do, and the contract that every store keeps.
package storetest

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"flow/executor/store"
)

// A Mem is a store in memory, as one process sees it; others see the same objects by
// [Mem.Again]. Every bucket is there.
type Mem struct {
	// Fault, if it is not nil, says of every call what becomes of it. op is the name of the
	// method, uri its object: of Copy the one that is made, of Remove every one by itself,
	// of List and Sweep the prefix. It is asked by one at a time and must not call the Mem.
	// It is set before the first call.
	Fault func(op, uri string) Fault

	shared *shared
	mu     sync.Mutex // of what follows
	calls  int
	dead   bool
}

// shared is what outlives a process.
type shared struct {
	mu      sync.Mutex
	objects map[string]kept
	uploads map[string]time.Time // by object: uploads that were begun and never ended
	now     func() time.Time
}

type kept struct {
	data []byte
	store.Object
}

// A Fault is what becomes of a call; the zero Fault is none. Err is what the caller sees.
type Fault struct {
	Err  error
	Done bool // it was carried out nevertheless
	Dead bool // the process ends here: no later call is carried out either
}

// Faults.
var (
	Refused    = Fault{Err: fmt.Errorf("a call was refused: %w", store.ErrUnanswered)}
	Lost       = Fault{Err: fmt.Errorf("the answer to a call was lost: %w", store.ErrUnanswered), Done: true}
	Death      = Fault{Err: ErrDead, Dead: true}
	DeathAfter = Fault{Err: ErrDead, Done: true, Dead: true}
)

// ErrDead is the error of every call of a process that has ended.
var ErrDead = errors.New("the process has ended")

// New returns a store without objects.
func New() *Mem {
	return &Mem{shared: &shared{objects: map[string]kept{}, uploads: map[string]time.Time{}, now: time.Now}}
}

// Again returns the store as another process sees it, which lives and knows no faults.
func (m *Mem) Again() *Mem { return &Mem{shared: m.shared} }

// DieAt makes the n-th call from now on, from 1 on, the last: it is not carried out.
func (m *Mem) DieAt(n int) {
	m.Fault = func(string, string) Fault {
		if n--; n <= 0 {
			return Death
		}
		return Fault{}
	}
}

// Clock makes now what tells when an object was modified, for all that see the objects.
func (m *Mem) Clock(now func() time.Time) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	m.shared.now = now
}

// Calls returns how many calls were made, faults and all.
func (m *Mem) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Objects returns the contents of all objects by URI.
func (m *Mem) Objects() map[string][]byte {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	all := make(map[string][]byte, len(m.shared.objects))
	for uri, o := range m.shared.objects {
		all[uri] = slices.Clone(o.data)
	}
	return all
}

// Uploads returns the objects of uploads that were begun and never ended, sorted.
func (m *Mem) Uploads() []string {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	return slices.Sorted(maps.Keys(m.shared.uploads))
}

// Corrupt changes the content of an object that is there. A silent change keeps its ETag
// and checksum, as a broken disk does; else it is another object, as one that somebody put
// there is.
func (m *Mem) Corrupt(uri string, silent bool, change func([]byte) []byte) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	old, ok := m.shared.objects[uri]
	if !ok {
		panic("storetest: no object " + uri)
	}
	o := m.shared.put(uri, change(slices.Clone(old.data)))
	if silent {
		o.ETag, o.SHA256, o.Modified = old.ETag, old.SHA256, old.Modified
		m.shared.objects[uri] = kept{m.shared.objects[uri].data, o}
	}
}

// call begins a call: the error if it is not carried out, else what its caller is told
// instead of the answer, if not nil.
func (m *Mem) call(ctx context.Context, op, uri string) (refused, lost error) {
	if _, _, err := store.Split(uri); err != nil {
		return err, nil
	}
	if err := ctx.Err(); err != nil {
		return err, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.dead {
		return about(op, uri, ErrDead), nil
	}
	if m.Fault == nil {
		return nil, nil
	}
	f := m.Fault(op, uri)
	m.dead = f.Dead
	switch {
	case f.Err == nil:
		return nil, nil
	case f.Done:
		return nil, about(op, uri, f.Err)
	}
	return about(op, uri, f.Err), nil
}

func about(op, uri string, err error) error { return fmt.Errorf("%s of %s: %w", op, uri, err) }

// find returns an object. It needs the lock.
func (s *shared) find(op, uri string) (kept, error) {
	o, ok := s.objects[uri]
	if !ok {
		return o, about(op, uri, fs.ErrNotExist)
	}
	return o, nil
}

// put keeps an object. It needs the lock.
func (s *shared) put(uri string, data []byte) store.Object {
	sum, tag := sha256.Sum256(data), md5.Sum(data)
	o := store.Object{URI: uri, Size: int64(len(data)), ETag: hex.EncodeToString(tag[:]), SHA256: hex.EncodeToString(sum[:]), Modified: s.now().UTC()}
	s.objects[uri] = kept{data, o}
	return o
}

// read makes a call that returns what take takes from an object.
func (m *Mem) read(ctx context.Context, op, uri string, take func([]byte) []byte) ([]byte, store.Object, error) {
	refused, lost := m.call(ctx, op, uri)
	if err := errors.Join(refused, lost); err != nil {
		return nil, store.Object{}, err
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	o, err := m.shared.find(op, uri)
	if err != nil {
		return nil, store.Object{}, err
	}
	return slices.Clone(take(o.data)), o.Object, nil
}

// Head implements store.Store.
func (m *Mem) Head(ctx context.Context, uri string) (store.Object, error) {
	_, o, err := m.read(ctx, "Head", uri, func([]byte) []byte { return nil })
	return o, err
}

// Get implements store.Store.
func (m *Mem) Get(ctx context.Context, uri string) ([]byte, store.Object, error) {
	data, o, err := m.read(ctx, "Get", uri, func(data []byte) []byte { return data })
	if err == nil && o.Size > store.MaxGet {
		return nil, o, about("Get", uri, errors.New("it is too large"))
	}
	return data, o, err
}

// Range implements store.Store.
func (m *Mem) Range(ctx context.Context, uri string, at, n int64) ([]byte, store.Object, error) {
	return m.read(ctx, "Range", uri, func(data []byte) []byte {
		at := min(at, int64(len(data)))
		return data[at:min(at+n, int64(len(data)))]
	})
}

// write makes a call that makes an object.
func (m *Mem) write(ctx context.Context, op, uri string, data []byte) (store.Object, error) {
	refused, lost := m.call(ctx, op, uri)
	if refused != nil {
		return store.Object{}, refused
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if _, there := m.shared.objects[uri]; there && op == "PutNew" {
		return store.Object{}, errors.Join(lost, about(op, uri, store.ErrExists))
	}
	o := m.shared.put(uri, slices.Clone(data))
	if lost != nil {
		return store.Object{}, lost
	}
	return o, nil
}

// Put implements store.Store.
func (m *Mem) Put(ctx context.Context, uri string, data []byte) (store.Object, error) {
	return m.write(ctx, "Put", uri, data)
}

// PutNew implements store.Store.
func (m *Mem) PutNew(ctx context.Context, uri string, data []byte) (store.Object, error) {
	return m.write(ctx, "PutNew", uri, data)
}

// PutMatch implements store.Store.
func (m *Mem) PutMatch(ctx context.Context, uri string, data []byte, etag string) (store.Object, error) {
	refused, lost := m.call(ctx, "PutMatch", uri)
	if refused != nil {
		return store.Object{}, refused
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if o, there := m.shared.objects[uri]; !there || o.ETag != etag {
		return store.Object{}, errors.Join(lost, about("PutMatch", uri, store.ErrChanged))
	}
	o := m.shared.put(uri, slices.Clone(data))
	if lost != nil {
		return store.Object{}, lost
	}
	return o, nil
}

// Upload implements store.Store. One that is refused leaves parts of the object, as one of
// S3 that its process did not live to end.
func (m *Mem) Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (store.Object, store.Sum, error) {
	data := make([]byte, size)
	if n, err := r.ReadAt(data, 0); n < len(data) {
		return store.Object{}, store.Sum{}, about("Upload", uri, err)
	}
	m.shared.mu.Lock()
	m.shared.uploads[uri] = m.shared.now()
	m.shared.mu.Unlock()
	o, err := m.write(ctx, "Upload", uri, data)
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if _, there := m.shared.objects[uri]; there {
		delete(m.shared.uploads, uri)
	}
	if err != nil {
		return store.Object{}, store.Sum{}, err
	}
	return o, sha256.Sum256(data), nil
}

// Download implements store.Store. One that is refused leaves half of the content.
func (m *Mem) Download(ctx context.Context, uri string, w store.File, match string) (store.Object, store.Sum, error) {
	refused, lost := m.call(ctx, "Download", uri)
	m.shared.mu.Lock()
	o, err := m.shared.find("Download", uri)
	m.shared.mu.Unlock()
	switch fault := errors.Join(refused, lost); {
	case fault != nil:
		_, _ = w.WriteAt(o.data[:len(o.data)/2], 0)
		return store.Object{}, store.Sum{}, fault
	case err != nil:
		return store.Object{}, store.Sum{}, err
	case match != "" && match != o.ETag:
		return store.Object{}, store.Sum{}, about("Download", uri, store.ErrChanged)
	}
	if _, err := w.WriteAt(o.data, 0); err != nil {
		return store.Object{}, store.Sum{}, about("Download", uri, err)
	}
	return o.Object, sha256.Sum256(o.data), nil
}

// Copy implements store.Store.
func (m *Mem) Copy(ctx context.Context, from, to string) (store.Object, error) {
	m.shared.mu.Lock()
	o, err := m.shared.find("Copy", from)
	m.shared.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		return store.Object{}, err
	}
	return m.write(ctx, "Copy", to, o.data)
}

// List implements store.Store.
func (m *Mem) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		refused, lost := m.call(ctx, "List", prefix)
		if err := errors.Join(refused, lost); err != nil {
			yield(store.Object{}, err)
			return
		}
		for _, o := range m.shared.list(prefix) {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (s *shared) list(prefix string) []store.Object {
	if bucket, key, _ := store.Split(prefix); key == "" {
		prefix = "s3://" + bucket + "/"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []store.Object
	for _, uri := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(uri, prefix) {
			o := s.objects[uri].Object
			o.SHA256 = "" // a list of S3 has none
			found = append(found, o)
		}
	}
	return found
}

// Remove implements store.Store.
func (m *Mem) Remove(ctx context.Context, uris ...string) error {
	for _, uri := range uris {
		refused, lost := m.call(ctx, "Remove", uri)
		if refused != nil {
			return refused
		}
		m.shared.mu.Lock()
		delete(m.shared.objects, uri)
		m.shared.mu.Unlock()
		if lost != nil {
			return lost
		}
	}
	return nil
}

// Sweep implements store.Store.
func (m *Mem) Sweep(ctx context.Context, prefix string, before time.Time) error {
	refused, lost := m.call(ctx, "Sweep", prefix)
	if refused != nil {
		return refused
	}
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	maps.DeleteFunc(m.shared.uploads, func(uri string, begun time.Time) bool {
		return strings.HasPrefix(uri, prefix) && begun.Before(before)
	})
	return lost
}
