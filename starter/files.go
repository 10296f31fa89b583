package starter

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

const filesPath = "/v1/files"

// fileRoutes are those of files, which OpenAI's Files API has. openapi.yaml has each, and TestStrangersOfFiles a case for each.
func (s *Starter) fileRoutes(handle func(pattern string, h http.Handler)) {
	handle("POST "+filesPath, s.authenticated(s.createFile))
	handle("GET "+filesPath, s.authenticated(s.listFiles))
	handle("GET "+filesPath+"/{id}", s.authenticated(s.getFile))
	handle("DELETE "+filesPath+"/{id}", s.authenticated(s.deleteFile))
	handle("GET "+filesPath+"/{id}/content", s.authenticated(s.getFileContent))
}

// shownFile is a file as OpenAI shows one.
type shownFile struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	// Status is "processed", or "uploaded" while more of it may come. Libraries can wait for "processed".
	Status        string  `json:"status"`
	StatusDetails *string `json:"status_details"`
}

func showFile(f file.File) shownFile {
	shown := shownFile{
		ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.Created.Unix(), ExpiresAt: f.Expires.Unix(), Filename: f.Filename,
		Purpose: f.Purpose, Status: "processed",
	}
	if f.Growing {
		shown.Status = "uploaded"
	}
	return shown
}

// filePage is a page of files. OpenAI's lists go on after the ID of the last object.
type filePage struct {
	Object  string      `json:"object"`
	Data    []shownFile `json:"data"`
	FirstID *string     `json:"first_id"`
	LastID  *string     `json:"last_id"`
	HasMore bool        `json:"has_more"`
}

const (
	// maxFilesAsked is how many files OpenAI lets a client ask for, and maxFilesPage how many there are in one answer at the most. Clients
	// see by has_more that there are others.
	maxFilesAsked = 10_000
	maxFilesPage  = 1000
)

// listFiles lists the files of the caller's organization, the newest first.
func (s *Starter) listFiles(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	filter, err := fileFilter(r.URL.Query())
	if err != nil {
		return err
	}
	files, more, err := s.Files.List(r.Context(), who.Organization, filter)
	if err != nil {
		return err
	}
	page := filePage{Object: "list", Data: make([]shownFile, len(files)), HasMore: more}
	for i, f := range files {
		page.Data[i] = showFile(f)
	}
	if n := len(files); n > 0 {
		page.FirstID, page.LastID = &files[0].ID, &files[n-1].ID
	}
	return s.writeValue(w, r, page)
}

func fileFilter(params url.Values) (store.FileFilter, error) {
	known := []string{"after", "limit", "order", "purpose"}
	for name, values := range params {
		if !slices.Contains(known, name) {
			return store.FileFilter{}, responses.Invalid(clip(name), "unknown parameter; this list takes %s", strings.Join(known, ", "))
		}
		if len(values) > 1 || len(values[0]) > maxFilter {
			return store.FileFilter{}, responses.Invalid(name, "must be given once, with %d characters at most", maxFilter)
		}
	}
	filter := store.FileFilter{Purpose: params.Get("purpose"), After: params.Get("after"), Limit: maxFilesPage}
	if filter.After != "" && !file.IsID(filter.After) {
		return filter, responses.Invalid("after", "must be the ID of a file")
	}
	switch params.Get("order") {
	case "", "desc":
	case "asc":
		filter.OldestFirst = true
	default:
		return filter, responses.Invalid("order", `must be "asc" or "desc"`)
	}
	if text := params.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxFilesAsked {
			return filter, responses.Invalid("limit", "must be between 1 and %d", maxFilesAsked)
		}
		filter.Limit = min(n, maxFilesPage)
	}
	return filter, nil
}

func (s *Starter) getFile(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	f, err := s.Files.Get(r.Context(), who.Organization, r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showFile(f))
}

// deleteFile deletes a file that nothing needs.
func (s *Starter) deleteFile(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := s.Files.Delete(r.Context(), actor(r, who), id); err != nil {
		return err
	}
	return s.writeValue(w, r, shownDeletion{ID: id, Object: "file", Deleted: true})
}
