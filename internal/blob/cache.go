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
	byName map[string]*list.Element
}

type cached struct {
	name string
	data []byte
}

func (e cached) size() int { return len(e.data) + entryBytes }

func newCache(most int) *cache {
	return &cache{most: most, recent: list.New(), byName: map[string]*list.Element{}}
}

func (c *cache) get(name string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(cached).data, true
}

func (c *cache) add(name string, data []byte) {
	e := cached{name, data}
	// One value may not push out everything else.
	if e.size() > c.most/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byName[name]; ok {
		c.recent.MoveToFront(e)
		return
	}
	c.byName[name] = c.recent.PushFront(e)
	for c.held += e.size(); c.held > c.most; {
		old := c.recent.Remove(c.recent.Back()).(cached)
		delete(c.byName, old.name)
		c.held -= old.size()
	}
}
