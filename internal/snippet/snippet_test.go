package snippet_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/snippet"
)

// hostile are texts that want to be code, one for each way out of a literal that a language may have, and what a terminal acts upon.
var hostile = []string{
	"plain", "", "two\nlines\r\nand a\ttab", `back\slash \n \`, `"double" 'single' ` + "`back`",
	`'; touch pwned; '`, `'"$(touch pwned)"'`, "`touch pwned`", `$(touch pwned) ${HOME} $HOME`, `\'; touch pwned #`, "'\\''",
	"\ntouch pwned\n", "EOF\ntouch pwned\n", "!touch pwned", "@pwned", "%s %n",
	`"); open("pwned", "w"); ("`, `""" + open("pwned", "w").name + """`, `\"); open("pwned", "w") #`, "{open('pwned', 'w')}", `\N{DIGIT ONE}`,
	`" + require("fs").writeFileSync("pwned", "") + "`, "${require('fs').writeFileSync('pwned', '')}", "*/ process.exit(3) /*", "// \u2028process.exit(3)",
	"</script><script>alert(1)</script>", "-->", "\u202egnp.exe\u2066", "\x1b[31m\x1b]0;title\x07\x00\x7f\u0085\u200b\ufeff", "\U0001F469\u200d\U0001F680 ünï 漢字 \U000E0041",
}

// request has each hostile text in all places where a request can have one, with secrets in between.
func request() snippet.Request {
	taken := map[snippet.Env]bool{}
	body := snippet.Object{{"max_steps", 5}, {"temperature", 0.25}, {"store", false}, {"reasoning", snippet.Object{{"effort", "low"}}}}
	for _, name := range []string{"model", "input", "instructions"} {
		body = append(body, snippet.Member{Name: name, Value: strings.Join(hostile, "")})
	}
	var tools snippet.List
	for _, text := range hostile {
		tools = append(tools, snippet.Object{
			{"type", "mcp"},
			{"server_label", text},
			{"server_url", "https://wiki.example/" + text},
			{"authorization", snippet.EnvName("wiki", "TOKEN", taken)},
			{"headers", snippet.Object{{"X-" + text, snippet.Env("A_HEADER")}}},
			{"allowed_tools", snippet.List{text, "search"}},
		})
	}
	tools = append(tools, snippet.Object{{"type", "mcp"}, {"server_label", "crm"}, {"connector_id", "conn_X"}, {"allowed_tools", snippet.List{}}})
	return snippet.Request{Origin: "http://127.0.0.1:8080", Body: append(body, snippet.Member{Name: "tools", Value: tools})}
}

const (
	key    = "pd_a-key"
	token  = "a-token of "
	header = "a-header"
)

func want() map[string]any {
	all := strings.Join(hostile, "")
	var tools []any
	taken := map[snippet.Env]bool{}
	for _, text := range hostile {
		tools = append(tools, map[string]any{
			"type": "mcp", "server_label": text, "server_url": "https://wiki.example/" + text,
			"authorization": token + string(snippet.EnvName("wiki", "TOKEN", taken)),
			"headers":       map[string]any{"X-" + text: header}, "allowed_tools": []any{text, "search"},
		})
	}
	tools = append(tools, map[string]any{"type": "mcp", "server_label": "crm", "connector_id": "conn_X", "allowed_tools": []any{}})
	return map[string]any{
		"model": all, "input": all, "instructions": all, "max_steps": 5.0, "temperature": 0.25, "store": false,
		"reasoning": map[string]any{"effort": "low"}, "tools": tools,
	}
}

// libraries stand in for what the snippets import: they print what they are given as JSON.
var libraries = map[string]string{
	"openai.py": `
import json
class OpenAI:
    def __init__(self, **client): self.client, self.responses = client, self
    def create(self, extra_body={}, **request):
        print(json.dumps({"client": self.client, "request": {**request, **extra_body}}))
        return self
    output_text = "answer"
`,
	"perplexity.py":                    "from openai import OpenAI as Perplexity\n",
	"node_modules/openai/package.json": `{"name": "openai", "exports": "./index.mjs"}`,
	"node_modules/openai/index.mjs": `
export default class {
  constructor(client) {
    this.responses = { create: async (request) => { console.log(JSON.stringify({ client, request })); return { output_text: "answer" }; } };
  }
}
`,
	// The last argument is the body.
	"curl": "#!/bin/sh\nprintf '%s\\n' \"$@\" >arguments\nfor last; do :; done\nprintf '{\"request\": %s}\\nanswer\\n' \"$last\"\n",
}

func TestSnippetsRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range libraries {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	programs := map[string][]string{"curl": {"sh"}, "python-openai": {"python3", "-"}, "python-perplexity": {"python3", "-"}, "typescript": {"node", "--input-type=module"}}
	r := request()
	for _, s := range snippet.All(r) {
		out := run(t, dir, programs[s.ID], s.Code, r.Envs())
		var got struct {
			Client  map[string]string
			Request map[string]any
		}
		said := json.NewDecoder(strings.NewReader(out))
		if err := said.Decode(&got); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", s.ID, err, out, s.Code)
		}
		if diff := cmp.Diff(want(), got.Request); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", s.ID, diff, s.Code)
		}
		checkClient(t, dir, s.ID, got.Client)
		if rest := out[said.InputOffset():]; rest != "\nanswer\n" {
			t.Errorf("%s printed %q", s.ID, rest)
		}
		if strings.ContainsFunc(s.Code, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("%s has characters that cannot be seen", s.ID)
		}
		if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
			t.Fatalf("%s ran what it was given:\n%s", s.ID, s.Code)
		}
	}
}

// checkClient wants the address and the key where each language has them.
func checkClient(t *testing.T, dir, id string, client map[string]string) {
	t.Helper()
	switch id {
	case "curl":
		arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
		if err != nil || !strings.HasPrefix(string(arguments), "http://127.0.0.1:8080/v1/responses\n-H\nAuthorization: Bearer "+key+"\n-H\nContent-Type: application/json\n-d\n") {
			t.Errorf("curl got %s, %v", arguments, err)
		}
	case "python-perplexity":
		if client["base_url"] != "http://127.0.0.1:8080" || client["api_key"] != key {
			t.Errorf("%s: the client got %v", id, client)
		}
	default:
		if client["base_url"]+client["baseURL"] != "http://127.0.0.1:8080/v1" || client["api_key"]+client["apiKey"] != key {
			t.Errorf("%s: the client got %v", id, client)
		}
	}
}

func run(t *testing.T, dir string, program []string, code string, envs []snippet.Env) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program[0], program[1:]...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(code)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PYTHONPATH="+dir, "PYTHONIOENCODING=utf-8", "A_HEADER="+header)
	for _, env := range envs {
		if strings.HasPrefix(string(env), "WIKI_") {
			cmd.Env = append(cmd.Env, string(env)+"="+token+string(env))
		}
	}
	cmd.Env = append(cmd.Env, string(snippet.APIKey)+"="+key)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v (this test needs sh, python3 and node)\n%s\n%s", program, err, &stderr, code)
	}
	return string(out)
}

func TestEnvName(t *testing.T) {
	t.Parallel()
	taken := map[snippet.Env]bool{}
	for _, tt := range []struct {
		word, suffix string
		want         snippet.Env
	}{
		{"deepwiki", "TOKEN", "DEEPWIKI_TOKEN"},
		{"deep-wiki", "TOKEN", "DEEP_WIKI_TOKEN"},
		{"deep_wiki", "TOKEN", "DEEP_WIKI_TOKEN_"},
		{"DEEP-WIKI", "TOKEN", "DEEP_WIKI_TOKEN__"},
		{"1st", "TOKEN", "MCP_1ST_TOKEN"},
		{"", "TOKEN", "MCP__TOKEN"},
		{"$(touch pwned)", "TOKEN", "__TOUCH_PWNED__TOKEN"},
		{"ü", "TOKEN", "___TOKEN"},
		{"perdure_api", "KEY", "PERDURE_API_KEY_"},
	} {
		if got := snippet.EnvName(tt.word, tt.suffix, taken); got != tt.want {
			t.Errorf("EnvName(%q, %q) is %s; want %s", tt.word, tt.suffix, got, tt.want)
		}
	}
}

func TestEnvs(t *testing.T) {
	t.Parallel()
	r := snippet.Request{Body: snippet.Object{{"tools", snippet.List{snippet.Object{{"authorization", snippet.Env("WIKI_TOKEN")}}}}}}
	if diff := cmp.Diff([]snippet.Env{"PERDURE_API_KEY", "WIKI_TOKEN"}, r.Envs()); diff != "" {
		t.Error(diff)
	}
}
