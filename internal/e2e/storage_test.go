package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// removal is how long a deletion may take: Temporal lets go of a workflow within a minute, and the deletion looks after 75 s and 135 s.
const removal = 3 * time.Minute

// bucketSettings start an object store, and are those of a stack that keeps its values there, encrypted.
func bucketSettings(t *testing.T) (settings string, objects *s3mem.Backend) {
	t.Helper()
	objects = s3mem.New()
	if err := objects.CreateBucket("values"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(objects, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(server.Close)
	return encrypted + "blobs: {bucket: values, endpoint: \"" + server.URL + "\", region: eu-central-1, path_style: true, prefix: p/, " +
		"access_key: id, secret_key: mark-of-the-bucket}\n", objects
}

// TestValuesInABucket: a deleted response takes its values with it, and leaves what a later one took over.
func TestValuesInABucket(t *testing.T) {
	t.Parallel()
	settings, objects := bucketSettings(t)
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		return modeltest.Text("answer " + r.Messages[0].Content[:5] + strings.Repeat(" at length", 2000))
	})
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Settings: settings})
	// of returns the names of what is kept of a response.
	of := func(id string) []string {
		list, err := objects.ListBucket("values", &gofakes3.Prefix{HasPrefix: true, Prefix: "p/"}, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range list.Contents {
			if strings.Contains(o.Key, "/"+id+"/") {
				names = append(names, o.Key)
			}
		}
		return names
	}
	first := s.create(t, ask(t, model, `"input": "first%s"`, strings.Repeat(" of many", 2000)))
	second := s.create(t, askAgain(t, `"input": "second", "previous_response_id": "%s"`, first.ID))
	if len(of(first.ID)) == 0 || len(of(second.ID)) == 0 {
		t.Fatalf("%v and %v are kept", of(first.ID), of(second.ID))
	}
	for _, name := range of(second.ID) {
		o, err := objects.GetObject("values", name, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(o.Contents); err != nil || bytes.Contains(b.Bytes(), []byte("of many")) {
			t.Errorf("%s can be read: %.100q, %v", name, b.Bytes(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dataDir(), "blobs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory has blobs: %v", err)
	}

	if a := s.send(t, http.MethodDelete, "/responses/"+first.ID, ""); a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	for deadline := time.Now().Add(removal); len(of(first.ID)) > 0; <-time.After(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v are left %v after the deletion", of(first.ID), removal)
		}
	}
	third := s.create(t, askAgain(t, `"input": "third", "previous_response_id": "%s"`, second.ID))
	if !strings.HasPrefix(third.text(), "answer first") {
		t.Errorf("the model says %.50q: it was not told what came first", third.text())
	}
	for _, p := range s.processes {
		if bytes.Contains(p.output.since(0), []byte("mark-of-the-bucket")) {
			t.Errorf("%s wrote the bucket's secret key to its log", p.name)
		}
	}
}
