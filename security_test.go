package perdure_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	firstCell = regexp.MustCompile(`(?m)^\| ([^|]+) \|`)
)

// TestSecurityPage keeps docs/security.md true: every test that it names is there, and so is a test with the name of each row of what
// hostile servers do.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	source := func(folder string) string {
		if _, ok := sources[folder]; !ok {
			files, err := filepath.Glob(path.Join(folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				sources[folder] += string(data)
			}
		}
		return sources[folder]
	}
	named := namedTest.FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("the page names %d tests: has its form changed?", len(named))
	}
	for _, match := range named {
		if !strings.Contains(source(match[1]), "func "+match[2]+"(") {
			t.Errorf("docs/security.md names %s, which %s does not have", match[2], match[1])
		}
	}
	_, hostile, _ := strings.Cut(string(page), "## Hostile MCP servers")
	hostile, _, _ = strings.Cut(hostile, "## Practice")
	rows := firstCell.FindAllStringSubmatch(hostile, -1)[1:] // after the head
	if len(rows) != 20 {
		t.Errorf("there are %d rows of what hostile servers do, want 20", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(source("internal/mcpclient"), `{"`+row[1]+`", map[string]func(*testing.T){`) {
			t.Errorf("there is no test with the name %q", row[1])
		}
	}
}
