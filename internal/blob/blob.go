// Package blob keeps large values outside a run's history, by content hash: history carries a [Ref] of 71 bytes instead.
//
// # Owners
//
// A value belongs to the workflow whose history names it: the response, or the conversation. [Stores] has a [Store] for each, and a Ref
// is good only there, so that a hash by itself gives nobody anything. When the workflow is gone, so is all that it owned: nobody has to
// count references. A workflow that goes on with what another one holds takes a copy first ([Store.Copy]), which in a directory is a
// second name for the same file.
//
// # Places
//
// Values are in a directory, which every starter and worker of a deployment must see, or in a bucket of an object store that speaks S3:
//
//	NAMESPACE/runs/XX/OWNER/NAME     the values of a workflow
//	NAMESPACE/events/XX/OWNER/NAME   events that were too large for a message of the event log
//	NAMESPACE/files/XX/OWNER/NAME    parts of files, which are always sealed, by those who put them
//
// where XX spreads the owners, and NAME is the hash of the content. With encryption it is the hash under a key, and the content is
// sealed. A value is written once and never changed, so a reader may cache it for as long as it likes and a writer that is repeated does
// no harm.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxBytes is the size of the largest value that a Store takes: 80 MiB. The largest request body has 32 MiB, and JSON may need
// twice the bytes of the text that it encodes.
const MaxBytes = 80 << 20

const (
	refPrefix = "sha256-"
	hexDigits = "0123456789abcdef"
)

// Ref names a value by its content: "sha256-" and 64 hexadecimal digits.
type Ref string

// RefOf returns the name of data.
func RefOf(data []byte) Ref {
	sum := sha256.Sum256(data)
	return Ref(refPrefix + hex.EncodeToString(sum[:]))
}

// digest returns the hexadecimal digits, which are safe as a file name.
func (r Ref) digest() (string, error) {
	digest, ok := strings.CutPrefix(string(r), refPrefix)
	if !ok || len(digest) != 2*sha256.Size || strings.Trim(digest, hexDigits) != "" {
		return "", fmt.Errorf("%w: %.80q is not a reference", ErrCorrupt, string(r))
	}
	return digest, nil
}

// Errors of a Store. [ErrTooLarge] and [ErrCorrupt] are final; the others may pass.
var (
	ErrNotFound = errors.New("blob: not found")
	ErrTooLarge = errors.New("blob: value too large")
	// ErrCorrupt means that a reference, or the value that it names, was damaged.
	ErrCorrupt = errors.New("blob: corrupt")
	// ErrUnavailable means that the directory or the bucket could not be used.
	ErrUnavailable = errors.New("blob: storage cannot be used")
	// ErrForeign means that the values are those of another Temporal namespace.
	ErrForeign = errors.New("blob: the values belong to another Temporal namespace")
)
