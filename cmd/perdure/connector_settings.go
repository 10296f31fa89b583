package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

// secretSourceUsage is how flags take secrets.
const secretSourceUsage = "env:VARIABLE, file:PATH, or ask"

// connectorFlags set a connector's settings: where each one is in the body, and how it is given.
var connectorFlags = []struct {
	flag, member, kind, usage string
}{
	{"name", "name", "text", "`NAME` of the connector"},
	{"url", "url", "text", "`URL` of the server"},
	{"description", "description", "text", "`TEXT` that says what it is for"},
	{"transport", "transport", "text", "`TRANSPORT`: streamable_http or sse"},
	{"scope", "scope", "text", "`SCOPE`: individual (yours alone) or organization (for admins to add)"},
	{"auth", "auth.type", "text", "`TYPE` of authentication: none, api_key or oauth"},
	{"token", "auth.api_key", "secret", "`SOURCE` of the API key for the server: " + secretSourceUsage + "; implies --auth api_key"},
	{"token-header", "auth.header", "text", "`HEADER` that the API key is sent in"},
	{"token-prefix", "auth.prefix", "text", "`TEXT` before the API key in that header"},
	{"client-id", "auth.oauth.client_id", "text", "`ID` of the OAuth client, where the server registers none"},
	{"client-secret", "auth.oauth.client_secret", "secret", "`SOURCE` of its secret: " + secretSourceUsage},
	{"grants", "auth.oauth.grants", "text", "`WHO` authorizes an organization's connector: shared (an admin for all) or each"},
	{"oauth-scope", "auth.oauth.scopes", "list", "`SCOPE` to ask the authorization server for; may be repeated"},
	{"issuer", "auth.oauth.issuer", "text", "`URL` of the authorization server, where it is not found out"},
	{"header", "headers", "secrets", "`NAME=SOURCE` of a further header: " + secretSourceUsage + "; may be repeated"},
	{"cloudflare-id", "network.client_id", "secret", "`SOURCE` of the client ID of a Cloudflare Access service token: " + secretSourceUsage},
	{"cloudflare-secret", "network.client_secret", "secret", "`SOURCE` of its secret: " + secretSourceUsage},
	{"tool", "allowed_tools", "list", "`NAME` of a tool that may be used, if not all may; may be repeated"},
	{"retry", "retry.default", "text", "`WHICH` calls are repeated whose answer was lost: safe, always or never"},
}

func bindConnectorFlags(cmd *cobra.Command, except ...string) {
	f := cmd.Flags()
	for _, c := range connectorFlags {
		if slices.Contains(except, c.flag) {
			continue
		}
		switch c.kind {
		case "list", "secrets":
			f.StringArray(c.flag, nil, c.usage)
		default:
			f.String(c.flag, "", c.usage)
		}
		if words := connectorWords[c.flag]; words != nil {
			registerWords(cmd, c.flag, words...)
		} else {
			register(cmd, c.flag, noFiles)
		}
	}
	f.String("from", "", "`FILE` of JSON with any settings of the API, under those of the flags; - is standard input")
}

// connectorWords are the values of flags that take nothing else.
var connectorWords = map[string][]string{
	"transport": {"streamable_http", "sse"}, "auth": {"none", "api_key", "oauth"}, "grants": {"shared", "each"}, "scope": {"individual", "organization"},
	"retry": {"safe", "always", "never"},
}

// connectorBody is what the flags and the file say.
func (s *session) connectorBody() (map[string]any, error) {
	body := map[string]any{}
	flags := s.cmd.Flags()
	if from, err := flags.GetString("from"); err == nil && from != "" {
		text, err := s.readPrompt(from)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &body); err != nil || body == nil {
			// The text is not repeated: it may hold secrets.
			return nil, usageError("--from %s: must be a JSON object", from)
		}
	}
	for _, c := range connectorFlags {
		f := flags.Lookup(c.flag)
		if f == nil || !f.Changed {
			continue
		}
		value, err := s.settingOf(f, c.kind)
		if err != nil {
			return nil, err
		}
		if err := putMember(body, strings.Split(c.member, "."), value); err != nil {
			return nil, usageError("--from: %w", err)
		}
		switch {
		case c.flag == "token" && !flags.Changed("auth"):
			err = putMember(body, []string{"auth", "type"}, "api_key")
		case strings.HasPrefix(c.flag, "cloudflare"):
			err = putMember(body, []string{"network", "type"}, "cloudflare_access")
		}
		if err != nil {
			return nil, usageError("--from: %w", err)
		}
	}
	return body, nil
}

// settingOf is the value of a flag, secrets looked up.
func (s *session) settingOf(f *pflag.Flag, kind string) (any, error) {
	switch kind {
	case "secret":
		return s.secretFrom("--"+f.Name, f.Value.String())
	case "list":
		return s.cmd.Flags().GetStringArray(f.Name)
	case "secrets":
		given, err := s.cmd.Flags().GetStringArray(f.Name)
		values := map[string]string{}
		for _, one := range given {
			name, source, ok := strings.Cut(one, "=")
			if !ok || name == "" {
				return nil, usageError("--%s must be NAME=SOURCE, with one of %s as the source", f.Name, secretSourceUsage)
			}
			if values[name], err = s.secretFrom("--"+f.Name+" "+name, source); err != nil {
				return nil, err
			}
		}
		return values, err
	default:
		return f.Value.String(), nil
	}
}

// secretFrom is readSecret, or asks without an echo.
func (s *session) secretFrom(flag, source string) (string, error) {
	if source != "ask" {
		value, err := readSecret(flag, source)
		return value.Reveal(), err
	}
	asker, err := terminal.NewAsker(s.cmd.InOrStdin(), s.err)
	if err != nil {
		return "", fmt.Errorf("%s ask: %w: give env:VARIABLE or file:PATH", flag, err)
	}
	value, err := asker.Secret(s.ctx(), strings.TrimPrefix(flag, "--")+": ")
	if err == nil && value == "" {
		return "", usageError("%s: nothing was typed", flag)
	}
	return value, err
}

func putMember(body map[string]any, path []string, value any) error {
	for _, name := range path[:len(path)-1] {
		below, ok := body[name].(map[string]any)
		if !ok {
			if body[name] != nil {
				return fmt.Errorf("%s must be an object", name)
			}
			below = map[string]any{}
			body[name] = below
		}
		body = below
	}
	body[path[len(path)-1]] = value
	return nil
}

func newConnectorAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Save a remote MCP server",
		Long: `Save a remote MCP server. It is looked at before it is saved, and what is found is shown. Nobody here can vouch for a server of others:
you are asked whether you trust it, or say so with --yes.

A secret is never given itself, which would show in the list of processes, but as env:VARIABLE, file:PATH, or ask.`,
		Example: `  perdure connector add "Acme CRM" https://mcp.example.com/mcp --yes --enable
  perdure connector add GitHub https://api.githubcopilot.com/mcp/ --token env:GITHUB_TOKEN --yes --enable
  perdure connector add Internal https://mcp.internal.example/mcp --token ask --cloudflare-id env:CF_ID --cloudflare-secret env:CF_SECRET
  perdure connector add Notion https://mcp.notion.com/mcp --auth oauth --yes && perdure connector authorize Notion`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: noFiles,
	}
	bindConnectorFlags(cmd, "name", "url")
	yes := cmd.Flags().BoolP("yes", "y", false, "you trust the server")
	enable := cmd.Flags().Bool("enable", false, "let runs use it at once")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body, err := s.connectorBody()
		if err != nil {
			return err
		}
		body["name"], body["url"] = args[0], args[1]
		if !*yes {
			if err := s.askTrust(args[1]); err != nil {
				return err
			}
		}
		body["acknowledged"] = true
		answer, err := s.Do(s.ctx(), apiclient.Request{Method: http.MethodPost, Path: connectorsPath, Body: body})
		if err != nil {
			return err
		}
		var c savedConnector
		if err := json.Unmarshal(answer, &c); err != nil {
			return err
		}
		if *enable {
			return s.onConnector(c.ID, http.MethodPost, "/enable", nil, s.stateOfConnector)
		}
		return s.shown(answer, s.stateOfConnector)
	})
	return cmd
}

func (s *session) askTrust(address string) error {
	asker, err := terminal.NewAsker(s.cmd.InOrStdin(), s.err)
	if err != nil {
		return usageError("%w: say that you trust the server with --yes", err)
	}
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	reply, err := asker.Ask(s.ctx(), "A model will send to "+terminal.Line(host, 0)+" what it sees fit, and read what it answers. Do you trust it? [y/N] ")
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case strings.EqualFold(reply, "y"), strings.EqualFold(reply, "yes"):
		return nil
	default:
		return &exit{exitError, errors.New("nothing was saved")}
	}
}

func newConnectorUpdate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update CONNECTOR",
		Short: "Change what is given of a connector, and leave the rest",
		Long: `Change what is given of a connector, and leave the rest. --header, --tool and --oauth-scope replace all of theirs. Whoever points a
connector at another server has to give its secrets, and to authorize it, again.`,
		Example:           "  perdure connector update \"Acme CRM\" --tool search --tool fetch\n  perdure connector update GitHub --token env:NEW_TOKEN",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeConnectors),
	}
	bindConnectorFlags(cmd, "scope")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		body, err := s.connectorBody()
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return usageError("nothing is to be changed: name a setting, such as --description")
		}
		return s.onConnector(args[0], http.MethodPatch, "", body, s.stateOfConnector)
	})
	return cmd
}
