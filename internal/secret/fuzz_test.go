package secret

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzOpen checks that what is not a sealed value, or one that was changed, does not open, and that what is does, under its binding only.
func FuzzOpen(f *testing.F) {
	sealer := newTestSealer(f)
	sealed, err := sealer.Seal([]byte("token"), binding)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(sealed), "a", "b", "c")
	f.Add([]byte{1, 2, 3, 4, 5}, "", "", "")
	f.Add([]byte(nil), "mcp endpoint", "resp_1", "label")
	f.Fuzz(func(t *testing.T, data []byte, purpose, response, label string) {
		if plain, err := sealer.Open(data, binding); err == nil && (!bytes.Equal(data, sealed) || string(plain) != "token") {
			t.Fatalf("%x opens as %q", data, plain)
		} else if err != nil && !errors.Is(err, ErrOpen) {
			t.Fatal(err)
		}
		b := Binding{Purpose: purpose, ResponseID: response, ServerLabel: label}
		value, err := sealer.Seal(data, b)
		if purpose == "" {
			if err == nil {
				t.Fatal("sealed without a purpose")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := sealer.Open(value, b); err != nil || !bytes.Equal(plain, data) {
			t.Fatalf("%x opens as %x, %v", data, plain, err)
		}
		for _, other := range []Binding{
			{Purpose: purpose + response, ServerLabel: label},
			{Purpose: purpose, ResponseID: label, ServerLabel: response},
			{Purpose: purpose, ResponseID: response + label},
			{Purpose: purpose, Organization: response, ServerLabel: label},
			{Purpose: purpose, ResponseID: response, WorkflowID: label},
		} {
			if _, err := sealer.Open(value, other); other != b && !errors.Is(err, ErrOpen) {
				t.Fatalf("sealed for %+v, opens for %+v: %v", b, other, err)
			}
		}
	})
}

// FuzzParseKeyset checks that what is taken for a keyset seals and opens, and that errors say nothing of what was given.
func FuzzParseKeyset(f *testing.F) {
	data, err := GenerateKeyset()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"RAW"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sealer, err := ParseKeyset(data)
		if err != nil {
			if half := data[len(data)/2:]; len(half) > 20 && bytes.Contains([]byte(err.Error()), half) {
				t.Fatalf("the error repeats the keyset: %v", err)
			}
			return
		}
		sealed, err := sealer.Seal([]byte("token"), binding)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := sealer.Open(sealed, binding); err != nil || string(plain) != "token" {
			t.Fatalf("opens as %q, %v", plain, err)
		}
		if id, ok := sealed.Key(); !ok || id != sealer.PrimaryKey() || sealer.NeedsReseal(sealed) {
			t.Fatalf("sealed with key %d, the primary one is %d", id, sealer.PrimaryKey())
		}
		keys, err := ReadKeyset(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := keys.Encode()
		if err != nil {
			t.Fatal(err)
		}
		other, err := ParseKeyset(again)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := other.Open(sealed, binding); err != nil || string(plain) != "token" {
			t.Fatalf("written and read again, it opens as %q, %v", plain, err)
		}
	})
}
