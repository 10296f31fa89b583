package oauthtest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Browse opens an authorization URL as a browser does whose user agrees, and returns the query with which the browser would be sent back
// to the redirect URI, which it does not open.
func Browse(ctx context.Context, authorizationURL string) (url.Values, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		// Not the default transport, whose connections every test server that closes takes down.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("oauthtest: the authorization server did not send the browser back: HTTP %d", resp.StatusCode)
	}
	return to.Query(), nil
}
