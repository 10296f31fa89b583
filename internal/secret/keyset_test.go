package secret

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/signature"
)

func TestOpenKeysetFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyset.json")
	first, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %04o, want 0600", got)
	}
	requireOnly(t, path)

	sealed, err := first.Seal([]byte("token"), binding)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := second.Open(sealed, binding); err != nil || string(got) != "token" {
		t.Errorf("after a restart: Open = %q, %v", got, err)
	}
}

// The processes of one deployment start together on an empty directory: all must end with the keyset that stays.
func TestOpenKeysetFileConcurrently(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyset.json")
	start := make(chan struct{})
	sealers := make([]*Sealer, 16)
	var group sync.WaitGroup
	for i := range sealers {
		group.Go(func() {
			<-start
			sealer, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			sealers[i] = sealer
		})
	}
	close(start)
	group.Wait()
	if t.Failed() {
		return
	}
	requireOnly(t, path)
	kept, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i, sealer := range sealers {
		sealed, err := sealer.Seal([]byte("token"), binding)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Open(sealed, binding); err != nil {
			t.Errorf("opener %d has another keyset than the one in the file", i)
		}
	}
}

func TestOpenKeysetFileRefusesOpenPermissions(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o644, 0o660, 0o666, 0o610} {
		path := filepath.Join(t.TempDir(), "keyset.json")
		if _, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: error %v, want one that says to run chmod 600", mode, err)
		}
	}
}

func TestOpenKeysetFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"empty":           write("empty", ""),
		"not JSON":        write("text", hidden),
		"large":           write("large", strings.Repeat(" ", maxKeysetBytes+1)),
		"directory":       folder,
		"no directory":    filepath.Join(dir, "missing", "keyset.json"),
		"below a file":    filepath.Join(dir, "empty", "keyset.json"),
		"encrypted":       write("encrypted", `{"encryptedKeyset":"`+hidden+`"}`),
		"without any key": write("nokey", `{"primaryKeyId":1,"key":[]}`),
	} {
		sealer, err := OpenKeysetFile(path, slog.New(slog.DiscardHandler))
		if err == nil || sealer != nil {
			t.Errorf("%s: OpenKeysetFile = %v, %v, want an error", name, sealer, err)
			continue
		}
		if !strings.Contains(err.Error(), path) && !strings.Contains(err.Error(), filepath.Dir(path)) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
		requireHidden(t, name, err.Error())
	}
	// A directory that is not there may be a volume that is not mounted: nothing must be made in its place.
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the missing directory was created: %v", err)
	}
}

func TestParseKeysetRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	keys, err := keyset.NewHandle(signature.ED25519KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(keys, keyset.NewJSONWriter(&buf)); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKeyset(buf.Bytes()); err == nil || !strings.Contains(err.Error(), "AEAD") {
		t.Errorf("error %v, want one that asks for AEAD keys", err)
	}
}

// requireOnly checks that nothing but the keyset, no half-made copy, is left in its directory.
func requireOnly(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the directory holds %v, want only %s", entries, filepath.Base(path))
	}
}
