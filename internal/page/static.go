package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

// StaticPath is below which the static files are served.
const StaticPath = "/static/"

//go:embed static
var staticFiles embed.FS

// asset is a static file as it is served.
type asset struct {
	name    string
	content []byte
}

// staticAssets has each static file by its address, and staticAddresses the address of each name. The address has a hash of the content,
// so that browsers may keep a file for good.
var staticAssets, staticAddresses = hashStatic()

// imports matches where a module of ours imports another.
var imports = regexp.MustCompile(`(?m)^(import .* from ")\./([a-z-]+\.js)"`)

func hashStatic() (assets map[string]asset, addresses map[string]string) {
	assets, addresses = map[string]asset{}, map[string]string{}
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			addAsset(strings.TrimPrefix(name, "static/"), assets, addresses)
		}
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return assets, addresses
}

// addAsset adds a static file, after the modules that it imports, whose addresses it gets to know. It returns the file's address.
func addAsset(name string, assets map[string]asset, addresses map[string]string) string {
	if address, ok := addresses[name]; ok {
		if address == "" {
			panic("page: the static file " + name + " imports itself")
		}
		return address
	}
	addresses[name] = ""
	content, err := staticFiles.ReadFile("static/" + name)
	if err != nil {
		panic(err)
	}
	extension := path.Ext(name)
	if extension == ".js" {
		content = imports.ReplaceAllFunc(content, func(found []byte) []byte {
			parts := imports.FindSubmatch(found)
			return fmt.Appendf(nil, `%s%s"`, parts[1], addAsset(string(parts[2]), assets, addresses))
		})
	}
	sum := sha256.Sum256(content)
	address := StaticPath + strings.TrimSuffix(name, extension) + "." + base64.RawURLEncoding.EncodeToString(sum[:9]) + extension
	assets[address], addresses[name] = asset{name, content}, address
	return address
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
		file, ok := staticAssets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, file.name, time.Time{}, bytes.NewReader(file.content))
	})
}
