package starter

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/file"
	"perdure/internal/identity"
)

// formField is a field of a form; one with a filename is a file.
type formField struct{ name, filename, value string }

// purposeBatch is what every form needs beside its file.
var purposeBatch = formField{name: "purpose", value: "batch"}

func fileOf(content string) formField { return formField{"file", "in.jsonl", content} }

// form is a body with its type.
func form(t *testing.T, fields ...formField) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		var part io.Writer
		if f.filename != "" {
			part = must(w.CreateFormFile(f.name, f.filename))
		} else {
			part = must(w.CreateFormField(f.name))
		}
		must(io.WriteString(part, f.value))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// uploadAs posts a form.
func (m *managed) uploadAs(t *testing.T, user string, fields ...formField) answer {
	t.Helper()
	body, contentType := form(t, fields...)
	a := must(do(t.Context(), http.MethodPost, m.URL+filesPath, strings.NewReader(body),
		"Authorization", "Bearer "+m.keys[user], "Content-Type", contentType))
	checkAnswer(t, m.mux, http.MethodPost, m.URL+filesPath, a)
	return a
}

func batchLine(id string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/responses","body":{"input":"hi"}}`+"\n", id)
}

func batchLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(batchLine(fmt.Sprint("r", i+1)))
	}
	return b.String()
}

func TestFileRoutes(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	content := batchLines(1000)
	before := time.Now().Unix()
	made := decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(content)))
	if made.Bytes != int64(len(content)) || made.Filename != "in.jsonl" || made.CreatedAt < before || made.ExpiresAt != made.CreatedAt+24*3600 ||
		made.Status != "processed" || made.Purpose != "batch" {
		t.Errorf("the file is %+v", made)
	}
	path := filesPath + "/" + made.ID
	// The organization's files are those of each of its members.
	if got := decoded[shownFile](t, m.as(t, "bob", http.MethodGet, path, "")); got != made {
		t.Errorf("bob gets %+v", got)
	}
	got := m.as(t, "bob", http.MethodGet, path+"/content", "")
	if got.status != http.StatusOK || got.body != content || got.header.Get("Content-Type") != "application/jsonl" ||
		got.header.Get("Content-Disposition") != "attachment; filename=in.jsonl" || got.header.Get("Content-Length") != fmt.Sprint(len(content)) {
		t.Errorf("the content has %d bytes, with %v", len(got.body), got.header)
	}
	for given, want := range map[string]string{
		"bytes=0-9":    content[:10],
		"bytes=50000-": content[50_000:],
		"bytes=-7":     content[len(content)-7:],
	} {
		a := must(do(t.Context(), http.MethodGet, m.URL+path+"/content", nil, "Authorization", "Bearer "+m.keys["bob"], "Range", given))
		if checkAnswer(t, m.mux, http.MethodGet, m.URL+path+"/content", a); a.status != http.StatusPartialContent || a.body != want {
			t.Errorf("%s: HTTP %d with %d bytes", given, a.status, len(a.body))
		}
	}
	a := must(do(t.Context(), http.MethodGet, m.URL+path+"/content", nil, "Authorization", "Bearer "+m.keys["bob"], "Range", "bytes=900000-"))
	if checkAnswer(t, m.mux, http.MethodGet, m.URL+path+"/content", a); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("behind the end: HTTP %d with %s", a.status, a.body)
	}

	if err := m.starter.Files.Hold(t.Context(), "acme", made.ID, "batch_1"); err != nil {
		t.Fatal(err)
	}
	refused := m.as(t, "bob", http.MethodDelete, path, "")
	if refused.want(t, http.StatusConflict, "the file is needed by batch_1: wait until that has ended, or cancel it"); refused.header.Get("X-Should-Retry") != "false" {
		t.Errorf("libraries will try again: %v", refused.header)
	}
	if err := m.starter.Files.Release(t.Context(), "batch_1"); err != nil {
		t.Fatal(err)
	}
	m.as(t, "bob", http.MethodDelete, path, "").want(t, http.StatusOK, `{"id":"`+made.ID+`","object":"file","deleted":true}`)
	m.as(t, "bob", http.MethodDelete, path, "").want(t, http.StatusNotFound)
	m.as(t, "bob", http.MethodGet, path, "").want(t, http.StatusNotFound)
	m.as(t, "bob", http.MethodGet, path+"/content", "").want(t, http.StatusNotFound)
	events := m.as(t, "ann", http.MethodGet, organizationPath+"/audit_log?limit=2", "").body
	if !strings.Contains(events, "file.create") || !strings.Contains(events, "file.delete") || !strings.Contains(events, `"user":"bob"`) || !strings.Contains(events, `"user":"alice"`) {
		t.Errorf("the audit log has %s", events)
	}
}

func TestFileList(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(batchLines(i+1)))).ID)
	}
	m.uploadAs(t, "eve", purposeBatch, fileOf(batchLines(1))).want(t, http.StatusOK)
	if _, err := m.starter.Files.Begin(t.Context(), file.Output{
		ID: file.NewID(), Organization: "acme", User: "bob", Purpose: file.PurposeBatchOutput, Filename: "out.jsonl", Expires: time.Now().Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"?purpose=batch":                             "4 3 2 1 0",
		"?order=asc&limit=2":                         "0 1 more",
		"?order=asc&limit=2&after=" + ids[1]:         "2 3 more",
		"?order=asc&limit=5&after=" + ids[3]:         "4 output",
		"?purpose=batch&limit=10000&after=" + ids[2]: "1 0",
		"?purpose=batch&limit=2&after=" + ids[2]:     "1 0",
		"?purpose=batch_output":                      "output",
		"?purpose=fine-tune":                         "",
		"?order=desc&limit=1&purpose=batch&after=":   "4 more",
		"?limit=3": "output 4 3 more",
		"?after=file-ffffffffffffffffffffffffffffffff": "output 4 3 2 1 0",
	} {
		page := decoded[filePage](t, m.as(t, "bob", http.MethodGet, filesPath+query, ""))
		var got []string
		for _, f := range page.Data {
			name := "output"
			for i, id := range ids {
				if f.ID == id {
					name = fmt.Sprint(i)
				}
			}
			if (name == "output") != (f.Status == "uploaded") {
				t.Errorf("%s is %s", name, f.Status)
			}
			got = append(got, name)
		}
		if n := len(page.Data); n > 0 && (*page.FirstID != page.Data[0].ID || *page.LastID != page.Data[n-1].ID) {
			t.Errorf("%s: %+v", query, page)
		}
		if page.HasMore {
			got = append(got, "more")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	for query, param := range map[string]string{
		"?limit=0": "limit", "?limit=10001": "limit", "?limit=x": "limit", "?order=up": "order", "?after=x": "after", "?page=x": "page", "?limit=1&limit=2": "limit",
	} {
		m.as(t, "bob", http.MethodGet, filesPath+query, "").want(t, http.StatusBadRequest, `"param":"`+param+`"`)
	}
}

// What a form says may stand before or behind the file.
func TestUploadForms(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	good := fileOf(batchLines(3))
	anchor := formField{name: "expires_after[anchor]", value: "created_at"}
	seconds := func(n string) formField { return formField{name: "expires_after[seconds]", value: n} }
	for _, fields := range [][]formField{{anchor, seconds("3600"), purposeBatch, good}, {good, purposeBatch, seconds("3600"), anchor}, {anchor, good, seconds("3600"), purposeBatch}} {
		if f := decoded[shownFile](t, m.uploadAs(t, "alice", fields...)); f.ExpiresAt != f.CreatedAt+3600 {
			t.Errorf("%+v: %+v", fields, f)
		}
	}
	large := fileOf(batchLines(10_000) + strings.Repeat(batchLine("x"), 70_000))
	for name, tt := range map[string]struct {
		fields []formField
		status int
		want   string
	}{
		"no file":              {[]formField{purposeBatch}, 400, `"param":"file"`},
		"nothing":              {nil, 400, `"param":`},
		"no purpose":           {[]formField{good}, 400, `"param":"purpose"`},
		"another purpose":      {[]formField{{name: "purpose", value: "vision"}, good}, 400, `"param":"purpose"`},
		"another, said later":  {[]formField{fileOf("{}"), {name: "purpose", value: "vision"}}, 400, `"param":"purpose"`},
		"two purposes":         {[]formField{purposeBatch, purposeBatch, good}, 400, `"param":"purpose"`},
		"two files":            {[]formField{purposeBatch, good, good}, 400, `"message":"is in the form twice`},
		"the file as a string": {[]formField{purposeBatch, {name: "file", value: batchLines(1)}}, 400, `"message":"must have a name`},
		"an unknown field":     {[]formField{purposeBatch, {name: "metadata", value: "x"}, good}, 400, `"param":"metadata"`},
		"unknown, at the end":  {[]formField{purposeBatch, good, {name: "metadata", value: "x"}}, 400, `"param":"metadata"`},
		"a long value":         {[]formField{{name: "purpose", value: strings.Repeat("x", 5000)}, good}, 400, `"param":"purpose"`},
		"no anchor":            {[]formField{purposeBatch, seconds("3600"), good}, 400, `"param":"expires_after[anchor]"`},
		"another anchor":       {[]formField{purposeBatch, {name: "expires_after[anchor]", value: "last_active_at"}, good}, 400, `"param":"expires_after[anchor]"`},
		"no seconds":           {[]formField{purposeBatch, anchor, good}, 400, `"param":"expires_after[seconds]"`},
		"no number":            {[]formField{purposeBatch, anchor, seconds("1h"), good}, 400, `"param":"expires_after[seconds]"`},
		"0 seconds":            {[]formField{purposeBatch, anchor, seconds("0"), good}, 400, `"param":"expires_after[seconds]"`},
		"too short":            {[]formField{purposeBatch, anchor, seconds("3599"), good}, 400, `must be between 3600 and 2592000`},
		"too long":             {[]formField{purposeBatch, anchor, seconds("2592001"), good}, 400, `must be between 3600 and 2592000`},
		"far too long":         {[]formField{purposeBatch, anchor, seconds("99999999999999"), good}, 400, `"param":"expires_after[seconds]"`},
		"bad lines":            {[]formField{purposeBatch, fileOf(batchLines(2) + "{}\n[]\n")}, 400, `"message":"line 3: custom_id is missing: it is how you find the answer in the output; line 4: must be a JSON object: each line is one request","param":"file"`},
		"an empty file":        {[]formField{purposeBatch, fileOf("")}, 400, `"message":"has no lines"`},
	} {
		if a := m.uploadAs(t, "alice", tt.fields...); a.status != tt.status || !strings.Contains(a.body, tt.want) {
			t.Errorf("%s: HTTP %d with %s", name, a.status, a.body)
		}
	}
	// As long as its length is announced, nothing of it is read.
	m.uploadAs(t, "alice", purposeBatch, fileOf(strings.Repeat(large.value, 2))).want(t, http.StatusRequestEntityTooLarge, "the file is larger than 8 MiB: split it")
	for contentType, body := range map[string]string{"application/json": "{}", "multipart/form-data": "", "multipart/form-data; boundary=x": "no form"} {
		a := must(do(t.Context(), http.MethodPost, m.URL+filesPath, strings.NewReader(body), "Authorization", "Bearer "+m.keys["alice"], "Content-Type", contentType))
		if checkAnswer(t, m.mux, http.MethodPost, m.URL+filesPath, a); a.status != http.StatusBadRequest {
			t.Errorf("%s: HTTP %d with %s", contentType, a.status, a.body)
		}
	}
	if page := decoded[filePage](t, m.as(t, "alice", http.MethodGet, filesPath, "")); len(page.Data) != 3 {
		t.Errorf("what was refused has left files: %+v", page)
	}
}

// strangersOfFiles is what a stranger sends to a route with an ID.
var strangersOfFiles = []string{"GET /v1/files/{id}", "DELETE /v1/files/{id}", "GET /v1/files/{id}/content"}

// TestStrangersOfFiles: what another organization has is as if it were not there, and a key without the scope of runs opens nothing.
func TestStrangersOfFiles(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	made := decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(batchLines(3))))
	m.keys["carol"] = m.newKey(t, "acme", "alice", identity.ScopeConnectors|identity.ScopeAdmin)
	var patterns []string
	(&Starter{}).fileRoutes(func(pattern string, _ http.Handler) {
		patterns = append(patterns, pattern)
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.Replace(path, "{id}", made.ID, 1)
		m.as(t, "carol", method, path, "").want(t, http.StatusForbidden, "the API key lacks the scope responses")
		m.as(t, "nobody", method, path, "").want(t, http.StatusUnauthorized)
	})
	tried := 0
	for _, pattern := range strangersOfFiles {
		method, path, _ := strings.Cut(pattern, " ")
		ask := func(id string) answer { return m.as(t, "eve", method, strings.Replace(path, "{id}", id, 1), "") }
		got := ask(made.ID)
		for _, id := range []string{file.NewID(), "file-1", "..%2f" + made.ID} {
			if want := ask(id); got.status != http.StatusNotFound || want.status != http.StatusNotFound || got.body != want.body {
				t.Errorf("%s: HTTP %d with %s\nfor %s: HTTP %d with %s", pattern, got.status, got.body, id, want.status, want.body)
			}
		}
		tried++
	}
	if withoutID := 2; tried != len(patterns)-withoutID {
		t.Errorf("%d cases, and the routes are %q", tried, patterns)
	}
	if page := decoded[filePage](t, m.as(t, "eve", http.MethodGet, filesPath+"?after=&order=asc", "")); len(page.Data) != 0 {
		t.Errorf("eve lists %+v", page)
	}
	if got := decoded[shownFile](t, m.as(t, "alice", http.MethodGet, filesPath+"/"+made.ID, "")); got != made {
		t.Errorf("afterwards it is %+v", got)
	}
}
