package main

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestReaderThatLeaves: a reader such as head that goes away does not end the command before it has said how to go on with the run.
func TestReaderThatLeaves(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	message := func(id, text string) [2]string {
		return [2]string{
			"response.output_item.done",
			`"item":{"type":"message","id":"` + id + `","status":"completed","content":[{"type":"output_text","text":"` + text + `"}]}`,
		}
	}
	d := newDouble(t, map[string]http.HandlerFunc{"POST /v1/responses": func(w http.ResponseWriter, r *http.Request) {
		first := [][2]string{{"response.created", `"response":{"id":"resp_1"}`}, message("m0", "one")}
		sent(w, false, first...)
		<-left
		sent(w, false, append(first, message("m1", "two"))...) // those that were there before have known numbers
		<-r.Context().Done()
	}})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", "x", "--server", d.URL)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	cmd.Dir = t.TempDir()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "one\n" {
		t.Errorf("the first line is %q, %v", line, err)
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	close(left)
	var exited *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exited) || exited.ExitCode() != exitError {
		t.Errorf("it ends with %v", err)
	}
	if !strings.Contains(errs.String(), "The run goes on. Watch it with: perdure responses watch resp_1 --after 2") {
		t.Errorf("it says %q", &errs)
	}
}
