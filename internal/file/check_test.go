package file_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"perdure/internal/file"
)

// problems uploads what cannot be a file, and returns the error's text.
func problems(t *testing.T, r *rig, content string) string {
	t.Helper()
	_, err := r.Create(t.Context(), ada, draft, strings.NewReader(content))
	var invalid *file.Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("the error is %v", err)
	}
	return err.Error()
}

func TestLinesAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *file.Options) { o.Limits.Line = 2000 })
	const body = `,"method":"POST","url":"/v1/responses","body":{}}`
	for line, want := range map[string]string{
		`{"custom_id":"a"` + body: "",
		`{"custom_id":"a","method":"POST","url":"/v1/agent","body":{}}`: "",
		`{"custom_id":"a","priority":1,"nested":{"url":2}` + body:       "", // as OpenAI does
		`{"custom_id":"` + strings.Repeat("a", 512) + `"` + body:        "",
		`{"custom_id":"\u0061"` + body:                                  "",
		"{\"custom_id\":\"\xff\"" + body:                                "is not UTF-8 text",
		"\ufeff" + `{"custom_id":"a"` + body:                            "begins with a byte order mark: save the file as UTF-8 without one",
		`[1]`:                                                           "must be a JSON object: each line is one request",
		`"x"`:                                                           "must be a JSON object: each line is one request",
		`null`:                                                          "must be a JSON object: each line is one request",
		`{"custom_id":"a"`:                                              "is not valid JSON: each line is one JSON object",
		`{"custom_id":"a"` + body + `,`:                                 "is not valid JSON: each line is one JSON object",
		`{"custom_id":"a"` + body + `{}`:                                "is not valid JSON: each line is one JSON object",
		`{}`:                                                            "custom_id is missing: it is how you find the answer in the output",
		`{"Custom_ID":"a"` + body:                                       "custom_id is missing: it is how you find the answer in the output",
		`{"custom_id":""` + body:                                        "custom_id must be a string that is not empty",
		`{"custom_id":7` + body:                                         "custom_id must be a string that is not empty",
		`{"custom_id":null` + body:                                      "custom_id must be a string that is not empty",
		`{"custom_id":"` + strings.Repeat("a", 513) + `"` + body:                                     "custom_id must have at most 512 bytes",
		`{"custom_id":"a","url":"/v1/responses","body":{}}`:                                          `method is missing: it must be "POST"`,
		`{"custom_id":"a","method":"post","url":"/v1/responses","body":{}}`:                          `method must be "POST"`,
		`{"custom_id":"a","method":"POST","body":{}}`:                                                "url is missing: it must be /v1/responses or /v1/agent",
		`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}`:                   "url must be /v1/responses or /v1/agent",
		`{"custom_id":"a","method":"POST","url":"/v1/responses"}`:                                    "body is missing: it is the request, an object",
		`{"custom_id":"a","method":"POST","url":"/v1/responses","body":"{}"}`:                        "body must be an object",
		`{"custom_id":"a","method":"POST","url":"/v1/responses","body":null}`:                        "body must be an object",
		`{"custom_id":"a","x":"` + strings.Repeat("y", 2000) + `"` + body:                            "is longer than 2000 bytes",
		`{"custom_id":"a","x":"` + strings.Repeat("y", 100_000) + `"` + body:                         "is longer than 2000 bytes",
		request("b", "") + request("a", "") + "\n" + strings.TrimSuffix(request("b", "again"), "\n"): "custom_id \"b\" is that of line 1 already",
		request("b", "") + `{"custom_id":"a","method":"POST","url":"/v1/agent","body":{}}`: "url is /v1/agent, and that of the lines before is /v1/responses: " +
			"a file has requests for one of them",
	} {
		if want == "" {
			r.upload(t, line)
			continue
		}
		if got, want := problems(t, r, line), fmt.Sprintf("line %d: %s", strings.Count(line, "\n")+1, want); got != want {
			t.Errorf("%.100s:\n got %s\nwant %s", line, got, want)
		}
	}
	for _, empty := range []string{"", "\n", "  \r\n\n"} {
		if got := problems(t, r, empty); got != "has no lines" {
			t.Errorf("%q: %s", empty, got)
		}
	}
}

// Many problems are told at once, and the rest is counted; lines that are right among them are no problem.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *file.Options) { o.Limits.Lines = 150 })
	var content strings.Builder
	for i := range 100 {
		content.WriteString(request(fmt.Sprint(i), "x"))
		if i < 31 {
			content.WriteString("{}\n")
		}
	}
	got := problems(t, r, content.String())
	if !strings.HasPrefix(got, "line 2: custom_id is missing") || !strings.Contains(got, "; line 40: custom_id") ||
		!strings.HasSuffix(got, "; and 11 more lines have problems") || strings.Count(got, "line ") != 20 {
		t.Errorf("the problems are: %s", got)
	}
	if got := problems(t, r, requests(1000, 1)); got != "line 151: the file has more than 150 lines: split it" {
		t.Errorf("too many lines: %s", got)
	}
	if got := problems(t, r, strings.Repeat("\n", 100)+strings.Repeat("{}\n", 21)); !strings.HasSuffix(got, "; and 1 more line has a problem") {
		t.Errorf("21 problems: %s", got)
	}
}

// A hundred thousand custom IDs are told apart, and the one that is there twice is found.
func TestCustomIDsAreUnique(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := problems(t, r, requests(100_000, 0)+request("r77777", "")); got != `line 100001: custom_id "r77777" is that of line 77777 already` {
		t.Errorf("the problem is: %s", got)
	}
}

func TestDraftIsChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for want, change := range map[string]func(*file.Draft){
		"purpose": func(d *file.Draft) { d.Purpose = "assistants" },
		"file":    func(d *file.Draft) { d.Filename = strings.Repeat("x", 256) },
	} {
		d := draft
		change(&d)
		_, err := r.Create(t.Context(), ada, d, strings.NewReader(request("a", "")))
		var field *file.Field
		if !errors.As(err, &field) || field.Name != want {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, seconds := range []int{1, 3599, 2_592_001} {
		d := draft
		d.ExpiresAfter = time.Duration(seconds) * time.Second
		_, err := r.Create(t.Context(), ada, d, strings.NewReader(request("a", "")))
		var field *file.Field
		if !errors.As(err, &field) || field.Name != "expires_after[seconds]" || field.Message != "must be between 3600 and 2592000" {
			t.Errorf("%d seconds: %v", seconds, err)
		}
	}
	d := draft
	d.ExpiresAfter = time.Duration(3600) * time.Second
	f, err := r.Create(t.Context(), ada, d, strings.NewReader(request("a", "")))
	if must(t, err); f.Expires.Sub(f.Created) != d.ExpiresAfter {
		t.Errorf("it expires after %v", f.Expires.Sub(f.Created))
	}
}
