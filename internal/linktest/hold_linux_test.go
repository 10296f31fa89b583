package linktest_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"perdure/internal/linktest"
)

// ipLocalPortRange is IP_LOCAL_PORT_RANGE, which Linux has since 6.3 and package syscall has not: the ports that the kernel picks
// from for one socket.
const ipLocalPortRange = 51

// only has the kernel pick from one port.
func only(port int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, port|port<<16)
		}), err)
	}
}

// picked asks the kernel for a free port and for the port of a connection, when there is one port to pick from.
func picked(t *testing.T, port int) (listens, connects error) {
	t.Helper()
	l, listens := (&net.ListenConfig{Control: only(port)}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if errors.Is(listens, syscall.ENOPROTOOPT) {
		t.Skip("this kernel cannot be made to pick from one port")
	}
	if listens == nil {
		l.Close()
	}
	c, connects := (&net.Dialer{Control: only(port)}).DialContext(t.Context(), "tcp", echo(t))
	if connects == nil {
		c.Close()
	}
	return listens, connects
}

func hold(t *testing.T) *linktest.Port {
	t.Helper()
	p, err := linktest.Hold()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

func TestHeldPortIsNotPicked(t *testing.T) {
	t.Parallel()
	p := hold(t)
	check := func(when string) {
		t.Helper()
		if listens, connects := picked(t, p.Number); !errors.Is(listens, syscall.EADDRINUSE) || !errors.Is(connects, syscall.EADDRNOTAVAIL) {
			t.Errorf("%s: a listener got error %v, a connection %v", when, listens, connects)
		}
	}
	check("nobody listens")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	check("a server listens")
	l.Close()
	check("the server is gone")
	p.Release()
	if listens, connects := picked(t, p.Number); listens != nil || connects != nil {
		t.Errorf("released: a listener got error %v, a connection %v", listens, connects)
	}
}

// Servers follow one another on a held port, whatever their connections left behind.
func TestServersOnHeldPort(t *testing.T) {
	t.Parallel()
	p := hold(t)
	for range 3 {
		if _, err := net.Dial("tcp", p.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("error %v of a dial while nobody listens", err)
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		client := dial(t, p.Address())
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.Address()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second server listens at %v, error %v", again, err)
		}
		// The side that closes first keeps the connection in TIME_WAIT.
		server.Close()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		client.Close()
		// Another is left open.
		dial(t, p.Address())
		if server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		l.Close()
	}
}
