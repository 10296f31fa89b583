package file_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// rig is a service with a database and blobs of its own.
type rig struct {
	*file.Service
	blobs *blob.Stores
	dir   string // of the blobs
	data  string // below which all there is on disk lies
	log   *logtest.Buffer
}

var ada = identity.Actor{Organization: "acme", User: "ada", Key: "key_1", Address: "192.0.2.1"}

func newRig(t testing.TB, change ...func(*file.Options)) *rig {
	t.Helper()
	r := &rig{data: t.TempDir(), log: &logtest.Buffer{}}
	r.dir = filepath.Join(r.data, "blobs")
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keyset, err := secret.GenerateKeyset()
	must(t, err)
	sealer, err := secret.ParseKeyset(keyset)
	must(t, err)
	database, err := store.Open(t.Context(), store.Options{File: filepath.Join(r.data, "perdure.db"), Sealer: sealer, Logger: logger})
	must(t, err)
	t.Cleanup(func() { database.Close() })
	_, err = database.Migrate(t.Context())
	must(t, err)
	r.blobs, err = blob.Open(blob.Options{Dir: r.dir, CacheBytes: 1 << 20})
	must(t, err)
	o := file.Options{
		Store: database, Blobs: r.blobs, Sealer: sealer, Logger: logger, ExpireAfter: 24 * time.Hour,
		Limits: file.Limits{Bytes: 64 << 20, Lines: 200_000, Line: 1 << 20},
	}
	for _, c := range change {
		c(&o)
	}
	r.Service = file.New(o)
	return r
}

// request is a line of an upload, with a newline.
func request(id, prompt string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/responses","body":{"model":"p/m","input":%q}}`+"\n", id, prompt)
}

// requests are n lines, each of about size bytes.
func requests(n, size int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(request(fmt.Sprint("r", i+1), strings.Repeat("x", size)))
	}
	return b.String()
}

var draft = file.Draft{Filename: "in.jsonl", Purpose: file.PurposeBatch}

func (r *rig) upload(t *testing.T, content string) file.File {
	t.Helper()
	f, err := r.Create(t.Context(), ada, draft, strings.NewReader(content))
	must(t, err)
	return f
}

func (r *rig) content(t *testing.T, id string, offset int64) string {
	t.Helper()
	c, err := r.Content(t.Context(), "acme", id, offset)
	must(t, err)
	var b bytes.Buffer
	_, err = b.ReadFrom(c)
	must(t, err)
	return b.String()
}

// kept are the paths of all blobs.
func (r *rig) kept(t *testing.T) []string {
	t.Helper()
	var paths []string
	must(t, filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// older makes all blobs as old as that.
func (r *rig) older(t *testing.T, age time.Duration) {
	t.Helper()
	then := time.Now().Add(-age)
	for _, path := range r.kept(t) {
		must(t, os.Chtimes(path, then, then))
	}
}

// sweep removes what belongs to no file and is a day old, as the worker does.
func (r *rig) sweep(t *testing.T) (removed int) {
	t.Helper()
	for shard := range blob.Shards {
		n, err := r.blobs.Sweep(t.Context(), shard, blob.Sweep{GoneFiles: r.Missing, Before: time.Now().Add(-24 * time.Hour)})
		must(t, err)
		removed += n
	}
	return removed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
