package starter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"perdure/internal/responses"
	"perdure/workflows"
)

// withServer is a request that names a server, after input items.
func withServer(t *testing.T, s *Starter, items, server string) *responses.Request {
	t.Helper()
	return accepted(t, s, `{"input":[`+items+`{"role":"user","content":"hi"}],"tools":[{"type":"mcp","server_label":"s",`+server+`}]}`)
}

const sServer = `"server_url":"https://h.example/one","authorization":"token","headers":{"X-Tenant":"one"}`

// TestListsAreOfOneEndpoint: what one endpoint of a host declares says nothing of another.
func TestListsAreOfOneEndpoint(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	first := must(s.runInput(t.Context(), alice, "resp_1", withServer(t, s, "", sServer), before{}, responses.DialectOpenAI))
	if len(first.Listed) > 0 || first.Servers[0].Fingerprint == "" {
		t.Fatalf("listed %v, server %+v", first.Listed, first.Servers[0])
	}
	three := 3
	known := workflows.ListedServer{
		Label: "s", Origin: "https://h.example", Allowed: first.Servers[0].Allowed, Fingerprint: first.Servers[0].Fingerprint, Tools: &three,
	}
	other := alice
	other.Organization = "other"
	tests := []struct {
		name, server string
		change       func(*workflows.ListedServer)
		want         bool
	}{
		{"the same", sServer, nil, true},
		{"another path", strings.Replace(sServer, "/one", "/two", 1), nil, false},
		{"another token", strings.Replace(sServer, "token", "another", 1), nil, false},
		{"another header", strings.Replace(sServer, `:"one"`, `:"two"`, 1), nil, false},
		{"another filter", sServer + `,"allowed_tools":["t"]`, nil, false},
		{"a list of an earlier release", sServer, func(l *workflows.ListedServer) { l.Fingerprint = "" }, false},
		{"no list", sServer, func(l *workflows.ListedServer) { l.Tools = nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := known
			if tt.change != nil {
				tt.change(&l)
			}
			b := before{servers: []workflows.ListedServer{l}}
			in := must(s.runInput(t.Context(), alice, "resp_2", withServer(t, s, "", tt.server), b, responses.DialectOpenAI))
			if got := slices.Equal(in.Listed, []string{"s"}); got != tt.want {
				t.Errorf("listed %v", in.Listed)
			}
			if left := map[bool]int{true: 7, false: 10}[tt.want]; in.Limits.Tools != left {
				t.Errorf("%d tools are left, want %d", in.Limits.Tools, left)
			}
		})
	}
	again := must(s.runInput(t.Context(), other, "resp_3", withServer(t, s, "", sServer), before{}, responses.DialectOpenAI))
	if again.Servers[0].Fingerprint == known.Fingerprint {
		t.Error("two organizations have the same fingerprint")
	}
}

// TestReusedListsCount: tools that are not listed again count for the limit, which is 10 here.
func TestReusedListsCount(t *testing.T) {
	t.Parallel()
	s := newTestStarter(t)
	list := func(tools int) string {
		names := make([]string, tools)
		for i := range names {
			names[i] = fmt.Sprintf(`{"name":"t%d","input_schema":{"type":"object"}}`, i)
		}
		return `{"type":"mcp_list_tools","id":"mcpl_1","server_label":"s","tools":[` + strings.Join(names, ",") + `]},`
	}
	in := must(s.runInput(t.Context(), alice, "resp_1", withServer(t, s, list(10), sServer), before{}, responses.DialectOpenAI))
	if !slices.Equal(in.Listed, []string{"s"}) || in.Limits.Tools != 0 || *in.Servers[0].Tools != 10 {
		t.Errorf("listed %v, %d tools are left", in.Listed, in.Limits.Tools)
	}
	_, err := s.runInput(t.Context(), alice, "resp_2", withServer(t, s, list(11), sServer), before{}, responses.DialectOpenAI)
	var shown *responses.Error
	if !errors.As(err, &shown) || shown.Status != 400 || shown.Param != "tools" || !strings.Contains(shown.Message, "allowed_tools") {
		t.Errorf("error %v, want one of the request that names allowed_tools", err)
	}
	eleven := 11
	b := before{servers: []workflows.ListedServer{{
		Label: "s", Origin: "https://h.example", Allowed: in.Servers[0].Allowed, Fingerprint: in.Servers[0].Fingerprint, Tools: &eleven,
	}}}
	if _, err := s.runInput(t.Context(), alice, "resp_3", withServer(t, s, "", sServer), b, responses.DialectOpenAI); !errors.As(err, &shown) {
		t.Errorf("error %v of an earlier list that is too long", err)
	}
	// The other dialect lists each time.
	if _, err := s.runInput(t.Context(), alice, "resp_4", withServer(t, s, list(11), sServer), before{}, responses.DialectAgent); err != nil {
		t.Error(err)
	}
}
