package starter

import (
	"net/http"
	"strings"
	"testing"

	"perdure/internal/responses"
)

// TestApprovalWordsOfDialects: what require_approval may say is the affair of the dialect in which it counts; in the other it is ignored.
func TestApprovalWordsOfDialects(t *testing.T) {
	t.Parallel()
	const body = `{"input":"hi","tools":[{"type":"mcp","server_label":"s","server_url":"http://127.0.0.1:1/mcp","require_approval":"auto"}]}`
	for _, tt := range []struct {
		dialect responses.Dialect
		path    string
		status  int
	}{
		{responses.DialectAgent, "/v1/responses", http.StatusOK},
		{responses.DialectOpenAI, "/v1/agent", http.StatusOK},
		{responses.DialectOpenAI, "/v1/responses", http.StatusBadRequest},
		{responses.DialectAgent, countPath, http.StatusOK},
		{responses.DialectOpenAI, countPath, http.StatusBadRequest},
	} {
		t.Run(string(tt.dialect)+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			r := serve(t, saying("good morning"), func(o *Options) { o.Dialect = tt.dialect })
			a := must(post(t.Context(), r.url+tt.path, body))
			if a.status != tt.status || (tt.status == http.StatusBadRequest) != strings.Contains(a.body, `"param":"tools[0].require_approval"`) {
				t.Errorf("HTTP %d with %s, want %d", a.status, a.body, tt.status)
			}
		})
	}
}
