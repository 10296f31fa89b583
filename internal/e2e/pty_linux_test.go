package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"
)

// startCLIOnTerminal runs a command on a terminal of its own, 100 columns wide. What it shows is in stdout, and what is written to the keyboard is typed.
func startCLIOnTerminal(t *testing.T, o cliOptions, args ...string) (c *cli, keyboard *os.File) {
	t.Helper()
	binary, err := perdure()
	if err != nil {
		t.Fatal(err)
	}
	if o.url == "" {
		o.url = sharedStack(t).url
	}
	keyboard, tty := openTerminal(t)
	c = &cli{t: t, cmd: exec.Command(binary, args...), stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = append(baseEnv(), "GORACE=atexit_sleep_ms=0", "TERM=xterm", "PERDURE_URL="+o.url, "PERDURE_API_KEY="+apiKey)
	c.cmd.Env = append(c.cmd.Env, o.env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	c.start(args)
	tty.Close()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		buffer := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buffer)
			_, _ = c.stdout.Write(buffer[:n])
			if err != nil {
				return // the command has closed the terminal
			}
		}
	}()
	c.shown = shown
	return c, keyboard
}

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	var number, unlocked uint32
	size := [4]uint16{30, 100}
	control(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	control(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(t, master, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func control(t *testing.T, file *os.File, request uintptr, value unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(value)); errno != 0 {
		t.Fatal(errno)
	}
}
