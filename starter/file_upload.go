package starter

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"perdure/internal/admission"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

const (
	// maxFormValue is how many bytes a field has that is not the file.
	maxFormValue = 4 << 10
	// formOverhead is how many bytes a form may have beside its file.
	formOverhead = 1 << 20
	// leastProgress is how many bytes must come of an upload within the time that the body of any other request may take in all. So a large
	// one may take its time, and one that stands still does not keep its place.
	leastProgress = 64 << 10
)

// Names of the fields of a form.
const (
	fieldFile    = "file"
	fieldPurpose = "purpose"
	fieldAnchor  = "expires_after[anchor]"
	fieldSeconds = "expires_after[seconds]"
)

// createFile stores an upload.
func (s *Starter) createFile(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	f, err := s.ReceiveFile(w, r, who, map[string]*string{}, nil)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showFile(f))
}

// ReceiveFile stores the file of a form that is the body of a request, as it comes: the form is never in memory as a whole. Beside OpenAI's
// fields the form may have those of others, each once and of no more than 4 KiB; if others has a purpose, the form needs none. The content is
// also written to sum, unless that is nil.
func (s *Starter) ReceiveFile(w http.ResponseWriter, r *http.Request, who identity.Principal, others map[string]*string, sum hash.Hash) (file.File, error) {
	if r.ContentLength > s.Files.Limits.Bytes+formOverhead {
		return file.File{}, s.fileTooLarge()
	}
	body := &paced{from: r.Body, control: http.NewResponseController(w), within: s.bodyTimeout}
	form := &uploadForm{values: map[string]string{}, others: others}
	shadow := r.WithContext(r.Context()) // net/http knows the body of the request itself, and how to leave the rest of it unread
	shadow.Body = http.MaxBytesReader(w, io.NopCloser(body), s.Files.Limits.Bytes+formOverhead)
	var err error
	if form.parts, err = shadow.MultipartReader(); err != nil {
		return file.File{}, responses.Invalid("", "the body must be multipart/form-data, with the fields %s and %s", fieldFile, fieldPurpose)
	}
	content, err := form.untilFile()
	if err != nil {
		return file.File{}, s.uploadError(err)
	}
	from := io.Reader(content)
	if sum != nil {
		from = io.TeeReader(content, sum)
	}
	held := int64(0)
	defer func() { s.gates.bodies.Give(who.Account(), held) }()
	f, err := s.Files.Upload(r.Context(), actor(r, who), file.Upload{
		From: from, Draft: func() (file.Draft, error) { return form.rest(content.FileName()) },
		Memory: func(bytes int64) error {
			if err := s.takeUpload(who, bytes-held); err != nil {
				return err
			}
			held = bytes
			return nil
		},
	})
	return f, s.uploadError(err)
}

// takeUpload takes memory for what is held of an upload at a time.
func (s *Starter) takeUpload(who identity.Principal, bytes int64) error {
	switch err := s.gates.bodies.Take(who.Account(), bytes); {
	case errors.Is(err, admission.ErrShare):
		return tooMany(retryBusy, "the requests of this API key that are being read are too large together; try again")
	case err != nil:
		return busy("the requests that are being read are too large together; try again")
	}
	return nil
}

// uploadError tells a client that went away from a failure of ours.
func (s *Starter) uploadError(err error) error {
	var shown *responses.Error
	var tooLarge *http.MaxBytesError
	var cut *cutOffError
	switch {
	case err == nil, errors.As(err, &shown), wireError(err) != nil && !errors.As(err, &tooLarge):
		return err
	case errors.Is(err, file.ErrTooLarge), errors.As(err, &tooLarge):
		return s.fileTooLarge()
	case errors.As(err, &cut), errors.Is(err, io.ErrUnexpectedEOF):
		return responses.Invalid("", "the upload ended early, or less than %d KiB of it came in %v; nothing of it was stored", leastProgress>>10, s.bodyTimeout)
	default:
		return err
	}
}

func (s *Starter) fileTooLarge() error {
	return &responses.Error{
		Status: http.StatusRequestEntityTooLarge, Type: responses.ErrPayloadTooLarge, Param: fieldFile,
		Message: "the file is larger than " + bytesInWords(s.Files.Limits.Bytes) + ": split it",
	}
}

// uploadForm reads a form field by field.
type uploadForm struct {
	parts  *multipart.Reader
	values map[string]string
	others map[string]*string
}

// untilFile reads the fields in front of the file.
func (f *uploadForm) untilFile() (*multipart.Part, error) {
	part, err := f.next()
	if err == nil && part == nil {
		return nil, responses.Invalid(fieldFile, "is missing: send the file in this field of the form")
	}
	return part, err
}

// rest reads the fields behind the file, and returns what the form says of it.
func (f *uploadForm) rest(filename string) (file.Draft, error) {
	part, err := f.next()
	if err != nil {
		return file.Draft{}, err
	}
	if part != nil {
		return file.Draft{}, responses.Invalid(fieldFile, "is in the form twice: upload one file at a time")
	}
	after, err := f.expiry()
	return file.Draft{Filename: filename, Purpose: f.values[fieldPurpose], ExpiresAfter: after}, err
}

// next reads values until the next file, or the end: then the part is nil.
func (f *uploadForm) next() (*multipart.Part, error) {
	for {
		part, err := f.parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, f.purpose(true)
		case err != nil:
			return nil, badForm(err)
		case part.FormName() == fieldFile:
			return part, f.purpose(false)
		}
		if err := f.value(part); err != nil {
			return nil, err
		}
	}
}

// badForm is the error of a form that cannot be read. What the body itself failed with stays.
func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	var cut *cutOffError
	if errors.As(err, &tooLarge) || errors.As(err, &cut) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return responses.Invalid("", "the body is not multipart/form-data with the boundary that its Content-Type names")
}

func (f *uploadForm) value(part *multipart.Part) error {
	name := part.FormName()
	other, known := f.others[name]
	if !known && name != fieldPurpose && name != fieldAnchor && name != fieldSeconds {
		fields := slices.Sorted(maps.Keys(f.others))
		return responses.Invalid(clip(name), "unknown field; the form takes %s",
			strings.Join(append([]string{fieldFile, fieldPurpose, fieldAnchor, fieldSeconds}, fields...), ", "))
	}
	if _, twice := f.values[name]; twice {
		return responses.Invalid(name, "must be given once")
	}
	text, err := io.ReadAll(io.LimitReader(part, maxFormValue+1))
	if err != nil {
		return badForm(err)
	}
	if len(text) > maxFormValue {
		return responses.Invalid(name, "must have at most %d bytes", maxFormValue)
	}
	f.values[name] = string(text)
	if other != nil {
		*other = string(text)
	}
	return nil
}

// purpose refuses an upload for what it is for, as soon as it says so: at the end it must have said so.
func (f *uploadForm) purpose(end bool) error {
	purpose, given := f.values[fieldPurpose]
	if other, ok := f.others[fieldPurpose]; ok && !given {
		purpose, given = *other, true
		f.values[fieldPurpose] = purpose
	}
	if !given && !end || purpose == file.PurposeBatch {
		return nil
	}
	return responses.Invalid(fieldPurpose, "must be %q: other files have no use here", file.PurposeBatch)
}

// expiry is how long the file is to live; 0: nobody says.
func (f *uploadForm) expiry() (time.Duration, error) {
	anchor, anchored := f.values[fieldAnchor]
	seconds, timed := f.values[fieldSeconds]
	if !anchored && !timed {
		return 0, nil
	}
	if anchor != "created_at" {
		return 0, responses.Invalid(fieldAnchor, `must be "created_at"`)
	}
	n, err := strconv.Atoi(seconds)
	if err != nil || n == 0 || n > 1<<31 {
		return 0, responses.Invalid(fieldSeconds, "must be a number of seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// paced is a body that may take long as long as it comes.
type paced struct {
	from    io.Reader
	control *http.ResponseController
	within  time.Duration // for each leastProgress
	got     int64         // bytes since progress was made, for which the client was waited
	waited  time.Duration
}

// cutOffError is the end of a body that is not whole.
type cutOffError struct{ err error }

func (e *cutOffError) Error() string { return fmt.Sprintf("the body was cut off: %v", e.err) }
func (e *cutOffError) Unwrap() error { return e.err }

// Read counts the time for which a client is waited, not that for which the client waits.
func (p *paced) Read(b []byte) (int, error) {
	begun := time.Now()
	if err := p.control.SetReadDeadline(begun.Add(p.within - p.waited)); err != nil {
		return 0, err
	}
	n, err := p.from.Read(b)
	p.waited += time.Since(begun)
	if p.got += int64(n); p.got >= leastProgress {
		p.got, p.waited = 0, 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = &cutOffError{err}
	}
	return n, err
}
