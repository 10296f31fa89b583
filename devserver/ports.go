package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// claims holds addresses from the moment they are checked until the server binds them. The server offers no
// way to pass it a listener, and answers a taken port by exiting deep inside itself; claiming first gives an
// error that names the flag.
type claims struct {
	listeners []claimed
}

type claimed struct {
	net.Listener
	picked bool // the kernel chose the port
}

// address claims the address that a flag asks for.
func (c *claims) address(flagName, address string) (*net.TCPAddr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: want HOST:PORT", flagName, address)
	}
	if host == "" {
		host = "127.0.0.1" // Without authentication, other machines must be let in explicitly.
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--%s %s: the port is taken, perhaps by another Temporal server; "+
			"stop it or choose another port (0 picks a free one)", flagName, address)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flagName, address, err)
	}
	addr := l.Addr().(*net.TCPAddr)
	c.listeners = append(c.listeners, claimed{l, port == "0"})
	return addr, nil
}

// internal claims a free loopback port for traffic between the server's own services.
func (c *claims) internal() (*net.TCPAddr, error) {
	return c.address("listen", "127.0.0.1:0")
}

// release frees the addresses for the server to bind.
func (c *claims) release() {
	for _, l := range c.listeners {
		if l.picked {
			rest(l)
		}
		_ = l.Close()
	}
	c.listeners = nil
}

// rest leaves a connection in TIME_WAIT on a port that the kernel picked. For a minute the kernel then picks
// other ports for others, while a bind to this very port still succeeds: nobody takes it between our release
// and the server's bind. Best effort; without it the gap is merely a race.
func rest(l net.Listener) {
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return
	}
	_ = server.Close() // The side that closes first keeps the state.
}

// reachable turns a bound address into one that a client on this machine can dial.
func reachable(bound *net.TCPAddr) string {
	if bound.IP.IsUnspecified() {
		return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.Port}).String()
	}
	return bound.String()
}
