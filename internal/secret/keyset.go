package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// maxKeysetBytes is room for some hundred keys; a larger file is not a keyset.
const maxKeysetBytes = 64 << 10

// newKeyTemplate is what new keys are: AES-256-GCM with a nonce of 192 random bits. With the usual 96, a key should not seal more than
// 2³² values, and a busy log of events comes to that within weeks.
func newKeyTemplate() *tinkpb.KeyTemplate { return aead.XAES256GCM192BitNonceKeyTemplate() }

// GenerateKeyset returns a new keyset with one key: a cleartext Tink keyset in JSON, as ParseKeyset reads.
func GenerateKeyset() ([]byte, error) {
	keys, err := keyset.NewHandle(newKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("secret: generate a keyset: %w", err)
	}
	return marshalKeyset(keys)
}

func marshalKeyset(keys *keyset.Handle) ([]byte, error) {
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(keys, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, fmt.Errorf("secret: encode the keyset: %w", err)
	}
	return buf.Bytes(), nil
}

func unmarshalKeyset(data []byte) (*keyset.Handle, error) {
	if len(data) > maxKeysetBytes {
		return nil, fmt.Errorf("secret: the keyset is larger than %d bytes", maxKeysetBytes)
	}
	keys, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("secret: not a cleartext Tink keyset in JSON: %w", err)
	}
	return keys, nil
}

func parseKeyring(data []byte) (*keyring, error) {
	keys, err := unmarshalKeyset(data)
	if err != nil {
		return nil, err
	}
	return newKeyring(keys)
}

// ParseKeyset returns a Sealer for a cleartext Tink keyset in JSON. Its errors contain nothing of the keyset but key
// IDs, which are not secret.
func ParseKeyset(data []byte) (*Sealer, error) {
	keys, err := parseKeyring(data)
	if err != nil {
		return nil, err
	}
	s := &Sealer{}
	s.keys.Store(keys)
	return s, nil
}

// OpenKeysetFile returns a Sealer for the keyset in the file at path, which it follows from then on: a file that cannot be used any more
// is told to the logger and changes nothing. If there is no such file it makes one, readable by its owner only; processes that start at
// the same time all end with the same keyset. The directory must exist: a new keyset in a directory made up on the spot would hide that
// a volume is not mounted.
//
// It refuses a file that the group or others can read.
func OpenKeysetFile(path string, logger *slog.Logger) (*Sealer, error) {
	data, info, err := readKeysetFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKeysetFile(path); err != nil {
			return nil, fmt.Errorf("secret: create the keyset file: %w", err)
		}
		data, info, err = readKeysetFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: read the keyset file: %w", err)
	}
	sealer, err := ParseKeyset(data)
	if err != nil {
		return nil, fmt.Errorf("keyset file %s: %w", path, err)
	}
	sealer.file = &keysetFile{path: path, logger: logger, seen: info}
	sealer.file.next.Store(time.Now().Add(lookEvery).UnixNano())
	return sealer, nil
}

func readKeysetFile(path string) ([]byte, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := checkKeysetFile(file)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeysetBytes+1))
	return data, info, err
}

// checkKeysetFile looks at the permissions of the open file, not of whatever the path names by now.
func checkKeysetFile(file *os.File) (fs.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file.Name())
	}
	// Windows keeps permissions elsewhere and always reports 0666.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is accessible to other users (mode %04o): run chmod 600 %s", file.Name(), mode, file.Name())
	}
	return info, nil
}

// createKeysetFile makes the file at path appear complete or not at all. It is no error if another process made it
// first: a hard link, unlike a rename, never replaces a file.
func createKeysetFile(path string) error {
	data, err := GenerateKeyset()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".keyset-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new directory entry survive a power cut. Without it, values sealed today could be lost tomorrow.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
