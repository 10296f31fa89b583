package batchrun_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/apiclient"
	"perdure/internal/batchrun"
)

const input = "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n{\"custom_id\":\"c\"}\n"

// fixture is a directory with an input, and a server to send it to.
type fixture struct {
	*server
	dir   string
	notes []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{server: newServer(t), dir: t.TempDir()}
	f.put("in", input)
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fixture) put(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// has checks what a file has; "-" is that there is none.
func (f *fixture) has(name, want string) {
	f.t.Helper()
	got := "-"
	if data, err := os.ReadFile(f.path(name)); err == nil {
		got = string(data)
	}
	if got != want {
		f.t.Errorf("%s has %q, want %q", name, got, want)
	}
}

func (f *fixture) options() batchrun.Options {
	return batchrun.Options{
		Input: f.path("in"), Output: f.path("out"), Errors: f.path("err"), Window: "24h", PollEvery: time.Millisecond,
		Note: func(text string) { f.notes = append(f.notes, text) },
	}
}

func (f *fixture) run(change func(*batchrun.Options)) (apiclient.Batch, error) {
	o := f.options()
	if change != nil {
		change(&o)
	}
	return batchrun.Run(f.t.Context(), f.client(), o)
}

// works runs it to the end.
func (f *fixture) works(change func(*batchrun.Options)) {
	f.t.Helper()
	if _, err := f.run(change); err != nil {
		f.t.Fatal(err)
	}
}

// refuses checks that it is refused, and that nothing was sent for it.
func (f *fixture) refuses(want string, change func(*batchrun.Options)) {
	f.t.Helper()
	uploads, creates := len(f.uploads), len(f.creates)
	if _, err := f.run(change); err == nil || !strings.Contains(err.Error(), want) {
		f.t.Errorf("error %v, want %q", err, want)
	}
	if len(f.uploads) != uploads || len(f.creates) != creates {
		f.t.Errorf("there were %d uploads and %d batches for it", len(f.uploads)-uploads, len(f.creates)-creates)
	}
}

// TestResultsGrow: results are there while the batch runs, as whole lines, and whoever stops in the middle goes on where it was.
func TestResultsGrow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.with(func() { f.output = []byte(resultLines(1) + `{"cus`) })
	ctx, cancel := context.WithCancel(t.Context())
	o := f.options()
	o.Changed = func(b apiclient.Batch) {
		switch f.polls.Load() {
		case 2: // the first look came with the creation
			f.has("out", resultLines(1))
			f.with(func() { f.output = []byte(resultLines(2)) })
		case 4:
			f.has("out", resultLines(2))
			cancel()
		}
	}
	if _, err := batchrun.Run(ctx, f.client(), o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// What came after the last note on the disk is not trusted.
	f.put("out", resultLines(2)+"half a li")
	var failed []string
	f.notes = nil
	f.end("completed", resultLines(2), `{"custom_id":"c2","error":{"message":"no"}}`+"\n")
	f.works(func(o *batchrun.Options) {
		o.Concurrency = 9
		o.Failure = func(line []byte) { failed = append(failed, string(line)) }
	})
	notes := []string{"Going on with the batch batch_1.", "It was made with another --window, --concurrency or --metadata, and keeps them."}
	if diff := cmp.Diff(notes, f.notes); diff != "" {
		t.Errorf("notes: %s", diff)
	}
	f.has("out", resultLines(2))
	f.has("err", `{"custom_id":"c2","error":{"message":"no"}}`+"\n")
	if diff := cmp.Diff([]string{`{"custom_id":"c2","error":{"message":"no"}}`}, failed); diff != "" {
		t.Error(diff)
	}
	if len(f.uploads) != 1 || len(f.creates) != 1 {
		t.Errorf("%d uploads and %d requests for a batch", len(f.uploads), len(f.creates))
	}
	// Its end is kept: nothing is asked of the server, which may have forgotten it.
	f.works(nil)
	f.with(func() {
		f.meddle = func(w http.ResponseWriter, _ *http.Request) bool { f.refuse(w, 404, "gone"); return true }
	})
	if b, err := f.run(nil); err != nil || b.Status != "completed" {
		t.Errorf("%+v, %v", b, err)
	}
	f.has("out", resultLines(2))
}

// TestBrokenDownloads: a download that breaks goes on at its byte, whatever breaks it.
func TestBrokenDownloads(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.end("completed", resultLines(1000), "")
	broken := 0
	var ranges []string
	f.with(func() {
		f.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "file-out/content") {
				return false
			}
			if ranges = append(ranges, r.Header.Get("Range")); broken == 3 {
				return false
			}
			broken++
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusPartialContent)
			f.mu.Lock()
			defer f.mu.Unlock()
			lines := resultLines(1000)
			from := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
			at := 0
			for _, c := range from {
				at = at*10 + int(c-'0')
			}
			if _, err := w.Write([]byte(lines[at : at+50])); err != nil {
				t.Error(err)
			}
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	f.works(nil)
	f.has("out", resultLines(1000))
	// Lines of 19 bytes: of 50, two are whole.
	if diff := cmp.Diff([]string{"", "bytes=38-", "bytes=76-", "bytes=114-"}, ranges); diff != "" {
		t.Errorf("ranges: %s", diff)
	}
}

// TestNoRanges: a server that knows no ranges, and whose files end without an end of line, is one that batches can be run on as well.
func TestNoRanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.with(func() {
		f.output = []byte(resultLines(1))
		f.meddle = func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Range"); return false }
	})
	f.works(func(o *batchrun.Options) {
		o.Changed = func(apiclient.Batch) {
			if f.polls.Load() == 3 {
				f.end("completed", strings.TrimSuffix(resultLines(3), "\n"), "")
			}
		}
	})
	f.has("out", strings.TrimSuffix(resultLines(3), "\n"))
}

// TestRefusals: what could send something twice, or spoil a file, is refused, with what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("out", "somebody's work\n")
	f.refuses("is there already, and not of a batch that could go on: name another output, or use --restart", nil)
	f.has("out", "somebody's work\n")
	if err := os.Remove(f.path("out")); err != nil {
		t.Fatal(err)
	}
	f.put("err", "somebody's work\n")
	f.refuses("is there already: remove it, or name another with --errors", nil)
	f.has("out", "-")
	f.has("err", "somebody's work\n")
	if err := os.Remove(f.path("err")); err != nil {
		t.Fatal(err)
	}
	f.refuses("is not a file", func(o *batchrun.Options) { o.Input = "/dev/null" })
	f.refuses("no such file", func(o *batchrun.Options) { o.Input = f.path("nothing") })
	f.has("out", "-")

	f.with(func() { f.output = []byte(resultLines(2)) })
	ctx, cancel := context.WithCancel(t.Context())
	o := f.options()
	o.Changed = func(apiclient.Batch) {
		if f.polls.Load() > 1 {
			cancel()
		}
	}
	if _, err := batchrun.Run(ctx, f.client(), o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.put("in", input+"{\"custom_id\":\"d\"}\n")
	f.refuses("is not what was sent as the batch batch_1: go on with the file as it was, name another output to send this one, or use --restart", nil)
	f.put("in", input)
	other := newFixture(t)
	other.dir = f.dir
	other.refuses("belongs to a batch on "+f.URL, nil)
	f.put("out", "cut\n")
	f.refuses("is shorter than what was downloaded already", nil)
	f.put("out"+batchrun.StateSuffix, "{}")
	f.refuses("cannot be read: it is not the state of a batch", nil)

	// With --restart all is sent again.
	f.end("completed", resultLines(3), "")
	f.works(func(o *batchrun.Options) { o.Restart = true })
	f.has("out", resultLines(3))
	if len(f.uploads) != 2 || len(f.batches) != 2 {
		t.Errorf("%d uploads and %d batches", len(f.uploads), len(f.batches))
	}
}

// TestNothingSentIsNothingTwice: while nothing can have run, an input may be corrected, and so may what was wrong with the request.
func TestNothingSentIsNothingTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var refuse string
	f.with(func() {
		refuse = "/v1/files"
		f.meddle = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && r.URL.Path == refuse {
				f.refuse(w, 400, "line 2: no")
				return true
			}
			return false
		}
	})
	if _, err := f.run(nil); err == nil || err.Error() != "line 2: no" {
		t.Fatal(err)
	}
	f.put("in", input+"{}\n")
	refuse = "/v1/batches"
	if _, err := f.run(nil); err == nil || err.Error() != "line 2: no" {
		t.Fatal(err)
	}
	f.put("in", input)
	refuse = ""
	f.end("failed", "", "")
	f.works(func(o *batchrun.Options) { o.Concurrency = 3 })
	// The server found something wrong with the input: no request was sent.
	f.put("in", input+"{\"custom_id\":\"d\"}\n")
	f.end("completed", resultLines(4), "")
	f.works(nil)
	f.has("out", resultLines(4))
	if got := f.uploads[len(f.uploads)-1]; got != input+"{\"custom_id\":\"d\"}\n" {
		t.Errorf("sent was %q", got)
	}
	if !strings.HasPrefix(f.creates[0], `{"completion_window":"24h","concurrency":3,"endpoint":"/v1/responses","input_file_id":"file-2"}`) {
		t.Errorf("the request was %s", f.creates[0])
	}
	if len(f.batches) != 2 {
		t.Errorf("%d batches", len(f.batches))
	}
}

// TestChangedWhileSent: a file that is still being written is not sent in part.
func TestChangedWhileSent(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]string{"other content": strings.ToUpper(input), "shorter": "{}\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.with(func() {
				f.meddle = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == "/v1/files" && len(f.uploads) == 0 {
						f.put("in", changed)
					}
					return false
				}
			})
			_, err := f.run(nil)
			if err == nil || len(f.creates) > 0 {
				t.Fatalf("error %v, %d batches", err, len(f.creates))
			}
		})
	}
}
