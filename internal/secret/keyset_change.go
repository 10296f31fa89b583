package secret

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ChangeKeysetFile changes the keyset in the file at path, which must be there. Whatever happens, the file is the old one or the new
// one, complete. Processes that change it at the same time do so one after another. What was done is noted in a log beside the file.
func ChangeKeysetFile(path string, change func(*Keyset) error) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("secret: find the keyset file: %w", err)
	}
	file, err := lockKeysetFile(path)
	if err != nil {
		return fmt.Errorf("secret: lock the keyset file: %w", err)
	}
	defer file.Close()
	info, err := checkKeysetFile(file)
	if err != nil {
		return fmt.Errorf("secret: read the keyset file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeysetBytes+1))
	if err != nil {
		return fmt.Errorf("secret: read the keyset file: %w", err)
	}
	keys, err := ReadKeyset(data)
	if err != nil {
		return fmt.Errorf("keyset file %s: %w", path, err)
	}
	if err := change(keys); err != nil {
		return err
	}
	if data, err = keys.Encode(); err != nil {
		return err
	}
	if err := replaceFile(path, data, info); err != nil {
		return fmt.Errorf("secret: replace the keyset file, which is as it was: %w", err)
	}
	if err := appendLog(logFile(path), keys.changes, info); err != nil {
		return fmt.Errorf("secret: the keyset was changed, but its log could not be written: %w", err)
	}
	return nil
}

// lockKeysetFile opens the file at path and holds it until it is closed. Whoever held it before may have put another in its place.
func lockKeysetFile(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
			err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		}
		held, statErr := file.Stat()
		named, pathErr := os.Stat(path)
		if err := errors.Join(err, statErr, pathErr); err != nil {
			file.Close()
			return nil, err
		}
		if os.SameFile(held, named) {
			return file, nil
		}
		file.Close()
	}
}

// replaceFile puts a new file in the place of the one that info describes, for the same owner.
func replaceFile(path string, data []byte, info fs.FileInfo) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".keyset-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err := errors.Join(err, keepOwner(temp, info), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// keepOwner gives a file to the owner of another. A keyset that an administrator changes must stay readable for those who use it.
func keepOwner(file *os.File, of fs.FileInfo) error {
	was, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == was.Uid && is.Gid == was.Gid {
		return nil
	}
	return file.Chown(int(was.Uid), int(was.Gid))
}

// logFile is where the changes of a keyset file are noted. It holds no secret, and nothing but "perdure keys list" reads it.
func logFile(path string) string { return path + ".log" }

type logLine struct {
	Time time.Time `json:"time"`
	change
}

func appendLog(path string, changes []change, owner fs.FileInfo) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, c := range changes {
		if err := encoder.Encode(logLine{Time: time.Now().UTC().Truncate(time.Second), change: c}); err != nil {
			file.Close()
			return err
		}
	}
	_, err = file.Write(lines.Bytes())
	return errors.Join(err, keepOwner(file, owner), file.Sync(), file.Close())
}

// KeyTimes is when a key of a file was made and when another took its place, as far as its log knows.
type KeyTimes struct{ Made, Replaced time.Time }

// ReadKeysetFile returns the keyset in the file at path, and the times of its keys by their IDs.
func ReadKeysetFile(path string) (*Keyset, map[uint32]KeyTimes, error) {
	data, _, err := readKeysetFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("secret: read the keyset file: %w", err)
	}
	keys, err := ReadKeyset(data)
	if err != nil {
		return nil, nil, fmt.Errorf("keyset file %s: %w", path, err)
	}
	return keys, readLog(path), nil
}

// readLog leaves out what it cannot read.
func readLog(path string) map[uint32]KeyTimes {
	times := map[uint32]KeyTimes{}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	file, err := os.Open(logFile(path))
	if err != nil {
		return times
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var line logLine
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		t := times[line.Key]
		switch line.What {
		case added:
			t.Made = line.Time
		case promoted:
			replaced := times[line.Replaces]
			replaced.Replaced = line.Time
			times[line.Replaces] = replaced
		}
		times[line.Key] = t
	}
	return times
}

// WriteNewFile writes the keyset to a file that must not be there yet, readable by its owner only.
func (k *Keyset) WriteNewFile(path string) error {
	data, err := k.Encode()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("secret: write the keyset: %w", err)
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("secret: write the keyset: %w", err)
	}
	return syncDir(filepath.Dir(path))
}
