package logtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"perdure/internal/logtest"
)

func TestAwaitReturnsWhenTheTextIsThere(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	done := make(chan error, 1)
	go func() { done <- log.Await(t.Context(), "line 99") }()
	for i := range 100 {
		fmt.Fprintf(&log, "line %d\n", i)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAwaitTellsWhatTheLogSaysInstead(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	fmt.Fprint(&log, "something else")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := log.Await(ctx, "what we want")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "something else") {
		t.Errorf("error %v", err)
	}
}
