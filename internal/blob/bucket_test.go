package blob_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"perdure/internal/blob"
)

func TestBucketErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s %s</Message></Error>", code, r.URL, r.Header.Get("Authorization"), secretKey)
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"no bucket":  {answer(404, "NoSuchBucket"), []string{"values", "create it"}},
		"forbidden":  {answer(403, "AccessDenied"), []string{"values", "get, put, delete and list"}},
		"wrong key":  {answer(403, "SignatureDoesNotMatch"), []string{"credentials are refused"}},
		"overloaded": {answer(503, "SlowDown"), []string{"(503)"}},
		"cut off":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{"no answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			p := inBucket(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					tt.handler(w, r)
				})
			})
			stores := p.open(t)
			s := stores.For("resp_1")
			_, put := s.Put(t.Context(), []byte("x"))
			_, got := s.Get(t.Context(), blob.RefOf([]byte("x")))
			copied := stores.For("resp_2").Copy(t.Context(), s, blob.RefOf([]byte("x")))
			for _, err := range []error{put, got, copied, stores.Remove(t.Context(), "resp_1")} {
				if !errors.Is(err, blob.ErrUnavailable) {
					t.Errorf("error %v, want ErrUnavailable", err)
					continue
				}
				for _, want := range append(tt.want, p.options.Bucket.Endpoint) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q does not say %q", err, want)
					}
				}
				for _, secret := range []string{secretKey, "Signature=", "resp_1/"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("error %q says %q", err, secret)
					}
				}
			}
			// Temporal is who tries again.
			if n := requests.Load(); n != 4 {
				t.Errorf("%d requests for 4 operations", n)
			}
		})
	}
}

// A value that is cut off on its way is an error that may pass, not the value.
func TestBucketAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	p := inBucket(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !cut.Load() {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			w.Write([]byte("only this")) //nolint:errcheck // the client is us
		})
	})
	s := p.open(t).For("resp_1")
	put(t, s, strings.Repeat("long", 250))
	cut.Store(true)
	checkError(t, s, strings.Repeat("long", 250), blob.ErrUnavailable)
	cut.Store(false)
	checkHolds(t, s, strings.Repeat("long", 250))
}

func TestBucketEndpoint(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "s3.example.com", "ftp://s3.example.com", "https://", "https://s3.example.com/bucket", "https://user:canary@\x00"} {
		_, err := blob.Open(blob.Options{Bucket: &blob.Bucket{Endpoint: endpoint, Name: bucketName}})
		if err == nil || !strings.Contains(err.Error(), "endpoint") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
