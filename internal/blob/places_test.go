package blob_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"perdure/internal/blob"
	"perdure/internal/secret"
)

// place is somewhere to keep values, with what tests do behind the back of the stores.
type place struct {
	options blob.Options
	// names returns the names of all that is kept.
	names func(t *testing.T) []string
	// write replaces what is kept under a name.
	write func(t *testing.T, name string, data []byte)
	read  func(t *testing.T, name string) []byte
}

// everywhere runs a test with a directory and with a bucket.
func everywhere(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		test(t, inDirectory(t))
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		test(t, inBucket(t, nil))
	})
}

func inDirectory(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{
		options: blob.Options{Dir: dir},
		names:   func(t *testing.T) []string { return files(t, dir) },
		write: func(t *testing.T, name string, data []byte) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		read: func(t *testing.T, name string) []byte {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
	}
}

const (
	bucketName = "values"
	prefix     = "some/folder/"
	accessKey  = "access-4711"
	secretKey  = "canary-secret-key-93b1"
)

// inBucket has an object store in this process. The middleware, if any, sees its requests first.
func inBucket(t *testing.T, middleware func(http.Handler) http.Handler) place {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(memory, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	if middleware != nil {
		handler = middleware(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(os.Stderr, "object store: ", 0)
	server.Start()
	t.Cleanup(server.Close)
	return place{
		options: blob.Options{Bucket: &blob.Bucket{
			Endpoint: server.URL, Name: bucketName, Region: "eu-central-1", Prefix: prefix, PathStyle: true,
			AccessKey: accessKey, SecretKey: secret.New(secretKey),
		}},
		names: func(t *testing.T) []string {
			list, err := memory.ListBucket(bucketName, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range list.Contents {
				name, ok := strings.CutPrefix(o.Key, prefix)
				if !ok {
					t.Errorf("%s is outside of the prefix", o.Key)
				}
				names = append(names, name)
			}
			return names
		},
		write: func(t *testing.T, name string, data []byte) {
			_, err := memory.PutObject(bucketName, prefix+name, map[string]string{}, strings.NewReader(string(data)), int64(len(data)), nil)
			if err != nil {
				t.Fatal(err)
			}
		},
		read: func(t *testing.T, name string) []byte {
			o, err := memory.GetObject(bucketName, prefix+name, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Contents.Close()
			var b strings.Builder
			if _, err := io.Copy(&b, o.Contents); err != nil {
				t.Fatal(err)
			}
			return []byte(b.String())
		},
	}
}

// open returns the stores as one process has them.
func (p place) open(t *testing.T, change ...func(*blob.Options)) *blob.Stores {
	t.Helper()
	o := p.options
	for _, c := range change {
		c(&o)
	}
	s, err := blob.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// only returns the name of the one thing that is kept.
func (p place) only(t *testing.T) string {
	t.Helper()
	names := p.names(t)
	if len(names) != 1 {
		t.Fatalf("%d values are kept, want one: %v", len(names), names)
	}
	return names[0]
}

// of returns the names of what is kept of one owner.
func (p place) of(t *testing.T, owner string) []string {
	t.Helper()
	return slices.DeleteFunc(p.names(t), func(name string) bool { return !strings.Contains(name, "/"+owner+"/") })
}

func cached(o *blob.Options) { o.CacheBytes = 1 << 20 }

func encrypted(s *secret.Sealer) func(*blob.Options) {
	return func(o *blob.Options) { o.Sealer, o.Encrypt = s, true }
}

func decrypting(s *secret.Sealer) func(*blob.Options) {
	return func(o *blob.Options) { o.Sealer = s }
}

func newSealer(t *testing.T) *secret.Sealer {
	t.Helper()
	data, err := secret.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	s, err := secret.ParseKeyset(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *blob.Store, data string) blob.Ref {
	t.Helper()
	ref, err := s.Put(t.Context(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// checkHolds reads a value as if the process had just started.
func checkHolds(t *testing.T, s *blob.Store, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), blob.RefOf([]byte(want))); err != nil || string(got) != want {
		t.Errorf("got %.100q, %v, want %.100q", got, err, want)
	}
}

func checkMissing(t *testing.T, s *blob.Store, data string) {
	t.Helper()
	checkError(t, s, data, blob.ErrNotFound)
}

func checkError(t *testing.T, s *blob.Store, data string, want error) {
	t.Helper()
	if got, err := s.Get(t.Context(), blob.RefOf([]byte(data))); !errors.Is(err, want) {
		t.Errorf("got %.100q, %v, want the error %v", got, err, want)
	}
}

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// files returns the paths of all files below dir, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// mkdir makes room for what a test writes, where that takes a directory.
func mkdir(t *testing.T, p place, name string) {
	t.Helper()
	if p.options.Bucket != nil {
		return
	}
	if err := os.MkdirAll(filepath.Join(p.options.Dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}
