package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// batchVisit is a person who works with batches.
type batchVisit struct {
	*pageStage
	v *visitor
}

// TestBatchPages is a person's visit: from the empty list by a file that is refused to a batch that is watched, retried, paused and
// cancelled, and what they download.
func TestBatchPages(t *testing.T) { //nolint:tparallel // each subtest goes on where the one before has left the page
	t.Parallel()
	s := newPageStage(t, stackOptions{})
	b := &batchVisit{s, s.visitor(t, emptyMember)}
	b.v.open(t, s.url+"/batches")
	b.v.click(t, ".empty a.primary", "New batch")
	if ok := t.Run("refused", b.testRefused) && t.Run("watched", b.testWatched) && t.Run("downloads", b.testDownloads) &&
		t.Run("failed lines", b.testFailedLines) && t.Run("retry", b.testRetry) && t.Run("pause and cancel", b.testPause); !ok {
		return
	}
	t.Run("gone", b.testGone)
	t.Run("without scripts", b.testPlain)
	t.Run("others see nothing", b.testOthers)
	_, complaints := b.v.noted()
	report(t, "in the console", complaints)
}

// upload chooses a file in the form and sends it.
func (b *batchVisit) upload(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	b.v.do(t, "choose "+name, chromedp.SetUploadFiles(chromedp.CSS("#u-file"), []string{path}))
	b.leave(t, "form[enctype] button.primary")
}

// leave clicks something, and waits for the page that it leads to.
func (b *batchVisit) leave(t *testing.T, selector string) {
	t.Helper()
	b.v.do(t, "click "+selector, discard(chromedp.Evaluate[bool](`window.confirm = () => true; true`)),
		chromedp.SetAttributeValue(chromedp.CSS("html"), "data-left", ""), chromedp.Click(chromedp.CSS(selector)), chromedp.WaitVisible(`//html[not(@data-left)]//h1`))
}

// path is where the page is.
func (b *batchVisit) path(t *testing.T) string {
	t.Helper()
	return evaluated[string](t, b.v.browser, "read the page", "location.pathname")
}

// testRefused: a file with bad lines is refused with all of them, and nothing is there.
func (b *batchVisit) testRefused(t *testing.T) {
	b.upload(t, "bad.jsonl", batchOf("say hello")+"{}\n[]\n"+strings.Replace(batchOf("again"), "row-1", foreignID, 1)[:60]+"\n")
	b.v.until(t, "see what is wrong", `document.querySelectorAll(".line-problems li").length === 3`)
	text := evaluated[string](t, b.v.browser, "read the page", `document.querySelector(".line-problems").innerText`)
	for _, want := range []string{"Line 2 custom_id is missing", "Line 3 must be a JSON object", "Line 4 is not valid JSON"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	report(t, "in the form with problems", b.v.obstacles(t))
	b.v.open(t, b.url+"/batches")
	b.v.until(t, "see the empty list", `document.body.innerText.includes("No batch yet")`)
}

// testWatched: a batch is watched to its end without anybody touching the page.
func (b *batchVisit) testWatched(t *testing.T) {
	b.v.open(t, b.url+"/batches/new")
	b.upload(t, "requests.jsonl", strings.Replace(batchOf("say hello", "refuse", "say hello", "refuse"), "row-4", foreignID, 1))
	b.v.until(t, "be on its page", `document.querySelector("h1").textContent === "requests.jsonl" && document.body.innerText.includes("The batch has begun.")`)
	b.v.do(t, "mark the page", discard(chromedp.Evaluate[bool](`window.untouched = true`)))
	b.v.until(t, "see its end", `document.querySelector("#batch .tag").textContent === "Completed, some failed"`)
	if !evaluated[bool](t, b.v.browser, "read the page", `window.untouched === true`) {
		t.Error("the page was loaded anew")
	}
	text := evaluated[string](t, b.v.browser, "read the page", `document.querySelector("#batch").innerText`)
	for _, want := range []string{"100 %", "4 of 4 lines done", "Download output", "Download errors", "Download input", "Retry failed lines", "trent"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, "Cancel") || strings.Contains(text, "Pause") {
		t.Errorf("what has ended can be stopped: %s", text)
	}
	// It is in the list, too.
	b.made["trent's batch"] = strings.TrimPrefix(b.path(t), "/batches/")
	b.v.open(t, b.url+"/batches")
	b.v.until(t, "see it in the list", `document.querySelector("#batches tbody tr")?.innerText.includes("requests.jsonl")`)
}

// testDownloads: the links lead to the files, as this person.
func (b *batchVisit) testDownloads(t *testing.T) {
	b.v.open(t, b.url+b.pageStage.path(t, "/batches/{trent's batch}"))
	for text, want := range map[string]struct {
		lines int
		has   string
	}{
		"Download output": {2, `The tool says *hello*.`}, "Download errors": {2, `this model does not answer that`}, "Download input": {4, `"custom_id":"row-1"`},
	} {
		content := evaluated[string](t, b.v.browser, text, fmt.Sprintf(`fetch([...document.querySelectorAll("a[download]")].find(a => a.textContent === %q).href)
			.then(r => r.ok && r.headers.get("Content-Disposition").startsWith("attachment") ? r.text() : "status " + r.status)`, text))
		if strings.Count(content, "\n") != want.lines || !strings.Contains(content, want.has) {
			t.Errorf("%s: %s", text, content)
		}
		for line := range strings.Lines(content) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s has the line %s", text, line)
			}
		}
	}
}

func (b *batchVisit) testFailedLines(t *testing.T) {
	rows := func(page string) string {
		t.Helper()
		b.v.open(t, b.url+b.pageStage.path(t, page))
		return strings.Join(evaluated[[]string](t, b.v.browser, "read the page", `[...document.querySelectorAll("tbody tr")].map(r => [...r.children].map(c => c.innerText).join(" | "))`), "\n")
	}
	want := "2 | row-2 | 502 | "
	for _, page := range []string{"/batches/{trent's batch}", "/batches/{trent's batch}/failed"} {
		got := rows(page)
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "\n4 | <script>alert(1)</script>[U+202E]") && !strings.Contains(got, "\n4 | <script>alert(1)</script>") ||
			strings.Count(got, "this model does not answer that") != 2 || strings.Contains(got, "\u202e") {
			t.Errorf("%s has %s", page, got)
		}
	}
	if got := rows("/batches/{trent's batch}/failed?from=2&near=2"); !strings.HasPrefix(got, "4 | ") || strings.Count(got, "\n") != 0 {
		t.Errorf("from the second on there is %s", got)
	}
}

// testRetry: the failed lines are tried again, as a batch of their own.
func (b *batchVisit) testRetry(t *testing.T) {
	b.v.open(t, b.url+b.pageStage.path(t, "/batches/{trent's batch}"))
	b.leave(t, `form[action$="/retry"] button`)
	b.v.until(t, "be on the new page", fmt.Sprintf(`location.pathname.startsWith("/batches/") && !location.pathname.endsWith(%q) && document.querySelector("#batch") !== null`, b.made["trent's batch"]))
	b.v.until(t, "see its end", `document.querySelector("#batch").innerText.includes("2 of 2 lines done")`)
	if text := evaluated[string](t, b.v.browser, "read the page", `document.querySelector(".page-head").innerText`); !strings.Contains(text, "the lines that failed of "+b.made["trent's batch"]) {
		t.Errorf("the page begins with %s", text)
	}
}

// testPause: a batch that runs is paused, resumed and cancelled, of a file that is there already.
func (b *batchVisit) testPause(t *testing.T) {
	b.v.open(t, b.url+"/batches/new")
	b.upload(t, "slow.jsonl", batchOf("wait", "wait"))
	state := func(want string) {
		t.Helper()
		b.v.until(t, "see that it is "+want, fmt.Sprintf(`document.querySelector("#batch .tag")?.textContent === %q`, want))
	}
	press := func(action string) {
		t.Helper()
		b.leave(t, `form[action$="/`+action+`"] button`)
	}
	state("Running")
	report(t, "on the page of a batch that runs", b.v.obstacles(t))
	press("pause")
	state("Paused")
	press("resume")
	state("Running")
	b.leave(t, `a[href$="/cancel"]`)
	b.leave(t, `form[action$="/cancel"] button`)
	state("Cancelled")
}

// testPlain does the same as the first form without any script, as a browser does that has none.
func (b *batchVisit) testPlain(t *testing.T) {
	token := b.session(t, emptyMember)
	post := func(t *testing.T, body, contentType string) *http.Response {
		t.Helper()
		resp, text := b.ask(t, http.MethodPost, "/batches", token, body, "Content-Type", contentType, "Sec-Fetch-Site", "same-origin")
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("status %d: %s", resp.StatusCode, text)
		}
		return resp
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "plain.jsonl")
	if err == nil {
		_, err = io.WriteString(part, batchOf("say hello"))
	}
	_, page := b.ask(t, http.MethodGet, "/batches/new", token, "")
	for name, value := range map[string]string{"completion_window": "6h", "concurrency": "1", "nonce": nonceOf(t, page)} { // behind the file
		if err == nil {
			err = w.WriteField(name, value)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	at := post(t, form.String(), w.FormDataContentType()).Header.Get("Location")
	if again := post(t, form.String(), w.FormDataContentType()).Header.Get("Location"); again != at {
		t.Errorf("sent again, the form leads to %s, not to %s", again, at)
	}
	resp, page := b.ask(t, http.MethodGet, at, token, "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "plain.jsonl") {
		t.Errorf("%s: status %d: %s", at, resp.StatusCode, page)
	}
	// A file that is there can be used again. What is wrong in the form is told in it.
	_, page = b.ask(t, http.MethodGet, "/batches/new", token, "")
	_, rest, _ := strings.Cut(page, `<option value="file-`)
	id, _, _ := strings.Cut(rest, `"`)
	if strings.Count(page, ">plain.jsonl · ") != 1 {
		t.Errorf("the file of a form that was sent twice is there twice: %s", page)
	}
	body := "nonce=" + nonceOf(t, page) + "&completion_window=24h&concurrency=&input_file_id=file-" + id
	at = post(t, body, "application/x-www-form-urlencoded").Header.Get("Location")
	if again := post(t, body, "application/x-www-form-urlencoded").Header.Get("Location"); again != at {
		t.Errorf("sent again, the form leads to %s, not to %s", again, at)
	}
	resp, page = b.ask(t, http.MethodPost, "/batches", token, "completion_window=24h&concurrency=many&input_file_id=file-"+id, "Sec-Fetch-Site", "same-origin")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, "must be a number, 1 or more") || !strings.Contains(page, `value="many"`) {
		t.Errorf("a number that is none: status %d: %s", resp.StatusCode, page)
	}
}

// nonceOf is what makes a form of a page one that is sent once.
func nonceOf(t *testing.T, page string) string {
	t.Helper()
	_, rest, _ := strings.Cut(page, `name="nonce" value="`)
	nonce, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no form has a nonce: %s", page)
	}
	return nonce
}

// testGone: where the output was deleted, or has expired, no button promises it.
func (b *batchVisit) testGone(t *testing.T) {
	key := b.key(t, emptyMember, "files")
	id := b.made["trent's batch"]
	a, err := request(t.Context(), http.MethodGet, b.url+"/v1/batches/"+id, key, "")
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Output string `json:"output_file_id"`
	}
	if err := json.Unmarshal(a.body, &made); err != nil || made.Output == "" {
		t.Fatalf("%v: %s", err, a.body)
	}
	if a, err := request(t.Context(), http.MethodDelete, b.url+"/v1/files/"+made.Output, key, ""); err != nil || a.status != http.StatusOK {
		t.Fatalf("%v: status %d: %s", err, a.status, a.body)
	}
	_, page := b.ask(t, http.MethodGet, "/batches/"+id, b.session(t, emptyMember), "")
	if !strings.Contains(page, "The output has expired") || strings.Contains(page, "Download output") || !strings.Contains(page, "Download errors") {
		t.Errorf("the page is %s", page)
	}
}

// testOthers: another organization has no such batch, whatever is asked of it.
func (b *batchVisit) testOthers(t *testing.T) {
	token := b.session(t, acmeAdmin)
	for _, path := range []string{"", "/failed", "/cancel", "/input", "/output", "/errors"} {
		if resp, text := b.ask(t, http.MethodGet, b.pageStage.path(t, "/batches/{trent's batch}")+path, token, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", path, resp.StatusCode, text)
		}
	}
	for _, action := range []string{"cancel", "pause", "resume", "retry"} {
		resp, text := b.ask(t, http.MethodPost, b.pageStage.path(t, "/batches/{trent's batch}/"+action), token, "", "Sec-Fetch-Site", "same-origin")
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", action, resp.StatusCode, text)
		}
	}
}
