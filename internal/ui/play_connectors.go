package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/store"
)

// maxPlayConnectors bounds how many connectors the playground offers.
const maxPlayConnectors = 400

// playConnectors are the saved connectors that a person may use in runs, by name. Those that need something first are there as well: they
// say what.
func (u *ui) playConnectors(r *http.Request, who identity.Principal) ([]playConnector, error) {
	var out []playConnector
	if u.api.Connections == nil {
		return nil, nil
	}
	by := connection.Caller{Principal: who}
	for at := (store.Page{Limit: 200}); len(out) < maxPlayConnectors; {
		views, next, err := u.api.Connections.List(r.Context(), by, store.ConnectorFilter{}, at)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			if c, ok := newPlayConnector(v); ok {
				out = append(out, c)
			}
		}
		if at.After = next; next == "" {
			break
		}
	}
	slices.SortFunc(out, func(a, b playConnector) int {
		return strings.Compare(strings.ToLower(a.Name)+"\x00"+a.ID, strings.ToLower(b.Name)+"\x00"+b.ID)
	})
	labelConnectors(out)
	return out, nil
}

// newPlayConnector returns a connector as the playground shows it; false: it is not the person's to use.
func newPlayConnector(v connection.View) (playConnector, bool) {
	c := playConnector{ID: v.ID, Name: v.Settings.Name, Tag: string(v.Tag), Known: !v.Probe.At.IsZero()}
	lacks := v.Tag == connector.TagNeedsAuth || v.Tag == connector.TagNeedsReauth
	c.Offered = slices.Contains(v.May, connector.Use) && !lacks
	c.Authorize = lacks && slices.Contains(v.May, connector.Authorize)
	if !c.Offered && !c.Authorize && (v.Tag != connector.TagDisabled || !slices.Contains(v.May, connector.Enable)) {
		return c, false
	}
	if v.Tag != connector.TagConnected {
		c.Message = v.Status.Message
	}
	for _, t := range v.Probe.Tools {
		if v.Settings.OffersTool(t.Name) {
			c.Tools = append(c.Tools, playTool{Name: t.Name, Description: t.Description})
		}
	}
	return c, true
}

// labelConnectors gives each connector a label of its own, made of its name.
func labelConnectors(list []playConnector) {
	taken := map[string]bool{}
	for i := range list {
		label := labelOf(list[i].Name)
		for n := 2; taken[label]; n++ {
			label = fmt.Sprintf("%.58s-%d", labelOf(list[i].Name), n)
		}
		taken[label] = true
		list[i].Label = label
	}
}

// labelOf makes a server_label of a name.
func labelOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 40 {
			break
		}
	}
	if label := strings.Trim(b.String(), "-"); label != "" {
		return label
	}
	return "connector"
}
