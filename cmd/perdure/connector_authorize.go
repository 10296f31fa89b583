package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

// askEvery is how often a connector is looked at whose authorization is waited for.
const askEvery = time.Second

func newConnectorAuthorize() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authorize CONNECTOR",
		Short: "Authorize a connector in a browser, and wait until that is done",
		Long: `Authorize a connector with OAuth. The address for a browser is printed on standard output, and opened where a terminal and a browser are.
The command ends when the connector is authorized.`,
		Example:           "  perdure connector authorize Notion\n  perdure connector authorize Notion --no-wait",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeConnectors),
	}
	noOpen := cmd.Flags().Bool("no-open", false, "do not open a browser")
	noWait := cmd.Flags().Bool("no-wait", false, "print the address and do not wait")
	within := cmd.Flags().Duration("within", 15*time.Minute, "how long to wait")
	cmd.RunE = withAPI(func(s *session, args []string) error {
		id, err := s.findConnector(args[0])
		if err != nil {
			return err
		}
		before, err := s.connector(s.ctx(), id)
		if err != nil {
			return err
		}
		var a struct {
			AuthorizationURL string `json:"authorization_url"`
		}
		answer, err := s.Do(s.ctx(), apiclient.Request{
			Method: http.MethodPost, Path: connectorsPath + "/" + url.PathEscape(id) + "/authorize", Repeatable: true,
		})
		if err != nil {
			return err
		}
		if err := json.Unmarshal(answer, &a); err != nil {
			return err
		}
		if s.json {
			err = s.printJSON(answer)
		} else {
			_, err = fmt.Fprintln(s.out, terminal.Line(a.AuthorizationURL, 0))
		}
		if err != nil || *noWait {
			return err
		}
		if !*noOpen && s.err.Terminal {
			openBrowser(s.ctx(), a.AuthorizationURL)
		}
		s.note("Waiting until it is authorized there. Ctrl-C waits no longer.")
		return s.awaitAuthorization(before, *within)
	})
	return cmd
}

func (s *session) connector(ctx context.Context, id string) (savedConnector, error) {
	var c savedConnector
	err := s.Call(ctx, apiclient.Request{Method: http.MethodGet, Path: connectorsPath + "/" + url.PathEscape(id)}, &c)
	return c, err
}

// awaitAuthorization waits until a connector was authorized since it was looked at.
func (s *session) awaitAuthorization(before savedConnector, within time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx(), within)
	defer cancel()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			if s.ctx().Err() != nil {
				return s.ctx().Err()
			}
			return fmt.Errorf("it was not authorized within %s: perdure connector authorize %s begins anew", within, before.ID)
		case <-ticker.C:
		}
		now, err := s.connector(ctx, before.ID)
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		if !needsAuthorization(now) && (needsAuthorization(before) || now.Status.At != before.Status.At) {
			if s.json {
				return nil
			}
			return s.stateOfConnector(now)
		}
	}
}

func needsAuthorization(c savedConnector) bool {
	return c.Status.State == "needs_auth" || c.Status.State == "needs_reauth" || c.Status.State == "pending"
}

// openBrowser opens an address where that can be done. That it cannot is no failure: the address was printed.
func openBrowser(ctx context.Context, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return
	}
	opener := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		opener = []string{"open"}
	case "windows":
		opener = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), opener[0], append(opener[1:], u.String())...)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
