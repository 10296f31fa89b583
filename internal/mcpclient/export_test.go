package mcpclient

// StreamEnded returns a channel that is closed once the event stream of c's only session has ended and c knows it.
func StreamEnded(c *Client) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) != 1 {
		panic("mcpclient: not one session")
	}
	for _, s := range c.sessions {
		return s.guard.stream.ctx.Done()
	}
	return nil
}
