package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"perdure/internal/cfaccess"
	"perdure/internal/egress"
)

const (
	// maxAnswer bounds an answer, decompressed.
	maxAnswer = 1 << 20
	// maxRedirects bounds those of metadata, which stay within one origin.
	maxRedirects = 3
)

// A request is one message to an authorization server, or to the connector's server for its metadata.
type request struct {
	stage  Stage
	who    string // "the authorization server", "the MCP server": what errors call the peer
	method string
	url    string
	body   string
	header http.Header
}

// An answer is a complete one, of any status.
type answer struct {
	status int
	json   bool // by its content type
	body   []byte
}

// send makes one request. Its error says that there is no answer.
func (c *Client) send(ctx context.Context, con Connector, r request) (answer, *Error) {
	for range maxRedirects {
		resp, next, err := c.sendOnce(ctx, con, r)
		if err != nil || next == "" {
			return resp, err
		}
		r.url = next
	}
	return answer{}, failure(r.stage, r.who+" redirects in circles", "correct the server's address")
}

func (c *Client) sendOnce(ctx context.Context, con Connector, r request) (a answer, next string, _ *Error) {
	if err := c.rules.CheckURL(r.url); err != nil {
		return a, "", failure(r.stage, "an address that "+r.who+" names cannot be used", err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return a, "", failure(r.stage, "an address that "+r.who+" names cannot be used", "correct the server's address")
	}
	c.dress(req, con, r)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return a, "", noAnswer(r, err)
	}
	defer resp.Body.Close()
	switch {
	case cfaccess.Refused(resp):
		e := failure(r.stage, r.who+" is behind Cloudflare Access", cfaccess.Explain(req.Header))
		e.Status = resp.StatusCode
		return a, "", e
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		next, err := redirected(r, req.URL, resp)
		return a, next, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, "", noAnswer(r, err)
	case len(body) > maxAnswer:
		return a, "", failure(r.stage, fmt.Sprintf("the answer of %s is larger than %d bytes", r.who, maxAnswer), "correct the server's address")
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
	return answer{status: resp.StatusCode, json: isJSON, body: body}, "", nil
}

// dress adds headers. The connector's own come first, so that none replaces what the protocol needs, and only at its own origin.
func (c *Client) dress(req *http.Request, con Connector, r request) {
	if own, err := url.Parse(con.URL); err == nil && egress.OriginOf(own) == egress.OriginOf(req.URL) {
		for name, values := range con.Header {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "perdure")
	req.Header.Del("Authorization") // whatever a connector sends to its MCP endpoint, it is not meant for this
	for name, values := range r.header {
		req.Header[name] = values
	}
}

// redirected returns where metadata has moved to. Anything else that moved is not followed: a request with a secret in it goes to the
// address it was meant for or nowhere.
func redirected(r request, from *url.URL, resp *http.Response) (string, *Error) {
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || r.method != http.MethodGet || resp.Header.Get("Location") == "" || egress.OriginOf(to) != egress.OriginOf(from) {
		e := failure(r.stage, fmt.Sprintf("%s answered HTTP %d: redirects to elsewhere are refused", r.who, resp.StatusCode),
			"use the address it redirects to")
		e.Status = resp.StatusCode
		return "", e
	}
	return to.String(), nil
}

// noAnswer describes a request that failed on its way. Such failures are worth another attempt, except those that configuration causes.
func noAnswer(r request, err error) *Error {
	var dns *net.DNSError
	var proxy *egress.ProxyError
	e := failure(r.stage, r.who+" could not be reached", "try again later")
	e.Temporary = true
	switch {
	case errors.Is(err, egress.ErrAddressDenied):
		e = failure(r.stage, "the address of "+r.who+" is not allowed by the network policy",
			"an operator can allow it with allow_networks or allow_origins")
	case errors.As(err, &proxy):
		e = failure(r.stage, r.who+" could not be reached: "+proxy.Error(), "ask the operator")
		e.Temporary = proxy.Temporary()
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = r.who + " did not answer in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		e = failure(r.stage, "the host name of "+r.who+" does not exist", "correct the server's address")
	case egress.BadCertificate(err):
		e = failure(r.stage, "the certificate of "+r.who+" is not trusted or does not match the host name",
			"its operator has to install a valid certificate")
	}
	e.kinds = append(e.kinds, egress.SafeCause(err))
	return e
}

// looksLikeHTML tells a page for people from a broken answer.
func (a answer) looksLikeHTML() bool {
	return bytes.HasPrefix(bytes.TrimLeft(a.body, " \t\r\n\ufeff"), []byte("<"))
}

// form is what an answer is, in the words of an error.
func (a answer) form() string {
	if a.looksLikeHTML() {
		return "a page (HTML)"
	}
	return "something that is not JSON"
}
