package e2e

import "net/http"

// pageCase is a page that everybody can use: TestPages opens it as each of the people, in both themes, wide and narrow.
type pageCase struct {
	// route is the pattern in internal/ui, or in the starter.
	route string
	// path is where the page is; what stands in braces is the name of what [pageStage.made] has the ID of.
	path string
	// as are the people who get it; nil: all members of both organizations.
	as []person
	// status is the page's, if it is not 200.
	status int
	// heading is the page's, where more than one page has the address.
	heading string
}

var (
	everyone  = []person{acmeAdmin, acmeMember, emptyAdmin, emptyMember}
	acme      = []person{acmeAdmin, acmeMember}
	admins    = []person{acmeAdmin, emptyAdmin}
	members   = []person{acmeMember, emptyMember}
	strangers = []person{stranger}
)

// pageCases are all pages. TestPagesAreListed wants a case with status 200 for each route of a page.
var pageCases = []pageCase{
	// Before and after a sign-in.
	{route: "GET /rest/auth/sign-in", path: "/rest/auth/sign-in", as: strangers, status: http.StatusUnauthorized, heading: "Sign in"},
	{route: "GET /rest/auth/sign-in", path: "/rest/auth/sign-in?signed_out=1", as: strangers, heading: "Signed out"},
	{route: "GET /rest/auth/link", path: "/rest/auth/link?token=used", as: strangers, status: http.StatusForbidden, heading: "Sign-in failed"},
	{route: "GET /rest/auth/callback", path: "/rest/auth/callback?state=x", as: strangers, status: http.StatusNotFound, heading: "Sign-in failed"},
	{route: "GET /rest/connections/callback", path: "/rest/connections/oauth_callback?state=x", as: []person{acmeMember}, status: http.StatusBadRequest, heading: "Authorization failed"},
	{route: "GET /", path: "/no/such/page", as: []person{stranger, acmeAdmin}, status: http.StatusNotFound, heading: "Not found"},

	// Runs.
	{route: "GET /runs", path: "/runs"},
	{route: "GET /runs", path: "/runs?status=failed&server=nowhere&since=1h", as: everyone},
	{route: "GET /runs", path: "/runs?since=yesterday", as: acme, status: http.StatusBadRequest, heading: "That did not work"},
	{route: "GET /runs", path: "/runs?page=x", as: acme, status: http.StatusBadRequest, heading: "That did not work"},
	{route: "GET /runs/{id}", path: "/runs/{completed run}", as: acme},
	{route: "GET /runs/{id}", path: "/runs/{failed run}", as: acme},
	{route: "GET /runs/{id}", path: "/runs/{running run}", as: acme},
	{route: "GET /runs/{id}", path: "/runs/{completed run}", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /runs/{id}/delete", path: "/runs/{completed run}/delete", as: acme},
	{route: "GET /runs/{id}/delete", path: "/runs/{completed run}/delete", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	// The playground.
	{route: "GET /playground", path: "/playground"},
	{route: "GET /playground", path: "/playground?example=0"},
	{route: "GET /playground", path: "/playground?from={completed run}", as: acme},
	{route: "GET /playground", path: "/playground?from={failed run}", as: acme},
	{route: "GET /playground", path: "/playground?previous={completed run}", as: acme},
	{route: "GET /playground", path: "/playground?previous={running run}", as: []person{acmeAdmin}},
	{route: "GET /playground", path: "/playground?from={completed run}", as: []person{emptyAdmin}, status: http.StatusNotFound},
	// Batches.
	{route: "GET /batches", path: "/batches", heading: "Batches"},
	{route: "GET /batches", path: "/batches?after={completed batch}", as: acme, heading: "Batches"},
	{route: "GET /batches", path: "/batches?after=batch_none", as: []person{acmeMember}, status: http.StatusBadRequest},
	{route: "GET /batches/new", path: "/batches/new", heading: "New batch"},
	{route: "GET /batches/{id}", path: "/batches/{completed batch}", as: acme, heading: "nightly <b>büro<i>.jsonl"},
	{route: "GET /batches/{id}", path: "/batches/{running batch}", as: acme, heading: "slow.jsonl"},
	{route: "GET /batches/{id}", path: "/batches/{completed batch}", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /batches/{id}/cancel", path: "/batches/{running batch}/cancel", as: acme, heading: "Cancel batch"},
	{route: "GET /batches/{id}/cancel", path: "/batches/{running batch}/cancel", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /batches/{id}/failed", path: "/batches/{completed batch}/failed", as: acme, heading: "Failed lines"},
	{route: "GET /batches/{id}/failed", path: "/batches/{completed batch}/failed?from=1000", as: []person{acmeMember}, heading: "Failed lines"},
	{route: "GET /batches/{id}/failed", path: "/batches/{completed batch}/failed", as: []person{emptyMember}, status: http.StatusNotFound, heading: "Not found"},

	// Account settings.
	{route: "GET /settings/account", path: "/settings/account"},
	{route: "GET /settings/keys", path: "/settings/keys"},
	{route: "GET /settings/keys", path: "/settings/keys?all=1", as: admins},
	{route: "GET /settings/keys/new", path: "/settings/keys/new"},
	{route: "GET /settings/keys/{id}/created", path: "/settings/keys/{bob's key}/created", as: acme, heading: "The key has been shown"},
	{route: "GET /settings/keys/{id}/revoke", path: "/settings/keys/{bob's key}/revoke", as: acme},
	{route: "GET /settings/keys/{id}/revoke", path: "/settings/keys/{bob's key}/revoke", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /settings/keys/{id}/revoke", path: "/settings/keys/{alice's key}/revoke", as: []person{acmeMember}, status: http.StatusNotFound, heading: "Not found"},

	{route: "GET /settings/connectors", path: "/settings/connectors"},
	{route: "GET /settings/connectors/new", path: "/settings/connectors/new", as: admins},
	{route: "GET /settings/connectors/new", path: "/settings/connectors/new", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /settings/connectors/{id}", path: "/settings/connectors/{connector}", as: []person{acmeAdmin}, heading: "Files"},
	{route: "GET /settings/connectors/{id}", path: "/settings/connectors/{broken connector}", as: []person{acmeAdmin}, heading: "Broken"},
	{route: "GET /settings/connectors/{id}", path: "/settings/connectors/{connector}", as: []person{acmeMember, emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /settings/connectors/{id}/edit", path: "/settings/connectors/{broken connector}/edit", as: []person{acmeAdmin}},
	{route: "GET /settings/connectors/{id}/edit", path: "/settings/connectors/{broken connector}/edit", as: []person{acmeMember}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /settings/connectors/{id}/remove", path: "/settings/connectors/{broken connector}/remove", as: []person{acmeAdmin}, heading: "Remove Broken?"},

	// Enterprise settings.
	{route: "GET /enterprise/connectors", path: "/enterprise/connectors", as: admins},
	{route: "GET /enterprise/connectors", path: "/enterprise/connectors", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/connectors/new", path: "/enterprise/connectors/new", as: admins},
	{route: "GET /enterprise/connectors/new", path: "/enterprise/connectors/new", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/connectors/{id}", path: "/enterprise/connectors/{connector}", as: []person{acmeAdmin}, heading: "Files"},
	{route: "GET /enterprise/connectors/{id}/edit", path: "/enterprise/connectors/{connector}/edit", as: []person{acmeAdmin}},
	{route: "GET /enterprise/connectors/{id}/remove", path: "/enterprise/connectors/{connector}/remove", as: []person{acmeAdmin}, heading: "Remove Files?"},
	{route: "GET /enterprise/connectors/{id}/restrict", path: "/enterprise/connectors/{broken connector}/restrict", as: []person{acmeAdmin}, heading: "Restrict Broken?"},
	{route: "GET /enterprise/connectors/{id}/restrict", path: "/enterprise/connectors/{connector}/restrict", as: []person{acmeAdmin}, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/organization", path: "/enterprise/organization", as: admins},
	{route: "GET /enterprise/organization", path: "/enterprise/organization", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/members", path: "/enterprise/members", as: admins},
	{route: "GET /enterprise/members", path: "/enterprise/members", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/members/new", path: "/enterprise/members/new", as: admins},
	{route: "GET /enterprise/members/new", path: "/enterprise/members/new", as: members, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/members/{id}/remove", path: "/enterprise/members/bob/remove", as: []person{acmeAdmin}},
	{route: "GET /enterprise/members/{id}/remove", path: "/enterprise/members/bob/remove", as: []person{acmeMember}, status: http.StatusForbidden, heading: "Not allowed"},
	{route: "GET /enterprise/members/{id}/remove", path: "/enterprise/members/bob/remove", as: []person{emptyAdmin}, status: http.StatusNotFound, heading: "Not found"},
	{route: "GET /enterprise/audit-log", path: "/enterprise/audit-log", as: admins},
	{route: "GET /enterprise/audit-log", path: "/enterprise/audit-log?action=key.&user=nobody", as: admins},
	{route: "GET /enterprise/audit-log", path: "/enterprise/audit-log?from=yesterday", as: []person{acmeAdmin}, status: http.StatusBadRequest},
	{route: "GET /enterprise/audit-log", path: "/enterprise/audit-log", as: members, status: http.StatusForbidden, heading: "Not allowed"},
}

// notPages are routes that people do not look at, with what they are.
var notPages = map[string]string{
	"GET /{$}": "leads to another page",

	"GET /runs/{id}/events":                           "is a stream for a script",
	"GET /runs/{id}/json":                             "is JSON",
	"GET /runs/{id}/steps/{execution}/{event}/{part}": "is a text to save",
	"GET /playground/runs/{id}/events":                "is a stream for a script",
	"GET /batches/{id}/input":                         "is a file",
	"GET /batches/{id}/output":                        "is a file",
	"GET /batches/{id}/errors":                        "is a file",
}
