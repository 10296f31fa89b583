package batch

import (
	"fmt"
	"testing"
)

func TestLineOf(t *testing.T) {
	t.Parallel()
	b := Batch{ID: "batch_1", Progress: Progress{Total: 500}}
	for _, line := range []int{1, 2, 250, 500} {
		r := Unanswered(b.ID, line, fmt.Sprint("row-", line), CodeCancelled)
		for near, want := range map[int]int{0: line, line - 1: line, line: 0, 600: 0} {
			if got := b.LineOf(r.ID, near); got != want {
				t.Errorf("line %d, looked for behind line %d, is said to be %d, want %d", line, near, got, want)
			}
		}
	}
	for _, id := range []string{"", requestID("batch_2", 7), requestID(b.ID, 501)} {
		if got := b.LineOf(id, 0); got != 0 {
			t.Errorf("%q is said to be line %d", id, got)
		}
	}
}

// What a page takes for a batch of 200,000 lines that has failed in the last one.
func BenchmarkLineOf(b *testing.B) {
	batch := Batch{ID: "batch_1", Progress: Progress{Total: 200_000}}
	last := requestID(batch.ID, batch.Total)
	for b.Loop() {
		batch.LineOf(last, 0)
	}
}
