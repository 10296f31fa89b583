package blob

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that is removed with its directory, between the moment it gets its name and the moment that is on disk, is written anew.
func TestKeepWhatIsRemoved(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := openDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	path := d.path("runs/00/resp_1/value")
	u := &unnamed{dir: filepath.Join(root, tmpDir), data: []byte("x")}
	named := 0
	err = d.keep(path, func() error {
		if err := u.name(path); err != nil {
			return err
		}
		if named++; named == 1 {
			return os.RemoveAll(filepath.Dir(path))
		}
		return nil
	})
	if err != nil || named != 2 {
		t.Errorf("it was named %d times: %v", named, err)
	}
	if !holds(path, []byte("x")) {
		t.Error("it is gone")
	}
	if left, err := os.ReadDir(u.dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
