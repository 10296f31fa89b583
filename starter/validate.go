package starter

import (
	"fmt"
	"net/http"
	"strconv"

	"perdure/internal/mcpclient"
	"perdure/internal/responses"
)

// validate checks what depends on this deployment: its models, limits and network rules.
func (k *Intake) validate(req *responses.Request) error {
	if err := k.resolveModels(req); err != nil {
		return err
	}
	if req.Background && !req.Store {
		return responses.Invalid("store", "a background response must be stored, or nobody could ever read it; leave store out")
	}
	if req.MaxSteps != nil && *req.MaxSteps > k.Limits.MaxStepsCap {
		return responses.Invalid("max_steps", "must be between 1 and %d", k.Limits.MaxStepsCap)
	}
	servers := 0
	for i, tool := range req.Tools {
		t, ok := tool.(*responses.MCPTool)
		if !ok {
			continue
		}
		if servers++; servers > k.Limits.MCPServers {
			return responses.Invalid("tools", "a request may name %d MCP servers at most", k.Limits.MCPServers)
		}
		if err := k.validateServer("tools["+strconv.Itoa(i)+"].", t); err != nil {
			return err
		}
	}
	if n := len(req.Tools) - servers; n > k.Limits.Run.Tools {
		return responses.Invalid("tools", "a request may have %d function tools at most", k.Limits.Run.Tools)
	}
	return nil
}

// resolveModels replaces the names that the client used by "provider/model".
func (k *Intake) resolveModels(req *responses.Request) error {
	names, param := req.Models, "model"
	if len(names) == 0 {
		names = []string{""}
	}
	resolved := make([]string, len(names))
	for i, name := range names {
		if len(names) > 1 {
			param = "models[" + strconv.Itoa(i) + "]"
		}
		ref, err := k.Catalog.Resolve(name)
		if err != nil {
			return responses.Invalid(param, "%s", err)
		}
		resolved[i] = ref.String()
	}
	req.Models = resolved
	return nil
}

func (k *Intake) validateServer(path string, t *responses.MCPTool) error {
	if t.ConnectorID != "" {
		return k.validateConnector(path, t)
	}
	if err := k.Network.CheckURL(t.ServerURL); err != nil {
		return responses.Invalid(path+"server_url", "%s", err)
	}
	if err := mcpclient.CheckHeaders(t.Headers); err != nil {
		return responses.Invalid(path+"headers", "%s", err)
	}
	if t.Authorization == "" {
		return nil
	}
	for name := range t.Headers {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return responses.Invalid(path+"headers", "has Authorization, and authorization is set too; send one of them")
		}
	}
	if err := mcpclient.CheckHeaders(map[string]string{"Authorization": "Bearer " + t.Authorization}); err != nil {
		return responses.Invalid(path+"authorization", "is not a valid token: it must be visible ASCII on one line, 8 KiB at most")
	}
	return nil
}

func bytesInWords(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
