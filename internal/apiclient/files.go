package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

// FilesPath is where files are.
const FilesPath = "/v1/files"

// File is what this program reads of a file object.
type File struct {
	ID       string `json:"id"`
	Bytes    int64  `json:"bytes"`
	Filename string `json:"filename"`
	Purpose  string `json:"purpose"`
	// Status is "processed", or "uploaded" while more of it may come.
	Status    string `json:"status"`
	CreatedAt int64  `json:"created_at"` // Unix seconds
	ExpiresAt int64  `json:"expires_at"` // Unix seconds; 0 for never
	// Raw is the whole object as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the object as it is beside what is read of it.
func (f *File) UnmarshalJSON(data []byte) error {
	type plain File
	if err := json.Unmarshal(data, (*plain)(f)); err != nil {
		return err
	}
	f.Raw = append(f.Raw[:0:0], data...)
	return nil
}

// Upload is a file to send.
type Upload struct {
	Filename string
	Purpose  string
	Size     int64 // bytes
	// Open returns the content from its beginning. An upload that was cut off is sent again.
	Open func() (io.ReadCloser, error)
	// Progress, if it is set, hears how many bytes of this attempt have been sent.
	Progress func(sent int64)
}

// UploadFile sends a file, in the memory of a piece of it. An upload that is cut off leaves nothing; of one whose answer is lost, the file
// may be there twice.
func (c *Client) UploadFile(ctx context.Context, u Upload) (File, error) {
	var f File
	head, tail, kind, err := u.form()
	if err != nil {
		return f, err
	}
	r := Request{Method: http.MethodPost, Path: FilesPath, Repeatable: true}
	err = c.repeat(ctx, r, func() error {
		body, err := c.uploadOnce(ctx, r, u, head, tail, kind)
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &f)
	})
	return f, err
}

// form is what stands before and after the content, and the type of the whole.
func (u Upload) form() (head, tail []byte, kind string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	// Before the file, so that a server can refuse it before it comes.
	if err := w.WriteField("purpose", u.Purpose); err != nil {
		return nil, nil, "", err
	}
	if _, err := w.CreateFormFile("file", u.Filename); err != nil {
		return nil, nil, "", err
	}
	n := b.Len()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return b.Bytes()[:n], b.Bytes()[n:], w.FormDataContentType(), nil
}

func (c *Client) uploadOnce(ctx context.Context, r Request, u Upload, head, tail []byte, kind string) (json.RawMessage, error) {
	content, err := u.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	exact := &exactReader{from: content, left: u.Size, total: u.Size, progress: u.Progress}
	req, err := c.request(ctx, r, io.MultiReader(bytes.NewReader(head), exact, bytes.NewReader(tail)))
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(head)) + u.Size + int64(len(tail))
	req.Header.Set("Content-Type", kind)
	// A refusal comes before the content, which may be large, is sent.
	req.Header.Set("Expect", "100-continue")
	resp, err := c.exchange(req, c.silenceOf(r))
	if exact.failed != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, exact.failed
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
}

// changedError is that a file is not what it was when its size was taken.
type changedError struct{ cause error }

func (e *changedError) Error() string {
	return "the file cannot be read to its end: " + e.cause.Error()
}
func (e *changedError) Unwrap() error { return e.cause }

// exactReader reads so many bytes, and notes why it could not.
type exactReader struct {
	from        io.Reader
	left, total int64
	progress    func(int64)
	failed      error
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.from.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.progress != nil && n > 0 {
		r.progress(r.total - r.left)
	}
	if err != nil && r.left > 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is shorter than it was")
		}
		r.failed = &changedError{err}
		return n, r.failed
	}
	return n, nil
}

// File returns a file's object.
func (c *Client) File(ctx context.Context, id string) (File, error) {
	var f File
	err := c.Call(ctx, Request{Method: http.MethodGet, Path: FilesPath + "/" + url.PathEscape(id)}, &f)
	return f, err
}

// Content returns what a file has from an offset on, which is nothing if it has no more yet. The reader fails when the connection is
// lost; what it has read until then is right.
func (c *Client) Content(ctx context.Context, id string, offset int64) (io.ReadCloser, error) {
	r := Request{Method: http.MethodGet, Path: FilesPath + "/" + url.PathEscape(id) + "/content"}
	if offset > 0 {
		r.Header = http.Header{"Range": {"bytes=" + strconv.FormatInt(offset, 10) + "-"}}
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		if IsStatus(err, http.StatusRequestedRangeNotSatisfiable) {
			return http.NoBody, nil
		}
		return nil, err
	}
	if offset > 0 && resp.StatusCode != http.StatusPartialContent {
		// A server that knows no ranges sends all.
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil && !errors.Is(err, io.EOF) {
			resp.Body.Close()
			return nil, err
		}
	}
	return resp.Body, nil
}

// Download writes what is in a file, and goes on when the connection breaks.
func (c *Client) Download(ctx context.Context, out io.Writer, id string) error {
	written := int64(0)
	return Persist(ctx, func() (int64, error) {
		content, err := c.Content(ctx, id, written)
		if err != nil {
			return 0, err
		}
		defer content.Close()
		n, err := io.Copy(out, content)
		written += n
		return n, err
	})
}

// maxBreaks is how often a download may break off without a byte more.
const maxBreaks = 5

// Persist fetches more of a file until that works, however often the connection breaks, as long as it does not break again and again without a
// byte more. fetch returns how many bytes it has brought.
func Persist(ctx context.Context, fetch func() (int64, error)) error {
	for breaks := 0; ; {
		n, err := fetch()
		var lost *Unreachable
		if err == nil || ctx.Err() != nil || !errors.As(err, &lost) {
			return err
		}
		if breaks++; n > 0 {
			breaks = 0
		}
		if breaks == maxBreaks {
			return err
		}
	}
}
