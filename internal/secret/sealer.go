package secret

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrOpen is what Open returns for anything that it cannot open. Whether the binding or the data was wrong it does not say: that would
// help only somebody who tries them out.
var ErrOpen = errors.New("secret: the sealed value cannot be opened: " +
	"it was sealed with another keyset or for another place, or it was altered")

// UnknownKeyError is the ErrOpen of a value that was sealed with a key which the keyset does not have, or which is disabled. Unlike other
// values that cannot be opened, this one can be once the keyset is right.
type UnknownKeyError struct {
	ID uint32 // of the key, which is not secret: every sealed value starts with it
}

// Error names the key.
func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("secret: the sealed value cannot be opened: its key %d is not in the keyset, or is disabled there", e.ID)
}

// Is makes it an ErrOpen.
func (e *UnknownKeyError) Is(target error) bool { return target == ErrOpen }

// Sealed is an encrypted value that may be stored anywhere. In JSON it is a base64 string. It starts with the ID of
// the key that sealed it, so a keyset may hold several keys.
type Sealed []byte

// Sealer encrypts and decrypts values with the keys of one keyset. It seals with the primary key and opens with any
// enabled key. It is safe for concurrent use.
//
// A Sealer of a keyset file follows the file: it looks now and then whether the file was changed, and at once when it meets a key that
// it does not know.
type Sealer struct {
	keys atomic.Pointer[keyring]
	file *keysetFile // nil for a keyset that does not change
}

// keyring is a keyset as it was read at some time.
type keyring struct {
	primitive tink.AEAD
	enabled   map[uint32]bool
	age       map[uint32]int // the place of each key, the oldest first
	primary   uint32
	names     [][]byte // keys of names, see nameKeys
}

func newKeyring(keys *keyset.Handle) (*keyring, error) {
	primitive, err := aead.New(keys)
	if err != nil {
		return nil, fmt.Errorf("secret: the keyset has keys that are not for authenticated encryption (AEAD): %w", err)
	}
	k := &keyring{primitive: primitive, enabled: map[uint32]bool{}, age: map[uint32]int{}, primary: keys.KeysetInfo().GetPrimaryKeyId()}
	if k.names, err = nameKeys(keys); err != nil {
		return nil, err
	}
	for i, info := range keys.KeysetInfo().GetKeyInfo() {
		k.age[info.GetKeyId()] = i
		if info.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			// What it seals would not say which key opens it.
			return nil, fmt.Errorf("secret: key %d of the keyset does not have Tink's output prefix: replace it by one that has", info.GetKeyId())
		}
		k.enabled[info.GetKeyId()] = info.GetStatus() == tinkpb.KeyStatusType_ENABLED
	}
	return k, nil
}

// Seal encrypts plaintext for the place that binding names.
func (s *Sealer) Seal(plaintext []byte, binding Binding) (Sealed, error) {
	data, err := binding.associatedData()
	if err != nil {
		return nil, err
	}
	s.follow()
	sealed, err := s.keys.Load().primitive.Encrypt(plaintext, data)
	if err != nil {
		return nil, fmt.Errorf("secret: seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts a value sealed under the same binding. Its error is ErrOpen, which may be an [UnknownKeyError], unless the binding
// itself is not valid.
func (s *Sealer) Open(sealed Sealed, binding Binding) ([]byte, error) {
	data, err := binding.associatedData()
	if err != nil {
		return nil, err
	}
	s.follow()
	id, ok := keyOf(sealed)
	if !ok {
		return nil, ErrOpen
	}
	if !s.keys.Load().enabled[id] && !s.learn(id) {
		return nil, &UnknownKeyError{ID: id}
	}
	plaintext, err := s.keys.Load().primitive.Decrypt(sealed, data)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// keyOf returns the ID of the key that sealed a value: Tink puts a byte 1 and the ID in front.
func keyOf(sealed Sealed) (id uint32, ok bool) {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:]), true
}
