package page

import "net/http"

// Cookie returns a cookie of ours that no script reads and no other site's form sends. It is for the paths below the given one, and for an
// age in seconds; a negative one removes it.
func Cookie(r *http.Request, name, value, path string, age int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure(r),
	}
}
