package activities_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"perdure/activities"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
)

// canaries are the secrets of one MCP server. No result, error or log may show one, whatever the server does.
var canaries = []string{
	"canary-in-the-path-1f6a", "canary in/the query?2b7c", "canary-authorization-3d8e", `canary "header" 4c9f`, modelKey,
}

func withCanaries(base string) *responses.MCPTool {
	return &responses.MCPTool{
		ServerLabel: "s", ServerURL: base + "/" + canaries[0] + "?key=" + url.QueryEscape(canaries[1]),
		Authorization: canaries[2], Headers: map[string]string{"X-Tenant-Key": canaries[3]},
	}
}

// shown returns the canaries that a text shows, in one of the ways in which they travel.
func shown(text string) []string {
	var found []string
	for _, c := range canaries {
		quoted := string(must(json.Marshal(c)))
		for form, s := range map[string]string{
			"plain": c, "query": url.QueryEscape(c), "path": url.PathEscape(c), "JSON": quoted[1 : len(quoted)-1],
			"base64": base64.RawStdEncoding.EncodeToString([]byte(c)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(c)),
		} {
			if strings.Contains(text, s) {
				found = append(found, fmt.Sprintf("%s (%s)", c, form))
			}
		}
	}
	return found
}

func TestShownFindsCanaries(t *testing.T) {
	t.Parallel()
	for _, c := range canaries {
		for _, text := range []string{"x" + c + "y", url.QueryEscape(c), base64.StdEncoding.EncodeToString([]byte(c))} {
			if len(shown(text)) == 0 {
				t.Errorf("%q is not found in %q", c, text)
			}
		}
	}
	if found := shown("nothing here"); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// echo is all that a server knows of us, in every form.
func echo(r *http.Request) string {
	var all []string
	add := func(s string) {
		all = append(all, s, url.QueryEscape(s), url.PathEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)))
	}
	add(strings.TrimPrefix(r.URL.Path, "/"))
	add(r.URL.Query().Get("key"))
	add(r.Header.Get("Authorization"))
	add(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	add(r.Header.Get("X-Tenant-Key"))
	return strings.Join(append(all, r.URL.String(), r.RequestURI), " ")
}

// echoing answers with what answer makes of the echo, as JSON text without its quotes.
func echoing(answer func(echo string) mcptest.Answer) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		quoted := string(must(json.Marshal(echo(r))))
		answer(quoted[1:len(quoted)-1])(w, r, m)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	misbehaviour := map[string]mcptest.Answer{
		"tool's answer": echoing(func(e string) mcptest.Answer {
			return mcptest.Result(`{"content":[{"type":"text","text":"` + e + `"}],
				"tools":[{"name":"t","description":"` + e + `","inputSchema":{}},{"name":"u","inputSchema":{"title":"` + e + `"}}]}`)
		}),
		"structured answer": echoing(func(e string) mcptest.Answer {
			return mcptest.Result(`{"content":[],"structuredContent":{"a":"` + e + `"},"tools":[]}`)
		}),
		"tool's failure": echoing(func(e string) mcptest.Answer {
			return mcptest.Result(`{"content":[{"type":"text","text":"` + e + `"}],"isError":true,"tools":[{"name":"` + e + `"}]}`)
		}),
		"JSON-RPC error": echoing(func(e string) mcptest.Answer {
			return mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,"error":{"code":-32000,"message":"`+e+`"}}`)
		}),
		"unauthorized":     echoing(func(e string) mcptest.Answer { return mcptest.Body(401, "text/plain", e) }),
		"server error":     echoing(func(e string) mcptest.Answer { return mcptest.Body(500, "application/json", `{"error":"`+e+`"}`) }),
		"not JSON":         echoing(func(e string) mcptest.Answer { return mcptest.Body(200, "application/json", e) }),
		"content type":     echoing(func(e string) mcptest.Answer { return mcptest.Body(200, "text/"+e, e) }),
		"redirect":         echoing(func(e string) mcptest.Answer { return mcptest.Status(302, "Location", "https://elsewhere/?"+e) }),
		"event":            echoing(func(e string) mcptest.Answer { return mcptest.Events(e) }),
		"connection":       mcptest.Cut("", ""),
		"cut off":          echoing(func(e string) mcptest.Answer { return mcptest.Cut("application/json", e) }),
		"unavailable":      mcptest.Status(503, "Retry-After", "1"),
		"too many headers": mcptest.WithHeader("X-Long", strings.Repeat("x", 100<<10), mcptest.Status(200)),
	}
	for name, answer := range misbehaviour {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere)
			hostile := closed(t, mcptest.NewHostile())
			hostile.On("tools/list", answer)
			hostile.On("tools/call", answer)
			server := f.seal(withCanaries(hostile.HTTP().URL))
			sealed := string(must(json.Marshal(server)))

			listed, listErr := execute[activities.DiscoverResult](f.env(), activities.DiscoverName,
				activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: server})
			called, callErr := f.call(f.callInput(server, true))
			if n := hostile.Count("tools/call"); n == 0 {
				t.Fatal("the call was not made")
			}
			for place, text := range map[string]string{
				"sealed server": sealed, "list": f.whole(listed), "list error": everything(listErr),
				"call": f.whole(called), "call error": everything(callErr), "log": f.log.String(),
			} {
				if found := shown(text); len(found) > 0 {
					t.Errorf("the %s shows %v", place, found)
				}
			}
		})
	}
}

// whole is a result with the values that it refers to.
func (f *fixture) whole(result any) string {
	f.t.Helper()
	text := string(must(json.Marshal(result)))
	switch r := result.(type) {
	case activities.DiscoverResult:
		text += string(must(f.blobs.Bytes(f.t.Context(), r.Item)))
	case activities.MCPCallResult:
		text += string(must(f.blobs.Bytes(f.t.Context(), r.Item)))
	}
	return text
}

func everything(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%v %+v %#v", err, err, err)
}

func TestModelKeyIsNotShown(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]modeltest.Reply{
		"unauthorized": modeltest.Status(401, nil, `{"error":{"message":"the key `+modelKey+` is wrong","code":"`+modelKey+`"}}`),
		"interrupted":  modeltest.Raw("data: {\"error\":{\"message\":\"" + modelKey + "\"}}\n\n"),
		"not an event": modeltest.Raw(modelKey + "\n\ndata: " + modelKey + "\n\n"),
		"an answer":    modeltest.Text("fine"),
		"a page":       modeltest.Status(502, http.Header{"Content-Type": {"text/html"}}, "<html>"+modelKey),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(reply))
			f := setup(t, m.URL())
			out, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, f.turnInput(activities.Settings{}))
			text := string(must(json.Marshal(out))) + everything(err) + f.log.String()
			if found := shown(text); len(found) > 0 {
				t.Errorf("found %v", found)
			}
			if got := m.Requests()[0].Header.Get("Authorization"); got != "Bearer "+modelKey {
				t.Errorf("the provider got %q", got)
			}
		})
	}
}
