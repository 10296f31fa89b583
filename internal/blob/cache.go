package blob

import (
	"container/list"
	"sync"
)

// cache keeps the most recently used values up to a number of bytes. Values never change, so nothing is ever invalidated.
type cache struct {
	mu     sync.Mutex
	most   int
	held   int
	recent *list.List // of entry, most recent first
	byRef  map[Ref]*list.Element
}

type entry struct {
	ref  Ref
	data []byte
}

func newCache(most int) *cache {
	return &cache{most: most, recent: list.New(), byRef: map[Ref]*list.Element{}}
}

func (c *cache) get(ref Ref) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byRef[ref]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(entry).data, true
}

func (c *cache) add(ref Ref, data []byte) {
	// One value may not push out everything else.
	if len(data) > c.most/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byRef[ref]; ok {
		c.recent.MoveToFront(e)
		return
	}
	c.byRef[ref] = c.recent.PushFront(entry{ref, data})
	for c.held += len(data); c.held > c.most; {
		last := c.recent.Back()
		old := c.recent.Remove(last).(entry)
		delete(c.byRef, old.ref)
		c.held -= len(old.data)
	}
}
