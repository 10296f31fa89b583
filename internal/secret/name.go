package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// nameInfo keeps the keys of names apart from all else that may ever be derived from a key. It is part of the stored format.
const nameInfo = "perdure stored names"

// nameKeys derives a key for names from each enabled key, the primary one first. AEAD keys have no use for that themselves, and a keyset
// of its own would be one more to keep and to rotate.
func nameKeys(keys *keyset.Handle) ([][]byte, error) {
	material := insecurecleartextkeyset.KeysetMaterial(keys)
	var out [][]byte
	for _, key := range material.GetKey() {
		if key.GetStatus() != tinkpb.KeyStatusType_ENABLED {
			continue
		}
		derived, err := hkdf.Key(sha256.New, key.GetKeyData().GetValue(), nil, nameInfo, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("secret: derive a key for names: %w", err)
		}
		if key.GetKeyId() == material.GetPrimaryKeyId() {
			out = append([][]byte{derived}, out...)
		} else {
			out = append(out, derived)
		}
	}
	return out, nil
}

func (k *keyring) name(i int, what string) string {
	mac := hmac.New(sha256.New, k.names[i])
	mac.Write([]byte(what))
	return hex.EncodeToString(mac.Sum(nil))
}

// SealNamed is Seal for a value that is stored under a name which tells nothing of what it is the name of, not even to somebody who
// guesses: 64 hexadecimal digits, always the same as long as the primary key is.
func (s *Sealer) SealNamed(plaintext []byte, binding Binding, what string) (sealed Sealed, name string, err error) {
	data, err := binding.associatedData()
	if err != nil {
		return nil, "", err
	}
	s.follow()
	keys := s.keys.Load()
	sealed, err = keys.primitive.Encrypt(plaintext, data)
	if err != nil {
		return nil, "", fmt.Errorf("secret: seal: %w", err)
	}
	return sealed, keys.name(0, what), nil
}

// Names returns, for each of whats, the names that SealNamed may have given with any of the enabled keys: that of the primary key first.
func (s *Sealer) Names(whats ...string) [][]string {
	s.follow()
	keys := s.keys.Load()
	names := make([][]string, len(whats))
	for i, what := range whats {
		for k := range keys.names {
			names[i] = append(names[i], keys.name(k, what))
		}
	}
	return names
}
