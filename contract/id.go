package contract

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"perdure/internal/responses"
)

// NewResponseID returns an ID for a new response. It is random, so that workflow code cannot use it: see [DeriveResponseID].
func NewResponseID() string {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // it never fails
	return responseID(id, 4)
}

// DeriveResponseID returns the ID of the response that is known by a name: always the same. A workflow that starts responses makes the name
// of its original run ID and a number. Names are not secret, and need to be unique in the namespace.
func DeriveResponseID(name string) string {
	hash := sha256.Sum256([]byte(name))
	return responseID([16]byte(hash[:16]), 8)
}

// responseID writes a UUID of a version.
func responseID(id [16]byte, version byte) string {
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%s%x-%x-%x-%x-%x", responses.ResponsePrefix, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
