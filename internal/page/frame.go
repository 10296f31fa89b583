package page

// Frame is a page as the layout needs it.
type Frame struct {
	// Title is the heading of the page and of its window.
	Title string
	// Section is the path of the entry of the navigation that the page belongs to.
	Section string
	// Account is who is signed in; nil: nobody is.
	Account *Account
	// Flash is what the last action has to say.
	Flash *Flash
	// Theme is "light" or "dark"; empty follows the browser.
	Theme string
	// Path is the page's own address, to come back to.
	Path string
	// Styles and Scripts are the names of static files that this page needs besides those of all.
	Styles, Scripts []string
	// Content is what the page's template shows.
	Content any
}

// Account is who is signed in, as the layout shows them.
type Account struct {
	Organization, User, Role string
	Admin                    bool
}

// Link is an entry of the navigation.
type Link struct{ Path, Text string }

// Group is a part of the navigation.
type Group struct {
	Title string
	Links []Link
}

// Navigation is what the person may go to.
func (f Frame) Navigation() []Group {
	if f.Account == nil {
		return nil
	}
	groups := []Group{
		{"", []Link{{"/playground", "Playground"}, {"/runs", "Runs"}, {"/batches", "Batches"}}},
		{"Account settings", []Link{{"/settings/connectors", "Connectors"}, {"/settings/keys", "API keys"}, {"/settings/account", "Account"}}},
	}
	if f.Account.Admin {
		groups = append(groups, Group{"Enterprise settings", []Link{
			{"/enterprise/connectors", "Connectors permissions"},
			{"/enterprise/members", "Members"},
			{"/enterprise/organization", "Organization"},
			{"/enterprise/audit-log", "Audit log"},
		}})
	}
	return groups
}
