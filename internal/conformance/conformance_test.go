// Package conformance_test runs MCP's own conformance suite against the command client, which is built on internal/mcpclient and
// internal/oauth. `make conformance` runs it alone and shows each scenario.
package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// scored are the scenarios that count for a release of the specification, with the number of different checks that pass in each. The suite
// calls a scenario passed in which nothing failed, so also one in which nothing happened: a client that does not even start passes some.
var scored = map[string]map[string]int{
	"2025-11-25": {
		"auth/basic-cimd":                   10,
		"auth/metadata-default":             15,
		"auth/metadata-var1":                15,
		"auth/metadata-var2":                15,
		"auth/metadata-var3":                15,
		"auth/pre-registration":             10,
		"auth/scope-from-scopes-supported":  11,
		"auth/scope-from-www-authenticate":  11,
		"auth/scope-omitted-when-undefined": 11,
		"auth/scope-retry-limit":            10,
		"auth/scope-step-up":                12,
		"auth/token-endpoint-auth-basic":    16,
		"auth/token-endpoint-auth-none":     16,
		"auth/token-endpoint-auth-post":     16,
		"initialize":                        1,
		"sse-retry":                         3,
		"tools_call":                        2,
	},
	"2026-07-28": {
		"auth/authorization-server-migration": 14,
		"auth/basic-cimd":                     10,
		"auth/iss-normalized":                 8,
		"auth/iss-not-advertised":             12,
		"auth/iss-supported":                  12,
		"auth/iss-supported-missing":          8,
		"auth/iss-unexpected":                 8,
		"auth/iss-wrong-issuer":               8,
		"auth/metadata-default":               16,
		"auth/metadata-issuer-mismatch":       3,
		"auth/metadata-var1":                  16,
		"auth/metadata-var2":                  16,
		"auth/metadata-var3":                  16,
		"auth/offline-access-not-supported":   12,
		"auth/offline-access-scope":           10,
		"auth/pre-registration":               10,
		"auth/resource-mismatch":              2,
		"auth/scope-from-scopes-supported":    12,
		"auth/scope-from-www-authenticate":    12,
		"auth/scope-omitted-when-undefined":   12,
		"auth/scope-retry-limit":              11,
		"auth/scope-step-up":                  14,
		"auth/token-endpoint-auth-basic":      17,
		"auth/token-endpoint-auth-none":       17,
		"auth/token-endpoint-auth-post":       17,
		"http-custom-headers":                 5,
		"http-invalid-tool-headers":           5,
		"http-standard-headers":               1,
		"json-schema-ref-no-deref":            1,
		"request-metadata":                    5,
		"tools_call":                          2,
	},
}

// notOffered are scored scenarios that need elicitation, which is asking a person in the middle of a call. Nobody may be there.
var notOffered = map[string][]string{
	"2025-11-25": {"elicitation-sep1034-client-defaults"},
	"2026-07-28": {"sep-2322-client-request-state"},
}

const (
	node  = "npm/node_modules/.bin/node"
	suite = "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js"
)

func requireSuite(t *testing.T) {
	t.Helper()
	for _, file := range []string{node, suite} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("the conformance suite is not installed: run `npm ci` in internal/conformance/npm, or `make conformance` (%v)", err)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	requireSuite(t)
	client := filepath.Join(t.TempDir(), "client")
	if out, err := command(t, time.Minute*5, "go", "build", "-o", client, "./client"); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	for release, want := range scored {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			checkListed(t, release)
			dir := t.TempDir()
			// Its exit status says whether all scenarios passed, and some are not offered.
			out, err := command(t, 5*time.Minute, node, suite, "client", "--command", client, "--requirements", release, "--timeout", "120000", "-o", dir)
			results, readErr := readResults(dir)
			if readErr != nil {
				t.Fatalf("%v; the suite ended with %v and wrote:\n%s", readErr, err, tail(out))
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				r, ok := results[name]
				if !ok {
					t.Errorf("%s did not run", name)
					continue
				}
				t.Logf("%-45s %2d checks", name, len(r.passed))
				for _, failed := range r.failed {
					t.Errorf("%s: %s", name, failed)
				}
				if len(r.passed) != want[name] {
					t.Errorf("%s: %d different checks passed, want %d: %s", name, len(r.passed), want[name], strings.Join(slices.Sorted(maps.Keys(r.passed)), " "))
				}
			}
		})
	}
}

// The suite takes a client that does nothing for one that did nothing wrong. The count of checks does not.
func TestNoClientPassesVacuously(t *testing.T) {
	t.Parallel()
	requireSuite(t)
	const release, name = "2026-07-28", "auth/resource-mismatch"
	dir := t.TempDir()
	out, err := command(t, time.Minute, node, suite, "client", "--command", "true", "--scenario", name, "-o", dir)
	results, readErr := readResults(dir)
	if readErr != nil {
		t.Fatalf("%v; the suite ended with %v and wrote:\n%s", readErr, err, tail(out))
	}
	for _, r := range results { // its folder's name has no group here
		if len(r.passed) >= scored[release][name] {
			t.Errorf("a client that does nothing passes %d checks of %s", len(r.passed), name)
		}
	}
}

// checkListed fails if the suite scores other scenarios for a release than are known here.
func checkListed(t *testing.T, release string) {
	t.Helper()
	out, err := command(t, time.Minute, node, suite, "list", "--requirements", release)
	if err != nil {
		t.Fatalf("listing scenarios: %v\n%s", err, tail(out))
	}
	_, list, ok := strings.Cut(string(out), "Client scenarios")
	if !ok {
		t.Fatalf("the list has no client scenarios:\n%s", tail(out))
	}
	list, _, _ = strings.Cut(list, "never scored")
	var got []string
	for line := range strings.Lines(list) {
		if name, isItem := strings.CutPrefix(strings.TrimSpace(line), "- "); isItem {
			got = append(got, name)
		}
	}
	want := append(slices.Collect(maps.Keys(scored[release])), notOffered[release]...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the suite scores\n%s\nand this test knows\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// A result is what a scenario's checks said.
type result struct {
	passed map[string]bool // by the check's name; one can be made many times
	failed []string
}

// stamp is what the suite appends to the name of a scenario to name its folder.
var stamp = regexp.MustCompile(`-\d{4}-\d\d-\d\dT[\d-]+Z$`)

func readResults(dir string) (map[string]result, error) {
	results := make(map[string]result)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "checks.json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var checks []struct {
			ID           string `json:"id"`
			Status       string `json:"status"`
			ErrorMessage string `json:"errorMessage"`
		}
		if err := json.Unmarshal(text, &checks); err != nil {
			return err
		}
		name, err := filepath.Rel(dir, stamp.ReplaceAllString(filepath.Dir(path), ""))
		if err != nil {
			return err
		}
		r := result{passed: make(map[string]bool)}
		for _, c := range checks {
			switch c.Status {
			case "SUCCESS":
				r.passed[c.ID] = true
			case "FAILURE", "WARNING":
				r.failed = append(r.failed, fmt.Sprintf("%s: %s", c.ID, c.ErrorMessage))
			}
		}
		results[filepath.ToSlash(name)] = r
		return nil
	})
	if err == nil && len(results) == 0 {
		err = fmt.Errorf("no results in %s", dir)
	}
	return results, err
}

func command(t *testing.T, limit time.Duration, name string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return exec.CommandContext(ctx, name, args...).CombinedOutput()
}

func tail(out []byte) []byte {
	lines := bytes.Split(out, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-60):], []byte("\n"))
}
