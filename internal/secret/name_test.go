package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

func TestNamesOfStoredValues(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	sealed, name, err := sealer.SealNamed([]byte("value"), binding, "what")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sealer.Open(sealed, binding); err != nil || string(got) != "value" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if _, again, err := sealer.SealNamed([]byte("value"), binding, "what"); err != nil || again != name {
		t.Errorf("the name is %s, then %s, %v", name, again, err)
	}
	if got := sealer.Names("what")[0]; !slices.Equal(got, []string{name}) {
		t.Errorf("Names = %v, want %s", got, name)
	}
	plain := sha256.Sum256([]byte("what"))
	if len(name) != 64 || name == hex.EncodeToString(plain[:]) {
		t.Errorf("the name is %s: anybody could work it out", name)
	}
	if slices.Contains(sealer.Names("another")[0], name) || slices.Contains(newTestSealer(t).Names("what")[0], name) {
		t.Error("the name does not depend on what it names, or on the key")
	}
}

// Values keep their names while keys are rotated.
func TestNamesAfterRotation(t *testing.T) {
	t.Parallel()
	manager := keyset.NewManager()
	var all []string
	for range 3 {
		id, err := manager.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			t.Fatal(err)
		}
		if err := manager.SetPrimary(id); err != nil {
			t.Fatal(err)
		}
		sealer := parseKeysetOf(t, manager)
		_, name, err := sealer.SealNamed(nil, binding, "what")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
		names := sealer.Names("what")[0]
		if len(names) != len(all) || names[0] != name {
			t.Fatalf("Names = %v, want %s first of %d", names, name, len(all))
		}
		for _, earlier := range all {
			if !slices.Contains(names, earlier) {
				t.Errorf("the name %s is lost after a rotation", earlier)
			}
		}
	}
}
