package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"

	"perdure/config"
)

// buildID returns the build ID of workers with this configuration; "" for workers without versioning.
func buildID(c config.Worker) (string, error) {
	if c.BuildID != config.AutoBuildID {
		return c.BuildID, nil
	}
	id, err := programID()
	if err != nil {
		return "", fmt.Errorf("worker.build_id: the program cannot be read to make an ID of it: name one instead of auto: %w", err)
	}
	return id, nil
}

// programID is an ID that no other program has: the beginning of the file's hash. The commit would be no such thing: a build may have
// changes that are in none, and an image is built without the repository.
var programID = sync.OnceValues(func() (string, error) {
	// Not by its name, if the system knows better: a deploy may have put another program there since this one has started.
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		name, nameErr := os.Executable()
		if nameErr != nil {
			return "", nameErr
		}
		if file, err = os.Open(name); err != nil {
			return "", err
		}
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
})
