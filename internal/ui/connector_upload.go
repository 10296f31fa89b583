package ui

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"perdure/internal/connector"
)

const (
	// maxUpload bounds the form of a connector, in bytes. It has room for an icon that is too large, so that the person is told so at its
	// field and keeps the form.
	maxUpload = 4 << 20
	// maxFields bounds what is kept in memory of all fields but the icon: bytes.
	maxFields = 512 << 10
)

var errFormTooLarge = errors.New("ui: the form is larger than any that a person fills in")

// readUpload reads the form of a connector, multipart or not. Of an icon that is too large it returns just so much that it is seen to be;
// nothing is ever written to a file.
func readUpload(w http.ResponseWriter, r *http.Request) (values url.Values, icon []byte, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	parts, err := r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		r.Body = http.MaxBytesReader(w, r.Body, maxFields)
		err := r.ParseForm()
		return r.PostForm, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	values = url.Values{}
	left := int64(maxFields)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return values, icon, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if part.FormName() == "icon" {
			if icon, err = readAtMost(part, connector.MaxIconBytes+1); err != nil {
				return nil, nil, err
			}
			continue
		}
		text, err := readAtMost(part, left)
		if err != nil {
			return nil, nil, err
		}
		if left -= int64(len(text)) + 1; left <= 0 {
			return nil, nil, errFormTooLarge
		}
		values.Add(part.FormName(), string(text))
	}
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
