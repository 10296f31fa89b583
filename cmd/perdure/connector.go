package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

func newConnector() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "connector",
		Aliases: []string{"connectors"},
		Short:   "Save remote MCP servers, and see to those that are saved",
		Long: `Save remote MCP servers as connectors, and see to those that are saved. A connector is named by its ID or, if no other has it, by its
name. What each setting means is in docs/connectors.md.`,
		Example: `  perdure connector add "Acme CRM" https://mcp.example.com/mcp --yes --enable
  perdure connector add GitHub https://api.githubcopilot.com/mcp/ --token env:GITHUB_TOKEN --yes --enable
  perdure connector authorize notion
  perdure run "Who are our largest customers?" --connector "Acme CRM"`,
	}
	group(cmd, newConnectorList(), newConnectorGet(), newConnectorAdd(), newConnectorUpdate(), newConnectorRemove(), newConnectorAuthorize(),
		connectorAction("enable", "Let runs use a connector"),
		connectorAction("disable", "End every use of a connector"),
		connectorAction("share", "Let all members use an organization's connector"),
		connectorAction("unshare", "Let only admins use an organization's connector"),
		connectorAction("disconnect", "End the authorization of a connector, here and at its authorization server"),
		connectorAction("probe", "Look at a connector's server now"),
		connectorAction("review", "Count the tools that the last look has found as seen"),
		connectorAction("vet", "Note, as an admin, that you have looked at a member's connector"),
		connectorAction("unrestrict", "Take a restriction back"),
		newConnectorRestrict())
	bindAPIs(cmd)
	return cmd
}

func newConnectorList() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the connectors that you see, the latest first",
		Example:           "  perdure connector list --scope organization",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
	}
	scope := cmd.Flags().String("scope", "", "only those of this `SCOPE`: individual or organization")
	owner := cmd.Flags().String("owner", "", "only those of this `USER`")
	limit := cmd.Flags().Int("limit", 0, "largest `NUMBER` of them; 0 is all")
	registerWords(cmd, "scope", "individual", "organization")
	cmd.RunE = withAPI(func(s *session, _ []string) error {
		query := url.Values{}
		if *scope != "" {
			query.Set("scope", *scope)
		}
		if *owner != "" {
			query.Set("owner", *owner)
		}
		return listObjects(s, connectorsPath, query, *limit, "ID\tNAME\tTAG\tENABLED\tAUTH\tOWNER\tURL", func(c savedConnector) string {
			return strings.Join([]string{c.ID, terminal.Line(c.Name, 40), c.Tag, yesNo(c.Enabled), c.Auth.Type, c.Owner, c.URL}, "\t")
		})
	})
	return cmd
}

func newConnectorGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get CONNECTOR",
		Short:             "Show a connector, its state and its tools",
		Example:           "  perdure connector get \"Acme CRM\"\n  perdure connector get conn_… --json | jq .status",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeConnectors),
		RunE: withAPI(func(s *session, args []string) error {
			return s.onConnector(args[0], http.MethodGet, "", nil, s.showConnector)
		}),
	}
}

// connectorAction is a command that does one thing to a connector and shows what has become of it.
func connectorAction(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:               name + " CONNECTOR",
		Short:             short,
		Example:           "  perdure connector " + name + " \"Acme CRM\"",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeConnectors),
		RunE: withAPI(func(s *session, args []string) error {
			return s.onConnector(args[0], http.MethodPost, "/"+name, nil, s.stateOfConnector)
		}),
	}
}

func newConnectorRestrict() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "restrict CONNECTOR",
		Short:             "End every use of a member's connector, as an admin",
		Example:           "  perdure connector restrict conn_… --reason \"not reviewed yet\"",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeConnectors),
	}
	reason := cmd.Flags().String("reason", "", "`TEXT` that its owner gets to see")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		return s.onConnector(args[0], http.MethodPost, "/restrict", map[string]string{"reason": *reason}, s.stateOfConnector)
	})
	return cmd
}

func newConnectorRemove() *cobra.Command {
	return onEach(&cobra.Command{
		Use:     "remove CONNECTOR…",
		Aliases: []string{"delete"},
		Short:   "Delete connectors, with their secrets and authorizations",
		Example: "  perdure connector remove \"Acme CRM\"",
	}, completeConnectors, func(s *session, given string) (json.RawMessage, string, error) {
		id, err := s.findConnector(given)
		if err != nil {
			return nil, "", err
		}
		return s.remove(connectorsPath, id)
	})
}

// onConnector does something to a connector and shows it, as the API does or for people.
func (s *session) onConnector(given, method, action string, body any, show func(savedConnector) error) error {
	id, err := s.findConnector(given)
	if err != nil {
		return err
	}
	answer, err := s.Do(s.ctx(), apiclient.Request{
		// All of these leave a connector as it is that is so already.
		Method: method, Path: connectorsPath + "/" + url.PathEscape(id) + action, Body: body, Repeatable: true,
	})
	if err != nil {
		return err
	}
	return s.shown(answer, show)
}

// shown prints an answer that is a connector.
func (s *session) shown(answer json.RawMessage, show func(savedConnector) error) error {
	if s.json {
		return s.printJSON(answer)
	}
	var c savedConnector
	if err := json.Unmarshal(answer, &c); err != nil {
		return err
	}
	return show(c)
}

// stateOfConnector writes a line, and what is the matter.
func (s *session) stateOfConnector(c savedConnector) error {
	enabled := "disabled"
	if c.Enabled {
		enabled = "enabled"
	}
	if c.Shared {
		enabled += ", shared"
	}
	_, err := fmt.Fprintf(s.out, "%s (%s): %s, %s\n", terminal.Line(c.Name, 0), c.ID, s.out.Paint(tagStyle(c.Tag), c.Tag), enabled)
	if c.Status.Message != "" && err == nil {
		_, err = fmt.Fprintf(s.out, "  %s\n", terminal.Line(joinNonEmpty(": ", c.Status.Stage, c.Status.Message), 0))
	}
	switch c.Tag {
	case "Authorize", "Authorize again":
		s.note("Authorize it with: perdure connector authorize %s", c.ID)
	case "Disabled":
		s.note("Let runs use it with: perdure connector enable %s", c.ID)
	}
	return err
}

func joinNonEmpty(between string, parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, between)
}

func tagStyle(tag string) terminal.Style {
	switch tag {
	case "Connected":
		return terminal.Green
	case "Error", "Restricted":
		return terminal.Red
	default:
		return terminal.Yellow
	}
}

// showConnector writes all that a person may want to know of a connector.
func (s *session) showConnector(c savedConnector) error {
	if err := s.stateOfConnector(c); err != nil {
		return err
	}
	table := newTable(s.out, "")
	for _, row := range [][2]string{
		{"URL", c.URL},
		{"Description", c.Description},
		{"Transport", c.Transport},
		{"Authentication", c.Auth.Type},
		{"Scope", c.Scope},
		{"Owner", c.Owner},
		{"You may", strings.Join(c.May, ", ")},
	} {
		if row[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], terminal.Line(row[1], 0))
		}
	}
	if err := table.Flush(); err != nil || c.Server == nil {
		return err
	}
	table = newTable(s.out, "\nTOOL\tREADS ONLY\tDESCRIPTION")
	for _, tool := range c.Server.Tools {
		fmt.Fprintf(table, "%s\t%s\t%s\n", terminal.Line(tool.Name, 0), yesNo(tool.ReadOnly), terminal.Line(tool.Description, 60))
	}
	if err := table.Flush(); err != nil || len(c.Server.Changes) == 0 {
		return err
	}
	table = newTable(s.out, "\nCHANGED\tHOW")
	for _, change := range c.Server.Changes {
		fmt.Fprintf(table, "%s\t%s\n", terminal.Line(change.Tool, 0), change.Change)
	}
	return table.Flush()
}
