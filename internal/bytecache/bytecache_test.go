package bytecache

import (
	"strconv"
	"testing"
)

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	c := New(most)
	value := make([]byte, 4<<10)
	for i := range 100 {
		c.Add(strconv.Itoa(i), value)
		// What is used stays.
		if _, ok := c.Get("0"); !ok {
			t.Fatalf("the value in use was dropped after %d more", i)
		}
		if c.held > most {
			t.Fatalf("%d bytes held, at most %d may be", c.held, most)
		}
	}
	if _, ok := c.Get("1"); ok {
		t.Error("a value that nobody used was kept")
	}
	if _, ok := c.Get("99"); !ok {
		t.Error("the latest value was dropped")
	}
	if n := c.recent.Len(); n != len(c.byName) || n*(len(value)+entryBytes) != c.held {
		t.Errorf("%d entries, %d references, %d bytes", n, len(c.byName), c.held)
	}
}

func TestCacheCountsItsOwnCost(t *testing.T) {
	t.Parallel()
	c := New(64 << 10)
	for i := range 10_000 {
		c.Add(strconv.Itoa(i), nil)
	}
	if n := c.recent.Len(); n == 0 || n > 64<<10/entryBytes {
		t.Errorf("%d empty values are held", n)
	}
}

func TestCacheRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	for _, most := range []int{-1, 0, 1000} {
		c := New(most)
		c.Add("a", make([]byte, 1000))
		c.Add("b", nil)
		if _, ok := c.Get("a"); ok || c.held > max(most, 0) {
			t.Errorf("a cache of %d bytes holds %d", most, c.held)
		}
	}
}

func TestCacheAddsOnce(t *testing.T) {
	t.Parallel()
	c := New(64 << 10)
	for range 3 {
		c.Add("a", []byte("x"))
	}
	if c.held != 1+entryBytes || c.recent.Len() != 1 {
		t.Errorf("%d bytes in %d entries", c.held, c.recent.Len())
	}
}
