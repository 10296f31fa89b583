package main

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

const (
	connectorsPath = "/v1/connectors"
	connectorID    = "conn_" // how the IDs of saved connectors begin
)

// savedConnector is what this program reads of a connector.
type savedConnector struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Owner       string   `json:"owner"`
	Scope       string   `json:"scope"`
	Transport   string   `json:"transport"`
	Shared      bool     `json:"shared"`
	Enabled     bool     `json:"enabled"`
	Tag         string   `json:"tag"`
	May         []string `json:"may"`
	Auth        struct {
		Type string `json:"type"`
	} `json:"auth"`
	Status struct {
		State   string `json:"state"`
		Stage   string `json:"stage"`
		Message string `json:"message"`
		At      int64  `json:"at"` // Unix seconds; 0 if nobody has looked yet
	} `json:"status"`
	Server *struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Tools   []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			ReadOnly    bool   `json:"read_only"`
		} `json:"tools"`
		Changes []struct {
			Tool   string `json:"tool"`
			Change string `json:"change"`
		} `json:"changes"`
	} `json:"server"`
}

func connectors(ctx context.Context, c *apiclient.Client, query url.Values) func(func(savedConnector, error) bool) {
	return apiclient.Listed[savedConnector](ctx, c, connectorsPath, query, 0)
}

// findConnector returns the ID of a connector that is given by its ID or its name, which is compared without regard to case.
func (s *session) findConnector(given string) (string, error) {
	if strings.HasPrefix(given, connectorID) {
		return given, nil
	}
	var found []savedConnector
	for c, err := range connectors(s.ctx(), s.Client, nil) {
		if err != nil {
			return "", err
		}
		if strings.EqualFold(c.Name, given) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf(`there is no connector %q that you see: "perdure connector list" shows those that there are`, given)
	case 1:
		return found[0].ID, nil
	default:
		return "", fmt.Errorf("%d connectors are called %q: name the one that you mean by its ID, such as %s", len(found), given, found[0].ID)
	}
}

var (
	serverLabel = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	notInLabel  = regexp.MustCompile(`[^a-z0-9]+`)
)

// savedServer is the tool for a connector that is given as NAME, as ID, or as LABEL=NAME.
func (s *session) savedServer(given string) (*runTool, error) {
	label, name, ok := strings.Cut(given, "=")
	if !ok || !serverLabel.MatchString(label) {
		label, name = "", given
	}
	id, err := s.findConnector(name)
	if err != nil {
		return nil, err
	}
	if label == "" {
		label = labelOf(name)
	}
	return &runTool{Type: "mcp", ServerLabel: label, ConnectorID: id}, nil
}

// labelOf makes a label of a connector's name: letters and digits in lower case, with dashes between. An ID is one already.
func labelOf(name string) string {
	if strings.HasPrefix(name, connectorID) && serverLabel.MatchString(name) {
		return name
	}
	label := strings.Trim(notInLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	label = strings.TrimRight(label[:min(len(label), 32)], "-")
	if label == "" {
		return "connector"
	}
	return label
}

// completeConnectors offers the IDs of connectors with their names, and not the names: shells do not agree on how to quote them.
var completeConnectors = completed(func(ctx context.Context, c *apiclient.Client) []string {
	var ids []string
	for c, err := range connectors(ctx, c, nil) {
		if err != nil || len(ids) == maxCompletions {
			break
		}
		name := c.ID
		if serverLabel.MatchString(c.Name) {
			name = c.Name
		}
		ids = append(ids, cobra.CompletionWithDesc(name, terminal.Line(c.Name+", "+c.Tag, 0)))
	}
	return ids
})
