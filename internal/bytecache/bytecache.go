// Package bytecache keeps values that never change in memory: those that were used last, up to a number of bytes.
package bytecache

import (
	"container/list"
	"sync"
)

// entryBytes is what an entry takes beside its data, so that many short values are bounded, too.
const entryBytes = 256

// Cache keeps the most recently used values. Nothing is ever invalidated, so a name must stand for the same value for good. It is safe
// for concurrent use.
type Cache struct {
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

// New returns a cache of at most so many bytes; 0 keeps nothing.
func New(most int) *Cache {
	return &Cache{most: most, recent: list.New(), byName: map[string]*list.Element{}}
}

// Get returns the value of a name. Callers must not change it.
func (c *Cache) Get(name string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(cached).data, true
}

// Add keeps a value, unless it takes more than a quarter of the cache. The caller must not change it afterwards.
func (c *Cache) Add(name string, data []byte) {
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
