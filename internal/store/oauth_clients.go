package store

import (
	"context"
	"database/sql"
	"errors"

	"perdure/internal/connector"
	"perdure/internal/secret"
)

// clientBinding is what a client is sealed for. It is part of the stored format: it never changes.
func clientBinding(organization, issuer, redirectURI string) secret.Binding {
	return secret.Binding{Purpose: "oauth.client", Organization: organization, Issuer: issuer + " " + redirectURI}
}

// OAuthClient opens what an organization is at an authorization server, for one redirect URI.
func (s *Store) OAuthClient(ctx context.Context, organization, issuer, redirectURI string) (connector.Client, error) {
	c, err := s.oauthClient(ctx, s.db, organization, issuer, redirectURI)
	return c, s.failed(ctx, "find the OAuth client", err)
}

func (s *Store) oauthClient(ctx context.Context, q querier, organization, issuer, redirectURI string) (connector.Client, error) {
	c := connector.Client{Organization: organization, Issuer: issuer, RedirectURI: redirectURI}
	var sealed []byte
	var created, updated int64
	err := q.QueryRowContext(ctx, `SELECT sealed, created, updated, version FROM oauth_clients
		WHERE organization = $1 AND issuer = $2 AND redirect_uri = $3`, organization, issuer, redirectURI).
		Scan(&sealed, &created, &updated, &c.Version)
	if err != nil {
		return connector.Client{}, err
	}
	text, err := s.sealer.Open(sealed, clientBinding(organization, issuer, redirectURI))
	if err != nil {
		return connector.Client{}, err
	}
	c.Content, c.Created, c.Updated = secret.New(string(text)), fromMicros(created), fromMicros(updated)
	return c, nil
}

// SaveOAuthClient stores a client in the place of the version of it that its maker knew, 0 for none, and returns the one to use: if another
// process was faster, that one's, so that all of them use the same.
func (s *Store) SaveOAuthClient(ctx context.Context, c connector.Client) (connector.Client, error) {
	const what = "store the OAuth client"
	sealed, err := s.sealer.Seal([]byte(c.Content.Reveal()), clientBinding(c.Organization, c.Issuer, c.RedirectURI))
	if err != nil {
		return connector.Client{}, s.failed(ctx, what, err)
	}
	known := c.Version
	c.Version, c.Updated = known+1, now()
	if known == 0 {
		c.Created = c.Updated
	}
	err = s.write(ctx, what, func(tx *sql.Tx) error {
		if known == 0 {
			return one(ctx, tx, ErrConflict, `INSERT INTO oauth_clients (organization, issuer, redirect_uri, sealed, created, updated, version)
				VALUES ($1, $2, $3, $4, $5, $5, 1) ON CONFLICT (organization, issuer, redirect_uri) DO NOTHING`,
				c.Organization, c.Issuer, c.RedirectURI, []byte(sealed), micros(c.Updated))
		}
		return one(ctx, tx, ErrConflict, `UPDATE oauth_clients SET sealed = $1, updated = $2, version = $3
			WHERE organization = $4 AND issuer = $5 AND redirect_uri = $6 AND version = $7`,
			[]byte(sealed), micros(c.Updated), c.Version, c.Organization, c.Issuer, c.RedirectURI, known)
	})
	if errors.Is(err, ErrConflict) {
		return s.OAuthClient(ctx, c.Organization, c.Issuer, c.RedirectURI)
	}
	return c, err
}

// DeleteOAuthClient forgets a client that its authorization server does not know any more. ErrNotFound: it is another one by now.
func (s *Store) DeleteOAuthClient(ctx context.Context, c connector.Client) error {
	return s.failed(ctx, "delete the OAuth client", one(ctx, s.db, ErrNotFound, `DELETE FROM oauth_clients
		WHERE organization = $1 AND issuer = $2 AND redirect_uri = $3 AND version = $4`, c.Organization, c.Issuer, c.RedirectURI, c.Version))
}
