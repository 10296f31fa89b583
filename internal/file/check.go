package file

import (
	"crypto/sha256"
	"fmt"
)

// checker looks at the lines of an upload one by one.
type checker struct {
	limits   Limits
	problems Invalid
	lines    int // that are not blank
	row      int
	endpoint string
	// seen has the custom IDs by their hashes, with where they were: 20 bytes of each, however long they are.
	seen map[customIDHash]int32
}

// customIDHash is long enough for two IDs never to be taken for one.
type customIDHash [16]byte

func hashOf(customID string) customIDHash {
	sum := sha256.Sum256([]byte(customID))
	return customIDHash(sum[:])
}

// seenBytes is what an entry of seen takes in memory, at most.
const seenBytes = 64

// memory is how many bytes the checker holds.
func (c *checker) memory() int64 { return int64(len(c.seen)) * seenBytes }

// look checks the next line.
func (c *checker) look(line []byte, tooLong bool) {
	c.row++
	if tooLong {
		c.lines++
		c.problems.add(c.row, "is longer than %d bytes", c.limits.Line)
		return
	}
	if isBlank(line) {
		return
	}
	c.lines++
	if c.lines > c.limits.Lines {
		if c.lines == c.limits.Lines+1 {
			c.problems.add(c.row, "the file has more than %d lines: split it", c.limits.Lines)
		}
		return
	}
	id, endpoint, problem := checkRequest(line)
	if problem != "" {
		c.problems.add(c.row, "%s", problem)
		return
	}
	hash := hashOf(id)
	if row, ok := c.seen[hash]; ok {
		c.problems.add(c.row, "custom_id %s is that of line %d already", shortened(id), row)
		return
	}
	c.seen[hash] = int32(c.row)
	if c.endpoint == "" {
		c.endpoint = endpoint
	} else if endpoint != c.endpoint {
		c.problems.add(c.row, "url is %s, and that of the lines before is %s: a file has requests for one of them", endpoint, c.endpoint)
	}
}

// end looks at the file as a whole.
func (c *checker) end() error {
	if c.lines == 0 {
		c.problems.add(0, "has no lines")
	}
	return c.problems.orNil()
}

// shortened is a text of the client's as an error repeats it.
func shortened(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%.64q…", s)
	}
	return fmt.Sprintf("%q", s)
}
