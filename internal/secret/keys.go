package secret

import (
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// Key is what may be said of a key.
type Key struct {
	ID      uint32
	Enabled bool
	// Primary is set for the key that seals. The others only open.
	Primary bool
}

// Keyset is a keyset to look at and to change.
//
// A new key is added in two phases where processes do not share one file: first prepared, so that all of them know it, then promoted,
// so that they seal with it.
type Keyset struct {
	manager *keyset.Manager
	changes []change
}

// change is one line of a keyset file's log.
type change struct {
	What     string `json:"change"` // one of the words below
	Key      uint32 `json:"key"`
	Replaces uint32 `json:"replaces,omitempty"` // of a promoted key
}

// The words for changes. They are stored: they never change.
const (
	added    = "add"
	promoted = "promote"
	disabled = "disable"
	enabled  = "enable"
	dropped  = "drop"
)

// ReadKeyset reads a keyset as ParseKeyset does.
func ReadKeyset(data []byte) (*Keyset, error) {
	keys, err := unmarshalKeyset(data)
	if err != nil {
		return nil, err
	}
	if _, err := newKeyring(keys); err != nil {
		return nil, err
	}
	return &Keyset{manager: keyset.NewManagerFromHandle(keys)}, nil
}

// Encode returns the keyset as ReadKeyset and ParseKeyset read it: it is secret.
func (k *Keyset) Encode() ([]byte, error) {
	keys, err := k.manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("secret: encode the keyset: %w", err)
	}
	data, err := marshalKeyset(keys)
	if err != nil {
		return nil, err
	}
	// What a process could not read at its next start is not written.
	_, err = parseKeyring(data)
	return data, err
}

// Keys lists the keys, the oldest first.
func (k *Keyset) Keys() ([]Key, error) {
	handle, err := k.manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("secret: read the keyset: %w", err)
	}
	info := handle.KeysetInfo()
	keys := make([]Key, len(info.GetKeyInfo()))
	for i, key := range info.GetKeyInfo() {
		keys[i] = Key{
			ID: key.GetKeyId(), Enabled: key.GetStatus() == tinkpb.KeyStatusType_ENABLED, Primary: key.GetKeyId() == info.GetPrimaryKeyId(),
		}
	}
	return keys, nil
}

// Prepare adds a key that does not seal yet, and returns its ID.
func (k *Keyset) Prepare() (uint32, error) {
	switch waiting, err := k.prepared(); {
	case err != nil:
		return 0, err
	case waiting != nil:
		return 0, fmt.Errorf("secret: key %d is prepared already: promote it, or disable and drop it", waiting.ID)
	}
	id, err := k.manager.Add(newKeyTemplate())
	if err != nil {
		return 0, fmt.Errorf("secret: make a key: %w", err)
	}
	k.note(change{What: added, Key: id})
	return id, nil
}

// Promote makes the key that was prepared the primary one, and returns the IDs of both.
func (k *Keyset) Promote() (primary, replaced uint32, err error) {
	next, err := k.prepared()
	if err != nil {
		return 0, 0, err
	}
	if next == nil {
		return 0, 0, errors.New("secret: no key is prepared")
	}
	keys, err := k.Keys()
	if err != nil {
		return 0, 0, err
	}
	for _, key := range keys {
		if key.Primary {
			replaced = key.ID
		}
	}
	if err := k.manager.SetPrimary(next.ID); err != nil {
		return 0, 0, fmt.Errorf("secret: promote key %d: %w", next.ID, err)
	}
	k.note(change{What: promoted, Key: next.ID, Replaces: replaced})
	return next.ID, replaced, nil
}

// prepared returns the key that is newer than the primary one, or nil.
func (k *Keyset) prepared() (*Key, error) {
	keys, err := k.Keys()
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	last := keys[len(keys)-1]
	if last.Primary || !last.Enabled {
		return nil, nil
	}
	return &last, nil
}

// Disable has a key open nothing any more, until Enable.
func (k *Keyset) Disable(id uint32) error {
	if _, err := k.old(id); err != nil {
		return err
	}
	if err := k.manager.Disable(id); err != nil {
		return fmt.Errorf("secret: disable key %d: %w", id, err)
	}
	k.note(change{What: disabled, Key: id})
	return nil
}

// Enable takes Disable back.
func (k *Keyset) Enable(id uint32) error {
	if _, err := k.old(id); err != nil {
		return err
	}
	if err := k.manager.Enable(id); err != nil {
		return fmt.Errorf("secret: enable key %d: %w", id, err)
	}
	k.note(change{What: enabled, Key: id})
	return nil
}

// Drop removes a key for ever. It must have been disabled before: what that breaks can be mended.
func (k *Keyset) Drop(id uint32) error {
	key, err := k.old(id)
	if err != nil {
		return err
	}
	if key.Enabled {
		return fmt.Errorf("secret: key %d is not disabled: disable it first, and see whether anything misses it", id)
	}
	if err := k.manager.Delete(id); err != nil {
		return fmt.Errorf("secret: drop key %d: %w", id, err)
	}
	k.note(change{What: dropped, Key: id})
	return nil
}

// old returns a key that is not the primary one.
func (k *Keyset) old(id uint32) (Key, error) {
	keys, err := k.Keys()
	if err != nil {
		return Key{}, err
	}
	for _, key := range keys {
		switch {
		case key.ID != id:
		case key.Primary:
			return Key{}, fmt.Errorf("secret: key %d is the primary one, which seals: rotate the keyset first", id)
		default:
			return key, nil
		}
	}
	return Key{}, fmt.Errorf("secret: the keyset has no key %d", id)
}

func (k *Keyset) note(c change) { k.changes = append(k.changes, c) }
