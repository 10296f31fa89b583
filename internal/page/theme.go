package page

import (
	"net/http"
	"time"
)

const themeCookie = "perdure_theme"

// Theme is the one that the browser's user chose: "light", "dark", or empty for the browser's own.
func Theme(r *http.Request) string {
	cookie, err := r.Cookie(themeCookie)
	if err != nil || (cookie.Value != "light" && cookie.Value != "dark") {
		return ""
	}
	return cookie.Value
}

// SetTheme remembers a choice for a year; any other value than "light" and "dark" follows the browser.
func SetTheme(w http.ResponseWriter, r *http.Request, theme string) {
	age := int((365 * 24 * time.Hour).Seconds())
	if theme != "light" && theme != "dark" {
		theme, age = "", -1
	}
	http.SetCookie(w, Cookie(r, themeCookie, theme, "/", age))
}
