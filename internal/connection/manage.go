package connection

import (
	"context"
	"strings"
	"time"

	"perdure/internal/connector"
	"perdure/internal/oauth"
)

// Draft is what a person enters.
type Draft struct {
	Settings connector.Settings
	// Secrets are those that are given; one that is not stays what it was.
	Secrets connector.Secrets
	// Icon is a picture's file; nil leaves the icon as it is.
	Icon []byte
}

// Create adds a connector and looks at its server at once. A server that cannot be used does not keep the connector from being stored:
// its status says what is the matter. The error is a [connector.Invalid], one of the rules, or of the store; then nothing is stored.
func (s *Service) Create(ctx context.Context, by Caller, d Draft) (View, error) {
	o, err := s.Store.EnsureOrganization(ctx, by.actor())
	if err != nil {
		return View{}, err
	}
	if err := connector.MayCreate(by.Principal, o, d.Settings.Scope); err != nil {
		return View{}, err
	}
	change, err := connector.New(by.Principal, d.Settings, d.Secrets, s.checks, s.now())
	icon, iconErr := d.icon()
	if err := together(err, iconErr); err != nil {
		return View{}, err
	}
	c, err := s.Store.CreateConnector(ctx, by.actor(), change, icon)
	if err != nil {
		return View{}, err
	}
	return s.lookAndView(ctx, by, c)
}

// Update gives a connector other settings, and looks at its server again.
func (s *Service) Update(ctx context.Context, by Caller, id string, d Draft) (View, error) {
	c, err := s.allowed(ctx, by, id, connector.Edit)
	if err != nil {
		return View{}, err
	}
	o, err := s.Store.EnsureOrganization(ctx, by.actor())
	if err != nil {
		return View{}, err
	}
	if err := connector.MayApply(by.Principal, o, c, d.Settings); err != nil {
		return View{}, err
	}
	change, err := c.Apply(d.Settings, d.Secrets, s.checks, s.now())
	icon, iconErr := d.icon()
	if err := together(err, iconErr); err != nil {
		return View{}, err
	}
	var ended []oauth.Grant
	if change.Regrant {
		ended = s.grants(ctx, c)
	}
	con, err := s.authorizing(ctx, c)
	if err != nil {
		return View{}, err
	}
	if c, err = s.Store.UpdateConnector(ctx, by.actor(), change); err != nil {
		return View{}, hidden(err)
	}
	s.revoke(ctx, c.ID, con, ended)
	if len(icon.PNG) > 0 {
		if err := s.Store.SetIcon(ctx, by.actor(), id, icon); err != nil {
			return View{}, hidden(err)
		}
		if c, err = s.Store.Connector(ctx, by.Organization, id); err != nil {
			return View{}, hidden(err)
		}
	}
	return s.lookAndView(ctx, by, c)
}

// icon draws the icon of a draft anew; one that has none gives an empty one.
func (d Draft) icon() (connector.Icon, error) {
	if len(d.Icon) == 0 {
		return connector.Icon{}, nil
	}
	return connector.NewIcon(d.Icon)
}

// Delete removes a connector with everything that is stored for it. Its authorizations are ended at their authorization servers, as far
// as these can be reached.
func (s *Service) Delete(ctx context.Context, by Caller, id string) error {
	c, err := s.allowed(ctx, by, id, connector.Delete)
	if err != nil {
		return err
	}
	con, err := s.authorizing(ctx, c)
	if err != nil {
		return err
	}
	s.revoke(ctx, c.ID, con, s.grants(ctx, c))
	return hidden(s.Store.DeleteConnector(ctx, by.actor(), id))
}

// SetIcon gives a connector another icon; an empty file takes it away.
func (s *Service) SetIcon(ctx context.Context, by Caller, id string, file []byte) (View, error) {
	if _, err := s.allowed(ctx, by, id, connector.Edit); err != nil {
		return View{}, err
	}
	icon, err := Draft{Icon: file}.icon()
	if err != nil {
		return View{}, err
	}
	if err := s.Store.SetIcon(ctx, by.actor(), id, icon); err != nil {
		return View{}, hidden(err)
	}
	return s.viewNow(ctx, by, id)
}

// Icon returns the icon of a connector, a PNG; [connector.ErrHidden] if it has none.
func (s *Service) Icon(ctx context.Context, by Caller, id string) ([]byte, error) {
	if _, err := s.allowed(ctx, by, id, connector.See); err != nil {
		return nil, err
	}
	png, err := s.Store.Icon(ctx, by.Organization, id)
	return png, hidden(err)
}

// Share makes an organization connector everybody's to use, or takes that back.
func (s *Service) Share(ctx context.Context, by Caller, id string, shared bool) (View, error) {
	return s.change(ctx, by, id, connector.Share, func() error { return s.Store.ShareConnector(ctx, by.actor(), id, shared) })
}

// Enable enables a connector, or disables it.
func (s *Service) Enable(ctx context.Context, by Caller, id string, enabled bool) (View, error) {
	return s.change(ctx, by, id, connector.Enable, func() error { return s.Store.EnableConnector(ctx, by.actor(), id, enabled) })
}

// Restrict ends every use of a connector, for a reason that its owner gets to see.
func (s *Service) Restrict(ctx context.Context, by Caller, id, reason string) (View, error) {
	reason = strings.TrimSpace(reason)
	if _, err := s.allowed(ctx, by, id, connector.Restrict); err != nil {
		return View{}, err
	}
	if err := connector.CheckReason(reason); err != nil {
		return View{}, err
	}
	return s.change(ctx, by, id, connector.Restrict, func() error { return s.Store.RestrictConnector(ctx, by.actor(), id, reason) })
}

// Unrestrict takes a restriction back.
func (s *Service) Unrestrict(ctx context.Context, by Caller, id string) (View, error) {
	return s.change(ctx, by, id, connector.Restrict, func() error { return s.Store.UnrestrictConnector(ctx, by.actor(), id) })
}

// Vet notes that an admin has looked at a member's connector, in the version and with the tools of the given time.
func (s *Service) Vet(ctx context.Context, by Caller, id string, version int64, seen time.Time) (View, error) {
	return s.change(ctx, by, id, connector.Vet, func() error { return s.Store.VetConnector(ctx, by.actor(), id, version, seen) })
}

// Review counts the tools that the look at the given time found as seen.
func (s *Service) Review(ctx context.Context, by Caller, id string, seen time.Time) (View, error) {
	return s.change(ctx, by, id, connector.Review, func() error { return s.Store.ReviewTools(ctx, by.actor(), id, seen) })
}

func (s *Service) change(ctx context.Context, by Caller, id string, action connector.Action, change func() error) (View, error) {
	if _, err := s.allowed(ctx, by, id, action); err != nil {
		return View{}, err
	}
	if err := change(); err != nil {
		return View{}, hidden(err)
	}
	return s.viewNow(ctx, by, id)
}
