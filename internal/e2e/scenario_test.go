package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"perdure/internal/modeltest"
)

var update = flag.Bool("update", false, "rewrite the answers and the requests.golden of the scenarios")

const minScenarios = 25

func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < minScenarios {
		t.Fatalf("found %d scenarios, want at least %d", len(files), minScenarios)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScenario(t, file)
		})
	}
}

// scenario is a file while it is played.
type scenario struct {
	archive *txtar.Archive
	file    string
	servers map[string]*mcpServer
	model   *modeltest.Server
}

func runScenario(t *testing.T, file string) {
	stack := sharedStack(t)
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{archive: archive, file: file}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	s.startModel(t)
	s.startServers(t)
	var output json.RawMessage
	for n := 1; ; n++ {
		body := s.part(numbered("request", n))
		if body == nil {
			break
		}
		a, err := stack.respond(t.Context(), s.fillIn(body, output))
		if err != nil {
			t.Fatal(err)
		}
		output = a.output()
		s.compareAnswer(t, n, a)
		if a.status == http.StatusOK {
			checkReplay(t, stack, a.decode(t).ID)
		}
	}
	requests, err := goldenRequests(s.model.Requests())
	if err != nil {
		t.Fatal(err)
	}
	s.compare(t, "requests.golden", requests)
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check refuses a scenario that says nothing, or in a part that nobody reads.
func (s *scenario) check() error {
	if len(bytes.TrimSpace(s.archive.Comment)) == 0 {
		return fmt.Errorf("%s does not say what it is for", s.file)
	}
	if s.part("request.json") == nil {
		return fmt.Errorf("%s has no request.json", s.file)
	}
	for _, f := range s.archive.Files {
		folder, _, nested := strings.Cut(f.Name, "/")
		kind, _, _ := strings.Cut(strings.TrimSuffix(f.Name, ".json"), "-")
		known := slices.Contains([]string{"request", "response", "requests.golden"}, kind)
		if nested {
			known = slices.Contains([]string{"model", "mcp", "contains"}, folder)
		}
		if !known {
			return fmt.Errorf("%s has a part %s that means nothing", s.file, f.Name)
		}
	}
	return nil
}

// numbered is the name of the n-th request or answer.
func numbered(name string, n int) string {
	if n == 1 {
		return name + ".json"
	}
	return fmt.Sprintf("%s-%d.json", name, n)
}

// part returns a part of the file, nil when there is none.
func (s *scenario) part(name string) []byte {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (s *scenario) setPart(name string, data []byte) {
	for i, f := range s.archive.Files {
		if f.Name == name {
			s.archive.Files[i].Data = data
			return
		}
	}
	s.archive.Files = append(s.archive.Files, txtar.File{Name: name, Data: data})
}

func (s *scenario) name() string { return strings.TrimSuffix(filepath.Base(s.file), ".txtar") }

func (s *scenario) startModel(t *testing.T) {
	t.Helper()
	var script []modeltest.Reply
	for n := 1; ; n++ {
		data := s.part(fmt.Sprintf("model/%d.json", n))
		if data == nil {
			break
		}
		var m modelReply
		if err := decodeStrict(data, &m); err != nil {
			t.Fatalf("model/%d.json: %v", n, err)
		}
		reply, err := m.reply()
		if err != nil {
			t.Fatalf("model/%d.json: %v", n, err)
		}
		script = append(script, reply)
	}
	s.model = modeltest.New(script...)
	suite.models.plug(t, s.name(), s.model)
}

func (s *scenario) startServers(t *testing.T) {
	t.Helper()
	s.servers = map[string]*mcpServer{}
	for _, f := range s.archive.Files {
		label, ok := strings.CutPrefix(f.Name, "mcp/")
		if !ok {
			continue
		}
		var script mcpScript
		if err := decodeStrict(f.Data, &script); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		server := newMCPServer(script)
		s.servers[strings.TrimSuffix(label, ".json")] = server
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		})
	}
}

func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is something after the object")
	}
	return nil
}

// fillIn makes a body of a part: with real addresses, the items of the answer before, and models of the scenario's own.
func (s *scenario) fillIn(part []byte, output json.RawMessage) string {
	body := string(part)
	for label, server := range s.servers {
		body = strings.ReplaceAll(body, "{{"+label+"}}", server.URL())
	}
	if !strings.Contains(body, `"model`) {
		body = strings.Replace(body, "{", `{"model": "openai/gpt-5.5", `, 1)
	}
	items := strings.TrimSuffix(strings.TrimPrefix(string(output), "["), "]")
	body = strings.ReplaceAll(body, `"{{output}}"`, items)
	if call := functionCall.FindSubmatch(output); call != nil {
		body = strings.ReplaceAll(body, "{{call_id}}", string(call[1]))
	}
	return modelName.ReplaceAllString(body, `"$1@`+s.name()+`"`)
}

var functionCall = regexp.MustCompile(`"call_id":"([^"]+)"`)

// output is the list of items as it came, nil when there is none.
func (a answer) output() json.RawMessage {
	var r struct{ Output json.RawMessage }
	if json.Unmarshal(a.body, &r) != nil {
		return nil
	}
	return r.Output
}

func (s *scenario) compareAnswer(t *testing.T, n int, a answer) {
	t.Helper()
	for _, f := range s.archive.Files {
		if strings.HasPrefix(f.Name, "contains/") && !bytes.Contains(a.body, bytes.TrimSuffix(f.Data, []byte("\n"))) {
			t.Errorf("the answer does not hold %s byte for byte:\n%s", f.Name, a.body)
		}
	}
	got, err := goldenBody(bytes.ReplaceAll(a.body, []byte("@"+s.name()), nil))
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK {
		got = fmt.Appendf(nil, "HTTP %d\n%s", a.status, got)
	}
	s.compare(t, numbered("response", n), got)
}

// compare compares with a golden part, or rewrites it.
func (s *scenario) compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		s.setPart(name, got)
		return
	}
	if diff := cmp.Diff(string(s.part(name)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
