package ui

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"perdure/internal/connector"
	"perdure/internal/responses"
)

const (
	// maxUpload bounds the form of a connector, in bytes. It has room for an icon that is too large, so that the person is told so at its
	// field and keeps the form.
	maxUpload = 4 << 20
	// maxFields bounds what is kept in memory of all fields but the icon: bytes.
	maxFields = 512 << 10
	// uploadTimeout bounds how long a browser may take to send it.
	uploadTimeout = 2 * time.Minute
)

var (
	errFormTooLarge = &responses.Error{
		Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge, Message: "the form is larger than any that a person fills in",
	}
	errFormBroken = responses.Invalid("", "the form cannot be read: go back and send it again")
)

// readUpload reads the form of a connector, multipart or not. Of an icon that is too large it returns just so much that it is seen to be;
// nothing is ever written to a file.
func readUpload(w http.ResponseWriter, r *http.Request) (values url.Values, icon []byte, err error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTimeout)); err != nil {
		return nil, nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	parts, err := r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		r.Body = http.MaxBytesReader(w, r.Body, maxFields)
		err := r.ParseForm()
		return r.PostForm, nil, unreadable(err)
	}
	if err != nil {
		return nil, nil, unreadable(err)
	}
	values = url.Values{}
	left := int64(maxFields)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return values, icon, nil
		}
		if err != nil {
			return nil, nil, unreadable(err)
		}
		if part.FormName() == "icon" {
			if icon, err = readAtMost(part, connector.MaxIconBytes+1); err != nil {
				return nil, nil, unreadable(err)
			}
			continue
		}
		text, err := readAtMost(part, left)
		if err != nil {
			return nil, nil, unreadable(err)
		}
		if left -= int64(len(text)) + 1; left <= 0 {
			return nil, nil, errFormTooLarge
		}
		values.Add(part.FormName(), string(text))
	}
}

// unreadable is an error of reading a form, as a person may see it.
func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return errFormBroken
}

// readAtMost reads the beginning of a part and skips what comes after it.
func readAtMost(part *multipart.Part, n int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(part, n))
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, part)
	return data, err
}
