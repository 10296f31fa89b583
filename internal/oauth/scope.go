package oauth

import (
	"slices"
	"strings"
)

const (
	maxScopes     = 100
	maxScopeBytes = 256
	// offlineAccess is the scope by which OpenID Connect asks for a refresh token.
	offlineAccess = "offline_access"
	// maxStepUps bounds how often in a row a server may refuse although it got what it asked for.
	maxStepUps = 2
)

// validScope follows RFC 6749, 3.3.
func validScope(s string) bool {
	return s != "" && len(s) <= maxScopeBytes &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// selectScopes says what to ask for: what the connector is set to, or else what the refusal names, or else what the resource knows, or
// else nothing, which leaves it to the authorization server. A refresh token is asked for where that takes a scope.
func selectScopes(con Connector, d Discovery, ch Challenge) ([]string, *Error) {
	var scopes []string
	switch {
	case len(con.Scopes) > 0:
		for _, s := range con.Scopes {
			if !validScope(s) {
				return nil, failure(StageScope, "a scope that the connector is set to is not valid", "give scopes as words without quotes")
			}
		}
		return slices.Clone(con.Scopes), nil // exactly these
	case len(ch.Scopes) > 0:
		scopes = slices.Clone(ch.Scopes)
	default:
		scopes = slices.Clone(d.Scopes)
	}
	if slices.Contains(d.ServerScopes, offlineAccess) && !slices.Contains(scopes, offlineAccess) {
		scopes = append(scopes, offlineAccess)
	}
	return scopes, nil
}

// stepUp adds what the prior grant was asked for, so that a new one does not lose it. It counts how often in a row the server refused
// although all that it names had been asked for.
func stepUp(scopes []string, d Discovery, ch Challenge, prior *Grant) ([]string, int, *Error) {
	if prior == nil || prior.Issuer != d.Issuer {
		return scopes, 0, nil
	}
	asked := prior.Asked
	news := slices.ContainsFunc(ch.Scopes, func(s string) bool { return !slices.Contains(asked, s) })
	for _, s := range asked {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	switch {
	case !ch.InsufficientScope():
		return scopes, 0, nil
	case len(scopes) > maxScopes:
	case news:
		return scopes, prior.StepUps, nil
	case prior.StepUps < maxStepUps:
		return scopes, prior.StepUps + 1, nil
	}
	return nil, 0, failure(StageScope, "the MCP server keeps asking for permissions although they were granted",
		"ask its operator which scopes it needs, and set them on the connector", ErrForbidden)
}
