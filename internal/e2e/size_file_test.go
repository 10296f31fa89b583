package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// largeFile uploads 100,000 lines with 100 MB in all, and downloads them. Neither is in memory as a whole.
func largeFile(t *testing.T, s *stack) {
	const lines, inputBytes = 100_000, 920
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	sent := sha256.New()
	written := make(chan error, 1)
	go func() {
		err := writeLargeForm(form, sent, lines, inputBytes)
		_ = w.CloseWithError(err) // nil is the end
		written <- err
	}()
	var f fileObject
	if err := json.Unmarshal(s.stream(t, http.MethodPost, "/files", r, form.FormDataContentType()), &f); err != nil || f.Bytes < 100_000_000 {
		t.Fatalf("the file is %+v, %v", f, err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/files/"+f.ID+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, resp.Body); err != nil || n != int64(f.Bytes) {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	if string(got.Sum(nil)) != string(sent.Sum(nil)) {
		t.Error("what came back is not what was sent")
	}
	t.Logf("%d bytes went up and came down", f.Bytes)
}

func writeLargeForm(form *multipart.Writer, sum hash.Hash, lines, inputBytes int) error {
	if err := form.WriteField("purpose", "batch"); err != nil {
		return err
	}
	part, err := form.CreateFormFile("file", "large.jsonl")
	if err != nil {
		return err
	}
	out := io.MultiWriter(part, sum)
	for i := range lines {
		input := strings.Repeat(fmt.Sprintf("%07d ", i), inputBytes/8)
		if _, err := fmt.Fprintf(out, `{"custom_id":"r%d","method":"POST","url":"/v1/responses","body":{"input":"%s"}}`+"\n", i, input); err != nil {
			return err
		}
	}
	return form.Close()
}

// stream sends a body as it comes, and returns that of the answer.
func (s *stack) stream(t *testing.T, method, path string, body io.Reader, contentType string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+"/v1"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, data)
	}
	return data
}
