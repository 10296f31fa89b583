package linktest

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// Port is a port on 127.0.0.1 for servers that stop and start again. Until its release nobody gets it who takes any free port, and
// while no server listens, connections are refused.
//
// It is bound by a socket that does not listen. On Linux servers can listen on such a port all the same, as both sides set
// SO_REUSEADDR. Elsewhere they cannot, so that it is a port there that was free a moment ago.
type Port struct {
	Number int
	socket *os.File
}

// Hold returns a port that was free. It must be released.
func Hold() (*Port, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &Port{socket: os.NewFile(uintptr(fd), "held port")}
	if p.Number, err = bind(fd); err != nil || runtime.GOOS != "linux" {
		p.Release()
	}
	return p, err
}

func bind(fd int) (int, error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return address.(*syscall.SockaddrInet4).Port, nil
}

// Address is where servers listen on the port.
func (p *Port) Address() string { return fmt.Sprintf("127.0.0.1:%d", p.Number) }

// Release lets others have the port. A server that listens there stays.
func (p *Port) Release() { _ = p.socket.Close() }
