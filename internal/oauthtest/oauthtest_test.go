package oauthtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"perdure/internal/oauthtest"
)

const redirect = "https://client.example/callback"

func do(t *testing.T, method, target, contentType, body string) (status int, location string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// What a correct client never sends is refused, and reported in the end.
func TestReportsWhatNoCorrectClientSends(t *testing.T) {
	t.Parallel()
	registration := func(change func(map[string]any)) string {
		m := map[string]any{
			"redirect_uris": []string{redirect}, "grant_types": []string{"authorization_code", "refresh_token"},
			"token_endpoint_auth_method": "none", "application_type": "web",
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const form = "application/x-www-form-urlencoded"
	authorization := url.Values{
		"client_id": {"c"}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {strings.Repeat("s", 43)},
		"code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"}, "resource": {"urn:r"},
	}
	without := func(name string) string {
		q := url.Values{}
		for key, values := range authorization {
			if key != name {
				q[key] = values
			}
		}
		return oauthtest.Authorize + "?" + q.Encode()
	}
	for name, request := range map[string][4]string{
		"a registration without refresh_token": {http.MethodPost, oauthtest.Registration, "application/json", registration(func(m map[string]any) { delete(m, "grant_types") })},
		"a registration of another type":       {http.MethodPost, oauthtest.Registration, "application/json", registration(func(m map[string]any) { m["application_type"] = "native" })},
		"a registration of another method":     {http.MethodPost, oauthtest.Registration, "application/json", registration(func(m map[string]any) { m["token_endpoint_auth_method"] = "tls" })},
		"no PKCE":                              {http.MethodGet, without("code_challenge"), "", ""},
		"no state":                             {http.MethodGet, without("state"), "", ""},
		"no resource":                          {http.MethodGet, without("resource"), "", ""},
		"a foreign redirect URI":               {http.MethodGet, strings.Replace(without(""), "client.example", "evil.example", 1), "", ""},
		"a token request in JSON":              {http.MethodPost, oauthtest.Token, "application/json", "{}"},
		"a token request without the resource": {http.MethodPost, oauthtest.Token, form, "client_id=c&grant_type=refresh_token"},
	} {
		s := oauthtest.NewServer(oauthtest.Options{Resource: "urn:r", Clients: []oauthtest.Client{{ID: "c", AuthMethod: "none", RedirectURIs: []string{redirect}}}})
		if status, location := do(t, http.MethodGet, s.Issuer()+without(""), "", ""); status != http.StatusFound || !strings.HasPrefix(location, redirect+"?") {
			t.Errorf("a correct authorization got status %d", status)
		}
		if status, _ := do(t, http.MethodPost, s.Issuer()+oauthtest.Registration, "application/json", registration(func(map[string]any) {})); status != http.StatusCreated {
			t.Errorf("a correct registration got status %d", status)
		}
		if status, _ := do(t, request[0], s.Issuer()+request[1], request[2], request[3]); status != http.StatusBadRequest {
			t.Errorf("%s got status %d", name, status)
		}
		if err := s.Close(); err == nil {
			t.Errorf("%s was not reported", name)
		}
	}
}
