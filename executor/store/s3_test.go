package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"flow/executor/executortest/fetched"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

func open(t *testing.T, endpoint string) *store.S3 {
	t.Helper()
	x, err := store.Open(t.Context(), store.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x.Small()
}

func TestS3(t *testing.T) {
	t.Parallel()
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	x := open(t, s.URL)
	var n atomic.Int64
	storetest.Test(t, func(*testing.T) (store.Store, string) { return x, fmt.Sprintf("s3://bucket/%d/", n.Add(1)) })
}
