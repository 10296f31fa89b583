package main

import (
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"perdure/config"
	"perdure/internal/temporaldev"
)

// bareServer is a Temporal server whose namespace has the given search attributes and no others.
func bareServer(t *testing.T, attributes map[string]string) (address string) {
	t.Helper()
	server, err := temporaldev.Start(t.Context(), temporaldev.Options{
		Listen: "127.0.0.1:0", UI: "off", Log: t.Output(), SearchAttributes: attributes,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	return server.Address
}

func TestMigrateMayBeRepeated(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", bareServer(t, map[string]string{"PerdureUser": "Keyword", "Foreign": "Int"}))
	for _, want := range []string{"search attributes: 8 added, 9 in all\n", "search attributes: 0 added, 9 in all\n"} {
		code, out, errs := perdure(t.Context(), "migrate")
		if code != 0 || out != want {
			t.Errorf("exit %d, stdout %q, want %q; stderr %s", code, out, want, errs)
		}
	}
}

func TestMigrateDatabase(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", bareServer(t, searchAttributeTypes()))
	t.Setenv("PERDURE_DATA_DIR", filepath.Join(t.TempDir(), "new"))
	for _, want := range []string{"^database: [1-9][0-9]* migrations applied\n", "^database: 0 migrations applied\n"} {
		code, out, errs := perdure(t.Context(), "migrate")
		if code != 0 || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("exit %d, stdout %q, want %q; stderr %s", code, out, want, errs)
		}
	}
	t.Setenv("PERDURE_DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable")
	code, out, errs := perdure(t.Context(), "migrate")
	if code != 1 || out != "" || !strings.Contains(errs, "the database is not available") || strings.Contains(errs, "hunter2") {
		t.Errorf("exit %d, stdout %q, stderr %s", code, out, errs)
	}
}

func TestMigrateRefusesAnotherType(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", bareServer(t, map[string]string{"PerdureServers": "Keyword"}))
	code, out, errs := perdure(t.Context(), "migrate")
	if code != 1 || out != "" {
		t.Errorf("exit %d, stdout %q", code, out)
	}
	for _, want := range []string{"PerdureServers", "has type Keyword", "must have KeywordList", `"default"`, "remove it"} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr %q does not say %q", errs, want)
		}
	}
}

func TestMigrateWithoutANamespace(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", bareServer(t, nil))
	t.Setenv("TEMPORAL_NAMESPACE", "nobody")
	if code, _, errs := perdure(t.Context(), "migrate"); code != 1 || !strings.Contains(errs, `namespace "nobody"`) {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

// Settings for another Temporal server, with TLS and a namespace that only it has, must not reach the embedded one.
func TestEmbeddedServerIsDialedWithoutTheEnvironment(t *testing.T) {
	temporal := config.Temporal{Address: bareServer(t, nil), Namespace: client.DefaultNamespace}
	t.Setenv("TEMPORAL_ADDRESS", "cloud.example:7233")
	t.Setenv("TEMPORAL_NAMESPACE", "mine")
	t.Setenv("TEMPORAL_TLS", "true")
	d := &devServer{embedded: true, config: config.Config{Temporal: temporal}, logger: newLogger(config.Default().Log, io.Discard)}
	c, err := d.dialTemporal(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := registerSearchAttributes(t.Context(), c, namespaceOf(d.config.Temporal)); err != nil {
		t.Error(err)
	}
}
