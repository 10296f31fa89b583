package secret

import (
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen is what Open returns for anything that it cannot open. It does not say whether the key, the binding or the
// data was wrong: that would help only somebody who tries them out.
var ErrOpen = errors.New("secret: the sealed value cannot be opened: " +
	"it was sealed with another keyset or for another place, or it was altered")

// Sealed is an encrypted value that may be stored anywhere. In JSON it is a base64 string. It starts with the ID of
// the key that sealed it, so a keyset may hold several keys.
type Sealed []byte

// Sealer encrypts and decrypts values with the keys of one keyset. It seals with the primary key and opens with any
// enabled key. It is safe for concurrent use.
type Sealer struct {
	keys      *keyset.Handle
	primitive tink.AEAD
}

func newSealer(keys *keyset.Handle) (*Sealer, error) {
	primitive, err := aead.New(keys)
	if err != nil {
		return nil, fmt.Errorf("secret: the keyset has keys that are not for authenticated encryption (AEAD): %w", err)
	}
	return &Sealer{keys: keys, primitive: primitive}, nil
}

// Seal encrypts plaintext for the place that binding names.
func (s *Sealer) Seal(plaintext []byte, binding Binding) (Sealed, error) {
	data, err := binding.associatedData()
	if err != nil {
		return nil, err
	}
	sealed, err := s.primitive.Encrypt(plaintext, data)
	if err != nil {
		return nil, fmt.Errorf("secret: seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts a value sealed under the same binding. Its error is ErrOpen unless the binding itself is not valid.
func (s *Sealer) Open(sealed Sealed, binding Binding) ([]byte, error) {
	data, err := binding.associatedData()
	if err != nil {
		return nil, err
	}
	plaintext, err := s.primitive.Decrypt(sealed, data)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}
