package model

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxKnownModels bounds how many models an [*UnknownModelError] lists.
const maxKnownModels = 20

// Ref names a model at a provider. It is what a run's steps pass on.
type Ref struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
}

// String returns "provider/model", which [Catalog.Resolve] reads again.
func (r Ref) String() string { return r.Provider + "/" + r.Model }

// Catalog knows which provider serves which model. It is safe for concurrent use.
type Catalog struct {
	providers []Provider // by name
	def       Ref        // zero when there is no default
}

// NewCatalog checks the providers and the default model, which may be empty. Its error names every fault.
func NewCatalog(providers []Provider, defaultModel string) (*Catalog, error) {
	if len(providers) == 0 {
		return nil, errors.New("model: no provider is configured")
	}
	c := &Catalog{providers: slices.Clone(providers)}
	slices.SortFunc(c.providers, func(a, b Provider) int { return cmp.Compare(a.Name, b.Name) })
	var faults []error
	for i := range c.providers {
		p := &c.providers[i]
		if err := p.validate(); err != nil {
			faults = append(faults, fmt.Errorf("model: provider %q: %w", clip(p.Name, 64), err))
		}
		if i > 0 && c.providers[i-1].Name == p.Name {
			faults = append(faults, fmt.Errorf("model: two providers have the name %q", clip(p.Name, 64)))
		}
	}
	if defaultModel != "" {
		var err error
		if c.def, err = c.Resolve(defaultModel); err != nil {
			faults = append(faults, fmt.Errorf("model: the default: %w", err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return c, nil
}

// Resolve finds the model that a request names. "provider/model" asks that provider, if it lists the model or lists nothing. A
// name without a known provider in front is looked up in the providers' lists, in the order of their names, and otherwise
// belongs to the default model's provider, if that lists nothing. An empty name is the default model. The error is an
// [*UnknownModelError].
func (c *Catalog) Resolve(name string) (Ref, error) {
	unknown := &UnknownModelError{Name: name, catalog: c}
	if name == "" {
		if c.def == (Ref{}) {
			return Ref{}, unknown
		}
		return c.def, nil
	}
	if len(name) > maxModelName {
		return Ref{}, unknown
	}
	if prefix, rest, ok := strings.Cut(name, "/"); ok {
		if p, ok := c.provider(prefix); ok {
			if !p.serves(rest) {
				return Ref{}, unknown
			}
			return Ref{Provider: p.Name, Model: rest}, nil
		}
	}
	for _, p := range c.providers {
		if slices.Contains(p.Models, name) {
			return Ref{Provider: p.Name, Model: name}, nil
		}
	}
	if p, ok := c.provider(c.def.Provider); ok && len(p.Models) == 0 {
		return Ref{Provider: p.Name, Model: name}, nil
	}
	return Ref{}, unknown
}

// Models returns every model that a provider lists, and the default model, sorted. A provider that takes any model adds none.
func (c *Catalog) Models() []Ref {
	var refs []Ref
	if c.def != (Ref{}) {
		refs = append(refs, c.def)
	}
	for _, p := range c.providers {
		for _, model := range p.Models {
			refs = append(refs, Ref{Provider: p.Name, Model: model})
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(refs)
}

func (c *Catalog) provider(name string) (*Provider, bool) {
	i, ok := slices.BinarySearchFunc(c.providers, name, func(p Provider, name string) int { return cmp.Compare(p.Name, name) })
	if !ok {
		return nil, false
	}
	return &c.providers[i], true
}

// UnknownModelError says that no provider serves a model. Its text is safe to show to the client.
type UnknownModelError struct {
	// Name is what the request asked for; empty when it named no model and there is no default.
	Name    string
	catalog *Catalog
}

func (e *UnknownModelError) Error() string {
	var b strings.Builder
	if e.Name == "" {
		b.WriteString("a model is required, because this server has no default model")
	} else {
		fmt.Fprintf(&b, "unknown model %q", clip(e.Name, 100))
	}
	var known []string
	for _, ref := range e.catalog.Models() {
		known = append(known, ref.String())
	}
	for _, p := range e.catalog.providers {
		if len(p.Models) == 0 {
			known = append(known, p.Name+"/<any>")
		}
	}
	rest := len(known) - maxKnownModels
	known = known[:min(len(known), maxKnownModels)]
	if len(known) > 0 {
		b.WriteString("; available: " + strings.Join(known, ", "))
	}
	if rest > 0 {
		fmt.Fprintf(&b, " and %d more (GET /v1/models lists them)", rest)
	}
	return b.String()
}
