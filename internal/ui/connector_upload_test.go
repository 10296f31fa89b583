package ui

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/connector"
	"perdure/internal/responses"
)

// upload sends a body to a server that reads it, and returns what that got.
func upload(t *testing.T, contentType string, body []byte) (values url.Values, icon []byte, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { values, icon, err = readUpload(w, r) }))
	req, reqErr := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader(body))
	if reqErr != nil {
		t.Fatal(reqErr)
	}
	req.Header.Set("Content-Type", contentType)
	resp, doErr := server.Client().Do(req)
	if doErr == nil { // who is refused in the middle of a body need not get the answer
		resp.Body.Close()
	}
	server.Close() // after which the handler has ended
	return values, icon, err
}

func multipartForm(t *testing.T, icon []byte, fields map[string]string) (contentType string, body []byte) {
	t.Helper()
	var buf bytes.Buffer
	form := multipart.NewWriter(&buf)
	part, err := form.CreateFormFile("icon", "../../etc/passwd")
	if err == nil {
		_, err = part.Write(icon)
	}
	for name, value := range fields {
		err = errors.Join(err, form.WriteField(name, value))
	}
	if err := errors.Join(err, form.Close()); err != nil {
		t.Fatal(err)
	}
	return form.FormDataContentType(), buf.Bytes()
}

func TestReadUpload(t *testing.T) {
	t.Parallel()
	contentType, body := multipartForm(t, []byte("picture"), map[string]string{"name": "Acme", "url": "https://x"})
	values, icon, err := upload(t, contentType, body)
	if err != nil || values.Get("name") != "Acme" || values.Get("url") != "https://x" || string(icon) != "picture" {
		t.Errorf("got %v, %q, %v", values, icon, err)
	}
	values, icon, err = upload(t, "application/x-www-form-urlencoded", []byte("name=Acme&url=x"))
	if err != nil || values.Get("name") != "Acme" || icon != nil {
		t.Errorf("without files: %v, %q, %v", values, icon, err)
	}
	// Of an icon that is too large just so much is kept that it is seen to be, and the rest of the form is there.
	contentType, body = multipartForm(t, make([]byte, 3<<20), map[string]string{"name": "Acme"})
	values, icon, err = upload(t, contentType, body)
	if err != nil || values.Get("name") != "Acme" || len(icon) != connector.MaxIconBytes+1 {
		t.Errorf("a large icon: %v, %d bytes, %v", values, len(icon), err)
	}
}

func TestReadUploadRefuses(t *testing.T) {
	t.Parallel()
	huge, hugeBody := multipartForm(t, make([]byte, maxUpload), nil)
	long, longBody := multipartForm(t, nil, map[string]string{"name": strings.Repeat("x", maxFields)})
	cut, cutBody := multipartForm(t, []byte("picture"), nil)
	for name, tt := range map[string]struct {
		contentType string
		body        []byte
		status      int
	}{
		"more than a form has":   {huge, hugeBody, http.StatusRequestEntityTooLarge},
		"a field without end":    {long, longBody, http.StatusRequestEntityTooLarge},
		"long, without files":    {"application/x-www-form-urlencoded", bytes.Repeat([]byte("x"), maxFields+1), http.StatusRequestEntityTooLarge},
		"it ends in the middle":  {cut, cutBody[:len(cutBody)-20], http.StatusBadRequest},
		"no boundary":            {"multipart/form-data", nil, http.StatusBadRequest},
		"an escape that is none": {"application/x-www-form-urlencoded", []byte("%zz"), http.StatusBadRequest},
	} {
		_, _, err := upload(t, tt.contentType, tt.body)
		var shown *responses.Error
		var tooLarge *http.MaxBytesError
		status := 0
		switch {
		case errors.As(err, &tooLarge):
			status = http.StatusRequestEntityTooLarge
		case errors.As(err, &shown):
			status = shown.Status
		}
		if status != tt.status {
			t.Errorf("%s: %v, want status %d", name, err, tt.status)
		}
	}
}
