package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perdure/internal/events/eventstest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev"
	"perdure/internal/temporaldev/temporaldevtest"
)

// The secrets of this test, by the place that takes them. Each has characters that every encoding changes, and is unlike all others from
// its beginning and to its end. docs/security.md lists them: who adds a place that takes a secret adds it here.
var canaries = map[string]string{
	"API key":                      "k01a+cnry/api=?&f3a9d21c",
	"other API key":                "k02b+cnry/api=?&b7d1e05f",
	"authorization":                "k03c+cnry/auth=?&c5e2f914",
	"header":                       "k04d+cnry/head=?&d8f3a026",
	"path of a server":             "k05e+cnry/path=?&e1a4b738",
	"query of a server":            "k06f+cnry/query=?&f2b5c84a",
	"key of the provider":          "k07g+cnry/model=?&a3c6d95b",
	"header of the provider":       "k08h+cnry/mhead=?&b4d7e16c",
	"URL of a webhook":             "k09i+cnry/hook=?&c5e8f27d",
	"secret of a webhook":          "k10j+cnry/sign=?&d6f9a38e-more-bytes",
	"token of the codec":           "k11k+cnry/codec=?&e7a1b49f",
	"wrong token of the codec":     "k12l+cnry/wrong=?&f8b2c5a1",
	"password of the egress proxy": "k13m+cnry/proxy=?&a9c3d6b2",
	"password of the environment":  "k14n+cnry/envpx=?&b1d4e7c3",
	"API key of Temporal":          "k15o+cnry/tmprl=?&c2e5f8d4",
	"JWT of NATS":                  "k16p.cnry-nats_jwt.d3f6a9e5",
	// One of an account that there is nowhere, from the documentation of NATS.
	"seed of NATS":       "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
	"idempotency key":    "k17q+cnry/idem=?&e4a7b1f6",
	"value of a setting": "k18r+cnry/config=?&f5b8c2a7",
	"key of the bucket":  "k19s+cnry/bucket=?&a6c9d3b8",

	"admin's API key":                 "k20t+cnry/admin=?&b7d1e4c9",
	"authorization of the playground": "k77p+cnry/play=?&0a9b8c7d",
	"API key of a connector":          "k21u+cnry/conn=?&c8e2f5da",
	"ID of Cloudflare Access":         "k22v+cnry/cfid=?&d9f3a6eb",
	"secret of Cloudflare Access":     "k23w+cnry/cfsec=?&eaf4b7fc",
	"client secret":                   "k24x+cnry/client=?&fba5c8ad",
	"authorization in a file":         "k25y+cnry/file=?&acb6d9be",
}

// content is no secret: it must be found wherever content is kept, or the search is not worth anything.
const content = "content-of-the-conversation-5b1c"

// secretTool is a server as a tool, with a secret in each place that takes one.
func secretTool(base string) string {
	tool, err := json.Marshal(map[string]any{
		"type": "mcp", "server_label": "s",
		"server_url":    base + "/" + url.PathEscape(canaries["path of a server"]) + "?token=" + url.QueryEscape(canaries["query of a server"]),
		"authorization": canaries["authorization"], "headers": map[string]string{"X-Canary": canaries["header"]},
	})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(tool)
}

// secretStack is a stack whose every secret is marked. What it talks to tells all that it knows.
type secretStack struct {
	*stack
	haul    *haul
	peers   *peers
	outside *outside
	server  *temporaldev.Server
	nats    *eventstest.Server
	creds   string // a file
	db      string // a directory
	log     string // a directory
	model   *modeltest.Server
}

func newSecretStack(t *testing.T, settings string) *secretStack {
	t.Helper()
	s := &secretStack{haul: &haul{places: map[string][]byte{}}, peers: &peers{sent: map[string][]byte{}}, db: t.TempDir(), log: t.TempDir()}
	s.server = temporaldevtest.StartIn(t, s.db, s.haul.writer("log of Temporal"), "info")
	s.model = modeltest.NewFunc(indiscreetModel)
	t.Cleanup(func() {
		if err := s.model.Close(); err != nil {
			t.Error(err)
		}
	})
	s.outside = newOutside(t, s)
	var err error
	if s.nats, err = eventstest.StartOn(s.log, freePort(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nats.Stop)
	s.creds = filepath.Join(t.TempDir(), "nats.creds")
	s.writeCreds(t, canaries["seed of NATS"])
	s.stack = ownStack(t, stackOptions{
		Temporal: s.server.Address, Model: s.model.URL(), Events: s.nats.URL(), Header: "E2E_PROVIDER_HEADER",
		Auth: adminAuth,
		Settings: fmt.Sprintf("limits:\n  patience: 100ms\n  discovery: {attempts: 2}\n  model: {attempts: 2}\n  call: {attempts: 2}\n"+
			"webhooks:\n  - name: hook\n    url: \"%s/%s\"\n    secret_env: E2E_HOOK_SECRET\n%s",
			s.newHook(t), url.PathEscape(canaries["URL of a webhook"]), settings),
		Env: append(s.outside.env(),
			"E2E_API_KEY="+canaries["API key"], "E2E_ADMIN_KEY="+canaries["admin's API key"], "E2E_OTHER_API_KEY="+canaries["other API key"],
			"E2E_MODEL_KEY="+canaries["key of the provider"], "E2E_PROVIDER_HEADER="+canaries["header of the provider"],
			"E2E_HOOK_SECRET=whsec_"+base64.StdEncoding.EncodeToString([]byte(canaries["secret of a webhook"])),
			"E2E_CODEC_TOKEN="+canaries["token of the codec"], "PERDURE_ENCRYPTION_CODEC_TOKEN_ENV=E2E_CODEC_TOKEN",
			"PERDURE_ENCRYPTION_CODEC_ORIGINS="+webUIOrigin,
			"TEMPORAL_API_KEY="+canaries["API key of Temporal"], "TEMPORAL_TLS=false",
			"PERDURE_EVENTS_CREDENTIALS_FILE="+s.creds, "PERDURE_LOG_LEVEL=debug",
		),
	})
	return s
}

// writeCreds writes the credentials of NATS.
func (s *secretStack) writeCreds(t *testing.T, seed string) {
	t.Helper()
	text := "-----BEGIN NATS USER JWT-----\n" + canaries["JWT of NATS"] + "\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + seed + "\n------END USER NKEY SEED------\n"
	if err := os.WriteFile(s.creds, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// call makes a request with the marked key and keeps the answer. Its errors are the test's, so that others than the test may call it.
func (s *secretStack) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := send(t.Context(), method, s.url+"/v1"+path, canaries["API key"], body, headers...)
	if err != nil {
		t.Error(err)
		return a
	}
	return s.haul.answer(a)
}

// TestSecretsShowNowhere puts a marked secret into every place that takes one, has everything succeed and fail, and looks for the
// secrets in all that was answered, logged and stored. With encrypted payloads it looks for content, too.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"plain": "", "encrypted": "encryption:\n  payloads: true\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSecretStack(t, settings)
			session := s.drive(t)
			s.haul.temporal(t, s.stack)
			for _, r := range s.model.Requests() {
				for header, values := range r.Header {
					s.peers.add("provider", []byte(header+": "+strings.Join(values, ", ")))
				}
				s.peers.add("provider", r.Body)
			}
			secrets := maps.Clone(canaries)
			secrets["session of an operator"] = session
			for i, key := range keysOf(t, filepath.Join(s.dataDir(), "keyset.json")) {
				secrets[fmt.Sprintf("key %d of the keyset", i)] = key
			}
			s.away(t)
			s.haul.check(t, secrets)
			s.haul.checkContent(t, name == "encrypted")
			s.peers.check(t, map[string][]string{
				"provider":   {"key of the provider", "header of the provider"},
				"MCP server": {"authorization", "header", "path of a server", "query of a server"},
				"MCP server of a connector": {
					"API key of a connector", "ID of Cloudflare Access", "secret of Cloudflare Access",
				},
				"MCP server of the playground": {"authorization of the playground"},
				"webhook":                      {"URL of a webhook"},
				"object store":                 {},
				"egress proxy":                 {"password of the egress proxy"},
				"proxy of the environment":     {"password of the environment"},
			})
		})
	}
}

// away has the log and Temporal go away, one by one and together, and collects what they keep.
func (s *secretStack) away(t *testing.T) {
	t.Helper()
	s.nats.Stop()
	s.writeCreds(t, "SU"+canaries["value of a setting"]) // when it is back, nobody gets in
	if err := s.nats.Restart(); err != nil {
		t.Fatal(err)
	}
	s.call(t, http.MethodPost, "/responses", `{"input":"x"}`)
	s.nats.Stop()
	s.server.Kill()
	s.call(t, http.MethodPost, "/responses", `{"input":"x","tools":[`+secretTool("https://mcp.example.com")+`]}`)
	for _, p := range s.processes {
		p.kill()
		s.haul.add("logs", p.output.since(0))
	}
	s.haul.files(t, "database", s.db)
	s.haul.files(t, "event log", s.log)
	s.haul.files(t, "data directory", s.dataDir(), "keyset.json")
}

// keysOf returns the keys of a keyset as they are in the file's own encoding, without their type.
func keysOf(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keyset struct {
		Key []struct{ KeyData struct{ Value []byte } }
	}
	if err := json.Unmarshal(data, &keyset); err != nil || len(keyset.Key) < 2 {
		t.Fatalf("not the keys of a rotated keyset in %s: %v", file, err)
	}
	var keys []string
	for _, k := range keyset.Key {
		const keyBytes = 32 // at the end of the message that holds it
		keys = append(keys, string(k.KeyData.Value[len(k.KeyData.Value)-keyBytes:]))
	}
	return keys
}
