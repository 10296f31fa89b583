package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"perdure/internal/mcptest"
)

// TestPlayground is a person's visit to the playground.
func TestPlayground(t *testing.T) { //nolint:tparallel // it is one visit, step by step
	t.Parallel()
	p := newPlayStage(t)
	p.open(t, "/playground")
	p.b.until(t, "see examples", `document.querySelectorAll(".play-example").length >= 2`)
	p.fillServer(t)
	if !t.Run("streams", p.testStream) {
		return
	}
	p.checkSecret(t, "forty-two")
	if ok := t.Run("continues", p.testContinue) && t.Run("stops", p.testStop) &&
		t.Run("refusal", p.testRefusal) && t.Run("errors", p.testErrors) && t.Run("code", p.testCode) &&
		t.Run("approvals", p.testApprovals) && t.Run("reload", p.testReload) && t.Run("again", p.testAgain) &&
		t.Run("focus", p.testFocus) && t.Run("hostile", p.testHostile); !ok {
		return
	}
	p.checkSecret(t, "onerror=alert(1)")
	requests, complaints := p.v.noted()
	report(t, "asked of others", elsewhere(requests, strings.TrimSuffix(p.page("/"), "/")))
	report(t, "in the console", complaints)
}

// fillServer names the MCP server and its token, and lets it be called without approval.
func (p *playStage) fillServer(t *testing.T) {
	t.Helper()
	p.b.click(t, "#add-server")
	p.b.click(t, "#add-server")
	p.b.click(t, `[data-server="1"] [data-remove]`)
	p.b.fill(t, "server-0-label", "everything")
	p.b.fill(t, "server-0-url", p.mcp)
	p.b.fill(t, "server-0-authorization", playSecret)
	p.b.fill(t, "server-0-tools", "get-sum, echo")
	p.choose(t, "approval", "never")
}

func (p *playStage) choose(t *testing.T, id, value string) {
	t.Helper()
	evaluated[bool](t, p.b, "choose "+value, fmt.Sprintf(`document.getElementById(%q).value = %q, true`, id, value))
}

// testStream: a call unfolds and an answer comes word by word, over a connection that is cut and a starter that is killed meanwhile.
func (p *playStage) testStream(t *testing.T) {
	p.b.fill(t, "input", "add")
	p.b.do(t, "press Ctrl+Enter", chromedp.Focus(chromedp.CSS("#input")), chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	const text = `[...document.querySelectorAll(".run-message")].map(e => e.textContent).join("|")`
	p.b.until(t, "see the beginning of the answer", text+`.startsWith("The ")`)
	if got := evaluated[string](t, p.b, "read the page", text); strings.Contains(got, "while") {
		t.Errorf("the answer is there already: %q", got)
	}
	if !evaluated[bool](t, p.b, "read the page", `document.getElementById("run").disabled && document.getElementById("stop").checkVisibility()`) {
		t.Error("another run may be started, or this one cannot be stopped")
	}
	p.b.until(t, "see the call", `document.querySelector('.run-call[data-tool="get-sum"][data-server="everything"]')?.innerText.includes("The sum of 2 and 40 is 42.")`)
	call := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-call").innerText`)
	for _, want := range []string{"get-sum", "everything", "done", `"a": 2`, `"b": 40`, "Arguments", "Output"} {
		if !strings.Contains(call, want) {
			t.Errorf("the call lacks %s: %s", want, call)
		}
	}

	p.link.Cut()
	p.b.until(t, "hear of the lost connection", `document.querySelector(".run-status").textContent.includes("The connection was lost")`)
	p.starter.kill()
	if err := p.startStarterAt(t.Context(), p.address); err != nil {
		t.Fatal(err)
	}
	if err := p.link.Restore(); err != nil {
		t.Fatal(err)
	}
	p.b.until(t, "be connected again", `!document.querySelector(".run-status").textContent.includes("lost")`)
	close(p.held)
	p.says(t, "Completed.")
	if got, want := evaluated[string](t, p.b, "read the page", text), "The sum that the tool says is forty-two, and that took a while."; got != want {
		t.Errorf("the answer is %q, want %q", got, want)
	}
	order := evaluated[[]string](t, p.b, "read the page", `[...document.querySelector(".run-items").children].map(e => e.className)`)
	want := []string{"run-fold run-list", "run-fold run-reasoning", "run-fold run-call", "run-message"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("the items (-want +got):\n%s", diff)
	}
	if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-reasoning .run-fold-body").textContent`); got != "I should add." {
		t.Errorf("the reasoning is %q", got)
	}
	if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-usage").textContent`); !strings.Contains(got, "tokens in") || !strings.Contains(got, "1 tool call") {
		t.Errorf("the usage is %q", got)
	}
	if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".play-links a").getAttribute("href")`); got != "/runs/"+p.runID(t) {
		t.Errorf("the run is said to be at %q", got)
	}
}

func (p *playStage) testContinue(t *testing.T) {
	first := p.runID(t)
	p.run(t, "what was that", "Completed.")
	if got := evaluated[string](t, p.b, "read the page", `[...document.querySelectorAll(".run-message")].at(-1).textContent`); got != "You said what was that after 4 messages." {
		t.Errorf("the model answers %q", got)
	}
	if got := evaluated[string](t, p.b, "read the page", `document.getElementById("going-with").textContent`); got == first || got != p.runID(t) {
		t.Errorf("the page goes on with %q", got)
	}
	if got := evaluated[string](t, p.b, "read the page", `location.pathname + location.search`); got != "/playground?previous="+p.runID(t) {
		t.Errorf("the page is at %q", got)
	}
}

func (p *playStage) testStop(t *testing.T) {
	p.b.fill(t, "input", "wait")
	p.b.click(t, "#run")
	p.b.until(t, "see the answer begin", `[...document.querySelectorAll(".run-message")].at(-1).textContent.startsWith("Nobody")`)
	p.b.click(t, "#stop")
	p.says(t, "Stopped.")
	if r := p.stored(t, p.runID(t)); r.Status != "cancelled" {
		t.Errorf("the run is %s", r.Status)
	}
	p.b.until(t, "be able to run again", `!document.getElementById("run").disabled && !document.getElementById("stop").checkVisibility()`)
}

func (p *playStage) testRefusal(t *testing.T) {
	p.b.click(t, "#new")
	p.b.until(t, "begin anew", `document.querySelectorAll(".exchange").length === 0 && location.search === ""`)
	p.run(t, "refuse", "Completed.")
	if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-refusal").textContent`); got != "The model refuses: I would rather not." {
		t.Errorf("the refusal is %q", got)
	}
}

// testErrors: what is wrong is told at its field, and what was entered stays.
func (p *playStage) testErrors(t *testing.T) {
	p.b.click(t, "#new")
	try := func(id, value, field, want string) {
		t.Helper()
		before := evaluated[string](t, p.b, "read the page", fmt.Sprintf(`document.getElementById(%q).value`, id))
		p.b.fill(t, "input", "say something")
		p.b.fill(t, id, value)
		p.b.click(t, "#run")
		p.b.until(t, "see what is wrong with "+field, fmt.Sprintf(`document.querySelector('[data-error="%s"]').checkVisibility()`, field))
		if got := evaluated[string](t, p.b, "read the page", fmt.Sprintf(`document.querySelector('[data-error="%s"]').textContent`, field)); !strings.Contains(got, want) {
			t.Errorf("%s = %q: the page says %q, want %q", id, value, got, want)
		}
		if !evaluated[bool](t, p.b, "read the page", fmt.Sprintf(`document.activeElement.id === %q && document.activeElement.getAttribute("aria-invalid") === "true"`, field)) {
			t.Errorf("%s = %q: the focus is not where the error is", id, value)
		}
		if got := evaluated[string](t, p.b, "read the page", `document.getElementById("server-0-authorization").value`); got != playSecret {
			t.Error("the token has to be entered again")
		}
		p.b.fill(t, id, before)
	}
	p.b.click(t, ".play-more > summary")
	try("max_steps", "1000", "max_steps", "must be between 1 and 100")
	try("temperature", "hot", "temperature", "must be a number")
	try("model", "openai/none", "model", "none")
	try("input", " ", "input", "write what the model is to do")
	try("server-0-label", "no label", "server-0-label", "must match")
	try("server-0-url", "https://10.0.0.1/mcp", "server-0-url", "an address that is not public")
	// The run begins and fails: of a server nothing is known before it is asked.
	try("server-0-url", fmt.Sprintf("http://127.0.0.1:%d/mcp", freePort(t)), "server-0-url", `MCP server "everything" could not be initialized (stage connect)`)
	if got := evaluated[string](t, p.b, "read the page", `document.getElementById("input").value`); got != "say something" {
		t.Errorf("the prompt is %q", got)
	}
	p.says(t, "Failed.")
}

var codeOf = `document.getElementById("code-%s").textContent`

// testCode: what the page shows as code makes the same request elsewhere.
func (p *playStage) testCode(t *testing.T) {
	const prompt = "say 'it' \"works\" $(touch pwned) `touch pwned` ${HOME} \\ <b>&amp;"
	p.b.click(t, "#new")
	p.b.fill(t, "input", prompt)
	p.b.click(t, "#show-code")
	p.b.until(t, "see code", `document.querySelectorAll("#code pre").length === 4`)
	dir := t.TempDir()
	said := p.runCode(t, dir, evaluated[string](t, p.b, "read the page", fmt.Sprintf(codeOf, "curl")), "bash", "-c")
	var r response
	if err := json.Unmarshal([]byte(said), &r); err != nil || r.Status != "completed" || r.text() != strings.TrimPrefix(prompt, "say ") || len(r.Output[0].Tools) != 2 {
		t.Errorf("curl: %v: %s", err, said)
	}
	if err := os.MkdirAll(filepath.Join(dir, "node_modules"), 0o700); err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs("npm/node_modules/openai7")
	if err == nil {
		err = os.Symlink(library, filepath.Join(dir, "node_modules", "openai"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.runCode(t, dir, evaluated[string](t, p.b, "read the page", fmt.Sprintf(codeOf, "typescript")), "node", "--input-type=module", "-e"), strings.TrimPrefix(prompt, "say ")+"\n"; got != want {
		t.Errorf("TypeScript: it prints %q, want %q", got, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the code has made files, %v: %v", err, left)
	}
	for _, id := range []string{"python-openai", "python-perplexity"} {
		if code := evaluated[string](t, p.b, "read the page", fmt.Sprintf(codeOf, id)); !strings.Contains(code, `os.environ["EVERYTHING_TOKEN"]`) {
			t.Errorf("%s: %s", id, code)
		}
	}
	// It follows the form.
	p.b.fill(t, "input", "something else")
	p.b.until(t, "see other code", fmt.Sprintf(codeOf, "curl")+`.includes('"input": "something else"')`)
}

// runCode runs code as a person would who pastes it, with the variables that it names.
func (p *playStage) runCode(t *testing.T, dir, code, program string, args ...string) string {
	t.Helper()
	if strings.Contains(code, playSecret) {
		t.Errorf("the code has the secret: %s", code)
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, code)...)
	cmd.Dir = dir
	cmd.Env = append(baseEnv(), "PERDURE_API_KEY="+apiKey, "EVERYTHING_TOKEN="+playSecret)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", program, err, &stderr, code)
	}
	return string(out)
}

func (p *playStage) testApprovals(t *testing.T) {
	p.choose(t, "approval", "always")
	for _, test := range []struct{ button, state, outcome string }{{"Approve", "approved", "done"}, {"Deny", "denied", ""}} {
		p.b.click(t, "#new")
		p.run(t, "echo", "A tool call waits for approval.")
		if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-approval").innerText`); !strings.Contains(got, "echo") || !strings.Contains(got, `"message": "hello"`) {
			t.Errorf("the page asks %q", got)
		}
		asked := p.runID(t)
		p.b.do(t, test.button, chromedp.Click(`//button[text()="`+test.button+`"]`))
		p.b.until(t, "go on", `document.querySelectorAll(".exchange").length === 2`)
		p.says(t, "Completed.")
		if got := evaluated[string](t, p.b, "read the page", `document.querySelector(".run-approval .tag").textContent`); got != test.state {
			t.Errorf("the request is %q, want %q", got, test.state)
		}
		calls := evaluated[[]string](t, p.b, "read the page", `[...document.querySelectorAll(".exchange:nth-child(2) .run-call .tag")].map(e => e.textContent)`)
		if test.outcome == "" && len(calls) != 0 || test.outcome != "" && (len(calls) != 1 || calls[0] != test.outcome) {
			t.Errorf("%s: the calls are %q", test.button, calls)
		}
		if asked == p.runID(t) {
			t.Error("the answer is no run of its own")
		}
	}
}

// testReload: the page finds its conversation again, and what it asks for.
func (p *playStage) testReload(t *testing.T) {
	id := p.runID(t)
	p.b.do(t, "reload", chromedp.Reload())
	p.says(t, "Completed.")
	if p.runID(t) != id {
		t.Error("the page shows another run")
	}
	if got := evaluated[string](t, p.b, "read the page", `document.getElementById("server-0-label").value`); got != "everything" {
		t.Errorf("the server is %q", got)
	}
	p.b.fill(t, "server-0-url", p.mcp)
	p.run(t, "say hello", "Completed.")
}

// testAgain fills the form from an earlier run, without what is not kept of it.
func (p *playStage) testAgain(t *testing.T) {
	p.open(t, "/playground?from="+p.runID(t))
	p.b.until(t, "see the form", `document.getElementById("input").value === "say hello"`)
	form := evaluated[map[string]string](t, p.b, "read the page", `Object.fromEntries(new FormData(document.getElementById("play")))`)
	want := map[string]string{
		"input": "say hello", "model": "openai/gpt-5.5", "instructions": "", "max_steps": "", "temperature": "", "effort": "", "store": "1", "approval": "always",
		"server-0-label": "everything", "server-0-url": strings.TrimSuffix(p.mcp, "/mcp"), "server-0-authorization": "", "server-0-tools": "get-sum, echo",
	}
	for name, value := range want {
		if form[name] != value {
			t.Errorf("%s is %q, want %q", name, form[name], value)
		}
	}
	if !evaluated[bool](t, p.b, "read the page", `document.querySelector(".play-server").innerText.includes("enter it again")`) {
		t.Error("the page does not say that the token is gone")
	}
	a, err := request(t.Context(), http.MethodPost, "http://"+p.address+"/v1/responses", otherKey, `{"input":"say mine"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{a.decode(t).ID, "resp_00000000-0000-8000-8000-000000000000", "x"} {
		p.open(t, "/playground?from="+id)
		p.b.until(t, "hear that there is no such run", `document.getElementById("error-general").checkVisibility()`)
		if got := evaluated[string](t, p.b, "read the page", `document.getElementById("error-general").textContent`); got != "Response with id '"+id+"' not found." {
			t.Errorf("the page says %q", got)
		}
		if got := evaluated[string](t, p.b, "read the page", `document.getElementById("input").value`); got != "" {
			t.Errorf("the page has the prompt of another organization: %q", got)
		}
	}
}

// testFocus: who works with the keyboard is never thrown back to the beginning of the page, and who listens hears what they have asked for.
func (p *playStage) testFocus(t *testing.T) {
	p.open(t, "/playground")
	press := func(selector string) {
		t.Helper()
		p.b.do(t, "press "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(kb.Enter))
	}
	focused := func(want string) {
		t.Helper()
		p.b.until(t, "have the focus on "+want, fmt.Sprintf(`document.activeElement.matches(%q)`, want))
	}
	for range 3 {
		press("#add-server")
	}
	press(`[data-server="0"] [data-remove]`)
	focused("#server-1-label")
	press(`[data-server="2"] [data-remove]`)
	focused("#add-server")

	p.b.fill(t, "input", "say hello")
	press("#show-code")
	p.b.until(t, "hear that the code is there", `document.querySelectorAll("#code pre").length === 4 && document.getElementById("code-status").textContent !== ""`)
	evaluated[bool](t, p.b, "forget what was heard", `document.getElementById("code-status").textContent = "", true`)
	p.b.fill(t, "input", "wait")
	p.b.until(t, "see other code", fmt.Sprintf(codeOf, "curl")+`.includes('"input": "wait"')`)
	if !evaluated[bool](t, p.b, "read the page", `document.getElementById("code-status").textContent === "" && !document.querySelector("#code, #code *").closest("[aria-live]")`) {
		t.Error("the code is read out after each pause")
	}
	p.link.Cut()
	press("#show-code")
	p.b.until(t, "hear that there is no code", `document.getElementById("error-general").checkVisibility() && document.getElementById("error-general").textContent.includes("cannot be reached")`)
	if err := p.link.Restore(); err != nil {
		t.Fatal(err)
	}
	press("#show-code")
	p.b.until(t, "have code again", `!document.getElementById("error-general").checkVisibility()`)

	press("#run")
	p.b.until(t, "see the answer begin", `document.querySelector(".run-message")?.textContent.startsWith("Nobody")`)
	focused("#stop")
	press("#stop")
	p.says(t, "Stopped.")
	focused("#run")

	p.b.click(t, "#new")
	p.b.fill(t, "server-1-label", "everything")
	p.b.fill(t, "server-1-url", p.mcp)
	p.b.fill(t, "server-1-authorization", playSecret)
	p.run(t, "echo", "A tool call waits for approval.")
	p.b.do(t, "approve", chromedp.Focus(`//button[text()="Approve"]`), chromedp.KeyEvent(kb.Enter))
	focused(".run-approval")
	p.says(t, "Completed.")
	focused(".run-approval")

	// A menu closes when the focus leaves it.
	evaluated[bool](t, p.b, "make a menu", `(main => {
		main.insertAdjacentHTML("afterbegin", '<details class="menu" open id="menu"><summary>M</summary><ul><li><button id="within">W</button></li></ul></details>')
		document.getElementById("within").focus()
		return true
	})(document.querySelector("main"))`)
	if !evaluated[bool](t, p.b, "move within", `document.querySelector("#menu summary").focus(), document.getElementById("menu").open`) {
		t.Error("the menu closes although the focus is in it")
	}
	if evaluated[bool](t, p.b, "move on", `document.getElementById("input").focus(), document.getElementById("menu").open`) {
		t.Error("the menu stays open")
	}
}

// hostile wants to be an element, a script, an attribute, the end of a text, and to be read backwards.
const hostile = "<img src=x onerror=alert(1)><script>document.title='pwned'</script>\"'`\u202egnp.exe\x1b[31m\u200b"

var hostileShown = strings.NewReplacer("\u202e", "⟦U+202E⟧", "\x1b", "␛", "\u200b", "⟦U+200B⟧").Replace(hostile)

// testHostile: what a model says, and all that a server says of its tools and with them, is text, whatever it is made of.
func (p *playStage) testHostile(t *testing.T) {
	p.open(t, "/playground")
	evaluated[bool](t, p.b, "enter what is hostile", fmt.Sprintf(`document.getElementById("input").value = %s, true`, jsonString("say "+hostile)))
	p.b.click(t, "#run")
	p.says(t, "Completed.")
	if got := evaluated[string](t, p.b, "read the answer", `document.querySelector(".run-message").textContent`); got != hostileShown {
		t.Errorf("the page shows %q, want %q", got, hostileShown)
	}

	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/list", oneTool(`"name": "t", "description": `+jsonString(hostile)+`, "inputSchema": {"type": "object"}`))
	p.choose(t, "approval", "never")
	p.b.click(t, "#add-server")
	p.b.fill(t, "server-0-label", "evil")
	p.b.fill(t, "server-0-url", server.URL())
	for _, call := range []struct {
		answer mcptest.Answer
		tag    string
	}{
		{onePart(`"type": "text", "text": ` + jsonString(hostile)), "done"},
		{mcptest.Result(`{"isError": true, "content": [{"type": "text", "text": ` + jsonString(hostile) + `}]}`), "failed"},
	} {
		server.On("tools/call", call.answer)
		p.run(t, "evil", "Completed.")
		for what, place := range map[string]string{"description": ".run-tools dd", "arguments": ".run-call pre", "outcome": ".run-outcome pre"} {
			// The last of the page: in this dialect, tools that the conversation lists are not listed again.
			got := evaluated[string](t, p.b, "read the "+what, fmt.Sprintf(`[...document.querySelectorAll(%q)].at(-1).textContent`, place))
			if !strings.Contains(strings.NewReplacer(`\"`, `"`, `\u001b`, "␛").Replace(got), hostileShown) { // arguments are JSON
				t.Errorf("the %s is shown as %q", what, got)
			}
		}
		if got := evaluated[string](t, p.b, "read how the call went", `[...document.querySelectorAll(".run-call .tag")].at(-1).textContent`); got != call.tag {
			t.Errorf("the call is %q, want %q", got, call.tag)
		}
	}
	if n := evaluated[int](t, p.b, "look for what foreign text has become", `document.querySelectorAll("#conversation img, #conversation script").length`); n != 0 {
		t.Errorf("foreign text has become %d elements", n)
	}
	if got := evaluated[string](t, p.b, "read the title", `document.title`); got != "Playground · Perdure" {
		t.Errorf("the page is called %q", got)
	}
}

// jsonString is a text as a string of JSON, and so of JavaScript.
func jsonString(text string) string { return `"` + jsonEscape(text, true) + `"` }
