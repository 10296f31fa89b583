package activities_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain also finds goroutines of activities that outlive their step.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftOver(5 * time.Second); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines of activities are left:\n%s\n", left)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // what TestMain is for
}

// leftOver returns the stacks of goroutines that do not end within patience.
func leftOver(patience time.Duration) string {
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		buffer := make([]byte, 4<<20)
		var left []string
		for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
			if strings.Contains(stack, "perdure/activities.") || strings.Contains(stack, "perdure/internal/mcpclient.") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}
