package storetest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor/store"
	"flow/executor/store/storetest"
)

func TestMem(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) (store.Store, string) { return storetest.New(), "s3://bucket/p/" })
}

// Of a call that fails something is there, or not, as the fault says.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault   storetest.Fault
		there   bool
		uploads []string
		next    error // of the next call of the same process
	}{
		"none":        {storetest.Fault{}, true, nil, nil},
		"refused":     {storetest.Refused, false, []string{"s3://b/up"}, nil},
		"lost":        {storetest.Lost, true, nil, nil},
		"death":       {storetest.Death, false, []string{"s3://b/up"}, storetest.ErrDead},
		"death after": {storetest.DeathAfter, true, nil, storetest.ErrDead},
		"own error":   {storetest.Fault{Err: fs.ErrPermission}, false, []string{"s3://b/up"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.New()
			m.Fault = func(op, _ string) storetest.Fault {
				if op == "Upload" {
					return test.fault
				}
				return storetest.Fault{}
			}
			_, _, err := m.Upload(t.Context(), "s3://b/up", strings.NewReader("content"), 7)
			if !errors.Is(err, test.fault.Err) {
				t.Errorf("%v, want %v", err, test.fault.Err)
			}
			if _, there := m.Objects()["s3://b/up"]; there != test.there {
				t.Errorf("it is there: %v", there)
			}
			if diff := cmp.Diff(test.uploads, m.Uploads()); diff != "" {
				t.Errorf("uploads (-want +got):\n%s", diff)
			}
			if _, err := m.Put(t.Context(), "s3://b/next", nil); !errors.Is(err, test.next) {
				t.Errorf("the next call: %v, want %v", err, test.next)
			}
			if err := m.Again().Sweep(t.Context(), "s3://b/", time.Now().Add(time.Hour)); err != nil || len(m.Uploads()) > 0 {
				t.Errorf("after Sweep: %v, %v", m.Uploads(), err)
			}
		})
	}
}

// A process dies at its n-th call; what it did before is there for the next one.
func TestDieAt(t *testing.T) {
	m := storetest.New()
	m.DieAt(3)
	for _, uri := range []string{"s3://b/1", "s3://b/2", "s3://b/3", "s3://b/4"} {
		_, _ = m.Put(t.Context(), uri, nil) // as it may be
	}
	if len(m.Objects()) != 2 || m.Calls() != 4 {
		t.Errorf("%d objects after %d calls", len(m.Objects()), m.Calls())
	}
	again := m.Again()
	if err := again.Remove(t.Context(), "s3://b/1"); err != nil || len(m.Objects()) != 1 {
		t.Errorf("%v, %d objects are left", err, len(m.Objects()))
	}
}

// A silent change keeps what is known of an object; another one does not.
func TestCorrupt(t *testing.T) {
	for _, silent := range []bool{true, false} {
		m := storetest.New()
		before, err := m.Put(t.Context(), "s3://b/k", []byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		m.Corrupt("s3://b/k", silent, bytes.ToUpper)
		data, after, err := m.Get(t.Context(), "s3://b/k")
		if err != nil || string(data) != "CONTENT" || (after == before) != silent {
			t.Errorf("silent %v: %q, %v, %v", silent, data, after, err)
		}
	}
}
