package starter

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
	"perdure/internal/file"
)

// impatient is the API of m in another process, whose clients have less time for a body.
func (m *managed) impatient(t *testing.T, bodyTimeout time.Duration, change ...func(*Options)) (*Starter, string) {
	t.Helper()
	o := m.starter.Options
	for _, c := range change {
		c(&o)
	}
	s := newStarter(t.Context(), t.Context(), o)
	s.bodyTimeout = bodyTimeout
	return s, handlers(t, s.routes()).URL
}

// slowUpload posts a form piece by piece.
func (m *managed) slowUpload(t *testing.T, url, contentType string) (*io.PipeWriter, <-chan answer) {
	t.Helper()
	r, w := io.Pipe()
	answered := make(chan answer, 1)
	go func() {
		a, err := do(context.WithoutCancel(t.Context()), http.MethodPost, url+filesPath, r, "Authorization", "Bearer "+m.keys["alice"], "Content-Type", contentType)
		if err != nil {
			a.body = err.Error()
		}
		_ = r.Close()
		answered <- a
	}()
	t.Cleanup(func() { _ = w.Close() })
	return w, answered
}

// A large upload may take longer than any other body may, as long as it comes.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	const within = 2 * time.Second
	m := newManaged(t)
	_, url := m.impatient(t, within)
	content := batchLines(9_000)
	body, contentType := form(t, purposeBatch, fileOf(content))
	if len(body) < 10*leastProgress {
		t.Fatalf("a form of %d bytes is no long one", len(body))
	}
	w, answered := m.slowUpload(t, url, contentType)
	begun := time.Now()
	pieces := len(body)/(leastProgress+1) + 1
	every := time.NewTicker(2 * within / time.Duration(pieces))
	defer every.Stop()
	for rest := []byte(body); len(rest) > 0; {
		<-every.C // what a slow line takes for it
		n := min(len(rest), leastProgress+1)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	_ = w.Close()
	a := <-answered
	if f := decoded[shownFile](t, a); f.Bytes != int64(len(content)) || time.Since(begun) < within {
		t.Errorf("after %v it is %+v", time.Since(begun), f)
	}
}

// One that stands still, or that the client leaves, gives its place back and leaves nothing.
func TestUploadThatStops(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	s, url := m.impatient(t, 300*time.Millisecond)
	body, contentType := form(t, purposeBatch, fileOf(batchLines(9_000)))
	w, answered := m.slowUpload(t, url, contentType)
	_, _ = io.WriteString(w, body[:len(body)-1000]) // a busy machine may stand still before that
	if a := <-answered; a.status != http.StatusBadRequest || !strings.Contains(a.body, "the upload ended early, or less than 64 KiB of it came in 300ms; nothing of it was stored") {
		t.Errorf("HTTP %d with %s", a.status, a.body)
	}
	w, answered = m.slowUpload(t, m.URL, contentType)
	if _, err := io.WriteString(w, body[:len(body)-1000]); err != nil {
		t.Fatal(err)
	}
	_ = w.CloseWithError(io.ErrUnexpectedEOF) // the connection is lost
	<-answered
	for _, api := range []*Starter{s, m.starter} {
		eventually(t, "all memory is given back", func() bool {
			const all = 1 << 40
			defer api.gates.bodies.Give("alice", all)
			return api.gates.bodies.Take("alice", all) == nil
		})
	}
	if page := decoded[filePage](t, m.as(t, "alice", http.MethodGet, filesPath, "")); len(page.Data) != 0 {
		t.Errorf("there are files: %+v", page)
	}
}

// Uploads have their part in the memory of bodies: what a key has no room for is refused at once.
func TestUploadMemory(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	s, url := m.impatient(t, time.Minute, func(o *Options) { o.Limits.BodyMemory = 1 << 20 })
	for lines, status := range map[int]int{100: http.StatusOK, 9_000: http.StatusTooManyRequests} {
		body, contentType := form(t, purposeBatch, fileOf(batchLines(lines)))
		a := must(do(t.Context(), http.MethodPost, url+filesPath, strings.NewReader(body), "Authorization", "Bearer "+m.keys["alice"], "Content-Type", contentType))
		if a.status != status || status != http.StatusOK && a.header.Get("Retry-After") == "" {
			t.Errorf("%d lines: HTTP %d with %s", lines, a.status, a.body)
		}
	}
	if err := s.gates.bodies.Take("x", 512<<10); err != nil {
		t.Error("memory was not given back")
	}
}

// A client that has what there was of a growing file asks for the rest.
func TestContentOfGrowingFile(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	out := file.Output{
		ID: file.NewID(), Organization: "acme", User: "bob", Purpose: file.PurposeBatchOutput, Filename: `ä "b".jsonl`, Expires: time.Now().Add(time.Hour),
	}
	files := m.starter.Files
	must(files.Begin(t.Context(), out))
	path := filesPath + "/" + out.ID + "/content"
	if a := m.as(t, "alice", http.MethodGet, path, ""); a.status != http.StatusOK || a.body != "" {
		t.Errorf("nothing yet: HTTP %d with %q", a.status, a.body)
	}
	add := func(part int, text string) {
		t.Helper()
		if err := files.Append(t.Context(), "acme", out.ID, part, [][]byte{[]byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	add(1, `"one"`)
	first := m.as(t, "alice", http.MethodGet, path, "")
	if first.body != "\"one\"\n" || first.header.Get("ETag") != "" || first.header.Get("Content-Disposition") != `attachment; filename*=utf-8''%C3%A4%20%22b%22.jsonl` {
		t.Errorf("it has %q with %v", first.body, first.header)
	}
	add(2, `"two"`)
	rest := must(do(t.Context(), http.MethodGet, m.URL+path, nil, "Authorization", "Bearer "+m.keys["alice"], "Range", "bytes=6-"))
	if rest.status != http.StatusPartialContent || rest.body != "\"two\"\n" || rest.header.Get("Content-Range") != "bytes 6-11/12" {
		t.Errorf("the rest: HTTP %d with %q, %v", rest.status, rest.body, rest.header)
	}
	must(files.Finish(t.Context(), "acme", out.ID))
	if a := m.as(t, "alice", http.MethodGet, path, ""); a.body != "\"one\"\n\"two\"\n" || a.header.Get("ETag") != `"`+out.ID+`"` {
		t.Errorf("at the end it has %q with %v", a.body, a.header)
	}
}

// Nobody takes a part of a file for the whole.
func TestContentThatBreaksOff(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	made := decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(batchLines(9_000))))
	parts := must(m.store.FilePartsOfBytes(t.Context(), made.ID, 0, 10))
	if len(parts) < 2 {
		t.Fatalf("there are %d parts", len(parts))
	}
	for _, p := range []int{1, 0} {
		blobs := m.starter.Blobs.ForFile(made.ID)
		if err := blobs.Remove(t.Context(), blob.Ref(parts[p].Ref)); err != nil {
			t.Fatal(err)
		}
		a, err := do(t.Context(), http.MethodGet, m.URL+filesPath+"/"+made.ID+"/content", nil, "Authorization", "Bearer "+m.keys["alice"])
		if p == 1 && err == nil {
			t.Errorf("the second part is lost: HTTP %d with %d bytes", a.status, len(a.body))
		}
		if p == 0 && (err != nil || a.status != http.StatusInternalServerError || bytes.Contains([]byte(a.body), []byte("sha256"))) {
			t.Errorf("all is lost: HTTP %d with %s, %v", a.status, a.body, err)
		}
	}
	awaitLog(t, m.log, "a file was sent in part")
}
