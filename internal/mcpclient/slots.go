package mcpclient

import (
	"context"
	"sync"
)

// slots bounds the operations that run at once against one server, over all
// runs. It keeps nothing for servers that are not in use.
type slots struct {
	size int
	mu   sync.Mutex
	used map[string]*slot
}

type slot struct {
	tokens chan struct{}
	users  int // operations that hold or await a token
}

func newSlots(size int) *slots { return &slots{size: size, used: make(map[string]*slot)} }

// acquire waits for a slot of the server and returns the function that frees it.
func (s *slots) acquire(ctx context.Context, server string) (release func(), err error) {
	s.mu.Lock()
	sl := s.used[server]
	if sl == nil {
		sl = &slot{tokens: make(chan struct{}, s.size)}
		s.used[server] = sl
	}
	sl.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sl.users--; sl.users == 0 {
			delete(s.used, server)
		}
	}
	select {
	case sl.tokens <- struct{}{}:
		return func() { <-sl.tokens; leave() }, nil
	case <-ctx.Done():
		leave()
		e := endOfContext(context.Cause(ctx), "waiting for other calls to the server")
		e.Sent = NotSent
		return nil, e
	}
}
