package activities

import (
	"context"
	"errors"
	"strings"
	"testing"

	"perdure/internal/blob"
	"perdure/internal/responses"
)

// An answer that came is kept, even if the worker has been told to stop meanwhile: nobody can ask for it again.
func TestAnswerOutlivesCancellation(t *testing.T) {
	t.Parallel()
	store, err := blob.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	a := &Activities{Options{Blobs: store}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	result, err := a.packCall(ctx, &responses.MCPCall{ID: "i", Output: strings.Repeat("long ", 4000)})
	if err != nil || result.Item.Ref == "" {
		t.Errorf("result %+v, error %v", result, err)
	}
}

// A step that was cancelled while it used the store is handed back, and is no failure of the store.
func TestCancelledStorageIsNoFailure(t *testing.T) {
	t.Parallel()
	store, err := blob.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = store.Put(ctx, []byte("x"))
	if err := storageError(err); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
