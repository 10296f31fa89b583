package identity

import "fmt"

// Role is what a member may do in an organization beyond what is their own. The zero value is no role, which may nothing.
type Role string

// The roles. They are stored: they never change.
const (
	Admin  Role = "admin"
	Member Role = "member"
)

// ParseRole reads a role.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Admin, Member:
		return r, nil
	default:
		return "", fmt.Errorf("must be %s or %s", Admin, Member)
	}
}
