package admission_test

import (
	"errors"
	"sync"
	"testing"

	"perdure/internal/admission"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	type step struct {
		key  string
		n    int64
		want error
	}
	tests := []struct {
		name         string
		total, share int64
		steps        []step // a negative amount is given back
	}{
		{"a key has its share, the last byte of it too", 10, 5, []step{
			{"a", 3, nil}, {"a", 3, admission.ErrShare}, {"a", 2, nil}, {"a", 1, admission.ErrShare}, {"b", 5, nil},
		}},
		{"all keys have the total", 10, 6, []step{
			{"a", 6, nil}, {"b", 5, admission.ErrFull}, {"b", 4, nil}, {"c", 1, admission.ErrFull},
		}},
		{"what is refused takes nothing", 10, 0, []step{{"a", 11, admission.ErrFull}, {"a", 10, nil}}},
		{"what is given back is there again", 10, 5, []step{
			{"a", 5, nil},
			{"b", 5, nil},
			{"a", -2, nil},
			{"a", 3, admission.ErrShare},
			{"c", 2, nil},
			{"a", 1, admission.ErrFull},
			{"c", -2, nil},
			{"a", 2, nil},
		}},
		{"no total", 0, 5, []step{{"a", 5, nil}, {"b", 5, nil}, {"c", 5, nil}, {"c", 1, admission.ErrShare}}},
		{"no share", 5, 0, []step{{"a", 5, nil}, {"b", 1, admission.ErrFull}}},
		{"no limit", 0, 0, []step{{"a", 1 << 40, nil}, {"a", 1 << 40, nil}}},
		{"nothing fits always", 1, 1, []step{{"a", 1, nil}, {"a", 0, nil}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := admission.NewBudget(tt.total, tt.share)
			for i, s := range tt.steps {
				if s.n < 0 {
					b.Give(s.key, -s.n)
				} else if err := b.Take(s.key, s.n); !errors.Is(err, s.want) || (err == nil) != (s.want == nil) {
					t.Fatalf("step %d, %d for %s: error %v, want %v", i, s.n, s.key, err, s.want)
				}
			}
		})
	}
}

// Never more than there is, whoever comes at the same time, and everything is there again when all have left.
func TestBudgetInParallel(t *testing.T) {
	t.Parallel()
	const total, share = 8, 3
	b := admission.NewBudget(total, share)
	var mu sync.Mutex
	used, perKey, refused := 0, map[string]int{}, 0
	var all sync.WaitGroup
	for i := range 64 {
		key := string(rune('a' + i%4))
		all.Go(func() {
			for range 200 {
				if b.Take(key, 1) != nil {
					mu.Lock()
					refused++
					mu.Unlock()
					continue
				}
				mu.Lock()
				used++
				perKey[key]++
				if used > total || perKey[key] > share {
					t.Errorf("%d in use, %d of them by one key", used, perKey[key])
				}
				used--
				perKey[key]--
				mu.Unlock()
				b.Give(key, 1)
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d were refused", refused, 64*200)
	for _, key := range []string{"a", "b"} {
		if err := b.Take(key, share); err != nil {
			t.Errorf("what was given back is not there: %v", err)
		}
	}
}
