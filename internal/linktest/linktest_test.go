package linktest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"perdure/internal/linktest"
)

// echo serves connections that say what they hear.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type peer struct {
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, address string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{c, bufio.NewReader(c)}
}

// say sends a line and returns how long it took to come back.
func (p *peer) say(line string, patience time.Duration) (time.Duration, error) {
	began := time.Now()
	if _, err := io.WriteString(p, line+"\n"); err != nil {
		return 0, err
	}
	if err := p.SetReadDeadline(began.Add(patience)); err != nil {
		return 0, err
	}
	got, err := p.lines.ReadString('\n')
	if err == nil && got != line+"\n" {
		err = errors.New("heard " + got)
	}
	return time.Since(began), err
}

func TestLink(t *testing.T) {
	t.Parallel()
	l, err := linktest.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const patience = 20 * time.Second
	p := dial(t, l.Address())
	if _, err := p.say("one", patience); err != nil {
		t.Fatal(err)
	}
	l.Delay(100 * time.Millisecond)
	if took, err := p.say("two", patience); err != nil || took < 200*time.Millisecond {
		t.Errorf("there and back took %v, error %v", took, err)
	}
	l.Hang()
	if _, err := p.say("three", 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v over a link that hangs", err)
	}
	if err := l.Restore(); err != nil {
		t.Fatal(err)
	}
	if got, err := readLine(p, patience); err != nil || got != "three\n" {
		t.Errorf("what was held up is %q, error %v", got, err)
	}
	address := l.Address()
	l.Cut()
	if _, err := p.say("four", patience); err == nil {
		t.Error("a connection outlived the cut")
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v of a dial to a link that is cut", err)
	}
	if err := l.Restore(); err != nil || l.Address() != address {
		t.Fatalf("restored at %s, was %s, error %v", l.Address(), address, err)
	}
	if _, err := dial(t, address).say("five", patience); err != nil {
		t.Error(err)
	}
	if n := l.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	l.Close()
	if err := l.Restore(); err == nil {
		t.Error("a link was restored after its end")
	}
}

func readLine(p *peer, patience time.Duration) (string, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	return p.lines.ReadString('\n')
}
