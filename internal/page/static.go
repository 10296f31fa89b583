package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// StaticPath is below which the static files are served.
const StaticPath = "/static/"

//go:embed static
var staticFiles embed.FS

// static maps the address of each static file to its name, and each name to its address. The address has a hash of the content, so that
// browsers may keep a file for good.
var staticNames, staticAddresses = hashStatic()

func hashStatic() (names, addresses map[string]string) {
	names, addresses = map[string]string{}, map[string]string{}
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		base := strings.TrimPrefix(name, "static/")
		extension := path.Ext(base)
		address := StaticPath + strings.TrimSuffix(base, extension) + "." + base64.RawURLEncoding.EncodeToString(sum[:9]) + extension
		names[address], addresses[base] = name, address
		return nil
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return names, addresses
}

// Asset returns the address of a static file. It panics for one that is not there, which is a mistake in a template.
func Asset(name string) string {
	address, ok := staticAddresses[name]
	if !ok {
		panic("page: there is no static file " + name)
	}
	return address
}

// Static serves the static files. It has no secrets and needs no session.
func Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := staticNames[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, staticFiles, name)
	})
}
