package temporaldev

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	terminalInterval = time.Second
	logInterval      = 10 * time.Second
	maxComplaints    = 20 // lines
)

// buildProgress tells a person how a build goes: in place on a terminal, else with a line now and then.
type buildProgress struct {
	w        io.Writer
	terminal bool

	mu         sync.Mutex
	began      time.Time
	downloaded int
	compiled   int
	other      []string
}

func newBuildProgress(w io.Writer) *buildProgress {
	return &buildProgress{w: w, terminal: isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// start announces the build; the returned function ends the reports.
func (p *buildProgress) start(sources string) (stop func(err error)) {
	p.began = time.Now()
	fmt.Fprintf(p.w, "Building the Temporal development server from %s.\n"+
		"The first time this takes about 5 minutes on 2 cores; later starts use the result.\n", sources)
	interval := logInterval
	if p.terminal {
		interval = terminalInterval
	}
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.report()
			}
		}
	}()
	return func(err error) {
		close(done)
		<-finished
		if p.terminal {
			fmt.Fprint(p.w, "\r\x1b[K")
		}
		if err == nil {
			fmt.Fprintf(p.w, "Built the Temporal development server in %v.\n", p.elapsed())
		}
	}
}

// line takes a line that `go build -v` printed: a package compiled, a module downloaded, or a complaint.
func (p *buildProgress) line(line []byte) {
	text := string(bytes.TrimSpace(line))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case text == "" || strings.HasPrefix(text, "#"):
	case strings.HasPrefix(text, "go: downloading "):
		p.downloaded++
	case !strings.Contains(text, " "):
		p.compiled++
	default:
		p.other = append(p.other, text)
		if len(p.other) > maxComplaints {
			p.other = p.other[1:]
		}
	}
}

func (p *buildProgress) report() {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := fmt.Sprintf("compiled %d packages", p.compiled)
	if p.compiled == 0 && p.downloaded > 0 {
		status = fmt.Sprintf("downloaded %d modules", p.downloaded)
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s, %v", status, p.elapsed())
	} else {
		fmt.Fprintf(p.w, "%s, %v\n", status, p.elapsed())
	}
}

func (p *buildProgress) elapsed() time.Duration { return time.Since(p.began).Round(time.Second) }

// complaints are the last lines that were neither packages nor downloads.
func (p *buildProgress) complaints() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.other, "\n")
}
