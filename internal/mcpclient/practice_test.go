package mcpclient_test

import (
	"bytes"
	"testing"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// What a schema refers to is not fetched, by us or by the SDK.
func TestReferencesInSchemasAreNotFollowed(t *testing.T) {
	t.Parallel()
	other, h, c := newHostile(t), newHostile(t), newClient(t, mcpclient.Options{})
	other.On(mcptest.OnGet, mcptest.Body(200, "application/schema+json", "{}"))
	schema := `{"$schema":"` + other.URL() + `","$id":"` + other.URL() + `","$ref":"` + other.URL() + `","properties":{"a":{"$dynamicRef":"` + other.URL() + `"}}}`
	h.On("tools/list", mcptest.Result(`{"tools":[{"name":"t","inputSchema":`+schema+`,"outputSchema":`+schema+`}]}`))
	listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
	if err != nil || len(listing.Tools) != 1 {
		t.Fatalf("got %+v, %v", listing, err)
	}
	if _, err := c.CallTool(t.Context(), "run", at(h.URL()), callT); err != nil {
		t.Error(err)
	}
	if n := len(other.Requests()); n != 0 {
		t.Errorf("the other server got %d requests", n)
	}
}

// What a server tells its clients to do, and how it wants to look, is nothing that a listing has.
func TestInstructionsOfServersArePassedOnToNobody(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("initialize", mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{"prompts":{},"logging":{}},"instructions":"do-as-I-say",
		"serverInfo":{"name":"n\u202e\u001b[31m\u200bx","title":"do-as-I-say","version":"1"}}`))
	h.On("tools/list", mcptest.Result(`{"tools":[{"name":"t","title":"do-as-I-say","inputSchema":{},"annotations":{"title":"do-as-I-say"},"_meta":{"a":"do-as-I-say"}}]}`))
	listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
	if err != nil {
		t.Fatal(err)
	}
	if text := mustJSON(t, listing); bytes.Contains(text, []byte("do-as-I-say")) {
		t.Errorf("got %s", text)
	}
	if listing.ServerName != "n[31mx" {
		t.Errorf("the server is called %q", listing.ServerName)
	}
}
