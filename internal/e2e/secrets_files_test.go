package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// fileForm is the body of an upload.
func fileForm(t *testing.T, filename, content string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := w.WriteField("purpose", "batch")
	if err == nil {
		part, e := w.CreateFormFile("file", filename)
		if err = e; err == nil {
			_, err = part.Write([]byte(content))
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// driveFiles uploads secrets, where they belong and where they do not.
func (s *secretStack) driveFiles(t *testing.T) {
	t.Helper()
	secret := canaries["authorization in a file"]
	tool := strings.ReplaceAll(secretTool("https://mcp.example.com"), canaries["authorization"], secret)
	line := func(n int) string {
		return fmt.Sprintf(`{"custom_id":"r%d","method":"POST","url":"/v1/responses","body":{"input":"x","tools":[%s]}}`+"\n", n, tool)
	}
	var content strings.Builder
	for n := range 3000 { // which are some parts
		content.WriteString(line(n))
	}
	good := content.String()
	upload := func(text string) answer {
		body, contentType := fileForm(t, "in.jsonl", text)
		return s.call(t, http.MethodPost, "/files", body, "Content-Type", contentType)
	}
	for i := range 2 {
		a := upload(good)
		var f fileObject
		if err := json.Unmarshal(a.body, &f); err != nil || f.ID == "" {
			t.Fatalf("no file: %s", a.body)
		}
		s.call(t, http.MethodGet, "/files/"+f.ID, "")
		s.call(t, http.MethodGet, "/files", "")
		// Who uploaded it gets it back.
		a, err := send(t.Context(), http.MethodGet, s.url+"/v1/files/"+f.ID+"/content", canaries["API key"], "")
		if err != nil || string(a.body) != good {
			t.Fatalf("the content has %d bytes, %v", len(a.body), err)
		}
		if i == 0 {
			s.call(t, http.MethodDelete, "/files/"+f.ID, "")
		}
	}
	for _, bad := range []string{
		good + line(3)[1:], good + strings.Replace(line(1), "r1", "", 1), strings.Replace(line(1), "/v1/responses", secret, 1),
		strings.Replace(line(1), "POST", secret, 1), `{"` + secret + `":1}`, `["` + secret + `"]`, secret, good + `{"custom_id":{"a":"` + secret + `"}}`,
	} {
		if a := upload(bad); a.status != http.StatusBadRequest {
			t.Errorf("%.200s: got status %d: %s", bad, a.status, a.body)
		}
	}
	body, contentType := fileForm(t, "in.jsonl", good)
	if a := s.call(t, http.MethodPost, "/files", body[:len(body)-100], "Content-Type", contentType); a.status != http.StatusBadRequest {
		t.Errorf("an upload that was cut off has status %d: %s", a.status, a.body)
	}
}
