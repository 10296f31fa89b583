package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestDatabase(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{Environ: []string{"PERDURE_DATA_DIR=/data"}})
	if err != nil || !c.HasDatabase() || !c.Database.URL.IsZero() || c.DatabaseFile() != filepath.Join("/data", "perdure.db") {
		t.Errorf("in the data directory: %+v, %v", c.Database, err)
	}
	const url = "postgres://u:hunter2@db.internal/perdure"
	file := filepath.Join(t.TempDir(), "url")
	writeFile(t, file, url+"\n")
	for _, environ := range [][]string{
		{"PERDURE_DATABASE_URL=" + url},
		{"PERDURE_DATABASE_URL_ENV=DB", "DB=" + url},
		{"PERDURE_DATABASE_URL_FILE=" + file},
	} {
		c, err := Load(Options{Environ: environ})
		if err != nil || c.Database.URL.Reveal() != url || !c.HasDatabase() {
			t.Errorf("%v: %v", environ, err)
		}
	}
	if Default().HasDatabase() {
		t.Error("there is a database that nobody named")
	}
	for want, environ := range map[string][]string{
		"database.url: must be postgres://":             {"PERDURE_DATABASE_URL=mysql://u:hunter2@h/d"},
		"database.url, database.url_file: more than":    {"PERDURE_DATABASE_URL=" + url, "PERDURE_DATABASE_URL_FILE=" + file},
		"database.max_connections: must be at least 2":  {"PERDURE_DATABASE_MAX_CONNECTIONS=1"},
		"database.max_idle_connections: must be at lea": {"PERDURE_DATABASE_MAX_IDLE_CONNECTIONS=0"},
	} {
		if _, err := Load(Options{Environ: environ}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v, want %q", environ, err, want)
		}
	}
}
