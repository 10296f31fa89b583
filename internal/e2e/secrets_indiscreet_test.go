package e2e

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// inAllWays is a text in all the ways in which a peer may tell it.
func inAllWays(s string) []string {
	quoted := jsonEscape(s, true)
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), lowerEscapes(url.QueryEscape(s)), quoted, strings.ReplaceAll(quoted, "/", `\/`),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.URLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)),
		base64.StdEncoding.EncodeToString([]byte("a" + s)), base64.URLEncoding.EncodeToString([]byte("bc" + s)),
	}
}

// echoed is what a server says that knows its caller's secrets. It is fit for JSON.
func echoed(r *http.Request) string {
	var all []string
	for _, s := range []string{
		strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Canary"), r.URL.Query().Get("token"), strings.TrimPrefix(r.URL.Path, "/"),
		r.Header.Get("X-Api-Key"), r.Header.Get("Cf-Access-Client-Id"), r.Header.Get("Cf-Access-Client-Secret"),
	} {
		if s != "" {
			all = append(all, inAllWays(s)...)
		}
	}
	return jsonEscape(strings.Join(append(all, r.URL.String(), r.RequestURI), " "), true)
}

// tell answers with what from makes of the echo.
func tell(from func(echo string) mcptest.Answer) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) { from(echoed(r))(w, r, m) }
}

// tellHeader answers with what from makes of one secret, as it is.
func tellHeader(from func(secret string) mcptest.Answer) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		from(jsonEscape(cmp.Or(r.Header.Get("X-Canary"), r.Header.Get("X-Api-Key")), false))(w, r, m)
	}
}

func plainText(status int) mcptest.Answer {
	return tell(func(e string) mcptest.Answer { return mcptest.Body(status, "text/plain", e) })
}

// oneTool lists one tool that has these members.
func oneTool(members string) mcptest.Answer { return mcptest.Result(`{"tools":[{` + members + `}]}`) }

// onePart is a tool's output of one part that has these members.
func onePart(members string) mcptest.Answer { return mcptest.Result(`{"content":[{` + members + `}]}`) }

// malformed answers with a line that is not one of HTTP.
func malformed(w http.ResponseWriter, r *http.Request, _ mcptest.Message) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // HTTP/1.1 can be taken over
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 %s %[1]s\r\n\r\n", cmp.Or(r.Header.Get("X-Canary"), r.Header.Get("X-Api-Key")))
}

// indiscreet are servers that tell what they know, by what they do wrong: in their answer to tools/list, or to tools/call.
func indiscreet() (lists, calls map[string]mcptest.Answer) {
	faults := map[string]mcptest.Answer{
		"unauthorized": plainText(401), "forbidden": plainText(403), "not found": plainText(404), "server error": plainText(500),
		"not JSON": tell(func(e string) mcptest.Answer { return mcptest.Body(200, "application/json", e) }),
		"no MCP":   tell(func(e string) mcptest.Answer { return mcptest.Body(200, "text/html", e) }),
		"redirect": tell(func(e string) mcptest.Answer {
			return mcptest.Status(302, "Location", "http://127.0.0.1:1/?"+url.QueryEscape(e))
		}),
		"error":     tell(func(e string) mcptest.Answer { return mcptest.Error(-32000, e) }),
		"error 400": tell(func(e string) mcptest.Answer { return mcptest.ErrorStatus(400, -32000, e) }),
		"events":    tell(func(e string) mcptest.Answer { return mcptest.Events(e) }),
		"cut off":   tell(func(e string) mcptest.Answer { return mcptest.Cut("application/json", e) }),
		"malformed": malformed,
		"headers": tellHeader(func(secret string) mcptest.Answer {
			return mcptest.Status(503, "WWW-Authenticate", secret, "Server", secret, "Retry-After", secret, "Mcp-Session-Id", secret, "Content-Type", "text/"+secret)
		}),
	}
	lists, calls = map[string]mcptest.Answer{}, map[string]mcptest.Answer{}
	for name, answer := range faults {
		lists[name], calls[name] = answer, answer
	}
	for name, answer := range map[string]mcptest.Answer{
		"description": tell(func(e string) mcptest.Answer { return oneTool(`"name":"t","description":"` + e + `","inputSchema":{}`) }),
		"schema":      tell(func(e string) mcptest.Answer { return oneTool(`"name":"t","inputSchema":{"title":"` + e + `"}`) }),
		"escaped schema": tellHeader(func(secret string) mcptest.Answer {
			return oneTool(`"name":"t","inputSchema":{"title":"` + strings.ReplaceAll(secret, "+", `\u002b`) + `"}`)
		}),
		"name":     tellHeader(func(secret string) mcptest.Answer { return oneTool(`"name":"` + secret + `","inputSchema":{}`) }),
		"bad name": tellHeader(func(secret string) mcptest.Answer { return oneTool(`"name":" ` + secret + `","inputSchema":{}`) }),
	} {
		lists["fine: "+name] = answer
	}
	calls["text"] = tell(func(e string) mcptest.Answer {
		return onePart(`"type":"text","text":"` + content + e + strings.Repeat(" "+content, 1000) + `"`)
	})
	calls["failure"] = tell(func(e string) mcptest.Answer {
		return mcptest.Result(`{"content":[{"type":"text","text":"` + e + `"}],"isError":true}`)
	})
	calls["structure"] = tell(func(e string) mcptest.Answer { return mcptest.Result(`{"structuredContent":{"a":"` + e + `"}}`) })
	calls["escaped structure"] = tellHeader(func(secret string) mcptest.Answer {
		var b strings.Builder
		for _, c := range []byte(secret) {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return mcptest.Result(`{"structuredContent":{"a":"` + b.String() + `"}}`)
	})
	calls["cut"] = tellHeader(func(secret string) mcptest.Answer { // where a bound cuts through it
		return onePart(`"type":"image","mimeType":"` + strings.Repeat("x", 512-18) + secret + `","data":""`)
	})
	calls["kind"] = tellHeader(func(secret string) mcptest.Answer { return onePart(`"type":"` + secret + `"`) })
	calls["link"] = tell(func(e string) mcptest.Answer { return onePart(`"type":"resource_link","uri":"` + e + `"`) })
	calls["resource"] = tell(func(e string) mcptest.Answer { return onePart(`"type":"resource","resource":{"text":"` + e + `"}`) })
	return lists, calls
}

// indiscreetModel repeats its caller's secrets where it is asked to.
func indiscreetModel(r modeltest.Request) modeltest.Reply {
	var all []string
	for _, secret := range []string{strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Canary")} {
		all = append(all, inAllWays(secret)...)
	}
	secrets := strings.Join(all, " ")
	said, err := json.Marshal(secrets)
	if err != nil {
		panic(err) // a string can be encoded
	}
	// A code is short, and a bound may cut through it.
	code := `"` + strings.Repeat("c", 46) + jsonEscape(r.Header.Get("X-Canary"), true) + `"`
	asked := func(words string) bool { return bytes.Contains(r.Body, []byte("please "+words)) }
	switch {
	case asked("refuse"):
		return modeltest.Status(http.StatusUnauthorized, nil, `{"error":{"message":`+string(said)+`,"code":`+code+`}}`)
	case asked("object"):
		return modeltest.Status(http.StatusBadRequest, nil, `{"error":{"message":"the key `+jsonEscape(r.Header.Get("X-Canary"), true)+`","code":`+string(said)+`}}`)
	case asked("break"):
		return modeltest.Raw(`data: {"error":{"message":` + string(said) + `}}` + "\n\n")
	case asked("babble"):
		return modeltest.Raw(secrets + "\n\ndata: " + secrets + "\n\n")
	case asked("fail"):
		return modeltest.Status(http.StatusBadRequest, http.Header{"Content-Type": {"text/html"}}, "<html>"+secrets)
	case asked("move"):
		return modeltest.Status(http.StatusTemporaryRedirect, http.Header{"Location": {"http://127.0.0.1:1/" + url.PathEscape(secrets)}}, secrets)
	case asked("call") && r.Turn() == 0:
		return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: `{"note":"` + content + `"}`})
	default:
		return modeltest.Text("done " + content)
	}
}

// newHook starts the receiver of a webhook, which is never content, and returns its URL.
func (s *secretStack) newHook(t *testing.T) string {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.peers.record("webhook", r, nil)
		w.Header().Set("Location", r.URL.String())
		w.Header().Set("Retry-After", canaries["URL of a webhook"])
		http.Error(w, r.URL.String()+" "+canaries["URL of a webhook"], http.StatusBadGateway)
	}))
	t.Cleanup(hook.Close)
	return hook.URL
}

// mcp starts a server for requests that bring its URL and credentials.
func (s *secretStack) mcp(t *testing.T, method string, answer mcptest.Answer) *mcptest.Hostile {
	t.Helper()
	return s.peer(t, "MCP server", method, answer)
}

// peer starts a server that answers a method as it is told to.
func (s *secretStack) peer(t *testing.T, name, method string, answer mcptest.Answer) *mcptest.Hostile {
	t.Helper()
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On(method, func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		s.peers.record(name, r, m.Params)
		answer(w, r, m)
	})
	return server
}
