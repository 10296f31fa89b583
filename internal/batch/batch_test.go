package batch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/batch"
	"perdure/internal/responses"
)

func TestShare(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		places int
		wants  []int
		want   []int
	}{
		"alone":                          {64, []int{32}, []int{32}},
		"room for all":                   {64, []int{32, 20, 1}, []int{32, 20, 1}},
		"halves":                         {64, []int{100, 100}, []int{32, 32}},
		"what cannot be divided":         {64, []int{50, 50, 50}, []int{22, 21, 21}},
		"who wants little leaves more":   {64, []int{100, 4, 100}, []int{30, 4, 30}},
		"more batches than places":       {2, []int{5, 5, 5}, []int{1, 1, 0}},
		"one place":                      {1, []int{5, 5}, []int{1, 0}},
		"who wants much gets no more":    {10, []int{3, 100}, []int{3, 7}},
		"those behind are not forgotten": {7, []int{1, 1, 9, 9}, []int{1, 1, 3, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var running []batch.Running
			for i, n := range tt.wants {
				running = append(running, batch.Running{ID: string(rune('a' + i)), Concurrency: n})
			}
			var got []int
			total := 0
			for _, r := range running {
				got = append(got, batch.Share(tt.places, running, r.ID))
				total += got[len(got)-1]
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || total > tt.places {
				t.Errorf("%d of %d places (-want +got):\n%s", total, tt.places, diff)
			}
			if n := batch.Share(tt.places, running, "z"); n != 0 {
				t.Errorf("one that does not run gets %d", n)
			}
		})
	}
}

// TestIDs: what is derived is the same each time, and another for each line; it is stored, in Temporal and in files.
func TestIDs(t *testing.T) {
	t.Parallel()
	if got, want := batch.ResponseID("batch_1", 7), "resp_d3958d88-c875-8c44-a0b0-698c3f2f5a06"; got != want {
		t.Errorf("the response of a line is %s, want %s as it was", got, want)
	}
	seen := map[string]bool{}
	for _, id := range []string{"batch_1", "batch_11", "batch_2"} {
		for line := 1; line < 200; line++ {
			seen[batch.ResponseID(id, line)] = true
			if !responses.IsResponseID(batch.ResponseID(id, line)) {
				t.Fatalf("%s is no ID of a response", batch.ResponseID(id, line))
			}
		}
	}
	if len(seen) != 3*199 {
		t.Errorf("%d IDs, want %d", len(seen), 3*199)
	}
	first, again := batch.NewID("acme", "ann", "k"), batch.NewID("acme", "ann", "k")
	if first != again || first == batch.NewID("acme", "bob", "k") {
		t.Error("an Idempotency-Key does not name one batch")
	}
	for _, id := range []string{batch.NewID("acme", "ann", ""), batch.NewID("acme", "ann", "k")} {
		if !batch.IsID(id) {
			t.Errorf("%s is no ID of a batch", id)
		}
	}
	for _, id := range []string{"", "batch_", "batch_A/..", "resp_1", "batch_' OR 1=1"} {
		if batch.IsID(id) {
			t.Errorf("%q is taken for an ID", id)
		}
	}
}
