package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNobody is that there is nobody to ask: no terminal to read from.
var ErrNobody = errors.New("there is no terminal to ask on")

// ErrInterrupted is that whoever was asked has pressed Ctrl-C, or Ctrl-D.
var ErrInterrupted = errors.New("interrupted")

// maxReply bounds what is read from whoever is asked, in bytes.
const maxReply = 64 << 10

// Asker asks whoever sits at the terminal.
type Asker struct {
	file    *os.File // the terminal that is read
	out     Out
	replies *bufio.Reader
}

// NewAsker returns one that reads from in if that is a terminal, and else from the terminal that the process belongs to, where out is
// one. Its error is ErrNobody.
func NewAsker(in io.Reader, out Out) (*Asker, error) {
	file, ok := in.(*os.File)
	if !ok || !IsTerminal(file) {
		if !out.Terminal {
			return nil, ErrNobody
		}
		tty, err := os.Open("/dev/tty")
		if err != nil {
			return nil, ErrNobody
		}
		file = tty
	}
	return &Asker{file: file, out: out, replies: bufio.NewReader(io.LimitReader(file, maxReply))}, nil
}

// Ask returns what is typed after a question. It ends with ctx.
func (a *Asker) Ask(ctx context.Context, question string) (string, error) {
	if _, err := fmt.Fprint(a.out, question); err != nil {
		return "", err
	}
	return a.wait(ctx, func() (string, error) {
		line, err := a.replies.ReadString('\n')
		if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
			return "", err
		}
		return strings.TrimSpace(line), nil
	})
}

// Secret is Ask without an echo of what is typed, also of what is typed before the question is there.
func (a *Asker) Secret(ctx context.Context, question string) (string, error) {
	fd := int(a.file.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	// Whoever interrupts must not be left with a terminal that shows nothing.
	defer func() { _ = term.Restore(fd, before) }()
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{a.replies, a.out}, "")
	return a.wait(ctx, func() (string, error) {
		text, err := screen.ReadPassword(question)
		if errors.Is(err, io.EOF) {
			err = ErrInterrupted // Ctrl-C is a key like others there
		}
		return strings.TrimSpace(text), err
	})
}

// wait reads beside ctx: a read from a terminal cannot be interrupted.
func (a *Asker) wait(ctx context.Context, read func() (string, error)) (string, error) {
	type reply struct {
		text string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		text, err := read()
		replies <- reply{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-replies:
		return r.text, r.err
	}
}
