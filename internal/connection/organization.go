package connection

import (
	"context"

	"perdure/internal/connector"
	"perdure/internal/identity"
)

// Organization returns the caller's organization. One that only the configuration names begins here.
func (s *Service) Organization(ctx context.Context, by Caller) (identity.Organization, error) {
	return s.Store.EnsureOrganization(ctx, by.actor())
}

// MayAdd returns nil if the caller may add connectors of a scope, and what keeps them from it otherwise.
func (s *Service) MayAdd(ctx context.Context, by Caller, scope connector.Scope) error {
	o, err := s.Organization(ctx, by)
	if err != nil {
		return err
	}
	return connector.MayCreate(by.Principal, o, scope)
}

// LetMembersAdd lets members add connectors, or keeps them from it; for admins.
func (s *Service) LetMembersAdd(ctx context.Context, by Caller, may bool) (identity.Organization, error) {
	if by.Role != identity.Admin {
		return identity.Organization{}, &connector.Denied{Reason: "only admins decide whether members may add connectors"}
	}
	o, err := s.Organization(ctx, by)
	if err != nil {
		return identity.Organization{}, err
	}
	o.Settings.MembersMayAddConnectors = may
	return o, s.Store.UpdateOrganization(ctx, by.actor(), o.Settings)
}
