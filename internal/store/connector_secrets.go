package store

import (
	"context"
	"slices"
	"strings"

	"perdure/internal/connector"
	"perdure/internal/secret"
)

// secretBinding is what a connector's secret is sealed for. It is part of the stored format: it never changes.
func secretBinding(organization, id, name string) secret.Binding {
	return secret.Binding{Purpose: "connector." + name, Organization: organization, ConnectorID: id}
}

// storeSecrets seals and stores secrets in the place of those of the same names.
func (s *Store) storeSecrets(ctx context.Context, q querier, c connector.Connector, given connector.Secrets) error {
	for name, value := range given {
		sealed, err := s.sealer.Seal([]byte(value.Reveal()), secretBinding(c.Organization, c.ID, string(name)))
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO connector_secrets (organization, connector, name, sealed) VALUES ($1, $2, $3, $4)
			ON CONFLICT (organization, connector, name) DO UPDATE SET sealed = excluded.sealed`, c.Organization, c.ID, string(name), []byte(sealed))
		if err != nil {
			return err
		}
	}
	return nil
}

// ConnectorSecrets opens the secrets of a connector. It is for dialing the connector's server and for nothing else.
func (s *Store) ConnectorSecrets(ctx context.Context, organization, id string) (connector.Secrets, error) {
	const what = "open the connector's secrets"
	rows, err := s.db.QueryContext(ctx, `SELECT name, sealed FROM connector_secrets WHERE organization = $1 AND connector = $2`, organization, id)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	opened := connector.Secrets{}
	for rows.Next() {
		var name string
		var sealed []byte
		if err := rows.Scan(&name, &sealed); err != nil {
			return nil, s.failed(ctx, what, err)
		}
		text, err := s.sealer.Open(sealed, secretBinding(organization, id, name))
		if err != nil {
			return nil, s.failed(ctx, what, err)
		}
		opened[connector.SecretName(name)] = secret.New(string(text))
	}
	return opened, s.failed(ctx, what, rows.Err())
}

// splitNames reads the list of names that comes with a connector.
func splitNames(joined string) []connector.SecretName {
	if joined == "" {
		return nil
	}
	var names []connector.SecretName
	for name := range strings.SplitSeq(joined, "\n") {
		names = append(names, connector.SecretName(name))
	}
	slices.Sort(names)
	return names
}
