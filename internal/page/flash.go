package page

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// Flash is a message for the next page that a browser shows.
type Flash struct {
	Text string `json:"text"`
	// Failed is set for bad news.
	Failed bool `json:"failed,omitempty"`
}

const (
	flashCookie = "perdure_flash"
	// maxFlash is how many bytes of a message are kept, so that its cookie is one that browsers take.
	maxFlash = 600
	flashAge = 60 // seconds
)

// SetFlash leaves a message for the next page. It must hold no secret: it travels in a cookie.
func SetFlash(w http.ResponseWriter, r *http.Request, f Flash) {
	if len(f.Text) > maxFlash {
		f.Text = f.Text[:maxFlash] + "…"
	}
	text, err := json.Marshal(f)
	if err != nil {
		return // a message of two plain members always can be written
	}
	http.SetCookie(w, flashOf(r, base64.RawURLEncoding.EncodeToString(text), flashAge))
}

// TakeFlash returns the message that the last page left, and forgets it.
func TakeFlash(w http.ResponseWriter, r *http.Request) *Flash {
	cookie, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, flashOf(r, "", -1))
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	var f Flash
	if err != nil || json.Unmarshal(text, &f) != nil || f.Text == "" {
		return nil
	}
	return &f
}

func flashOf(r *http.Request, value string, age int) *http.Cookie {
	return Cookie(r, flashCookie, value, "/", age)
}
