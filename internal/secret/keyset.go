package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// maxKeysetBytes is room for some hundred keys; a larger file is not a keyset.
const maxKeysetBytes = 64 << 10

// GenerateKeyset returns a new keyset with one AES256-GCM key: a cleartext Tink keyset in JSON, as ParseKeyset reads.
func GenerateKeyset() ([]byte, error) {
	keys, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("secret: generate a keyset: %w", err)
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(keys, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, fmt.Errorf("secret: generate a keyset: %w", err)
	}
	return buf.Bytes(), nil
}

// ParseKeyset returns a Sealer for a cleartext Tink keyset in JSON. Its errors contain nothing of the keyset but key
// IDs, which are not secret.
func ParseKeyset(data []byte) (*Sealer, error) {
	if len(data) > maxKeysetBytes {
		return nil, fmt.Errorf("secret: the keyset is larger than %d bytes", maxKeysetBytes)
	}
	keys, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("secret: not a cleartext Tink keyset in JSON: %w", err)
	}
	return newSealer(keys)
}

// OpenKeysetFile returns a Sealer for the keyset in the file at path. If there is no such file it makes one, readable
// by its owner only; processes that start at the same time all end with the same keyset. The directory must exist: a
// new keyset in a directory made up on the spot would hide that a volume is not mounted.
//
// It refuses a file that the group or others can read.
func OpenKeysetFile(path string) (*Sealer, error) {
	data, err := readKeysetFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKeysetFile(path); err != nil {
			return nil, fmt.Errorf("secret: create the keyset file: %w", err)
		}
		data, err = readKeysetFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: read the keyset file: %w", err)
	}
	sealer, err := ParseKeyset(data)
	if err != nil {
		return nil, fmt.Errorf("keyset file %s: %w", path, err)
	}
	return sealer, nil
}

func readKeysetFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The permissions of the open file, not of whatever the path names by now.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	// Windows keeps permissions elsewhere and always reports 0666.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is accessible to other users (mode %04o): run chmod 600 %s", path, mode, path)
	}
	return io.ReadAll(io.LimitReader(file, maxKeysetBytes+1))
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
