package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

func TestLoadBlobs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "key"), "canary-key\n")
	file := filepath.Join(dir, "perdure.yaml")
	writeFile(t, file, `blobs: {bucket: values, endpoint: "http://minio:9000", prefix: a/b/, path_style: true, access_key: id,
  secret_key_file: `+filepath.Join(dir, "key")+`, sweep_every: 1h}`)
	got, err := Load(Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := Blobs{
		Bucket: "values", Endpoint: "http://minio:9000", Prefix: "a/b/", PathStyle: true, AccessKey: "id",
		SecretKey: secret.New("canary-key"), SecretKeyFile: filepath.Join(dir, "key"), SweepEvery: time.Hour, SweepGrace: 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got.Blobs, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidateBlobs(t *testing.T) {
	t.Parallel()
	bucket := func(change func(*Blobs)) func(*Blobs) {
		return func(b *Blobs) {
			b.Bucket, b.Endpoint = "values", "https://s3.example.com"
			change(b)
		}
	}
	for name, tt := range map[string]struct {
		change func(*Blobs)
		want   string // empty: it is valid
	}{
		"directory":           {func(*Blobs) {}, ""},
		"bucket":              {bucket(func(*Blobs) {}), ""},
		"bucket with all":     {bucket(func(b *Blobs) { b.Prefix, b.AccessKey, b.SecretKey = "a/b.c/", "id", secret.New("canary") }), ""},
		"no bucket":           {func(b *Blobs) { b.Endpoint = "https://s3.example.com" }, "blobs.endpoint: is for the bucket"},
		"only a secret":       {func(b *Blobs) { b.SecretKey = secret.New("canary") }, "blobs.secret_key: is for the bucket"},
		"no endpoint":         {bucket(func(b *Blobs) { b.Endpoint = "" }), "blobs.endpoint: is not set"},
		"no URL":              {bucket(func(b *Blobs) { b.Endpoint = "s3.canary.com" }), "blobs.endpoint: must be"},
		"password":            {bucket(func(b *Blobs) { b.Endpoint = "https://user:canary@s3.example.com" }), "blobs.endpoint: must not contain"},
		"bucket in the path":  {bucket(func(b *Blobs) { b.Endpoint += "/values" }), "blobs.endpoint: must end after the port"},
		"name":                {bucket(func(b *Blobs) { b.Bucket = "No_Name" }), "blobs.bucket"},
		"way up":              {bucket(func(b *Blobs) { b.Prefix = "../up/" }), "blobs.prefix"},
		"prefix without end":  {bucket(func(b *Blobs) { b.Prefix = "perdure" }), "blobs.prefix"},
		"secret without key":  {bucket(func(b *Blobs) { b.SecretKey = secret.New("canary") }), "blobs.access_key: is not set"},
		"key without secret":  {bucket(func(b *Blobs) { b.AccessKey = "id" }), "blobs.secret_key: is not set"},
		"swept all the time":  {func(b *Blobs) { b.SweepEvery = time.Minute }, "blobs.sweep_every"},
		"swept too soon":      {func(b *Blobs) { b.SweepGrace = time.Minute }, "blobs.sweep_grace"},
		"swept too soon of 0": {func(b *Blobs) { b.SweepGrace = 0 }, "blobs.sweep_grace"},
	} {
		c := Default()
		tt.change(&c.Blobs)
		err := c.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}
