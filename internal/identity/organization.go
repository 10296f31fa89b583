package identity

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
)

// DefaultOrganization is that of keys of the configuration which name none, and of "perdure dev".
const DefaultOrganization = "default"

// Organization is a tenant.
type Organization struct {
	// ID is the name by which runs, connectors and all else belong to it. It is chosen by people and never changes.
	ID       string
	Settings OrganizationSettings
	Created  time.Time
}

// OrganizationSettings are an admin's to change.
type OrganizationSettings struct {
	// MembersMayAddConnectors lets members add connectors of their own. It is off until an admin switches it on.
	MembersMayAddConnectors bool `json:"members_may_add_connectors"`
}

// User is a member of an organization. A person who is in two organizations is two users.
type User struct {
	Organization string
	// ID is the name by which what the user makes is theirs. It is chosen by people and never changes.
	ID      string
	Email   string // in lower case; optional; no other member of the organization has it
	Role    Role
	Created time.Time
}

// name is what organizations and users may be called: it goes into logs, search attributes and Temporal's fairness keys.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

var errName = errors.New("must be 1 to 64 letters, digits and . _ @ + -, starting with a letter or digit")

// CheckName reports what is wrong with the ID of an organization or a user, or the name of a key.
func CheckName(id string) error {
	if !name.MatchString(id) {
		return errName
	}
	return nil
}

const maxEmail = 254 // bytes, RFC 5321

// ParseEmail returns an address in the form in which it is stored. The empty one is none.
func ParseEmail(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	address, err := mail.ParseAddress(s)
	if err != nil || address.Address != s || len(s) > maxEmail {
		return "", errors.New("must be an e-mail address such as ann@example.com")
	}
	return strings.ToLower(s), nil
}

// Check reports what is wrong with a user.
func (u User) Check() error {
	if err := CheckName(u.ID); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if _, err := ParseRole(string(u.Role)); err != nil {
		return fmt.Errorf("role: %w", err)
	}
	email, err := ParseEmail(u.Email)
	if err != nil {
		return fmt.Errorf("email: %w", err)
	}
	if email != u.Email {
		return errors.New("email: must be in lower case")
	}
	return nil
}
