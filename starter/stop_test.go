package starter

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
)

// A client whose connection breaks because this starter stops has not left: its run is not cancelled. That of a client which leaves is.
func TestCutByAStopIsNotLeaving(t *testing.T) {
	t.Parallel()
	for _, stops := range []bool{true, false} {
		t.Run(fmt.Sprintf("stops=%t", stops), func(t *testing.T) {
			t.Parallel()
			r := serve(t, waiting)
			closing, letGo := context.WithCancel(t.Context())
			defer letGo()
			s := newStarter(t.Context(), closing, r.options)
			handled := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(handled)
				s.routes().ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			slow := must(net.Dial("tcp", strings.TrimPrefix(server.URL, "http://")))
			defer slow.Close()
			if err := slow.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
				t.Fatal(err)
			}
			const body = `{"input":"hi","stream":true}`
			fmt.Fprintf(slow, "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				apiKey, len(body), body)
			id := r.started(t)
			long := make([]string, 200) // more than the connection's buffers hold
			for i := range long {
				long[i] = strings.Repeat("x", 60<<10)
			}
			say(t, r, id, long...)
			if stops {
				letGo()
			}
			server.CloseClientConnections()
			<-handled
			d := must(r.temporal.DescribeWorkflowExecution(t.Context(), id, ""))
			cancelled := d.GetWorkflowExtendedInfo().GetCancelRequested() ||
				d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
			if cancelled == stops {
				t.Errorf("cancelled: %t", cancelled)
			}
		})
	}
}
