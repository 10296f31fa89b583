package blob

import (
	"container/list"
	"sync"
)

// entryBytes is what an entry takes beside its data, so that many short values are bounded, too.
const entryBytes = 256

// cache keeps the most recently used values up to a number of bytes. Values never change, so nothing is ever invalidated.
type cache struct {
	mu     sync.Mutex
	most   int
	held   int
	recent *list.List // of cached, most recent first
	byRef  map[Ref]*list.Element
}

type cached struct {
	ref  Ref
	data []byte
}

func (e cached) size() int { return len(e.data) + entryBytes }

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
	return e.Value.(cached).data, true
}

func (c *cache) add(ref Ref, data []byte) {
	e := cached{ref, data}
	// One value may not push out everything else.
	if e.size() > c.most/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byRef[ref]; ok {
		c.recent.MoveToFront(e)
		return
	}
	c.byRef[ref] = c.recent.PushFront(e)
	for c.held += e.size(); c.held > c.most; {
		old := c.recent.Remove(c.recent.Back()).(cached)
		delete(c.byRef, old.ref)
		c.held -= old.size()
	}
}
