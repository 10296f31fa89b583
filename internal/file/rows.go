package file

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// rows reads lines one after the other.
type rows struct {
	from *bufio.Reader
	most int // bytes of a line, without its line break
	read int64
}

func newRows(r io.Reader, most int) *rows {
	return &rows{from: bufio.NewReaderSize(r, 64<<10), most: most}
}

// next appends the next line to buf, with its line break, which the last line need not have. A line that is too long is skipped: then
// nothing is appended. The error is io.EOF behind the last line.
func (r *rows) next(buf []byte) (_ []byte, tooLong bool, err error) {
	start := len(buf)
	for {
		piece, err := r.from.ReadSlice('\n')
		r.read += int64(len(piece))
		if tooLong = tooLong || len(buf)-start+len(bytes.TrimRight(piece, "\r\n")) > r.most; tooLong {
			buf = buf[:start]
		} else {
			buf = append(buf, piece...)
		}
		switch {
		case err == nil:
			return buf, tooLong, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (tooLong || len(buf) > start):
			return buf, tooLong, nil // the next call has the end
		default:
			return buf, tooLong, err
		}
	}
}

// isBlank reports whether there is nothing in a line.
func isBlank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }
