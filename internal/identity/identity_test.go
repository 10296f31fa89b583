package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"perdure/internal/identity"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	ann := identity.Principal{Organization: "o", User: "ann", Key: "laptop"}
	bob := identity.Principal{Organization: "o", User: "bob", Key: "server"}
	keys := map[identity.KeyHash]identity.Principal{identity.HashKey("key-a"): ann, identity.HashKey("key-b"): bob}
	ring, err := identity.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	// What the caller does with its map afterwards lets nobody in.
	keys[identity.HashKey("key-c")] = ann
	delete(keys, identity.HashKey("key-b"))

	for key, want := range map[string]identity.Principal{"key-a": ann, "key-b": bob} {
		if got, ok := ring.Authenticate(key); !ok || got != want {
			t.Errorf("Authenticate(%q) is %+v, %v; want %+v", key, got, ok, want)
		}
	}
	hash := fmt.Sprintf("%x", identity.HashKey("key-a"))
	for _, key := range []string{"", "key-c", "key-A", "key-a ", "key", hash} {
		if got, ok := ring.Authenticate(key); ok || got != (identity.Principal{}) {
			t.Errorf("Authenticate(%q) is %+v, %v; want nobody", key, got, ok)
		}
	}
	empty, err := identity.NewKeyring(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := empty.Authenticate("key-a"); ok {
		t.Error("a keyring without keys let somebody in")
	}
}

func TestNewKeyringRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		keys map[identity.KeyHash]identity.Principal
		want []string
	}{
		{"no user", map[identity.KeyHash]identity.Principal{{1}: {Organization: "o", Key: "laptop"}}, []string{`"laptop"`}},
		{
			"two faults",
			map[identity.KeyHash]identity.Principal{
				{1}: {User: "u", Key: "second"}, {2}: {Organization: "o", Key: "first"}, {3}: {Organization: "o", User: "u", Key: "fine"},
			},
			[]string{`"first", "second"`},
		},
		{"the empty key", map[identity.KeyHash]identity.Principal{identity.HashKey(""): {Organization: "o", User: "u", Key: "unset"}}, []string{`"unset"`, "empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ring, err := identity.NewKeyring(tt.keys)
			if err == nil || ring != nil {
				t.Fatalf("NewKeyring is %v, %v", ring, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not have %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "fine") {
				t.Errorf("error %q names a key that lacks nothing", err)
			}
		})
	}
}

func TestParseKeyHash(t *testing.T) {
	t.Parallel()
	const hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	for _, s := range []string{hash, strings.ToUpper(hash)} {
		if got, err := identity.ParseKeyHash(s); err != nil || got != identity.HashKey("foo") {
			t.Errorf("ParseKeyHash(%q) is %x, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "foo", hash[:62], hash[:63], hash + "00", "0x" + hash[2:], strings.Repeat("z", 64)} {
		_, err := identity.ParseKeyHash(s)
		if err == nil {
			t.Errorf("ParseKeyHash(%q) succeeded", s)
		} else if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("error %q repeats its input, which may be a key in the wrong place", err)
		}
	}
}
