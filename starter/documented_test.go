package starter

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestRoutesAreDocumented: docs/api.md has a line for each route of responses, conversations, schedules, files and batches, and for those
// that need no key. What people manage is in docs/connectors.md and openapi.yaml.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := map[string]bool{}
	leaveOut := func(pattern string, _ http.Handler) { elsewhere[pattern] = true }
	(&Starter{}).managedRoutes(leaveOut)
	(&Starter{}).browserRoutes(leaveOut)
	count := 0
	allRoutes(func(pattern string, _ http.Handler) {
		if elsewhere[pattern] {
			return
		}
		count++
		// The page says that all of the one is at the other as well.
		documented := strings.Replace(pattern, " "+agentPath, " /v1/responses", 1)
		if !strings.Contains(string(page), "`"+documented+"`") {
			t.Errorf("docs/api.md has no line for %s", documented)
		}
	})
	if count < 40 {
		t.Errorf("there are %d routes", count)
	}
}
