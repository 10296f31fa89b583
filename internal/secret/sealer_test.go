package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

var binding = Binding{Purpose: "mcp.authorization", ResponseID: "resp_1", ServerLabel: "github"}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	for _, plaintext := range []string{"", "token", string(make([]byte, 1<<20))} {
		sealed, err := sealer.Seal([]byte(plaintext), binding)
		if err != nil {
			t.Fatal(err)
		}
		if plaintext != "" && bytes.Contains(sealed, []byte(plaintext)) {
			t.Error("the sealed value contains the plaintext")
		}
		// The value is stored as JSON on its way to Open.
		stored, err := json.Marshal(struct{ Sealed Sealed }{sealed})
		if err != nil {
			t.Fatal(err)
		}
		var loaded struct{ Sealed Sealed }
		if err := json.Unmarshal(stored, &loaded); err != nil {
			t.Fatal(err)
		}
		got, err := sealer.Open(loaded.Sealed, binding)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != plaintext {
			t.Errorf("Open returned %d bytes, want the %d that were sealed", len(got), len(plaintext))
		}
	}
}

func TestSealTwiceDiffers(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	a, err := sealer.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sealer.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("equal secrets have equal sealed values")
	}
}

func TestSealedJSONIsBase64(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Sealed{0, 1, 0xff})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"AAH/"`; string(got) != want {
		t.Errorf("Marshal = %s, want %s", got, want)
	}
}

func TestOpenElsewhere(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	sealed, err := sealer.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]Binding{
		"another purpose":  {Purpose: "mcp.headers", ResponseID: "resp_1", ServerLabel: "github"},
		"another response": {Purpose: "mcp.authorization", ResponseID: "resp_2", ServerLabel: "github"},
		"another server":   {Purpose: "mcp.authorization", ResponseID: "resp_1", ServerLabel: "evil"},
		"no server":        {Purpose: "mcp.authorization", ResponseID: "resp_1"},
		"fields swapped":   {Purpose: "mcp.authorization", ResponseID: "github", ServerLabel: "resp_1"},
	} {
		if got, err := sealer.Open(sealed, other); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: Open = %q, %v, want ErrOpen", name, got, err)
		}
	}
	if _, err := newTestSealer(t).Open(sealed, binding); !errors.Is(err, ErrOpen) {
		t.Errorf("another keyset: error %v, want ErrOpen", err)
	}
}

func TestOpenAltered(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	sealed, err := sealer.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		altered := slices.Clone(sealed)
		altered[i] ^= 1
		if _, err := sealer.Open(altered, binding); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d altered: error %v, want ErrOpen", i, err)
		}
		if _, err := sealer.Open(sealed[:i], binding); !errors.Is(err, ErrOpen) {
			t.Errorf("cut after %d bytes: error %v, want ErrOpen", i, err)
		}
	}
}

func TestBindingNeedsPurpose(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	if _, err := sealer.Seal([]byte("token"), Binding{ResponseID: "resp_1"}); err == nil {
		t.Error("Seal accepted a binding without a purpose")
	}
	if _, err := sealer.Open(Sealed("sealed"), Binding{ResponseID: "resp_1"}); err == nil || errors.Is(err, ErrOpen) {
		t.Errorf("Open: error %v, want one about the binding", err)
	}
}

func TestBindingsNeverCollide(t *testing.T) {
	t.Parallel()
	// Values that would collide if the fields were only joined, with or without a separator, or if a field could
	// imitate the tag and length of the next one.
	values := []string{
		"", "a", "b", "aa", "ab", "ba", "a/b", "/", "a\x00b", "\x00", "\x02", "\x03", "\x01a",
		"a\x02\x00\x00\x00\x00\x00\x00\x00\x01a", "\x02\x00\x00\x00\x00\x00\x00\x00\x01a",
	}
	seen := map[string]Binding{}
	for _, purpose := range values[1:] {
		for _, response := range values {
			for _, label := range values {
				b := Binding{Purpose: purpose, ResponseID: response, ServerLabel: label}
				data, err := b.associatedData()
				if err != nil {
					t.Fatal(err)
				}
				if other, ok := seen[string(data)]; ok {
					t.Fatalf("%q and %q have the same encoding", b, other)
				}
				seen[string(data)] = b
			}
		}
	}
}

// Values sealed by one version must open in the next, so the encoding is fixed.
func TestBindingEncodingIsStable(t *testing.T) {
	t.Parallel()
	got, err := Binding{Purpose: "p", ServerLabel: "ab"}.associatedData()
	if err != nil {
		t.Fatal(err)
	}
	want := []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01p\x03\x00\x00\x00\x00\x00\x00\x00\x02ab")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("associatedData (-want +got):\n%s", diff)
	}
}

func TestKeysetWithSeveralKeys(t *testing.T) {
	t.Parallel()
	manager := keyset.NewManager()
	old, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.SetPrimary(old); err != nil {
		t.Fatal(err)
	}
	before := parseKeysetOf(t, manager)
	sealedBefore, err := before.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}

	next, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.SetPrimary(next); err != nil {
		t.Fatal(err)
	}
	after := parseKeysetOf(t, manager)
	if _, err := after.Open(sealedBefore, binding); err != nil {
		t.Errorf("a keyset with the old key does not open what the old key sealed: %v", err)
	}
	sealedAfter, err := after.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open(sealedAfter, binding); !errors.Is(err, ErrOpen) {
		t.Errorf("error %v, want ErrOpen: the new primary key was not used to seal", err)
	}
}

func TestSealerConcurrently(t *testing.T) {
	t.Parallel()
	sealer := newTestSealer(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				sealed, err := sealer.Seal([]byte("token"), binding)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := sealer.Open(sealed, binding); err != nil || string(got) != "token" {
					t.Errorf("Open = %q, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}

func newTestSealer(t testing.TB) *Sealer {
	t.Helper()
	data, err := GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := ParseKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func parseKeysetOf(t *testing.T, manager *keyset.Manager) *Sealer {
	t.Helper()
	keys, err := manager.Handle()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(keys, keyset.NewJSONWriter(&buf)); err != nil {
		t.Fatal(err)
	}
	sealer, err := ParseKeyset(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}
