package contract_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSamplesRejectDuplicates: whoever copies a sample, of the example or of the documentation, starts nothing twice.
func TestSamplesRejectDuplicates(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, path := range []string{"../examples/temporal/main.go", "../examples/temporal/digest.go", "contract.go"} {
		text := read(path)
		starts := strings.Count(text, "contract.ResponseName, contract.ResponseInput{")
		if starts == 0 || strings.Count(text, "WorkflowIDReusePolicy: contract.IDReusePolicy") != starts {
			t.Errorf("%s starts %d responses, not each with the policy for its ID", path, starts)
		}
	}
	samples := regexp.MustCompile("(?s)```(?:python|ts)\n(.*?)```").FindAllStringSubmatch(read("../docs/temporal.md"), -1)
	if len(samples) != 2 {
		t.Fatalf("there are %d samples in docs/temporal.md, want one for Python and one for TypeScript", len(samples))
	}
	for _, sample := range samples {
		if !strings.Contains(sample[1], "REJECT_DUPLICATE") {
			t.Errorf("a sample has no policy for its ID:\n%s", sample[1])
		}
	}
}
