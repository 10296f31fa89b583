package e2e

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// haul is everything that the system has shown or stored, by place.
type haul struct {
	mu     sync.Mutex
	places map[string][]byte
}

func (h *haul) add(place string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places[place] = append(append(h.places[place], data...), '\n')
}

// writer adds what is written.
func (h *haul) writer(place string) io.Writer { return haulWriter{h, place} }

type haulWriter struct {
	haul  *haul
	place string
}

func (w haulWriter) Write(p []byte) (int, error) {
	w.haul.mu.Lock()
	defer w.haul.mu.Unlock()
	w.haul.places[w.place] = append(w.haul.places[w.place], p...)
	return len(p), nil
}

// answer keeps an answer with its headers.
func (h *haul) answer(a answer) answer {
	for name, values := range a.header {
		h.add("answers", []byte(name+": "+strings.Join(values, ", ")))
	}
	h.add("answers", a.body)
	return a
}

// files adds what lies below a directory, but for the files of some names.
func (h *haul) files(t *testing.T, place, dir string, but ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if slices.Contains(but, d.Name()) {
			return nil
		}
		data, err := os.ReadFile(path)
		h.add(place, []byte(path))
		h.add(place, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// temporal adds what Temporal tells of every workflow: its description and its history, in binary and as JSON.
func (h *haul) temporal(t *testing.T, s *stack) {
	t.Helper()
	add := func(place string, m proto.Message) {
		binary, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		h.add(place, binary)
		h.add(place, text)
	}
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: "default", PageSize: 100}
	for {
		page, err := s.temporal.ListWorkflow(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, execution := range page.GetExecutions() {
			add("visibility", execution)
			described, err := s.temporal.DescribeWorkflowExecution(t.Context(), execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId())
			if err != nil {
				t.Fatal(err)
			}
			add("descriptions", described)
			past, err := s.history(t.Context(), execution.GetExecution().GetWorkflowId())
			if err != nil {
				t.Fatal(err)
			}
			add("histories", past)
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return
		}
	}
}

// check looks for every secret in every place.
func (h *haul) check(t *testing.T, secrets map[string]string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for place, data := range h.places {
		for name, secret := range secrets {
			if found := leak(data, secret); found != "" {
				t.Errorf("%s: shows the %s: %s", place, name, found)
			}
		}
	}
}

// checkContent: where content is kept it must be found, unless it is encrypted. What Temporal lists has the beginning of what a run was
// asked, for people who look for it.
func (h *haul) checkContent(t *testing.T, encrypted bool) {
	t.Helper()
	for place, kept := range map[string]bool{
		"answers": true, "histories": !encrypted, "visibility": !encrypted, "descriptions": !encrypted, "database": !encrypted, "event log": !encrypted,
		"data directory": !encrypted, "logs": false, "log of Temporal": false,
	} {
		data, ok := h.places[place]
		if !ok {
			t.Errorf("%s: nothing was searched", place)
		}
		if got := leaks(data, content); got != kept {
			t.Errorf("%s: has content: %t, want %t", place, got, kept)
		}
	}
}

// peers are the others that Perdure talks to. What each is sent must hold its own secrets and nobody else's.
type peers struct {
	mu   sync.Mutex
	sent map[string][]byte
}

func (p *peers) record(peer string, r *http.Request, body []byte) {
	all := []byte(r.URL.String() + "\n")
	for name, values := range r.Header {
		all = append(all, name+": "+strings.Join(values, ", ")+"\n"...)
	}
	p.add(peer, append(all, body...))
}

func (p *peers) add(peer string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[peer] = append(append(p.sent[peer], data...), '\n')
}

func (p *peers) check(t *testing.T, own map[string][]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for peer, names := range own {
		data := p.sent[peer]
		if len(data) == 0 {
			t.Errorf("the %s was sent nothing", peer)
		}
		mine := map[string]bool{}
		for _, name := range names {
			mine[name] = true
		}
		for name, secret := range canaries {
			if got := leaks(data, secret); got != mine[name] {
				t.Errorf("the %s was sent the %s: %t, want %t", peer, name, got, mine[name])
			}
		}
	}
}
