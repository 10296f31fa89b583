package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"perdure/config"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/internal/temporaldev/temporaldevtest"
)

// newDatabase returns a data directory with a database that is up to date.
func newDatabase(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := openDatabase(t, dir)
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openDatabase(t *testing.T, dir string) *store.Store {
	t.Helper()
	c := config.Default()
	c.Data.Dir = dir
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	sealer, err := openSealer(c, logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), c, sealer, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// does runs a command that shall succeed, and returns what it prints.
func does(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := perdure(t.Context(), args...)
	if code != 0 || errs != "" {
		t.Fatalf("perdure %v: exit %d, stderr %q", args, code, errs)
	}
	return out
}

// fails runs a command that shall fail, and checks what it says.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	code, out, errs := perdure(t.Context(), args...)
	if code != exitError && code != exitUsage || out != "" || !strings.Contains(errs, want) {
		t.Errorf("perdure %v: exit %d, stdout %q, stderr %q, want %q", args, code, out, errs, want)
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	at := "--data=" + newDatabase(t)
	fails(t, `there is no organization "default": --create-organization makes it`, "member", "add", "ada", at)
	fails(t, `there is no organization "default"`, "member", "list", at)
	if got := does(t, "member", "add", "ada", at, "--create-organization", "--role", "admin", "--email", "Ada@Acme.example"); got != "ada is an admin of default.\n" {
		t.Errorf("it says %q", got)
	}
	does(t, "member", "add", "ann", at)
	fails(t, "a member of that name or e-mail address already", "member", "add", "ann", at)
	fails(t, "a member of that name or e-mail address already", "member", "add", "other", at, "--email", "ada@acme.example")
	fails(t, "--role: must be admin or member", "member", "add", "bob", at, "--role", "owner")
	fails(t, "--email: must be an e-mail address", "member", "add", "bob", at, "--email", "bob")
	fails(t, "user: must be 1 to 64 letters", "member", "add", "a b", at)
	list := regexp.MustCompile(` {2,}`).ReplaceAllString(does(t, "member", "list", at), "|")
	if !regexp.MustCompile(`^USER\|ROLE\|EMAIL\|ADDED\nann\|member\|-\|20.*\nada\|admin\|ada@acme.example\|20.*\n$`).MatchString(list) {
		t.Errorf("the list is\n%s", list)
	}
	fails(t, `"ada" is the only admin of organization "default"`, "member", "remove", "ada", at)
	fails(t, `"ada" is the only admin`, "member", "role", "ada", "member", at)
	fails(t, `has no member "bob"`, "member", "role", "bob", "admin", at)
	fails(t, "the role must be admin or member", "member", "role", "ann", "boss", at)
	does(t, "member", "role", "ann", "admin", at)
	if got := does(t, "member", "remove", "ada", at); got != "ada is no member of default any more.\n" {
		t.Errorf("it says %q", got)
	}
	fails(t, `has no member "ada"`, "member", "remove", "ada", at)

	// Another organization is another world.
	does(t, "member", "add", "ann", at, "--organization", "umbrella", "--create-organization")
	if got := does(t, "member", "list", at, "--organization", "umbrella"); strings.Contains(got, "admin") {
		t.Errorf("its list is\n%s", got)
	}
}

func TestCommandsNeedADatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fails(t, `the database is not up to date: run "perdure migrate"`, "member", "list", "--data", dir)
	fails(t, `the database is not up to date`, "key", "list", "--data", dir)
	fails(t, `the database is not up to date`, "keys", "reseal", "--data", dir)
}

func TestKey(t *testing.T) {
	t.Parallel()
	dir := newDatabase(t)
	at := "--data=" + dir
	does(t, "member", "add", "ada", at, "--create-organization", "--role", "admin")
	out := does(t, "key", "create", "laptop", "--user", "ada", at)
	text, rest, _ := strings.Cut(out, "\n")
	match := regexp.MustCompile(`key (key_\w+) of ada in default, for: responses,connectors,admin\. It is not shown again`).FindStringSubmatch(rest)
	if match == nil {
		t.Fatalf("it says %q", rest)
	}
	id := match[1]
	s := openDatabase(t, dir)
	p, err := s.Authenticate(t.Context(), text)
	if err != nil || p.User != "ada" || p.Role != identity.Admin || p.Key != id {
		t.Errorf("the key is %+v, %v", p, err)
	}
	runs, _, _ := strings.Cut(does(t, "key", "create", "ci", "--user", "ada", "--scopes", "responses", "--expires", "24h", at), "\n")
	if p, err := s.Authenticate(t.Context(), runs); err != nil || p.Role != identity.Member || p.Scopes != identity.ScopeResponses {
		t.Errorf("the key for runs is %+v, %v", p, err)
	}
	list := does(t, "key", "list", at)
	for _, want := range []string{id, text[:10] + "…", "laptop", "valid until 20", "responses,connectors,admin"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q:\n%s", want, list)
		}
	}
	if strings.Contains(list, text) || strings.Contains(list, runs) {
		t.Error("the list shows a key")
	}
	if got := does(t, "key", "list", "--user", "nobody", at); strings.Contains(got, "key_") {
		t.Errorf("nobody's keys are\n%s", got)
	}
	fails(t, `has no member "bob"`, "key", "create", "x", "--user", "bob", at)
	fails(t, "--scopes: must be some of", "key", "create", "x", "--user", "ada", "--scopes", "all", at)
	fails(t, "expires: is over already", "key", "create", "x", "--user", "ada", "--expires", "-1h", at)
	fails(t, "name: must be", "key", "create", "my key", "--user", "ada", at)
	fails(t, `required flag(s) "user" not set`, "key", "create", "x", at)

	if got := does(t, "key", "revoke", id, at); got != "Key "+id+" is revoked.\n" {
		t.Errorf("it says %q", got)
	}
	if _, err := s.Authenticate(t.Context(), text); err == nil {
		t.Error("a revoked key lets somebody in")
	}
	fails(t, "has no valid key of that ID", "key", "revoke", id, at)
	if _, _, errs := perdure(t.Context(), "key", "revoke", runs, at); strings.Contains(errs, runs) {
		t.Errorf("a key that was given in the place of its ID is repeated: %s", errs)
	}
	if list := does(t, "key", "list", at); !strings.Contains(list, "revoked") {
		t.Errorf("the list is\n%s", list)
	}
}

// After a rotation and a resealing, the old key can be dropped.
func TestKeysReseal(t *testing.T) {
	t.Parallel()
	dir := newDatabase(t)
	s := openDatabase(t, dir)
	if _, err := s.Bootstrap(t.Context(), "acme", "ada"); err != nil {
		t.Fatal(err)
	}
	ada := identity.Principal{Organization: "acme", User: "ada"}
	change, err := connector.New(ada, connector.Settings{
		Name: "x", URL: "https://mcp.example.com", Auth: connector.Auth{Type: connector.AuthAPIKey}, Acknowledged: true,
	}, connector.Secrets{connector.APIKey: secret.New("the-key")}, connector.Checks{
		URL: func(string) error { return nil }, Header: func(string, string) error { return nil },
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.CreateConnector(t.Context(), ada.Acts(""), change, connector.Icon{})
	if err != nil {
		t.Fatal(err)
	}
	if got := does(t, "keys", "reseal", "--data", dir, "--schedules=false"); got != "1 values looked at, 0 encrypted anew\n" {
		t.Errorf("with one key: %q", got)
	}
	// Schedules are in Temporal, where those of other tests need other keys.
	settings := filepath.Join(t.TempDir(), "perdure.yaml")
	text := "data:\n  dir: " + dir + "\nencryption:\n  payloads: true\ntemporal:\n  address: " + temporaldevtest.Address(t) + "\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, errs := perdure(t.Context(), "keys", "reseal", "--config", settings); !strings.Contains(out, " schedules looked at, 0 encrypted anew\n") {
		t.Errorf("with encrypted payloads: %q, %q", out, errs)
	}
	if got := does(t, "keys", "reseal", "--config", settings, "--schedules=false"); got != "1 values looked at, 0 encrypted anew\n" {
		t.Errorf("without schedules: %q", got)
	}
	first, _ := keysOf(t, "--data", dir)
	if got := does(t, "keys", "rotate", "--data", dir); !strings.Contains(got, "perdure keys reseal") {
		t.Errorf("a rotation says %q", got)
	}
	if got := does(t, "keys", "reseal", "--data", dir, "--schedules=false"); got != "1 values looked at, 1 encrypted anew\n" {
		t.Errorf("after a rotation: %q", got)
	}
	does(t, "keys", "disable", first[0], "--data", dir)
	does(t, "keys", "drop", first[0], "--yes", "--data", dir)
	opened, err := openDatabase(t, dir).ConnectorSecrets(t.Context(), "acme", c.ID)
	if err != nil || opened[connector.APIKey].Reveal() != "the-key" {
		t.Errorf("without the old key: %v", err)
	}
	// Without resealing, what it sealed is lost, and the command says which that is.
	does(t, "keys", "rotate", "--data", dir)
	second, _ := keysOf(t, "--data", dir)
	does(t, "keys", "disable", second[0], "--data", dir)
	code, out, errs := perdure(t.Context(), "keys", "reseal", "--data", dir)
	if !strings.Contains(errs, "schedules were not looked at") {
		t.Errorf("it leaves out the schedules and says %q", errs)
	}
	// That Temporal is away hides nothing of it.
	away := filepath.Join(t.TempDir(), "perdure.yaml")
	if err := os.WriteFile(away, []byte("data:\n  dir: "+dir+"\ntemporal:\n  address: 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := perdure(t.Context(), "keys", "reseal", "--config", away, "--schedules"); code != 1 ||
		!strings.Contains(errs, "the schedules in Temporal") || !strings.Contains(errs, "cannot be decrypted: connector_secrets acme "+c.ID) {
		t.Errorf("without Temporal: exit %d, stderr %q", code, errs)
	}
	if code != 1 || out != "1 values looked at, 0 encrypted anew\n" || !strings.Contains(errs, "cannot be decrypted: connector_secrets acme "+c.ID+" auth.api_key") ||
		!strings.Contains(errs, "perdure keys enable") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
}
