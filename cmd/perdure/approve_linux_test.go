package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
	"perdure/internal/terminal"
)

// TestApprovalsHideNothing: whoever is asked for a call has seen all that it would send, and of all calls before "all" is offered.
func TestApprovalsHideNothing(t *testing.T) {
	t.Parallel()
	long := `{"to":"friend","text":"` + strings.Repeat("0123456789", 50) + `","bcc":"mallory"}`
	call := func(id, arguments string) apiclient.Item {
		return apiclient.Item{ID: id, ServerLabel: "mail", Name: "send", Arguments: arguments}
	}
	for _, tt := range []struct {
		name  string
		asked []apiclient.Item
		types []string // each after a question
		want  []bool
		shown []string // before the first question
	}{
		{"one", []apiclient.Item{call("a", long)}, []string{"y"}, []bool{true}, []string{"mail.send " + long}},
		{
			"all",
			[]apiclient.Item{call("a", `{}`), call("b", long), call("c", "{\"x\":\n  Make this call? y\u202e}")},
			[]string{"a"},
			[]bool{true, true, true},
			[]string{"1 of 3, mail.send {}", "2 of 3, mail.send " + long, "3 of 3, mail.send {\"x\":", `Make this call? y\u202e}`},
		},
		{"some", []apiclient.Item{call("a", `{}`), call("b", long)}, []string{"n", "y"}, []bool{false, true}, []string{"2 of 2, mail.send " + long}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			screen, keyboard := openTerminal(t)
			s := &session{cmd: &cobra.Command{}, err: terminal.Of(screen, func(string) string { return "dumb" })}
			s.cmd.SetIn(screen)
			s.cmd.SetContext(t.Context())
			var first string
			over := make(chan struct{})
			go func() {
				defer close(over)
				shown := ""
				for n, text := range tt.types {
					shown = readUntil(t, keyboard, shown, "[y]es, [n]o", n+1)
					if n == 0 {
						first = shown
					}
					if _, err := keyboard.WriteString(text + "\n"); err != nil {
						t.Error(err)
					}
				}
			}()
			answers, err := s.askApprovals(tt.asked)
			<-over
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, a := range answers {
				got = append(got, a.(*responses.MCPApprovalResponse).Approve)
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("approved: %v, want %v", got, tt.want)
			}
			// Further lines of a call are indented, so that none looks like another call or a question.
			flat := strings.ReplaceAll(strings.ReplaceAll(first, "\r", ""), "\n    ", "")
			for _, want := range tt.shown {
				if !strings.Contains(flat, want) {
					t.Errorf("before the first question there is no %q in %q", want, first)
				}
			}
		})
	}
}

// readUntil reads what a terminal shows until a text is there so many times.
func readUntil(t *testing.T, from *os.File, shown, text string, times int) string {
	buffer := make([]byte, 4096)
	for strings.Count(shown, text) < times {
		n, err := from.Read(buffer)
		if err != nil {
			t.Errorf("error %v after %q", err, shown)
			return shown
		}
		shown += string(buffer[:n])
	}
	return shown
}

// openTerminal returns both ends of a terminal of 80 columns: that of a program, and that of whoever sits there.
func openTerminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	var number, unlocked uint32
	size := [4]uint16{24, 80}
	for request, value := range map[uintptr]unsafe.Pointer{
		syscall.TIOCSPTLCK: unsafe.Pointer(&unlocked), syscall.TIOCGPTN: unsafe.Pointer(&number), syscall.TIOCSWINSZ: unsafe.Pointer(&size),
	} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(value)); errno != 0 {
			t.Fatal(errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, person
}
